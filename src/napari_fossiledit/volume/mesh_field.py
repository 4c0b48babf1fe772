"""Fields whose level is the surface of a specimen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Field", "field_of"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Field:
    """Values on a grid, above the level inside; below it on the grid's border.

    Attributes
    ----------
    values : (z, y, x) float32
    spacing, origin : (z, y, x)
        Step of the grid, and place of its first point relative to the window's first voxel.
    lowest, highest : float
        Levels that keep every part of the specimen, and its border empty.
    step : float
        What the field changes by from point to point, about.
    """

    values: Floats
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    lowest: float
    highest: float
    step: float


def field_of(
    mask: NDArray[np.bool_], size: tuple[float, float, float], smoothing: float | None
) -> Field:
    """Make the field of a mask; with ``smoothing`` None, of its bare voxels."""
    if smoothing is None:
        return _binary(mask, size)
    return _distances(mask, size, smoothing)


def _binary(mask: NDArray[np.bool_], size: tuple[float, float, float]) -> Field:
    values = np.pad(mask, 1).astype(np.float32) - np.float32(0.5)
    z, y, x = size
    return Field(values, size, (-z, -y, -x), -0.49, 0.49, 1.0)


def _distances(
    mask: NDArray[np.bool_], size: tuple[float, float, float], smoothing: float
) -> Field:
    from scipy.ndimage import gaussian_filter

    pixel = min(size[1:])
    between = max(1, round(size[0] / float(np.sqrt(size[1] * size[2]))))
    padded = np.pad(mask, ((1, 1), (3, 3), (3, 3)))
    flat = np.stack([_signed(plane, size[1:]) for plane in padded])
    thick = max(pixel / 2, 3 * float(flat[padded].mean()))
    flat = np.clip(flat, -thick, thick)
    fine = _between(flat, between)
    values = fine
    if smoothing > 0:
        room = np.float32(0.4 * pixel)
        for _ in range(3):
            values = gaussian_filter(values, (smoothing * between / 3, smoothing, smoothing))
            values = np.clip(values, fine - room, fine + room)
    margin = pixel * (0.09 if smoothing > 0 else 0.45)
    z, y, x = size
    spacing = (z / between, y, x)
    return Field(values, spacing, (-z, -3 * y, -3 * x), -thick * 0.9, margin, pixel)


def _signed(plane: NDArray[np.bool_], size: tuple[float, ...]) -> Floats:
    from scipy.ndimage import distance_transform_edt as distance

    half = min(size) / 2
    if not plane.any():
        return np.full(plane.shape, -np.inf, np.float32)
    inside = distance(plane, sampling=size) - half
    outside = half - distance(~plane, sampling=size)
    signed: Floats = np.where(plane, inside, outside).astype(np.float32)
    return signed


def _between(flat: Floats, between: int) -> Floats:
    if between == 1:
        return flat
    count = (len(flat) - 1) * between + 1
    at = np.arange(count) / between
    low = np.minimum(at.astype(int), len(flat) - 2)
    part = (at - low).astype(np.float32)[:, None, None]
    fine: Floats = flat[low] * (1 - part) + flat[low + 1] * part
    return fine
