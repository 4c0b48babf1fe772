"""Fill `Tile`: copies of a crop of the slice, side by side.

Source: the texture of arXiv 2210.03879 (Panigrahi et al.), 5.1 and 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.perturb.windows import Window, calm_square, checked_window, cut, in_words

__all__ = ["Tile", "tiled"]

_NAME = "tile crop"


@dataclass(frozen=True)
class Tile:
    """Paint copies of a crop of the slice itself, stitched to one texture.

    Parameters
    ----------
    window : (y0, x0, y1, x1), optional
        Rows y0 to y1 and columns x0 to x1 (ends not included) of the crop; by default the calmest
        square outside the fossils, up to 128 px wide. The copies continue the crop from where it
        lies.
    mirrored : bool
        Whether every second copy is mirrored, so that edges meet their own likes.

    Raises
    ------
    InputError
        When the crop is not four whole numbers or has no area.
    """

    window: Window | None = None
    mirrored: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", checked_window(self.window, _NAME))
        if not isinstance(self.mirrored, bool):
            raise InputError(f"A tile is mirrored or not (True or False), not {self.mirrored!r}.")

    def paint(
        self,
        out: NDArray[np.uint8],
        where: NDArray[np.bool_],
        image: NDArray[np.uint8],
        fossils: NDArray[np.bool_],
    ) -> None:
        """Overwrite ``out`` where ``where`` is True.

        Raises
        ------
        InputError
            When the crop reaches outside the image or, by default, no square is free of fossils.
        """
        window = self.window
        if window is None:
            window = calm_square(image, fossils, "tile")
        crop = cut(image, window, _NAME)
        texture = tiled(crop, image.shape[:2], origin=window[:2], mirrored=self.mirrored)
        for channel in range(3):
            np.copyto(out[..., channel], texture[..., channel], where=where)

    def to_dict(self) -> dict[str, object]:
        """Return the fill as plain JSON values."""
        window = None if self.window is None else list(self.window)
        return {"kind": "tile", "window": window, "mirrored": self.mirrored}

    def describe(self) -> str:
        """Say the fill in plain words."""
        where = "the calmest square outside the fossils"
        copies = "mirrored copies" if self.mirrored else "copies"
        return f"{copies} of {where if self.window is None else in_words(self.window)}"

    def __str__(self) -> str:
        kind = "tile-mirrored" if self.mirrored else "tile"
        return kind if self.window is None else f"{kind}:" + ",".join(map(str, self.window))


def tiled(
    crop: NDArray[np.uint8],
    shape: tuple[int, ...],
    *,
    origin: tuple[int, ...] = (0, 0),
    mirrored: bool = False,
) -> NDArray[np.uint8]:
    """Cover a slice with copies of a crop, (y, x, 3).

    Parameters
    ----------
    crop : (h, w, 3) uint8
    shape : (rows, columns)
    origin : (y, x)
        Where one unmirrored copy starts.
    mirrored : bool
    """
    rows, columns = (
        _places(n, start, size, mirrored)
        for n, start, size in zip(shape, origin, crop.shape[:2], strict=True)
    )
    return np.take(np.take(crop, columns, axis=1), rows, axis=0)


def _places(length: int, start: int, size: int, mirrored: bool) -> NDArray[np.intp]:
    along = np.arange(length) - start
    if not mirrored:
        return np.asarray(along % size)
    along %= 2 * size
    return np.asarray(np.minimum(along, 2 * size - 1 - along))
