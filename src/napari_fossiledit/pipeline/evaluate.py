"""Predictions of labelled slices, and their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_fossiledit.editing.strength import MASK_THRESHOLDS
from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.progress import Progress, Task, run

if TYPE_CHECKING:
    from napari_fossiledit.metrics import InstanceScores
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["MASK_THRESHOLDS", "Evaluation", "evaluate", "evaluate_task"]


@dataclass(frozen=True)
class Evaluation:
    """What a model says of labelled slices.

    Attributes
    ----------
    scores : InstanceScores
        At mask threshold 0.5.
    predictions : list of Instances
        One a slice, at mask threshold 0.5 and confidence 0.
    average_precision : dict
        COCO's AP, AP50, ... over all slices.
    by_mask_threshold : dict of float to InstanceScores
        The same detections cut at other mask thresholds; empty unless asked for.
    """

    scores: InstanceScores
    predictions: list[Instances]
    average_precision: dict[str, float | None]
    by_mask_threshold: dict[float, InstanceScores] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Figures only, ready for JSON."""
        return {**self.scores.to_dict(), "average_precision": dict(self.average_precision)}


def evaluate_task(
    segmenter: Segmenter,
    slices: Sequence[LabelledSlice],
    *,
    mask_thresholds: Sequence[float] = (),
) -> Task[Evaluation]:
    """Predict labelled slices at confidence 0 and score them (Panigrahi et al. 2022, section 4).

    Parameters
    ----------
    segmenter : Segmenter
    slices : sequence of LabelledSlice
    mask_thresholds : sequence of float
        Also score the same detections at these mask thresholds.

    Raises
    ------
    InputError
        When no slice has a fossil.
    """
    from napari_fossiledit.metrics import average_precision, score_slices

    require_fossils(slices)
    cuts = sorted({0.5, *mask_thresholds})
    predictions: dict[float, list[Instances]] = {cut: [] for cut in cuts}
    for i, piece in enumerate(slices):
        yield Progress(i, len(slices), f"Evaluating {piece.name or f'slice {i}'}")
        most = segmenter.limits.most
        each = segmenter.predict_mask_thresholds(piece.image, cuts, max_detections=most)
        for cut, found in zip(cuts, each, strict=True):
            predictions[cut].append(found)
    scores = {cut: score_slices(slices, predictions[cut]) for cut in cuts}
    yield Progress(len(slices), len(slices), "Scored")
    return Evaluation(
        scores=scores[0.5],
        predictions=predictions[0.5],
        average_precision=average_precision(slices, predictions[0.5]),
        by_mask_threshold={cut: scores[cut] for cut in cuts if mask_thresholds},
    )


def evaluate(
    segmenter: Segmenter,
    slices: Sequence[LabelledSlice],
    *,
    mask_thresholds: Sequence[float] = (),
) -> Evaluation:
    """Run `evaluate_task` to its end."""
    return run(evaluate_task(segmenter, slices, mask_thresholds=mask_thresholds))


def require_fossils(slices: Sequence[LabelledSlice]) -> None:
    """Refuse a set of slices in which nothing is labelled."""
    if not slices:
        raise InputError("There is no labelled slice: choose a stack and its labels.")
    if not any(piece.fossils.any() for piece in slices):
        raise InputError(
            "None of the labelled slices has a fossil: choose labels in which at least one "
            "instance is drawn."
        )
