"""What a view of a labelled slice teaches the heads, with all that does not change computed once.

While only the heads are fitted, the feature pyramid's maps stay as they are. So the few hundred
anchors and regions that a view teaches are drawn once, and what the heads read of them is kept:
a step then costs some matrix products, not a pass through the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Conv2d, functional
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import project_masks_on_boxes
from torchvision.ops import box_iou

from napari_fossiledit.models.detect import pool, propose
from napari_fossiledit.models.student import Keys, Student

__all__ = [
    "AnchorLesson",
    "RegionLesson",
    "anchor_lesson",
    "anchor_losses",
    "can_cache_anchors",
    "region_lesson",
    "region_losses",
]

_BETA = 1 / 9  # of the smooth L1 loss, as in torchvision
_HIT = 0.5  # IoU from which a region is a fossil, as in torchvision
# How many of each are kept of a view; a step draws from them.
_ANCHORS = (300, 700)
_REGIONS = (80, 200)
_MASKS = 24
_PROPOSALS = 400


@dataclass(frozen=True, eq=False)
class AnchorLesson:
    """Anchors of one view; those that meet a fossil come first.

    Attributes
    ----------
    patches : (n, 9 * C) float32
        What the region proposal network's 3x3 convolution reads.
    which : (n,) int64
        The anchor's number in its cell.
    fossil : (n,) float32
        1 for a fossil, 0 for rock.
    shifts : (n, 4) float32
        Box regression's goal.
    positives : int
    """

    patches: Tensor
    which: Tensor
    fossil: Tensor
    shifts: Tensor
    positives: int


@dataclass(frozen=True, eq=False)
class RegionLesson:
    """Regions of one view; those that meet a fossil come first.

    Attributes
    ----------
    pooled : (n, C, p, p) float32
        What the box head reads.
    classes : (n,) int64
        0 for rock.
    shifts : (positives, 4) float32
    mask_pooled : (m, C, q, q) float32
        What the mask head reads, of the first m regions.
    mask_goals : (m, 2q, 2q) float32
    positives : int
    """

    pooled: Tensor
    classes: Tensor
    shifts: Tensor
    mask_pooled: Tensor
    mask_goals: Tensor
    positives: int


def can_cache_anchors(student: Student) -> bool:
    """Whether the region proposal network reads its maps by a single 3x3 convolution."""
    return len(_convolutions(student)) == 1


@torch.no_grad()
def anchor_lesson(
    student: Student, keys: Keys, target: Mapping[str, Tensor], generator: torch.Generator
) -> AnchorLesson:
    """Draw a view's anchors, labelled as torchvision does it."""
    rpn, maps = student.rpn, list(student.pyramid(keys).values())
    images = ImageList(maps[0].new_zeros(1).expand(1, 3, *keys.padded), keys.sizes)
    anchors = rpn.anchor_generator(images, maps)
    labels, boxes = rpn.assign_targets_to_anchors(anchors, [target])
    goals = rpn.box_coder.encode(boxes, anchors)[0]
    rock = (labels[0] == 0) & ~_in_doubt(anchors[0], target)
    fossils = _drawn(torch.nonzero(labels[0] >= 1)[:, 0], _ANCHORS[0], generator)
    rocks = _drawn(torch.nonzero(rock)[:, 0], _ANCHORS[1], generator)
    index = torch.cat([fossils, rocks])
    each = rpn.anchor_generator.num_anchors_per_location()[0]
    return AnchorLesson(
        _patches(maps, index, each),
        index % each,
        labels[0][index].clamp(0, 1),
        goals[index],
        len(fossils),
    )


