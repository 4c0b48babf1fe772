"""Windows of a slice that fills take colours or texture from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError

__all__ = ["calm_square", "checked_window", "cut", "fossil_share", "in_words", "whole_numbers"]

Window = tuple[int, int, int, int]
SIZES = (128, 96, 64, 48, 32, 24, 16, 12, 8)  # of the square of mud taken by default, largest first
CALM_FROM = 24  # px: smaller squares look calm by chance


def whole_numbers(values: object, count: int, need: str) -> tuple[int, ...]:
    """``values`` as ints; numpy numbers and 3.0 are welcome, 3.5, NaN, text and True are not.

    Raises
    ------
    InputError
        With ``need`` and what was given instead.
    """
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if (
        not isinstance(values, Sequence)
        or isinstance(values, str)
        or len(values) != count
        or not all(_whole(v) for v in values)
    ):
        raise InputError(f"{need}, not {values!r}.")
    return tuple(int(v) for v in values)


def _whole(value: Any) -> bool:
    number = isinstance(value, (int, float, np.integer, np.floating))
    # The limit also keeps out NaN and infinity.
    return number and not isinstance(value, bool) and abs(value) < 2**53 and value % 1 == 0


def plain(values: Sequence[int]) -> str:
    """The numbers with commas between."""
    return ", ".join(map(str, values))


def in_words(window: Window) -> str:
    """Say where a window lies."""
    y0, x0, y1, x1 = window
    return f"rows {y0} to {y1}, columns {x0} to {x1}"


def checked_window(window: object, name: str) -> Window | None:
    """Four whole numbers with some area between them; None stays None.

    Parameters
    ----------
    window : (y0, x0, y1, x1) or None
    name : str
        For messages: ``median window``, ``tile crop``...

    Raises
    ------
    InputError
    """
    if window is None:
        return None
    values = whole_numbers(window, 4, f"A {name} needs four whole numbers (y0, x0, y1, x1)")
    y0, x0, y1, x1 = values
    if y1 <= y0 or x1 <= x0:
        raise InputError(
            f"The {name} {plain(values)} has no area: give y0, x0, y1, x1 with y1 above y0 and x1 "
            "above x0."
        )
    return y0, x0, y1, x1


def cut(image: NDArray[Any], window: Window, name: str) -> NDArray[Any]:
    """Return the window of an image, (y, x) or (y, x, 3), as a view.

    Raises
    ------
    InputError
        When the window is larger than the image or reaches outside it.
    """
    y0, x0, y1, x1 = window
    rows, columns = image.shape[:2]
    if y1 - y0 > rows or x1 - x0 > columns:
        raise InputError(
            f"The {name} {plain(window)} is {y1 - y0} x {x1 - x0} pixels, larger than the image of "
            f"{rows} x {columns} pixels: choose a smaller one inside it."
        )
    if y0 < 0 or x0 < 0 or y1 > rows or x1 > columns:
        raise InputError(
            f"The {name} {plain(window)} reaches outside the image of {rows} x {columns} pixels: "
            "choose one inside it."
        )
    return image[y0:y1, x0:x1]


def fossil_share(fossils: NDArray[np.bool_], window: Window) -> float:
    """The fraction of a window's pixels that lie in fossils; 0 for a window outside the slice."""
    y0, x0, y1, x1 = window
    inside = fossils[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    return float(inside.mean()) if inside.size else 0.0


def calm_square(image: NDArray[np.uint8], fossils: NDArray[np.bool_], name: str) -> Window:
    """Find the calmest square outside the fossils, which is most likely plain mud.

    Of all places free of fossils the one where brightness varies least is taken, for the largest
    of a few sizes (128 down to 24 px) at which it varies no more than mud does by a robust
    measure (the median deviation, which shells and veins hardly move). Where none is so calm,
    the calmest of the largest size that fits, down to 8 px. Large slices are searched on a coarse
    grid.

    Parameters
    ----------
    image : (y, x, 3) uint8
    fossils : (y, x) bool
    name : str
        For the message: what needs the square.

    Raises
    ------
    InputError
        When no square of 8 x 8 pixels is free of fossils.
    """
    step = max(1, min(image.shape[:2]) // 400)
    rows, columns = image.shape[0] // step, image.shape[1] // step
    if rows and columns:
        whole = fossils[: rows * step, : columns * step]
        taken = whole.reshape(rows, step, columns, step).any(axis=(1, 3))
        grey = image[: rows * step : step, : columns * step : step].sum(axis=2, dtype=np.int64)
        calm = _robust_variance(grey[~taken])
        tables = tuple(_table(v) for v in (taken, grey, grey * grey))
        fallback = None
        for size in SIZES:
            side = -(-size // step) if size == SIZES[-1] else size // step
            if not 0 < side <= min(rows, columns):
                continue
            y, x, variance = _calmest(tables, side)
            found = (y * step, x * step, (y + side) * step, (x + side) * step)
            if variance <= calm and size >= CALM_FROM:
                return found
            if fallback is None and np.isfinite(variance):
                fallback = found
        if fallback is not None:
            return fallback
    raise InputError(
        f"The slice has no square of {SIZES[-1]} x {SIZES[-1]} pixels outside the fossils for the "
        f"{name}: give a window of mud, or choose a colour instead."
    )


def _robust_variance(grey: NDArray[np.int64]) -> float:
    if not grey.size:
        return 0.0
    return float((1.4826 * np.median(np.abs(grey - np.median(grey)))) ** 2)


def _calmest(tables: tuple[NDArray[np.int64], ...], side: int) -> tuple[int, int, float]:
    """Corner and variance of the square that varies least; infinite where fossils are in all."""
    taken, sums, squares = (_boxes(table, side) for table in tables)
    area = side * side
    variance = squares / area - (sums / area) ** 2
    variance[taken > 0] = np.inf
    y, x = divmod(int(np.argmin(variance)), variance.shape[1])
    return y, x, float(variance[y, x])


def _table(values: Any) -> NDArray[np.int64]:
    """Summed-area table with a first row and column of zeros."""
    table = np.zeros((values.shape[0] + 1, values.shape[1] + 1), np.int64)
    np.cumsum(np.cumsum(values, axis=0, dtype=np.int64), axis=1, out=table[1:, 1:])
    return table


def _boxes(table: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Sums over every square of ``side`` cells."""
    return np.asarray(
        table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]
    )
