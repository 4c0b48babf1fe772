"""The two stages of a torchvision Mask R-CNN at prediction, written out.

Why not `MaskRCNN.forward`: that pastes masks as (N, y, x), fixes its thresholds at construction,
and makes tensors on the default device. Every step here names its device, and what a threshold
drops is not computed further. Same modules, same order, same figures (a test compares).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import nms
from torchvision.ops.boxes import clip_boxes_to_image, remove_small_boxes

from napari_fossiledit import progress
from napari_fossiledit.models.regions import AlignedPool, pool_regions

__all__ = ["Detections", "detect", "mask_grids", "pool", "propose"]

_CHUNK = 64  # regions per pass through a head: bounds memory and the time to cancel
_SMALLEST = 1e-2  # px, as in torchvision


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes that stay, before their masks; highest score first.

    Attributes
    ----------
    boxes : (n, 4) float32 tensor
        x0, y0, x1, y1 in pixels of the network's input.
    scores : (n,) float32 tensor
    labels : (n,) int64 tensor
        Class, 0 = background (which never occurs here).
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def _nms_by_group(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """Indices that survive non-maximum suppression within each group, highest score first."""
    kept = []
    for group in torch.unique(groups):
        members = torch.nonzero(groups == group)[:, 0]
        kept.append(members[nms(boxes[members], scores[members], threshold)])
    if not kept:
        return groups.new_zeros(0)
    index = torch.cat(kept)
    return index[torch.sort(scores[index], descending=True, stable=True).indices]


def _anchors(rpn: Any, grids: list[tuple[int, int]], padded: tuple[int, int], like: Tensor) -> Any:
    generator = rpn.anchor_generator
    generator.set_cell_anchors(like.dtype, like.device)
    strides = [[padded[0] // h, padded[1] // w] for h, w in grids]
    return generator.grid_anchors(grids, strides)


def propose(
    rpn: Any,
    features: dict[str, Tensor],
    content: tuple[int, int],
    padded: tuple[int, int],
    top_n: int | None = None,
) -> Tensor:
    """Regions in which an object may lie, (n, 4) in pixels of the network's input.

    Parameters
    ----------
    rpn : torchvision RegionProposalNetwork
    features : dict of (1, C, h, w)
    content, padded : (int, int)
        Rows and columns of the image inside the network's input, and of that input.
    top_n : int, optional
        Keep this many in place of the network's own setting, from twice as many a level.
    """
    levels = list(features.values())
    objectness, deltas = rpn.head(levels)
    grids = [(int(f.shape[-2]), int(f.shape[-1])) for f in levels]
    anchors = _anchors(rpn, grids, padded, levels[0])
    ranks_logits = getattr(rpn, "ranks_logits", False)
    before = rpn.pre_nms_top_n() if top_n is None else 2 * top_n
    boxes, scores, level = [], [], []
    for i, (logit, delta, anchor) in enumerate(zip(objectness, deltas, anchors, strict=True)):
        progress.checkpoint()
        logit = logit[0].permute(1, 2, 0).reshape(-1)
        per_cell = delta.shape[1] // 4
        delta = delta[0].view(per_cell, 4, *delta.shape[-2:]).permute(2, 3, 0, 1).reshape(-1, 4)
        best = logit.topk(min(before, logit.numel())).indices
        boxes.append(rpn.box_coder.decode_single(delta[best], anchor[best]))
        # Ranked as each library does: where many probabilities round to 1, it matters.
        scores.append(logit[best] if ranks_logits else logit[best].sigmoid())
        level.append(torch.full_like(best, i))
    box = clip_boxes_to_image(torch.cat(boxes), content)
    score, group = torch.cat(scores), torch.cat(level)
    keep = remove_small_boxes(box, rpn.min_size)
    keep = keep[torch.isfinite(box[keep]).all(dim=1)]
    if not ranks_logits:
        keep = keep[score[keep] >= rpn.score_thresh]
    box, score, group = box[keep], score[keep], group[keep]
    index = _nms_by_group(box, score, group, rpn.nms_thresh)
    kept: Tensor = box[index[: rpn.post_nms_top_n() if top_n is None else top_n]]
    return kept


def pool(pooler: Any, features: dict[str, Tensor], boxes: Tensor, padded: tuple[int, int]) -> Any:
    """RoIAlign of boxes at the level that suits their size (FPN paper, equation 1)."""
    if isinstance(pooler, AlignedPool):
        return pooler(features, [boxes], [padded])
    maps = [features[name] for name in features if name in pooler.featmap_names]
    size, ratio = pooler.output_size, pooler.sampling_ratio
    scales = [2.0 ** round(float(np.log2(m.shape[-1] / padded[1]))) for m in maps]
    regions = torch.cat([boxes.new_zeros(len(boxes), 1), boxes], dim=1)
    if len(maps) == 1:
        return pool_regions(maps[0], regions, size, scales[0], ratio)
    finest, coarsest = (round(-float(np.log2(s))) for s in (scales[0], scales[-1]))
    side = torch.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    level = torch.floor(
        pooler.canonical_level + torch.log2(side / pooler.canonical_scale) + 1e-6
    ).clamp(finest, coarsest)
    pooled = maps[0].new_zeros(len(boxes), maps[0].shape[1], *size)
    for i, (feature, scale) in enumerate(zip(maps, scales, strict=True)):
        inside = torch.nonzero(level == finest + i)[:, 0]
        if len(inside):
            pooled[inside] = pool_regions(feature, regions[inside], size, scale, ratio)
    return pooled


def detect(
    heads: Any,
    features: dict[str, Tensor],
    proposals: Tensor,
    content: tuple[int, int],
    padded: tuple[int, int],
    *,
    score_threshold: float,
    max_detections: int,
    wanted: Sequence[int] | None = None,
) -> Detections:
    """Classify and refine the proposals; drop what scores less than ``score_threshold``.

    ``wanted`` are the classes (1 for the first after the background) that are kept; None for all.
    """
    logits, deltas = [], []
    for chunk in torch.split(proposals, getattr(heads, "box_chunk", 4 * _CHUNK)):
        progress.checkpoint()
        hidden = heads.box_head(pool(heads.box_roi_pool, features, chunk, padded))
        logit, delta = heads.box_predictor(hidden)
        logits.append(logit)
        deltas.append(delta)
    if not logits:
        none = proposals.new_zeros(0)
        return Detections(proposals.new_zeros(0, 4), none, none.long())
    boxes = heads.box_coder.decode(torch.cat(deltas), [proposals])
    scores = torch.cat(logits).softmax(-1)
    classes = list(range(1, scores.shape[1])) if wanted is None else list(wanted)
    boxes = clip_boxes_to_image(boxes, content)[:, classes].reshape(-1, 4)
    labels = torch.tensor(classes, device=boxes.device).repeat(len(proposals))
    flat = scores[:, classes].reshape(-1)
    keep = torch.nonzero(flat >= score_threshold)[:, 0]
    keep = keep[remove_small_boxes(boxes[keep], getattr(heads, "smallest_box", _SMALLEST))]
    keep = keep[torch.isfinite(boxes[keep]).all(dim=1)]
    boxes, flat, labels = boxes[keep], flat[keep], labels[keep]
    index = _nms_by_group(boxes, flat, labels, heads.nms_thresh)[:max_detections]
    return Detections(boxes[index], flat[index], labels[index])


def mask_grids(
    heads: Any, features: dict[str, Tensor], found: Detections, padded: tuple[int, int]
) -> NDArray[np.float32]:
    """Mask probabilities of each detection on its own grid, (n, m, m), in main memory."""
    grids = []
    pieces = torch.split(found.boxes, _CHUNK), torch.split(found.labels, _CHUNK)
    for boxes, labels in zip(*pieces, strict=True):
        progress.checkpoint()
        if not len(boxes):
            continue
        hidden = heads.mask_head(pool(heads.mask_roi_pool, features, boxes, padded))
        logits = heads.mask_predictor(hidden)
        index = torch.arange(len(boxes), device=boxes.device)
        grids.append(logits[index, labels].sigmoid().cpu().numpy())
    if not grids:
        return np.zeros((0, 1, 1), np.float32)
    return np.concatenate(grids).astype(np.float32, copy=False)
