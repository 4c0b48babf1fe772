"""Solver `distil`: what the heads make of the painted slice, taught on the original (*ours*).

`ridge` and `adam` move features; here the free layers are fitted so that region proposals,
classes, boxes and masks on the ORIGINAL slice become what the unedited network says of the PAINTED
one. No label enters but the fossils' outlines that were spared from the paint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from napari_fossiledit.editing.fitting import Fit, fit_task
from napari_fossiledit.models.detect import detect, pool, propose
from napari_fossiledit.models.student import Keys, Student
from napari_fossiledit.progress import Progress, Task, checkpoint, mapped

if TYPE_CHECKING:
    from napari_fossiledit.editing.settings import Distil
    from napari_fossiledit.editing.sources import Source
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["distil_task"]

_MOST = 300  # regions of each of the two networks
_CONFIDENT = 0.5  # the teacher's boxes whose masks are taught
_BETA = 1 / 9  # of the smooth L1 loss, as in torchvision


@dataclass(frozen=True, eq=False)
class _Lesson:
    """One slice's keys, and what the teacher says of it painted."""

    keys: Keys
    objectness: list[Tensor]
    shifts: list[Tensor]
    regions: Tensor
    classes: Tensor
    boxes: Tensor
    mask_regions: Tensor
    mask_classes: Tensor
    masks: Tensor


def distil_task(
    segmenter: Segmenter, names: Sequence[str], sources: Sequence[Source], settings: Distil
) -> Task[Fit]:
    """Fit the named tensors so that the heads say of each slice what they say of it painted.

    Parameters
    ----------
    segmenter : Segmenter
        Carried by torchvision.
    names : sequence of str
        From ``segmenter.editable_tensors()``.
    sources : sequence of Source
    settings : Distil
    """
    student = Student(segmenter, names)
    total = settings.steps + len(sources)
    lessons = []
    for index, source in enumerate(sources):
        yield Progress(index, total, "What the model says of the painted slice")
        checkpoint()
        with torch.no_grad():
            lessons.append(_lesson(student, source))

    def step_losses(step: int) -> Mapping[str, Tensor]:
        return _losses(student, lessons[step % len(lessons)])

    fit = fit_task(student, step_losses, settings, "Distilling")
    return (
        yield from mapped(fit, lambda p: Progress(len(lessons) + p.done, total, p.message, p.data))
    )


def _lesson(student: Student, source: Source) -> _Lesson:
    """The teacher's outputs; `student` is still the unedited network."""
    keys, painted = (student.keys_of_image(i) for i in (source.image, source.painted))
    before, after = student.pyramid(keys), student.pyramid(painted)
    objectness, shifts = student.rpn.head(list(after.values()))
    size = keys.sizes[0]
    found = [propose(student.rpn, maps, size, keys.padded, _MOST) for maps in (before, after)]
    # Where either sees an object: what the student claims wrongly must be unlearnt.
    regions = torch.cat(found)
    classes, boxes = _classified(student.heads, after, regions, keys.padded)
    sure = detect(
        student.heads,
        after,
        found[1],
        size,
        keys.padded,
        score_threshold=_CONFIDENT,
        max_detections=_MOST,
    )
    return _Lesson(
        keys=keys,
        objectness=[o.sigmoid() for o in objectness],
        shifts=list(shifts),
        regions=regions,
        classes=classes.softmax(-1),
        boxes=boxes,
        mask_regions=sure.boxes,
        mask_classes=sure.labels,
        masks=_masks(student.heads, after, sure.boxes, sure.labels, keys.padded).sigmoid(),
    )


def _losses(student: Student, lesson: _Lesson) -> dict[str, Tensor]:
    maps = student.pyramid(lesson.keys)
    objectness, shifts = student.rpn.head(list(maps.values()))
    padded = lesson.keys.padded
    logits, boxes = _classified(student.heads, maps, lesson.regions, padded)
    # A region counts for its box as much as the teacher believes in it.
    belief = 1 - lesson.classes[:, 0]
    moved = functional.smooth_l1_loss(boxes, lesson.boxes, beta=_BETA, reduction="none").mean(-1)
    losses = {
        **_proposal_losses(objectness, shifts, lesson),
        "class": functional.cross_entropy(logits, lesson.classes),
        "box": (belief * moved).sum() / len(belief),
    }
    if len(lesson.mask_regions):
        masks = _masks(student.heads, maps, lesson.mask_regions, lesson.mask_classes, padded)
        losses["mask"] = functional.binary_cross_entropy_with_logits(masks, lesson.masks)
    return losses


def _proposal_losses(
    objectness: Sequence[Tensor], shifts: Sequence[Tensor], lesson: _Lesson
) -> dict[str, Tensor]:
    """Over the anchors that either network believes in; all others are background to both."""
    taught = torch.cat([t.flatten() for t in lesson.objectness])
    said = torch.cat([o.flatten() for o in objectness])
    weight = torch.maximum(taught, said.detach().sigmoid())
    total = weight.sum().clamp(min=1e-6)
    each = functional.binary_cross_entropy_with_logits(said, taught, reduction="none")
    moved = []
    for shift, goal in zip(shifts, lesson.shifts, strict=True):
        error = functional.smooth_l1_loss(shift, goal, beta=_BETA, reduction="none")
        count, _, rows, columns = error.shape
        moved.append(error.view(count, -1, 4, rows, columns).sum(2).flatten())
    return {
        "objectness": (weight * each).sum() / total,
        "rpn_box": (taught * torch.cat(moved)).sum() / total,
    }


def _classified(
    heads: Any, maps: dict[str, Tensor], regions: Tensor, padded: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Class logits and box shifts of regions."""
    logits, boxes = heads.box_predictor(
        heads.box_head(pool(heads.box_roi_pool, maps, regions, padded))
    )
    return logits, boxes


def _masks(
    heads: Any, maps: dict[str, Tensor], regions: Tensor, classes: Tensor, padded: tuple[int, int]
) -> Tensor:
    """Mask logits of regions, each for its class: (n, m, m)."""
    hidden = heads.mask_head(pool(heads.mask_roi_pool, maps, regions, padded))
    logits: Tensor = heads.mask_predictor(hidden)
    return logits[torch.arange(len(regions), device=regions.device), classes]
