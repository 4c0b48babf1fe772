"""Which pixels a perturbation paints: all of a mask, or a seeded random part of it."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError

__all__ = ["check_choice", "choose"]

UNITS = ("components", "pixels")


def check_choice(fraction: float, by: str) -> None:
    """Refuse a fraction outside ]0, 1] and an unknown unit.

    Raises
    ------
    InputError
    """
    if not (isinstance(fraction, Real) and math.isfinite(fraction) and 0 < fraction <= 1):
        raise InputError(
            f"The fraction to paint is {fraction!r}: choose one above 0 and up to 1 (1 = all)."
        )
    if by not in UNITS:
        raise InputError(f'A fraction is chosen by "components" or by "pixels", not by "{by}".')


def choose(
    mask: NDArray[np.bool_], fraction: float = 1.0, *, seed: int = 0, by: str = "components"
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
    by : "components" or "pixels"
        Whole connected components (pixels that touch by a side or a corner) in random order
        until the fraction of pixels is reached, or single random pixels.

    Returns
    -------
    chosen : (y, x) bool
    reached : float
        The fraction of the mask's pixels that was chosen; with components it can lie well above
        the one asked for, as the last component is taken whole.

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
    chosen = _pixels(mask, wanted, rng) if by == "pixels" else _components(mask, wanted, rng)
    return chosen, int(np.count_nonzero(chosen)) / total


def _pixels(mask: NDArray[np.bool_], wanted: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    chosen = np.zeros(mask.shape, bool)
    places = np.flatnonzero(mask)
    chosen.flat[rng.choice(places, wanted, replace=False, shuffle=False)] = True
    return chosen


def _components(
    mask: NDArray[np.bool_], wanted: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    from scipy.ndimage import label

    components, count = label(mask, structure=np.ones((3, 3), int))
    areas = np.bincount(components.ravel(), minlength=count + 1)
    order = rng.permutation(np.arange(1, count + 1))
    last = int(np.searchsorted(np.cumsum(areas[order]), wanted))
    taken = np.zeros(count + 1, bool)
    taken[order[: last + 1]] = True
    return np.asarray(taken[components], bool)
