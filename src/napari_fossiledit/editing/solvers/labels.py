"""Solver `labels`: fit the heads, or chosen layers, to slices labelled by hand (*ours*).

Fast partial fine-tuning, and it says so: random views of the corrected slices and of slices that
the model was trained on (turned, mirrored, zoomed, of changed tone), and the network's own losses
(region proposals, classes, boxes, masks) minimised over the free tensors alone. It is kept as an
edit like all others: deltas with a strength, undone bit for bit.

Where the heads alone are fitted, in two phases (region proposals, then boxes and masks), what they
read of the views is computed once (`models.lessons`); else the keys are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from napari_fossiledit.editing.fitting import Fit, fit_task
from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.models.augment import Augment, draw_view, targets_of
from napari_fossiledit.models.lessons import (
    anchor_lesson,
    anchor_losses,
    can_cache_anchors,
    region_lesson,
    region_losses,
)
from napari_fossiledit.models.student import Keys, Student, own_random, seeded_state
from napari_fossiledit.progress import Progress, Task, checkpoint, mapped

if TYPE_CHECKING:
    from napari_fossiledit.editing.settings import Labels
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["labels_task"]

_ANCHORS = 192  # of each view in a step
_REGIONS = (64, 6)  # regions and masks of each view in a step
# Views of corrected slices, of those of the training, and of unlabelled ones, in a step.
_PROPOSAL_VIEWS = (4, 4, 4)
_REGION_VIEWS = (2, 1, 1)
_AVERAGED = 0.6  # share of the steps whose weights are averaged, where the heads alone are fitted
_PYRAMID = 0.4  # factor on the rate where layers of the pyramid are fitted

_HEADS = ("rpn.", "roi_heads.")

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class _Example:
    keys: Keys
    target: dict[str, Tensor]


def labels_task(
    segmenter: Segmenter,
    names: Sequence[str],
    slices: Sequence[LabelledSlice],
    settings: Labels,
    rehearse: Sequence[LabelledSlice] = (),
    agreed: Sequence[LabelledSlice] = (),
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
        Slices that the model was trained on.
    agreed : sequence of LabelledSlice
        Slices with labels that the model gave itself (`editing.agreement`).

    Raises
    ------
    InputError
        If no corrected slice has a labelled fossil.
    """
    if not any((piece.labels > 0).any() for piece in slices):
        raise InputError("There is no fossil in the labels of this slice: label at least one.")
    student = Student(segmenter, names)
    rng = np.random.default_rng(settings.seed)
    examples = []
    for pieces in (slices, rehearse, agreed):
        examples.append((yield from _examples_task(segmenter, student, pieces, settings, rng)))
    # Only where no tensor below the heads moves do their inputs stay as they are.
    parts = {next((part for part in _HEADS if name.startswith(part)), "") for name in names}
    if parts == set(_HEADS) and can_cache_anchors(student):
        return (yield from _heads_task(student, examples, settings, rng))
    for piece in (*slices, *rehearse, *agreed):
        if piece.undecided is not None and piece.undecided.any():
            raise InputError(
                "Undecided places can be left out where the heads alone are fitted: tick no layer "
                "of the pyramid, or decide them."
            )
    return (yield from _jointly_task(student, examples[:2], settings, rng))


def _examples_task(
    segmenter: Segmenter,
    student: Student,
    slices: Sequence[LabelledSlice],
    settings: Labels,
    rng: np.random.Generator,
) -> Task[list[_Example]]:
    """Views with their keys, slice by slice in turn; views without a fossil teach, too."""
    kind = segmenter.fossil_classes[0] + 1
    examples = []
    for index in range(settings.views if slices else 0):
        checkpoint()
        yield Progress(0, 0, f"Features of view {index + 1} of {settings.views}")
        piece = slices[index % len(slices)]
        view = draw_view(piece, _augment(student, piece, settings, rng), rng)
        keys = student.keys_of_views([view])
        examples.append(_Example(keys, targets_of(view.labels, segmenter.device, kind)))
    return examples


def _augment(
    student: Student, piece: LabelledSlice, settings: Labels, rng: np.random.Generator
) -> Augment:
    """A view within the slice, at the scale at which the network sees it, times a random zoom."""
    rows, columns = (int(n) for n in piece.image.shape[:2])
    seen = student.seen((rows, columns))[0] / rows
    zoom = seen * float(np.exp(rng.uniform(*np.log(settings.scale))))
    crop = max(min(settings.crop, int(min(rows, columns) * zoom)), 16)
    return Augment(crop=crop, scale=(zoom, zoom), gain=settings.gain)


def _heads_task(
    student: Student,
    examples: Sequence[Sequence[_Example]],
    settings: Labels,
    rng: np.random.Generator,
) -> Task[Fit]:
    generator = torch.Generator(device="cpu").manual_seed(settings.seed)
    anchors = [[anchor_lesson(student, e.keys, e.target, generator) for e in es] for es in examples]
    draw = _draws(anchors, _PROPOSAL_VIEWS, rng)
    total = settings.proposal_steps + settings.steps
    proposals = replace(settings, steps=settings.proposal_steps)
    first = yield from mapped(
        fit_task(
            student,
            lambda step: anchor_losses(student, draw(), _ANCHORS, generator),
            proposals,
            "Fitting the region proposals",
            only="rpn.",
            averaged=_AVERAGED,
        ),
        lambda p: Progress(p.done, total, p.message, p.data),
    )
    regions = [[region_lesson(student, e.keys, e.target, generator) for e in es] for es in examples]
    draw_regions = _draws(regions, _REGION_VIEWS, rng)
    second = yield from mapped(
        fit_task(
            student,
            lambda step: region_losses(student, draw_regions(), _REGIONS, generator),
            settings,
            "Fitting boxes and masks",
            only="roi_heads.",
            averaged=_AVERAGED,
        ),
        lambda p: Progress(settings.proposal_steps + p.done, total, p.message, p.data),
    )
    return Fit(second.deltas, first.losses + second.losses, first.seconds + second.seconds)


def _jointly_task(
    student: Student,
    examples: Sequence[Sequence[_Example]],
    settings: Labels,
    rng: np.random.Generator,
) -> Task[Fit]:
    draw = _draws(examples, (1, 1), rng)
    state = seeded_state(settings.seed)

    def step_losses(step: int) -> Mapping[str, Tensor]:
        with own_random(state):
            each = [student.losses(e.keys, [e.target]) for e in draw()]
        return {
            f"{name} {i}": loss / len(each)
            for i, losses in enumerate(each)
            for name, loss in losses.items()
        }

    milder = replace(settings, lr=settings.lr * _PYRAMID)
    return (yield from fit_task(student, step_losses, milder, "Fitting to the labels"))


def _draws(
    pools: Sequence[Sequence[T]], counts: Sequence[int], rng: np.random.Generator
) -> Callable[[], list[T]]:
    """Draws so many of each pool at every call; all of a pool come before one comes again."""
    waiting: list[list[int]] = [[] for _ in pools]

    def draw() -> list[T]:
        found: list[T] = []
        for pool, count, queue in zip(pools, counts, waiting, strict=True):
            for _ in range(count if pool else 0):
                if not queue:
                    queue.extend(rng.permutation(len(pool)).tolist())
                found.append(pool[queue.pop()])
        return found

    return draw
