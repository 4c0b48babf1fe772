"""An edit beside its rivals: the mask threshold and the score threshold.

Raising the mask threshold also buys precision for recall, and raising the confidence asked for
also removes false detections; neither needs an edit. So an edit's gain is shown against both
curves: precision at equal recall, and false detections at equally many true ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.pipeline.evaluate import MASK_THRESHOLDS, Evaluation, evaluate_task
from napari_fossiledit.progress import Task, part_of, run

if TYPE_CHECKING:
    from napari_fossiledit.editing import Edit
    from napari_fossiledit.metrics import InstanceScores, Interval
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["Comparison", "Curve", "CurvePoint", "DetectionCurve", "compare", "compare_task"]


@dataclass(frozen=True)
class CurvePoint:
    """One setting and the scores it gives."""

    x: float
    scores: InstanceScores


@dataclass(frozen=True)
class Curve:
    """Scores over one setting.

    Attributes
    ----------
    label : str
        What is varied, for legends.
    points : tuple of CurvePoint
        In rising order of the setting.
    """

    label: str
    points: tuple[CurvePoint, ...]

    @property
    def recall(self) -> NDArray[np.float64]:
        """Mean recall of each point (matched instances)."""
        return np.array([point.scores.matched_mean.recall for point in self.points])

    @property
    def precision(self) -> NDArray[np.float64]:
        """Mean precision of each point (matched instances)."""
        return np.array([point.scores.matched_mean.precision for point in self.points])

    def to_dict(self) -> dict[str, Any]:
        """Figures only, ready for JSON."""
        return {
            "label": self.label,
            "points": [{"x": point.x, **point.scores.to_dict()} for point in self.points],
        }


@dataclass(frozen=True)
class DetectionCurve:
    """Numbers of true and false detections over the confidence asked for.

    Attributes
    ----------
    label : str
    score : (n,) float
        Score thresholds, falling.
    true, false : (n,) int
        Detections of at least that confidence that do, or do not, touch a labelled fossil with an
        IoU of 0.1.
    """

    label: str
    score: NDArray[np.float64]
    true: NDArray[np.int64]
    false: NDArray[np.int64]

    @classmethod
    def of(
        cls, label: str, slices: Sequence[LabelledSlice], evaluation: Evaluation
    ) -> DetectionCurve:
        """The curve of one evaluation."""
        from napari_fossiledit.metrics import overlaps

        best, scores = [], []
        for piece, found in zip(slices, evaluation.predictions, strict=True):
            iou = overlaps(piece.labels, found).iou
            best.append(iou.max(axis=0) if iou.shape[0] else np.zeros(len(found)))
            scores.append(found.scores)
        touching = np.concatenate(best) >= 0.1
        score = np.concatenate(scores).astype(float)
        order = np.argsort(-score, kind="stable")
        keep = score[order] >= 0.05
        touching, score = touching[order][keep], score[order][keep]
        return cls(label, score, np.cumsum(touching), np.cumsum(~touching))

    def false_at(self, true: int) -> int | None:
        """False detections where ``true`` true ones are reached, or None if they never are."""
        if true <= 0:
            return 0
        reached = np.flatnonzero(self.true >= true)
        return int(self.false[reached[0]]) if reached.size else None


@dataclass(frozen=True)
class Comparison:
    """Before and after an edit, beside the rivals that need no edit.

    Attributes
    ----------
    before, after : Evaluation
        Without the edit, and with it at the chosen strength.
    strength : float
    differences : dict of str to Interval
        After minus before.
    threshold_curve, strength_curve : Curve
    precision_at_equal_recall, iou_at_equal_recall : Interval
        What the edit adds to the mask threshold's curve at the edit's own recall.
    detections_before, detections_after : DetectionCurve
    sentence : str
        What the edit adds, in words.
    """

    before: Evaluation
    after: Evaluation
    strength: float
    differences: dict[str, Interval]
    threshold_curve: Curve
    strength_curve: Curve
    precision_at_equal_recall: Interval
    iou_at_equal_recall: Interval
    detections_before: DetectionCurve
    detections_after: DetectionCurve
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Figures only, ready for JSON."""
        return {
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "differences": {key: value.to_dict() for key, value in self.differences.items()},
            "strength": self.strength,
            "beside_mask_threshold": {
                "precision_at_equal_recall": self.precision_at_equal_recall.to_dict(),
                "iou_at_equal_recall": self.iou_at_equal_recall.to_dict(),
                "sentence": self.sentence,
            },
            "threshold_curve": self.threshold_curve.to_dict(),
            "strength_curve": self.strength_curve.to_dict(),
        }


