"""Choose an edit's strength on labelled slices.

Strength decides: beyond a narrow window recall collapses (methods, section 7). So it is scanned,
never guessed. Precision counts more than recall here, as a false pixel spoils measurements on the
3D model: of the strengths tried that keep mean recall above a floor, the most precise one is taken
(*ours*). The floor is a budget, `RECALL_LOSS` below the recall without the edit (chosen on
development reefs), or a number of the user's. Mean IoU would not do as the measure: on slices that
the model was trained on, it only falls.

A raised mask threshold buys precision for recall too, without any edit. So its curve is kept
beside the edit's, and it is said when the edit lies below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

from napari_fossiledit.editing.edit import Edit, check_strength
from napari_fossiledit.editing.strength_words import (
    WHAT_TO_CHECK,
    advice_for,
    beside_sentence,
    choice_sentence,
)
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, checkpoint, run

if TYPE_CHECKING:
    from napari_fossiledit.instances import Instances, LabelledSlice
    from napari_fossiledit.metrics import InstanceScores, Interval
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = [
    "MASK_THRESHOLDS",
    "RECALL_LOSS",
    "RULES",
    "STRENGTHS_TRIED",
    "WHAT_TO_CHECK",
    "WORTH_IT",
    "StrengthChoice",
    "choose_strength",
    "choose_strength_task",
    "strengths_for",
]

_IN_PART = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
_WHOLE = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
STRENGTHS_TRIED = {
    "ridge": _IN_PART,
    "l1": _IN_PART,
    "low_rank": _IN_PART,
    "adam": _WHOLE,
    "distil": _WHOLE,
    "labels": _WHOLE,
    "agreement": _WHOLE,
    "merged": _WHOLE,
}
"""By solver: some solve to the end and are used in part, others stop early and are used whole."""
RECALL_LOSS = 0.035
"""Mean recall on the labelled slices that an edit may cost."""
WORTH_IT = 0.005
"""Gain in mean precision below which an edit is not worth it."""
RULES = ("most precise", "strongest")
"""Which strength is taken of those that keep to the floor; the first is the default."""
MASK_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
"""Where the mask threshold's curve is drawn; 0.5 is the model as it is."""


def strengths_for(edit: Edit) -> tuple[float, ...]:
    """The strengths that are tried for an edit, by its solver."""
    return STRENGTHS_TRIED.get(_solver(edit), _IN_PART)


def _solver(edit: Edit) -> str:
    known = edit.provenance.get("solver")
    return str(known.get("name")) if isinstance(known, dict) else ""


@dataclass(frozen=True, eq=False)
class StrengthChoice:
    """What the scan over strengths found.

    Attributes
    ----------
    strength : float
        The one that was chosen; the lowest one tried where none keeps to the floor.
    worth_it : bool
        Whether it keeps to the floor and gains at least `WORTH_IT` over no edit.
    points : list of (float, InstanceScores)
        By rising strength; the first is strength 0, without the edit.
    sentence : str
        The result in plain words.
    gain : float
        Of mean precision, against no edit.
    rule : str
        One of `RULES`.
    recall_floor : float
        Mean recall (matched instances) that had to be kept.
    threshold_points : list of (float, InstanceScores)
        The model without this edit, by rising mask threshold; empty where none was asked for.
    excess : Interval, optional
        Mean precision at the chosen strength, minus that of the mask threshold's curve at the same
        recall; None without that curve, or where nothing is matched.
    beside : str
        The same in plain words, or empty.
    """

    strength: float
    worth_it: bool
    points: list[tuple[float, InstanceScores]]
    sentence: str
    gain: float
    rule: str = RULES[0]
    recall_floor: float = 0.0
    threshold_points: list[tuple[float, InstanceScores]] = field(default_factory=list)
    excess: Interval | None = None
    beside: str = ""

    @property
    def below_threshold_curve(self) -> bool:
        """Whether the whole interval of `excess` is below 0."""
        return self.excess is not None and self.excess.high < 0

    def record(self) -> dict[str, Any]:
        """What an edit's provenance keeps of it: rule, figures, both curves' mean values."""
        return {
            "rule": self.rule,
            "recall_floor": self.recall_floor,
            "sentence": self.sentence,
            "beside": self.beside,
            "points": [_means(x, scores) for x, scores in self.points],
            "threshold_points": [_means(x, scores) for x, scores in self.threshold_points],
        }

    def to_dict(self) -> dict[str, Any]:
        """Figures and sentences, ready for JSON."""
        return {
            "strength": self.strength,
            "worth_it": self.worth_it,
            "gain": self.gain,
            "rule": self.rule,
            "recall_floor": self.recall_floor,
            "sentence": self.sentence,
            "points": [
                {"strength": strength, **scores.to_dict(intervals=False)}
                for strength, scores in self.points
            ],
            "threshold_points": [
                {"mask_threshold": cut, **scores.to_dict(intervals=False)}
                for cut, scores in self.threshold_points
            ],
            "beside_mask_threshold": {
                "precision_at_equal_recall": None if self.excess is None else self.excess.to_dict(),
                "sentence": self.beside,
            },
        }


