"""Fill `Inpaint`: the surroundings carried on smoothly into small holes.

Source: biharmonic inpainting as in scikit-image (Damelin and Hoang 2018, International Journal of
Mathematics and Mathematical Sciences 2018, 3950312).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, checkpoint, run

__all__ = ["Inpaint"]

REACH = 2  # px: how far the biharmonic stencil looks
MARGIN = 3
LARGEST = 2_000  # pixels of one hole: on reef mud, flat median colour is nearer the truth beyond
MOST = 400_000  # pixels of all holes


@dataclass(frozen=True)
class Inpaint:
    """Carry the surroundings on smoothly into the painted pixels; for small holes only.

    Holes of more than 2,000 pixels (some 50 across) are refused, as on mud of the sample reef their
    fill was further from the true pixels than one flat colour; so are more than 400,000 pixels in
    all, which would take long.
    """

    def paint_task(
        self,
        out: NDArray[np.uint8],
        where: NDArray[np.bool_],
        image: NDArray[np.uint8],
        fossils: NDArray[np.bool_],
        *,
        seed: int = 0,
    ) -> Task[None]:
        """Overwrite ``out`` where ``where`` is True; nothing is random here.

        Raises
        ------
        InputError
            When a hole, or all holes together, are too large.
        """
        from scipy.ndimage import find_objects

        yield Progress(0, 0, "looking for holes")
        holes, areas = _holes(where)
        if not areas.size:
            return
        largest, total = int(areas.max()), int(areas.sum())
        if largest > LARGEST:
            raise InputError(
                f"The largest hole to inpaint has {largest:,} pixels, but only holes of up to "
                f"{LARGEST:,} can be inpainted: paint small fossils or a smaller fraction, or "
                "choose another fill, e.g. noise."
            )
        if total > MOST:
            raise InputError(
                f"The holes to inpaint have {total:,} pixels together, but only {MOST:,} can be "
                "inpainted at once: paint a smaller fraction, or choose another fill, e.g. noise."
            )
        boxes = find_objects(holes)
        for i, box in enumerate(boxes):
            checkpoint()
            yield Progress(i, len(boxes), "inpainting")
            _inpaint_one(out, holes, where, i + 1, box)
        yield Progress(len(boxes), len(boxes), "painted")

    def paint(
        self,
        out: NDArray[np.uint8],
        where: NDArray[np.bool_],
        image: NDArray[np.uint8],
        fossils: NDArray[np.bool_],
    ) -> None:
        """Run `paint_task` to its end."""
        run(self.paint_task(out, where, image, fossils))

    def to_dict(self) -> dict[str, object]:
        """Return the fill as plain JSON values."""
        return {"kind": "inpaint"}

    def describe(self) -> str:
        """Say the fill in plain words."""
        return "surroundings, carried on smoothly (inpainted)"

    def __str__(self) -> str:
        return "inpaint"


def _holes(where: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number the holes; those within reach of one another's stencil count as one."""
    from scipy.ndimage import binary_dilation, label

    wide = binary_dilation(where, np.ones((3, 3), bool), iterations=REACH)
    numbers, count = label(wide, structure=np.ones((3, 3), int))
    holes = np.where(where, numbers, 0)
    return holes, np.bincount(holes.ravel(), minlength=count + 1)[1:]


def _inpaint_one(
    out: NDArray[np.uint8],
    holes: NDArray[np.int32],
    where: NDArray[np.bool_],
    number: int,
    box: tuple[slice, slice],
) -> None:
    from skimage.restoration import inpaint_biharmonic

    around = tuple(
        slice(max(s.start - MARGIN, 0), min(s.stop + MARGIN, n))
        for s, n in zip(box, where.shape, strict=True)
    )
    hole = holes[around] == number
    if hole.all():
        raise InputError(
            "The hole to inpaint leaves nothing around it to carry on: paint a smaller fraction, "
            "or choose another fill."
        )
    # The untouched surroundings: other holes lie out of this one's reach.
    smooth = inpaint_biharmonic(out[around].astype(np.float64), hole, channel_axis=-1)
    out[around][hole] = np.clip(np.rint(smooth[hole]), 0, 255).astype(np.uint8)