def anchor_losses(
    student: Student, lessons: Sequence[AnchorLesson], count: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """The region proposal network's losses on ``count`` anchors of each view."""
    head, convolution = student.rpn.head, _convolutions(student)[0]
    parts = []
    for lesson in lessons:
        draw = _balanced(lesson.positives, len(lesson.fossil), count, 0.5, generator)
        parts.append(
            (lesson.patches[draw], lesson.which[draw], lesson.fossil[draw], lesson.shifts[draw])
        )
    patches, which, fossil, goals = (torch.cat(part) for part in zip(*parts, strict=True))
    hidden = functional.linear(patches, convolution.weight.flatten(1), convolution.bias).relu()
    rows = torch.arange(len(which), device=which.device)
    said = _linear(hidden, head.cls_logits)[rows, which]
    moved = _linear(hidden, head.bbox_pred).view(len(which), -1, 4)[rows, which]
    hit = fossil > 0
    box = functional.smooth_l1_loss(moved[hit], goals[hit], beta=_BETA, reduction="sum")
    return {
        "objectness": functional.binary_cross_entropy_with_logits(said, fossil),
        "rpn_box": box / len(fossil),
    }


@torch.no_grad()
def region_lesson(
    student: Student, keys: Keys, target: Mapping[str, Tensor], generator: torch.Generator
) -> RegionLesson:
    """Draw a view's regions, proposed by the network as fitted so far, and the fossils' own."""
    heads, maps = student.heads, student.pyramid(keys)
    size = keys.sizes[0]
    proposed = propose(student.rpn, maps, size, keys.padded, _PROPOSALS)
    boxes, kinds = target["boxes"], target["labels"]
    regions = torch.cat([proposed, boxes])
    owner = torch.zeros(len(regions), dtype=torch.int64, device=regions.device)
    met = torch.zeros(len(regions), device=regions.device)
    if len(boxes):
        met, owner = box_iou(regions, boxes).max(dim=1)
    fossils = _drawn(torch.nonzero(met >= _HIT)[:, 0], _REGIONS[0], generator)
    rock = (met < _HIT) & ~_in_doubt(regions, target)
    rocks = _drawn(torch.nonzero(rock)[:, 0], _REGIONS[1], generator)
    index = torch.cat([fossils, rocks])
    classes = torch.zeros(len(index), dtype=torch.int64, device=regions.device)
    classes[: len(fossils)] = kinds[owner[fossils]]
    shifts = heads.box_coder.encode([boxes[owner[fossils]]], [regions[fossils]])[0]
    masked = fossils[:_MASKS]
    mask_pooled = pool(heads.mask_roi_pool, maps, regions[masked], keys.padded)
    side = 2 * int(mask_pooled.shape[-1])
    goals = mask_pooled.new_zeros(0, side, side)
    if len(masked):
        goals = project_masks_on_boxes(target["masks"], regions[masked], owner[masked], side)
    return RegionLesson(
        pool(heads.box_roi_pool, maps, regions[index], keys.padded),
        classes,
        shifts,
        mask_pooled,
        goals,
        len(fossils),
    )


def region_losses(
    student: Student,
    lessons: Sequence[RegionLesson],
    counts: tuple[int, int],
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Losses of the box and mask heads on so many regions, and masks, of each view."""
    heads = student.heads
    draws = [
        _balanced(lesson.positives, len(lesson.classes), counts[0], 0.25, generator)
        for lesson in lessons
    ]
    pooled = torch.cat([lesson.pooled[d] for lesson, d in zip(lessons, draws, strict=True)])
    classes = torch.cat([lesson.classes[d] for lesson, d in zip(lessons, draws, strict=True)])
    logits, moved = heads.box_predictor(heads.box_head(pooled))
    hit = torch.nonzero(classes > 0)[:, 0]
    goals = torch.cat(
        [lesson.shifts[d[d < lesson.positives]] for lesson, d in zip(lessons, draws, strict=True)]
    )
    mine = moved.view(len(classes), -1, 4)[hit, classes[hit]]
    box = functional.smooth_l1_loss(mine, goals, beta=_BETA, reduction="sum")
    losses = {"class": functional.cross_entropy(logits, classes), "box": box / len(classes)}
    masks = _mask_loss(heads, lessons, counts[1], generator)
    return losses if masks is None else {**losses, "mask": masks}


def _mask_loss(
    heads: Any, lessons: Sequence[RegionLesson], count: int, generator: torch.Generator
) -> Tensor | None:
    parts = []
    for lesson in lessons:
        some = len(lesson.mask_pooled)
        if some:
            index = torch.arange(some, device=lesson.classes.device)
            draw = _drawn(index, count, generator)
            parts.append((lesson.mask_pooled[draw], lesson.mask_goals[draw], lesson.classes[draw]))
    if not parts:
        return None
    pooled, goals, classes = (torch.cat(part) for part in zip(*parts, strict=True))
    logits = heads.mask_predictor(heads.mask_head(pooled))
    rows = torch.arange(len(classes), device=classes.device)
    return functional.binary_cross_entropy_with_logits(logits[rows, classes], goals)


def _in_doubt(regions: Tensor, target: Mapping[str, Tensor]) -> Tensor:
    """Regions whose centre lies where nothing is decided."""
    boxes = target["undecided"]
    centre = (regions[:, :2] + regions[:, 2:]) / 2
    above = (centre[:, None] >= boxes[None, :, :2]).all(-1)
    below = (centre[:, None] < boxes[None, :, 2:]).all(-1)
    return (above & below).any(dim=1)


def _convolutions(student: Student) -> list[Conv2d]:
    return [m for m in student.rpn.head.conv.modules() if isinstance(m, Conv2d)]


def _linear(hidden: Tensor, convolution: Conv2d) -> Tensor:
    """A 1x1 convolution of single cells."""
    return functional.linear(hidden, convolution.weight.flatten(1), convolution.bias)


def _patches(maps: Sequence[Tensor], index: Tensor, each: int) -> Tensor:
    """The 3x3 patches around the cells of numbered anchors, (n, 9 * C)."""
    found = maps[0].new_empty(len(index), maps[0].shape[1] * 9)
    first = 0
    for level in maps:
        rows, columns = level.shape[-2:]
        last = first + rows * columns * each
        here = torch.nonzero((index >= first) & (index < last))[:, 0]
        cell = torch.div(index[here] - first, each, rounding_mode="floor")
        y, x = torch.div(cell, columns, rounding_mode="floor"), cell % columns
        padded = functional.pad(level[0], (1, 1, 1, 1))
        taps = [padded[:, y + dy, x + dx] for dy in range(3) for dx in range(3)]
        found[here] = torch.stack(taps, dim=-1).permute(1, 0, 2).flatten(1)
        first = last
    return found


def _drawn(index: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """At most ``count`` of the entries, in random order."""
    order = torch.randperm(len(index), generator=generator)[:count]
    return index[order.to(index.device)]


def _balanced(
    positives: int, total: int, count: int, share: float, generator: torch.Generator
) -> Tensor:
    """Numbers of at most ``share`` positives and enough others to make ``count``."""
    fossils = torch.randperm(positives, generator=generator)[: int(count * share)]
    rocks = torch.randperm(total - positives, generator=generator)[: count - len(fossils)]
    return torch.cat([fossils, positives + rocks])
