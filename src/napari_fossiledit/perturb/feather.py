"""Soft edges: a hard edge around what was painted is a cue of its own."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError

__all__ = ["check_feather", "feather_edge"]

WIDEST = 16.0


def check_feather(width: float) -> None:
    """Refuse a width that is no number from 0 to 16.

    Raises
    ------
    InputError
    """
    if isinstance(width, bool) or not (isinstance(width, Real) and 0 <= width <= WIDEST):
        raise InputError(
            f"The edge cannot be feathered over {width!r} pixels: choose 0 (a hard edge) to "
            f"{WIDEST:g}."
        )


def feather_edge(
    out: NDArray[np.uint8],
    where: NDArray[np.bool_],
    image: NDArray[np.uint8],
    width: float,
) -> None:
    """Blend what was painted into the original along the inner edge of the mask, in place.

    A painted pixel at distance d (px, from centre to centre) of the nearest unpainted one keeps
    d / (width + 1) of its paint, so pixels outside the mask stay as they are. The image's border
    is no edge.

    Parameters
    ----------
    out : (y, x, 3) uint8
        The painted image.
    where : (y, x) bool
        The painted pixels.
    image : (y, x, 3) uint8
        The original.
    width : float
        Pixels, from 0 (nothing changes) to 16.

    Raises
    ------
    InputError
        When the width cannot be used.
    """
    check_feather(width)
    if width == 0:
        return
    y, x = np.nonzero(_edge_band(where, math.ceil(width)))
    share = (_distance(where, y, x, math.ceil(width)) / (width + 1)).clip(max=1)
    paint, rock = out[y, x].astype(np.float64), image[y, x].astype(np.float64)
    out[y, x] = np.rint(rock + (paint - rock) * share[:, None]).astype(np.uint8)


def _edge_band(where: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Painted pixels with an unpainted one in the square of ``reach`` around."""
    near = ~where
    for _ in range(reach):
        for axis in (0, 1):
            wider = np.moveaxis(near.copy(), axis, 0)
            source = np.moveaxis(near, axis, 0)
            wider[1:] |= source[:-1]
            wider[:-1] |= source[1:]
            near = np.moveaxis(wider, 0, axis)
    return np.asarray(near & where)


def _distance(
    where: NDArray[np.bool_], y: NDArray[np.intp], x: NDArray[np.intp], reach: int
) -> NDArray[np.float64]:
    """Distance of given pixels to the nearest unpainted one; infinite beyond ``reach``."""
    padded = np.pad(where, reach, constant_values=True)
    flat = padded.ravel()
    here = (y + reach) * padded.shape[1] + (x + reach)
    distance = np.full(len(here), np.inf)
    steps = [
        (math.hypot(dy, dx), dy * padded.shape[1] + dx)
        for dy in range(-reach, reach + 1)
        for dx in range(-reach, reach + 1)
        if 0 < math.hypot(dy, dx) < reach + 1
    ]
    for length, step in sorted(steps):
        open_ = np.flatnonzero(np.isinf(distance))
        if not open_.size:
            break
        distance[open_[~flat[here[open_] + step]]] = length
    return distance
