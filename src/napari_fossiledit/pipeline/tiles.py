"""Where the tiles of a large slice lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_fossiledit.errors import InputError

__all__ = ["SMALLEST", "Tile", "check_tile", "margin_of", "tiles_of"]

SMALLEST = 256
"""Least side of a tile in pixels: below it most of a tile is margin."""

_ALIGN = 32  # pixels of the network's input: the coarsest stride of the pyramids' own levels
_SHARE = 8  # a margin is this part of the tile's side ...
_MARGINS = 64, 256  # ... but within these


@dataclass(frozen=True)
class Tile:
    """A part of a slice. All in pixels of the slice, last ones not included.

    Attributes
    ----------
    window : (y0, x0, y1, x1)
        What the model is shown.
    core : (y0, x0, y1, x1)
        The part of the window that is this tile's own; the cores of all tiles cover the slice
        once.
    shape : (int, int)
        Rows and columns of the slice.
    """

    window: tuple[int, int, int, int]
    core: tuple[int, int, int, int]
    shape: tuple[int, int]

    @property
    def rows(self) -> slice:
        """The window's rows."""
        return slice(self.window[0], self.window[2])

    @property
    def columns(self) -> slice:
        """The window's columns."""
        return slice(self.window[1], self.window[3])

    def owns(self, y: float, x: float, slack: float = 0.0) -> bool:
        """Whether a point lies in the core, or within ``slack`` pixels of it."""
        y0, x0, y1, x1 = self.core
        return y0 - slack <= y < y1 + slack and x0 - slack <= x < x1 + slack

    def cuts(self, box: Sequence[float], within: float) -> bool:
        """Whether a box ends at an edge of the window that is not one of the slice.

        Parameters
        ----------
        box : (x0, y0, x1, y1)
            In pixels of the slice.
        within : float
            How near to the edge, in pixels.
        """
        x0, y0, x1, y1 = box
        top, left, bottom, right = self.window
        return (
            (top > 0 and y0 < top + within)
            or (left > 0 and x0 < left + within)
            or (bottom < self.shape[0] and y1 > bottom - within)
            or (right < self.shape[1] and x1 > right - within)
        )


def check_tile(tile: int) -> int:
    """Refuse a tile's side that is too small.

    Raises
    ------
    InputError
    """
    if tile < SMALLEST:
        raise InputError(
            f"Tiles of {tile} pixels are too small: give at least {SMALLEST}, better 1024."
        )
    return tile


def margin_of(tile: int, scale: float = 1.0) -> int:
    """How far a tile's window reaches beyond its core, for a window of ``tile`` pixels.

    An eighth of the tile, within 64 to 256 pixels of the network's input, and at most a quarter
    of the tile.
    """
    least, most = (n / min(scale, 1.0) for n in _MARGINS)
    return int(min(max(tile // _SHARE, least), most, tile // 4))


def tiles_of(
    shape: tuple[int, int], tile: int, scale: tuple[float, float] = (1.0, 1.0)
) -> list[Tile]:
    """Divide a slice into tiles that overlap.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the slice.
    tile : int
        Largest side of a window in pixels.
    scale : (float, float)
        Pixels of the network's input per row and column of the slice: windows begin on its
        coarsest grid, so that the network sees the same in a tile as in the whole slice.

    Returns
    -------
    list of Tile
        Row by row. One tile where the slice is no larger than that.
    """
    margin = margin_of(check_tile(tile), min(scale))
    rows, columns = (_spans(n, tile, margin, s) for n, s in zip(shape, scale, strict=True))
    return [
        Tile((wy0, wx0, wy1, wx1), (y0, x0, y1, x1), shape)
        for (wy0, y0, y1, wy1) in rows
        for (wx0, x0, x1, wx1) in columns
    ]


def _spans(length: int, tile: int, margin: int, scale: float) -> list[tuple[int, int, int, int]]:
    """Along one axis: begin of the window, of the core, end of the core, of the window."""
    if length <= tile:
        return [(0, 0, length, length)]
    core = tile - 2 * margin
    step = _ALIGN / scale if _ALIGN / scale <= core / 4 else 1.0
    count = -(-(length - 2 * margin) // core)  # the outer cores have no margin on one side
    while True:
        inner = (length - 2 * margin) / count
        # Windows begin on the grid; the cores lie a margin within them.
        begins = [round(round((i * inner) / step) * step) for i in range(count)]
        cuts = [0, *(begin + margin for begin in begins[1:]), length]
        ends = [min(cut + margin, length) for cut in cuts[1:]]
        if all(end - begin <= tile for begin, end in zip(begins, ends, strict=True)):
            return list(zip(begins, cuts[:-1], cuts[1:], ends, strict=True))
        count += 1
