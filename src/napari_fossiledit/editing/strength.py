"""Choose an edit's strength on labelled slices.

Strength decides: beyond a narrow window recall collapses (methods, section 7). So it is scanned,
never guessed. Precision counts more than recall here, as a false pixel spoils measurements on the
3D model: the strongest edit is taken that costs at most `RECALL_LOSS` of mean recall (*ours*; the
budget was chosen on development reefs). Neither mean IoU nor precision would do as the measure: on
slices that the model was trained on, IoU only falls and precision hardly changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fossiledit.editing.edit import Edit, check_strength
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, checkpoint, run

if TYPE_CHECKING:
    from napari_fossiledit.instances import Instances, LabelledSlice
    from napari_fossiledit.metrics import InstanceScores
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = [
    "RECALL_LOSS",
    "STRENGTHS_TRIED",
    "WHAT_TO_CHECK",
    "WORTH_IT",
    "StrengthChoice",
    "choose_strength",
    "choose_strength_task",
]

STRENGTHS_TRIED = {
    "ridge": (0.05, 0.1, 0.15, 0.2, 0.25, 0.3),
    "adam": (0.25, 0.5, 0.75, 1.0, 1.25, 1.5),
}
"""By solver: ridge solves to the end and is used in part, adam stops early and is used whole."""
RECALL_LOSS = 0.035
"""Mean recall on the labelled slices that an edit may cost."""
WORTH_IT = 0.005
"""Gain in mean precision below which an edit is not worth it."""


WHAT_TO_CHECK = (
    "check which of its classes count as the fossil and, for a detectron2 model, that the config "
    "is its own and SCORE_THRESH_TEST in it is not too high"
)
"""What to do where a model finds no fossil, as the end of a sentence."""


@dataclass(frozen=True, eq=False)
class StrengthChoice:
    """What the scan over strengths found.

    Attributes
    ----------
    strength : float
        The highest strength tried that keeps to the recall budget (matched instances); the lowest
        one tried where none does.
    worth_it : bool
        Whether it keeps to the budget and gains at least `WORTH_IT` over no edit.
    points : list of (float, InstanceScores)
        By rising strength; the first is strength 0, without the edit.
    sentence : str
        The result in plain words.
    gain : float
        Of mean precision, against no edit.
    """

    strength: float
    worth_it: bool
    points: list[tuple[float, InstanceScores]]
    sentence: str
    gain: float

    def to_dict(self) -> dict[str, Any]:
        """Figures and sentence, ready for JSON."""
        return {
            "strength": self.strength,
            "worth_it": self.worth_it,
            "gain": self.gain,
            "sentence": self.sentence,
            "points": [
                {"strength": strength, **scores.to_dict(intervals=False)}
                for strength, scores in self.points
            ],
        }


def choose_strength(
    segmenter: Segmenter,
    edit: Edit,
    slices: Sequence[LabelledSlice],
    *,
    strengths: Sequence[float] | None = None,
    recall_loss: float = RECALL_LOSS,
) -> StrengthChoice:
    """Score an edit at several strengths and take the best.

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

    Raises
    ------
    InputError
        If there is no slice, no fossil in the labels, or a strength out of range.
    EditError
        If the edit was made for another model.
    """
    return run(
        choose_strength_task(segmenter, edit, slices, strengths=strengths, recall_loss=recall_loss)
    )


def choose_strength_task(
    segmenter: Segmenter,
    edit: Edit,
    slices: Sequence[LabelledSlice],
    *,
    strengths: Sequence[float] | None = None,
    recall_loss: float = RECALL_LOSS,
) -> Task[StrengthChoice]:
    """`choose_strength` as a task."""
    from napari_fossiledit.editing.edit_stack import EditStack
    from napari_fossiledit.metrics import score_slices

    if strengths is None:
        solver = edit.provenance.get("solver", {}).get("name")
        strengths = STRENGTHS_TRIED.get(solver, STRENGTHS_TRIED["ridge"])
    tried = sorted({check_strength(s) for s in strengths} - {0.0})
    if not tried:
        raise InputError("No strength above 0 was given to try.")
    if not slices:
        raise InputError("Choosing a strength needs at least one labelled slice.")
    if not any(bool(item.fossils.any()) for item in slices):
        raise InputError("The labelled slices hold no fossil: choose slices with labels.")
    stack = EditStack.of(segmenter)
    points: list[tuple[float, InstanceScores]] = []
    total = len(slices) * (len(tried) + 1)
    done = 0
    for strength in (0.0, *tried):
        predictions: list[Instances] = []
        for item in slices:
            yield Progress(done, total, f"strength {strength:g}: {item.name or 'slice'}")
            checkpoint()
            # The lock is held, and the trial lasts, for one prediction only: whoever predicts
            # while this task pauses has the model that the list of edits says.
            with segmenter.lock, stack.trial(edit, strength):
                predictions.append(
                    segmenter.predict(item.image, max_detections=segmenter.limits.most)
                )
            done += 1
        points.append((strength, score_slices(slices, predictions)))
        precision = points[-1][1].matched_mean.precision
        words = f"strength {strength:g}: precision {precision:.3f}"
        yield Progress(done, total, words, data=(strength, precision))
    return _choice(points, len(slices), recall_loss)


def _choice(
    points: list[tuple[float, InstanceScores]], count: int, recall_loss: float
) -> StrengthChoice:
    before = points[0][1].matched_mean
    floor = before.recall - recall_loss
    kept = [point for point in points[1:] if point[1].matched_mean.recall >= floor]
    strength, scores = kept[-1] if kept else points[1]
    after = scores.matched_mean
    gain = after.precision - before.precision
    where = "the labelled slice" if count == 1 else f"{count} labelled slices"
    figures = (
        f"precision {before.precision:.3f} -> {after.precision:.3f}, recall {before.recall:.3f} "
        f"-> {after.recall:.3f}, IoU {before.iou:.3f} -> {after.iou:.3f}"
    )
    worth_it = bool(kept) and gain >= WORTH_IT
    if not points[0][1].matched:
        sentence = (
            f"The model finds no fossil on {where} even without the edit, so no strength can be "
            f"chosen and the edit is not worth applying: {WHAT_TO_CHECK}."
        )
    elif worth_it:
        sentence = (
            f"Strength {strength:g} is the highest that costs at most {recall_loss:g} of "
            f"mean recall on {where}: {figures}."
        )
    elif kept:
        sentence = (
            f"This edit is not worth applying: on {where}, strength {strength:g} gives "
            f"{figures}; try another slice or fill, or correct labels and train."
        )
    elif not scores.matched:
        sentence = (
            f"This edit is not worth applying: even at strength {strength:g} the model finds no "
            f"fossil any more on {where}; try another slice or fill."
        )
    else:
        sentence = (
            f"This edit is not worth applying: even at strength {strength:g} it costs more than "
            f"{recall_loss:g} of mean recall on {where} ({figures}); try another slice or fill."
        )
    return StrengthChoice(strength, worth_it, points, sentence, gain)
