"""Choose an edit's strength on labelled slices.

Strength decides: beyond a narrow window recall collapses (methods, section 7). So it is scanned,
never guessed, and an edit that gains next to nothing is said to be not worth it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fossiledit.editing.edit import Edit, check_strength
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, checkpoint, run

if TYPE_CHECKING:
    from napari_fossiledit.instances import Instances, LabelledSlice
    from napari_fossiledit.metrics import InstanceScores
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = [
    "STRENGTHS_TRIED",
    "WORTH_IT",
    "StrengthChoice",
    "choose_strength",
    "choose_strength_task",
]

STRENGTHS_TRIED = (0.05, 0.1, 0.15, 0.2, 0.35)
WORTH_IT = 0.005
"""Gain in mean IoU (all instances) below which an edit is not worth it."""


@dataclass(frozen=True, eq=False)
class StrengthChoice:
    """What the scan over strengths found.

    Attributes
    ----------
    strength : float
        The tried strength of highest mean IoU over all instances; of equals the lowest.
    worth_it : bool
        Whether it gains at least `WORTH_IT` over no edit.
    points : list of (float, InstanceScores)
        By rising strength; the first is strength 0, without the edit.
    sentence : str
        The result in plain words.
    gain : float
        Of mean IoU over all instances, against no edit.
    """

    strength: float
    worth_it: bool
    points: list[tuple[float, InstanceScores]]
    sentence: str
    gain: float


def choose_strength(
    segmenter: Segmenter,
    edit: Edit,
    slices: Sequence[LabelledSlice],
    *,
    strengths: Sequence[float] = STRENGTHS_TRIED,
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
    strengths : sequence of float
        To be tried, each above 0.

    Raises
    ------
    InputError
        If there is no slice, no fossil in the labels, or a strength out of range.
    EditError
        If the edit was made for another model.
    """
    return run(choose_strength_task(segmenter, edit, slices, strengths=strengths))


def choose_strength_task(
    segmenter: Segmenter,
    edit: Edit,
    slices: Sequence[LabelledSlice],
    *,
    strengths: Sequence[float] = STRENGTHS_TRIED,
) -> Task[StrengthChoice]:
    """`choose_strength` as a task."""
    from napari_fossiledit.editing.edit_stack import EditStack
    from napari_fossiledit.metrics import score_slices

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
                predictions.append(segmenter.predict(item.image))
            done += 1
        points.append((strength, score_slices(slices, predictions)))
        iou = points[-1][1].all_mean.iou
        yield Progress(done, total, f"strength {strength:g}: IoU {iou:.3f}", data=(strength, iou))
    return _choice(points, len(slices))


def _choice(points: list[tuple[float, InstanceScores]], count: int) -> StrengthChoice:
    before = points[0][1].all_mean
    strength, scores = max(points[1:], key=lambda point: point[1].all_mean.iou)
    after = scores.all_mean
    gain = after.iou - before.iou
    where = "the labelled slice" if count == 1 else f"{count} labelled slices"
    if gain >= WORTH_IT:
        sentence = (
            f"Strength {strength:g} is best on {where}: mean IoU {before.iou:.3f} -> "
            f"{after.iou:.3f}, precision {before.precision:.3f} -> {after.precision:.3f}, "
            f"recall {before.recall:.3f} -> {after.recall:.3f}."
        )
    else:
        sentence = (
            f"This edit is not worth applying: at its best strength ({strength:g}) the mean IoU "
            f"on {where} goes from {before.iou:.3f} to {after.iou:.3f} only; "
            "try another slice, or correct labels and train."
        )
    return StrengthChoice(strength, gain >= WORTH_IT, points, sentence, gain)
