"""What the demo measured, and what its report tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.pipeline.curves import Comparison
from napari_fossiledit.pipeline.probe import ProbeResult

if TYPE_CHECKING:
    from napari_fossiledit.editing import Edit, StrengthChoice

__all__ = ["DemoResult", "shown_slice"]


@dataclass(frozen=True)
class DemoResult:
    """All that the report tells."""

    probe: ProbeResult
    probed: list[LabelledSlice]
    edit: Edit
    edit_slice: str
    choice: StrengthChoice
    comparison: Comparison
    slices: list[LabelledSlice]
    block: NDArray[np.uint8]
    volume_before: NDArray[np.int32]
    volume_after: NDArray[np.int32]
    volume_truth: NDArray[np.int32]
    voxel_size: tuple[float, float, float]
    model: dict[str, Any]
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """``metrics.json``: figures only."""
        return {
            **self.comparison.to_dict(),
            "probe": self.probe.to_dict(),
            "choice": self.choice.to_dict(),
            "edit": self.edit.provenance,
            "slices": [piece.name for piece in self.slices],
            "model": self.model,
            "seconds": {key: round(value, 2) for key, value in self.seconds.items()},
        }


def shown_slice(result: DemoResult) -> int:
    """The slice on which the edit changes most: where its effect is best seen."""
    from napari_fossiledit.metrics import overlaps

    changes = []
    comparison = result.comparison
    pairs = zip(
        result.slices, comparison.before.predictions, comparison.after.predictions, strict=True
    )
    for piece, before, after in pairs:
        counts = []
        for found in (before.above(0.5), after.above(0.5)):
            iou = overlaps(piece.labels, found).iou
            counts.append(int((iou.max(axis=0) < 0.1).sum()) if iou.shape[0] else len(found))
        changes.append(abs(counts[0] - counts[1]))
    return int(np.argmax(changes))