def compare_task(
    segmenter: Segmenter,
    edit: Edit,
    strength: float,
    slices: Sequence[LabelledSlice],
    *,
    strengths: Sequence[float] = (),
    mask_thresholds: Sequence[float] = MASK_THRESHOLDS,
    seed: int = 0,
) -> Task[Comparison]:
    """Evaluate labelled slices without and with an edit, and draw both curves.

    Other edits that are active stay so; the segmenter is left as it was found.

    Parameters
    ----------
    segmenter : Segmenter
    edit : Edit
    strength : float
        The strength whose differences are reported.
    slices : sequence of LabelledSlice
        They must have chosen neither the edit nor its strength.
    strengths : sequence of float
        More points of the strength curve.
    mask_thresholds : sequence of float
    seed : int
        Of the bootstrap.

    Returns
    -------
    Comparison
    """
    from napari_fossiledit.editing import EditStack
    from napari_fossiledit.metrics import difference, excess_at_equal_recall

    steps = sorted({0.0, strength, *strengths})
    evaluations: dict[float, Evaluation] = {}
    with EditStack.of(segmenter).trial(edit) as set_strength:
        for i, step in enumerate(steps):
            set_strength(step)
            task = evaluate_task(
                segmenter, slices, mask_thresholds=mask_thresholds if step == 0 else ()
            )
            evaluations[step] = yield from part_of(task, i, len(steps), f"strength {step:g}")
    before, after = evaluations[0.0], evaluations[strength]
    threshold_curve = Curve(
        "mask threshold, no edit",
        tuple(CurvePoint(cut, scores) for cut, scores in before.by_mask_threshold.items()),
    )
    excess = excess_at_equal_recall(
        [point.scores for point in threshold_curve.points], after.scores, seed=seed
    )
    detections = (
        DetectionCurve.of("before", slices, before),
        DetectionCurve.of("after", slices, after),
    )
    return Comparison(
        before=before,
        after=after,
        strength=strength,
        differences=difference(before.scores, after.scores, seed=seed),
        threshold_curve=threshold_curve,
        strength_curve=Curve(
            "edit, over its strength",
            tuple(CurvePoint(step, evaluations[step].scores) for step in steps),
        ),
        precision_at_equal_recall=excess["precision"],
        iou_at_equal_recall=excess["iou"],
        detections_before=detections[0],
        detections_after=detections[1],
        sentence=say(excess["precision"], before, after, *detections),
    )


def compare(
    segmenter: Segmenter,
    edit: Edit,
    strength: float,
    slices: Sequence[LabelledSlice],
    *,
    strengths: Sequence[float] = (),
    mask_thresholds: Sequence[float] = MASK_THRESHOLDS,
    seed: int = 0,
) -> Comparison:
    """Run `compare_task` to its end."""
    return run(
        compare_task(
            segmenter,
            edit,
            strength,
            slices,
            strengths=strengths,
            mask_thresholds=mask_thresholds,
            seed=seed,
        )
    )


def say(
    excess: Interval,
    before: Evaluation,
    after: Evaluation,
    detections_before: DetectionCurve,
    detections_after: DetectionCurve,
) -> str:
    """Say in words what the edit adds to the rivals, or that it adds nothing."""
    band = f"({excess.value:+.3f}, 95 % interval {excess.low:+.3f} to {excess.high:+.3f})"
    if not isfinite(excess.low):
        first = (
            "There are too few fossils or slices to tell whether the edit is more precise than a "
            "raised mask threshold: label more of them."
        )
    elif excess.low > 0:
        first = f"At the same recall the edit is more precise than a raised mask threshold {band}."
    elif excess.high < 0:
        first = (
            f"At the same recall the edit is less precise than a raised mask threshold {band}: "
            "raise the mask threshold instead."
        )
    else:
        first = (
            "For mean precision the edit adds nothing certain to what a raised mask threshold "
            f"gives at the same recall {band}."
        )
    true = after.scores.true_detections
    false = after.scores.false_detections
    rival = detections_before.false_at(true)
    second = (
        f"A mask threshold removes no detection: the edit changes false detections from "
        f"{before.scores.false_detections} to {false} and true ones from "
        f"{before.scores.true_detections} to {true}"
    )
    if rival is None:
        third = ", which the unedited model reaches at no confidence."
    elif rival > false:
        third = (
            f"; asking the unedited model for a confidence that gives as many true ones leaves "
            f"{rival} false."
        )
    elif rival == false:
        third = (
            f"; asking the unedited model for a confidence that gives as many true ones leaves "
            f"{rival} false too: for detections the edit adds nothing to it."
        )
    else:
        third = (
            f"; but a score threshold alone, at as many true ones, leaves only {rival} false: for "
            "detections the edit adds nothing to it."
        )
    return f"{first} {second}{third}"
