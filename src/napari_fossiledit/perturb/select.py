"""Which pixels a perturbation paints: all of a mask, or a seeded random part of it."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError

__all__ = ["check_choice", "choose"]

UNITS = ("components", "pixels", "instances")


def check_choice(fraction: float, by: str) -> None:
    """Refuse a fraction outside ]0, 1] and an unknown unit.

    Raises
    ------
    InputError
    """
    if not (isinstance(fraction, Real) and 0 < fraction <= 1):
        raise InputError(
            f"The fraction to paint is {fraction!r}: choose one above 0 and up to 1 (1 = all)."
        )
    if by not in UNITS:
        raise InputError(
            f'A fraction is chosen by "components", "instances" or "pixels", not by "{by}".'
        )


def choose(
    mask: NDArray[np.bool_],
    fraction: float = 1.0,
    *,
    seed: int = 0,
    by: str = "components",
    labels: NDArray[Any] | None = None,
) -> tuple[NDArray[np.bool_], float]:
    """Choose part of a mask.

    Parameters
    ----------
    mask : (y, x) bool
        The pixels to choose from.
    fraction : float
        In ]0, 1]; 1 chooses all.
    seed : int
        The same seed gives the same choice.
    by : "components", "instances" or "pixels"
        Whole connected components (pixels that touch by a side or a corner) or whole instances
        (equal labels, touching or not) in random order until the fraction of pixels is reached,
        or single random pixels.
    labels : (y, x) integer, optional
        One value per instance; without them, instances are the components.

    Returns
    -------
    chosen : (y, x) bool
    reached : float
        The fraction of the mask's pixels that was chosen; with whole pieces it can lie well above
        the one asked for, as the last piece is taken whole.

    Raises
    ------
    InputError
        When the mask is empty or the fraction lies outside ]0, 1].
    """
    check_choice(fraction, by)
    total = int(np.count_nonzero(mask))
    if total == 0:
        raise InputError("There is no pixel to choose from: the mask to paint is empty.")
    if fraction == 1:
        return mask.copy(), 1.0
    # A hair less, or 0.35 * 100 = 35.000000000000004 would ask for a 36th pixel.
    wanted = max(1, math.ceil(fraction * total - 1e-9 * total))
    rng = np.random.default_rng(seed)
    if by == "pixels":
        chosen = _pixels(mask, wanted, rng)
    else:
        if by == "instances" and labels is not None:
            numbers, count = _instances(mask, labels)
        else:
            numbers, count = _components(mask)
        chosen = _pieces(numbers, count, wanted, rng)
    return chosen, int(np.count_nonzero(chosen)) / total


def _pixels(mask: NDArray[np.bool_], wanted: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    chosen = np.zeros(mask.shape, bool)
    places = np.flatnonzero(mask)
    chosen.reshape(-1)[rng.choice(places, wanted, replace=False, shuffle=False)] = True
    return chosen


def _components(mask: NDArray[np.bool_]) -> tuple[NDArray[Any], int]:
    from scipy.ndimage import label

    numbers, count = label(mask, structure=np.ones((3, 3), int))
    return numbers, int(count)


def _instances(mask: NDArray[np.bool_], labels: NDArray[Any]) -> tuple[NDArray[Any], int]:
    found, numbers = np.unique(labels[mask], return_inverse=True)
    pieces = np.zeros(mask.shape, np.intp)
    pieces[mask] = numbers + 1
    return pieces, len(found)


def _pieces(
    numbers: NDArray[Any], count: int, wanted: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    areas = np.bincount(numbers.ravel(), minlength=count + 1)
    order = rng.permutation(np.arange(1, count + 1))
    last = int(np.searchsorted(np.cumsum(areas[order]), wanted))
    taken = np.zeros(count + 1, bool)
    taken[order[: last + 1]] = True
    return np.asarray(taken[numbers], bool)