def _means(x: float, scores: InstanceScores) -> list[float | None]:
    """Setting, mean precision and mean recall; None for what is not known."""
    mean = scores.matched_mean
    known = [float(v) if isfinite(v) else None for v in (mean.precision, mean.recall)]
    return [float(x), *known]


def choose_strength(
    segmenter: Segmenter,
    edit: Edit,
    slices: Sequence[LabelledSlice],
    *,
    strengths: Sequence[float] | None = None,
    recall_loss: float = RECALL_LOSS,
    recall_floor: float | None = None,
    rule: str = RULES[0],
    mask_thresholds: Sequence[float] = MASK_THRESHOLDS,
) -> StrengthChoice:
    """Score an edit at several strengths and take the most precise that keeps recall.

    Parameters
    ----------
    segmenter : Segmenter
        Other edits on its stack stay at work; its weights are as before afterwards.
    edit : Edit
    slices : sequence of LabelledSlice
        Labelled slices other than the one the edit was made from, and never those that a result
        is reported on.
    strengths : sequence of float, optional
        To be tried, each above 0; by default `STRENGTHS_TRIED` of the edit's solver.
    recall_loss : float
        Mean recall that the edit may cost on these slices, 0 to 1.
    recall_floor : float, optional
        Mean recall that must be kept on these slices, 0 to 1, in place of ``recall_loss``.
    rule : {"most precise", "strongest"}
        Which of the strengths that keep recall is taken; of equally precise ones the strongest.
    mask_thresholds : sequence of float
        Where the curve of the model without the edit is drawn, each between 0 and 1; none for no
        curve. It takes no further prediction.

    Raises
    ------
    InputError
        If there is no slice, no fossil in the labels, or a setting out of range.
    EditError
        If the edit was made for another model.
    """
    return run(
        choose_strength_task(
            segmenter,
            edit,
            slices,
            strengths=strengths,
            recall_loss=recall_loss,
            recall_floor=recall_floor,
            rule=rule,
            mask_thresholds=mask_thresholds,
        )
    )


def choose_strength_task(
    segmenter: Segmenter,
    edit: Edit,
    slices: Sequence[LabelledSlice],
    *,
    strengths: Sequence[float] | None = None,
    recall_loss: float = RECALL_LOSS,
    recall_floor: float | None = None,
    rule: str = RULES[0],
    mask_thresholds: Sequence[float] = MASK_THRESHOLDS,
) -> Task[StrengthChoice]:
    """`choose_strength` as a task.

    A step that ends a strength has ``data`` = (strength, mean precision, mean recall).
    """
    from napari_fossiledit.metrics import score_slices

    asked = strengths_for(edit) if strengths is None else strengths
    tried = sorted({check_strength(s) for s in asked} - {0.0})
    if not tried:
        raise InputError("No strength above 0 was given to try.")
    limits = _Limits(rule, recall_loss, recall_floor)
    cuts = _cuts(mask_thresholds)
    if not slices:
        raise InputError("Choosing a strength needs at least one labelled slice.")
    if not any(bool(item.fossils.any()) for item in slices):
        raise InputError("The labelled slices hold no fossil: choose slices with labels.")
    points: list[tuple[float, InstanceScores]] = []
    curve: list[tuple[float, InstanceScores]] = []
    total = len(slices) * (len(tried) + 1)
    for strength in (0.0, *tried):
        at = cuts if strength == 0 else (0.5,)
        found: dict[float, list[Instances]] = {cut: [] for cut in at}
        for item in slices:
            done = len(points) * len(slices) + len(found[0.5])
            yield Progress(done, total, f"strength {strength:g}: {item.name or 'slice'}")
            checkpoint()
            for cut, one in _predict(segmenter, edit, strength, item, at).items():
                found[cut].append(one)
        points.append((strength, score_slices(slices, found[0.5])))
        if strength == 0 and len(cuts) > 1:
            curve = [(cut, score_slices(slices, found[cut])) for cut in cuts]
        mean = points[-1][1].matched_mean
        words = f"strength {strength:g}: precision {mean.precision:.3f}"
        data = (strength, mean.precision, mean.recall)
        yield Progress(len(points) * len(slices), total, words, data=data)
    return _choice(points, curve, len(slices), limits, advice_for(_solver(edit)))


