"""Solver `labels`: fit chosen layers to slices whose labels were corrected by hand (*ours*).

Fast partial fine-tuning, and it says so: random views of the corrected slices (turned, mirrored,
zoomed, of changed tone), their keys computed once, and the network's own losses (region proposals,
classes, boxes, masks) minimised over the free tensors alone. It is kept as an edit like all
others: deltas with a strength, undone bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from napari_fossiledit.editing.fitting import Fit, fit_task
from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.models.augment import Augment, draw_view, targets_of
from napari_fossiledit.models.student import Keys, Student, own_random, seeded_state
from napari_fossiledit.progress import Progress, Task, checkpoint, mapped

if TYPE_CHECKING:
    from napari_fossiledit.editing.settings import Labels
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["labels_task"]


@dataclass(frozen=True, eq=False)
class _Example:
    keys: Keys
    targets: list[dict[str, Tensor]]


def labels_task(
    segmenter: Segmenter,
    names: Sequence[str],
    slices: Sequence[LabelledSlice],
    settings: Labels,
    rehearse: Sequence[LabelledSlice] = (),
) -> Task[Fit]:
    """Fit the named tensors to labelled slices.

    Parameters
    ----------
    segmenter : Segmenter
        Carried by torchvision.
    names : sequence of str
        From ``segmenter.editable_tensors()``.
    slices : sequence of LabelledSlice
        The corrected ones; all instances are of the first of the segmenter's fossil classes.
    settings : Labels
    rehearse : sequence of LabelledSlice
        Slices that the model was trained on; every other view is one of theirs.

    Raises
    ------
    InputError
        If no corrected slice has a labelled fossil.
    """
    if not any((piece.labels > 0).any() for piece in slices):
        raise InputError("There is no fossil in the labels of this slice: label at least one.")
    student = Student(segmenter, names)
    rng = np.random.default_rng(settings.seed)
    total = settings.steps + settings.views * (2 if rehearse else 1)
    new = yield from _examples_task(segmenter, student, slices, settings, rng, total, 0)
    old: list[_Example] = []
    if rehearse:
        old = yield from _examples_task(
            segmenter, student, rehearse, settings, rng, total, settings.views
        )
    state = seeded_state(settings.seed)
    done = total - settings.steps

    def step_losses(step: int) -> Mapping[str, Tensor]:
        pool = old if old and step % 2 else new
        example = pool[int(rng.integers(len(pool)))]
        with own_random(state):
            return student.losses(example.keys, example.targets)

    fit = fit_task(student, step_losses, settings, "Fitting to the labels")
    return (yield from mapped(fit, lambda p: Progress(done + p.done, total, p.message, p.data)))


def _examples_task(
    segmenter: Segmenter,
    student: Student,
    slices: Sequence[LabelledSlice],
    settings: Labels,
    rng: np.random.Generator,
    total: int,
    start: int,
) -> Task[list[_Example]]:
    """Views with their keys, slice by slice in turn; views without a fossil teach, too."""
    kind = segmenter.fossil_classes[0] + 1
    examples = []
    for index in range(settings.views):
        checkpoint()
        yield Progress(start + index, total, "Features of views of the labelled slices")
        piece = slices[index % len(slices)]
        view = draw_view(piece, _augment(student, piece, settings), rng)
        keys = student.keys_of_views([view])
        examples.append(_Example(keys, [targets_of(view.labels, segmenter.device, kind)]))
    return examples


def _augment(student: Student, piece: LabelledSlice, settings: Labels) -> Augment:
    """Views at the scale at which the network sees the slice, times the range asked for."""
    shape = (int(piece.image.shape[0]), int(piece.image.shape[1]))
    seen = student.seen(shape)
    factor = seen[0] / shape[0]
    low, high = settings.scale
    crop = min(settings.crop, *(-(-side // 32) * 32 for side in seen))
    return Augment(crop=crop, scale=(low * factor, high * factor), gain=settings.gain)
