"""Fill `Quilt`: patches of mud sewn together along the cuts where they differ least.

Source: Efros and Freeman 2001, "Image quilting for texture synthesis and transfer" (SIGGRAPH).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.perturb.quilting import quilt_task
from napari_fossiledit.perturb.windows import (
    Window,
    calm_square,
    checked_window,
    cut,
    in_words,
    plain,
    whole_numbers,
)
from napari_fossiledit.progress import Progress, Task, run

__all__ = ["Quilt"]

SMALLEST, USUAL = 4, 48  # px, of a patch
_NAME = "quilt crop"


@dataclass(frozen=True)
class Quilt:
    """Paint a texture sewn from patches of a crop of the slice itself.

    Parameters
    ----------
    window : (y0, x0, y1, x1), optional
        Rows y0 to y1 and columns x0 to x1 (ends not included) that patches are drawn from; by
        default the calmest square outside the fossils, up to 128 px wide.
    patch : int, optional
        Side of the square patches in pixels, at least 4; it should be larger than the texture's
        largest feature. By default half the crop's shorter side, up to 48.

    Raises
    ------
    InputError
        When a setting cannot be used.
    """

    window: Window | None = None
    patch: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", checked_window(self.window, _NAME))
        if self.patch is None:
            return
        (side,) = whole_numbers([self.patch], 1, "A quilt's patch needs one whole number of pixels")
        if side < SMALLEST:
            raise InputError(
                f"The quilt's patch of {side} px is too small: choose {SMALLEST} px or more."
            )
        object.__setattr__(self, "patch", side)

    def paint_task(
        self,
        out: NDArray[np.uint8],
        where: NDArray[np.bool_],
        image: NDArray[np.uint8],
        fossils: NDArray[np.bool_],
        *,
        seed: int = 0,
    ) -> Task[None]:
        """Overwrite ``out`` where ``where`` is True; the same seed gives the same bytes.

        Raises
        ------
        InputError
            When the crop reaches outside the image, is smaller than a patch or, by default, no
            square is free of fossils.
        """
        yield Progress(0, 0, "cutting patches")
        window = self.window
        if window is None:
            window = calm_square(image, fossils, "quilt")
        crop = cut(image, window, _NAME)
        side = self._side(window)
        texture = yield from quilt_task(crop, image.shape[:2], patch=side, seed=seed)
        for channel in range(3):
            np.copyto(out[..., channel], texture[..., channel], where=where)

    def paint(
        self,
        out: NDArray[np.uint8],
        where: NDArray[np.bool_],
        image: NDArray[np.uint8],
        fossils: NDArray[np.bool_],
    ) -> None:
        """Run `paint_task` to its end, with seed 0."""
        run(self.paint_task(out, where, image, fossils))

    def _side(self, window: Window) -> int:
        y0, x0, y1, x1 = window
        shorter = min(y1 - y0, x1 - x0)
        side = min(USUAL, shorter // 2) if self.patch is None else self.patch
        if side > shorter:
            raise InputError(
                f"The quilt's patch of {side} px is larger than its crop {plain(window)}: choose a "
                "smaller patch or a larger crop."
            )
        if side < SMALLEST:
            raise InputError(
                f"The quilt crop {plain(window)} is too small to cut patches from: choose one of "
                f"at least {2 * SMALLEST} x {2 * SMALLEST} pixels."
            )
        return side

    def to_dict(self) -> dict[str, object]:
        """Return the fill as plain JSON values."""
        window = None if self.window is None else list(self.window)
        return {"kind": "quilt", "window": window, "patch": self.patch}

    def describe(self) -> str:
        """Say the fill in plain words."""
        where = "the calmest square outside the fossils"
        side = "" if self.patch is None else f"{self.patch} px "
        return f"quilt of {side}patches from " + (
            where if self.window is None else in_words(self.window)
        )

    def __str__(self) -> str:
        text = "quilt" if self.window is None else "quilt:" + ",".join(map(str, self.window))
        return text if self.patch is None else f"{text}@{self.patch}"