def _predict(
    segmenter: Segmenter,
    edit: Edit,
    strength: float,
    item: LabelledSlice,
    cuts: Sequence[float],
) -> dict[float, Instances]:
    """One pass over a slice with the edit at a strength, cut at each mask threshold."""
    from napari_fossiledit.editing.edit_stack import EditStack

    most = segmenter.limits.most
    # The lock is held, and the trial lasts, for one prediction only: whoever predicts while this
    # task pauses has the model that the list of edits says.
    with segmenter.lock, EditStack.of(segmenter).trial(edit, strength):
        if len(cuts) == 1:
            return {cuts[0]: segmenter.predict(item.image, max_detections=most)}
        each = segmenter.predict_mask_thresholds(item.image, cuts, max_detections=most)
        return dict(zip(cuts, each, strict=True))


def _cuts(mask_thresholds: Sequence[float]) -> tuple[float, ...]:
    wrong = [cut for cut in mask_thresholds if not 0 < cut < 1]
    if wrong:
        raise InputError(f"A mask threshold must lie between 0 and 1, not {wrong[0]:g}.")
    return tuple(sorted({0.5, *map(float, mask_thresholds)}))


@dataclass(frozen=True)
class _Limits:
    """What a strength may cost, and which one is taken."""

    rule: str
    recall_loss: float
    recall_floor: float | None

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise InputError(
                f"There is no rule {self.rule!r} for the strength: choose {' or '.join(RULES)}."
            )
        for name, value in (("loss", self.recall_loss), ("floor", self.recall_floor)):
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"The recall {name} must lie between 0 and 1, not {value:g}.")

    def floor(self, before: float) -> float:
        """Mean recall to be kept, where it is ``before`` without the edit."""
        return before - self.recall_loss if self.recall_floor is None else self.recall_floor

    @property
    def words(self) -> str:
        """The condition, after "that"."""
        if self.recall_floor is None:
            return f"at most {self.recall_loss:g} of mean recall"
        return f"a mean recall of {self.recall_floor:g}"


def _choice(
    points: list[tuple[float, InstanceScores]],
    curve: list[tuple[float, InstanceScores]],
    count: int,
    limits: _Limits,
    advice: str,
) -> StrengthChoice:
    before = points[0][1].matched_mean
    floor = limits.floor(before.recall)
    kept = [point for point in points[1:] if point[1].matched_mean.recall >= floor]
    if not kept:
        strength, scores = points[1]
    elif limits.rule == "strongest":
        strength, scores = kept[-1]
    else:
        strength, scores = max(kept, key=lambda point: (point[1].matched_mean.precision, point[0]))
    after = scores.matched_mean
    gain = after.precision - before.precision
    worth_it = bool(kept) and gain >= WORTH_IT
    where = "the labelled slice" if count == 1 else f"{count} labelled slices"
    excess = _excess(curve, scores)
    return StrengthChoice(
        strength,
        worth_it,
        points,
        choice_sentence(
            points[0][1],
            scores,
            strength,
            where,
            rule=limits.rule,
            limit=limits.words,
            budget=limits.recall_floor is None,
            kept=bool(kept),
            worth_it=worth_it,
            advice=advice,
        ),
        gain,
        limits.rule,
        floor,
        curve,
        excess,
        beside_sentence(excess, where),
    )


def _excess(curve: list[tuple[float, InstanceScores]], scores: InstanceScores) -> Interval | None:
    from napari_fossiledit.metrics import excess_at_equal_recall

    known = [point for _, point in curve if point.matched]
    if len(known) < 2 or not scores.matched:
        return None
    return excess_at_equal_recall(known, scores)["precision"]
