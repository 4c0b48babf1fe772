"""The network that a detectron2 config describes, built from torchvision's parts.

Only what changes figures is written here and in `regions`: the body with any widths and either
stride layout, and norms. Names of modules are
torchvision's, the class 0 is the background, and images come in as RGB.

Sources: He et al. 2016 (ResNet), Lin et al. 2017 (FPN), He et al. 2017 (Mask R-CNN, aligned
pooling), Wu & He 2018 (GroupNorm).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.faster_rcnn import (
    FastRCNNConvFCHead,
    FastRCNNPredictor,
    TwoMLPHead,
)
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from napari_fossiledit.models.detectron2_config import Detectron2Config, PoolSettings
from napari_fossiledit.models.regions import AlignedPool, ExactAnchors

__all__ = ["BLOCKS", "FOLDED", "build"]

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks of each of the four stages, by depth."""

FOLDED = frozenset({"FrozenBN", "BN", "SyncBN"})
"""Norms that are a fixed factor and summand at prediction: in the body, part of the weights."""


_TINY = float(np.finfo(np.float32).tiny)


class _Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution beside a shortcut; the stride lies in either of the first."""

    def __init__(
        self,
        config: Detectron2Config,
        into: int,
        middle: int,
        out: int,
        stride: int,
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if config.stride_in_1x1 else (1, stride)
        folded = config.norm in FOLDED

        def norm(width: int) -> nn.Module:
            return _body_norm(config, width)

        self.conv1 = nn.Conv2d(into, middle, 1, first, bias=folded)
        self.bn1 = norm(middle)
        self.conv2 = nn.Conv2d(
            middle, middle, 3, second, padding=1, groups=config.groups, bias=folded
        )
        self.bn2 = norm(middle)
        self.conv3 = nn.Conv2d(middle, out, 1, bias=folded)
        self.bn3 = norm(out)
        self.downsample = None
        if into != out:
            self.downsample = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=folded), norm(out))

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu_(self.bn1(self.conv1(x)))
        out = functional.relu_(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return functional.relu_(out)


class _Body(nn.Module):
    """A ResNet that gives the outputs of its four stages."""

    def __init__(self, config: Detectron2Config) -> None:
        super().__init__()
        width = config.stem_width
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=config.norm in FOLDED)
        self.bn1 = _body_norm(config, width)
        middle, out = config.groups * config.group_width, config.res2_width
        self.widths = []
        for stage, blocks in enumerate(BLOCKS[config.depth]):
            layers = []
            for i in range(blocks):
                stride = 2 if stage and not i else 1
                layers.append(_Bottleneck(config, width, middle, out, stride))
                width = out
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
            self.widths.append(out)
            middle, out = 2 * middle, 2 * out

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = functional.relu_(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        found = {}
        for i in range(4):
            x = self.get_submodule(f"layer{i + 1}")(x)
            found[str(i)] = x
        return found


class _AveragingFPN(FeaturePyramidNetwork):  # type: ignore[misc, unused-ignore]
    """A feature pyramid that takes the mean of lateral and upper map in place of their sum."""

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        names, maps = list(x), list(x.values())
        last = self.get_result_from_inner_blocks(maps[-1], -1)
        found = [self.get_result_from_layer_blocks(last, -1)]
        for i in range(len(maps) - 2, -1, -1):
            lateral = self.get_result_from_inner_blocks(maps[i], i)
            upper = functional.interpolate(last, size=lateral.shape[-2:], mode="nearest")
            last = (lateral + upper) / 2
            found.insert(0, self.get_result_from_layer_blocks(last, i))
        if self.extra_blocks is not None:
            found, names = self.extra_blocks(found, maps, names)
        return dict(zip(names, found, strict=True))


class _Backbone(nn.Module):
    """Body and feature pyramid; gives the maps ``0`` to ``3`` (P2 to P5) and ``pool`` (P6)."""

    def __init__(self, config: Detectron2Config) -> None:
        super().__init__()
        self.body = _Body(config)
        kind = _AveragingFPN if config.fpn_average else FeaturePyramidNetwork
        self.fpn = kind(
            self.body.widths, config.fpn_width, LastLevelMaxPool(), _norm(config.fpn_norm)
        )
        self.out_channels = config.fpn_width

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.fpn(self.body(x))
        return found


class _FrozenNorm(FrozenBatchNorm2d):  # type: ignore[misc, unused-ignore]
    """Batch norm with fixed statistics, in one pass over the map where nothing is learnt."""

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift every channel."""
        if x.requires_grad:
            scaled: Tensor = super().forward(x)
            return scaled
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )


def _norm(name: str) -> Callable[[int], nn.Module] | None:
    """Maker of a norm from the number of channels; None for no norm."""
    if not name:
        return None
    if name == "GN":
        return lambda width: nn.GroupNorm(32, width)
    return _FrozenNorm


def _body_norm(config: Detectron2Config, width: int) -> nn.Module:
    """The norm after a convolution of the body; nothing where it is part of the weights."""
    maker = None if config.norm in FOLDED else _norm(config.norm)
    return nn.Identity() if maker is None else maker(width)


class _Network(nn.Module):
    """The three parts that `TorchvisionRCNN` needs."""

    def __init__(self, backbone: nn.Module, rpn: nn.Module, roi_heads: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads


def build(config: Detectron2Config) -> nn.Module:
    """An untrained network as the config describes it.

    Parameters
    ----------
    config : Detectron2Config

    Returns
    -------
    torch.nn.Module
        With ``backbone``, ``rpn`` and ``roi_heads`` as in torchvision's MaskRCNN.
    """
    backbone = _Backbone(config)
    return _Network(backbone, _proposals(config), _heads(config))


def _proposals(config: Detectron2Config) -> RegionProposalNetwork:
    anchors = ExactAnchors(config.anchor_sizes, config.anchor_ratios, config.anchor_offset)
    each = len(config.anchor_sizes[0]) * len(config.anchor_ratios[0])
    tops = {"training": config.rpn_before_nms, "testing": config.rpn_before_nms}
    kept = {"training": config.rpn_after_nms, "testing": config.rpn_after_nms}
    rpn = RegionProposalNetwork(
        anchors,
        RPNHead(config.fpn_width, each, config.rpn_convs),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n=tops,
        post_nms_top_n=kept,
        nms_thresh=config.rpn_nms,
    )
    # detectron2 keeps what is larger, torchvision what is not smaller.
    rpn.min_size = max(float(np.nextafter(np.float32(config.rpn_min_size), np.inf)), _TINY)
    rpn.box_coder.weights = config.rpn_box_weights
    rpn.ranks_logits = True
    return rpn


def _heads(config: Detectron2Config) -> RoIHeads:
    width, classes = config.fpn_width, config.classes + 1
    side = config.box_pool.resolution
    box_head, box_width = _box_head(config, side)
    heads = RoIHeads(
        _pool(config.box_pool),
        box_head,
        FastRCNNPredictor(box_width, classes),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=512,
        positive_fraction=0.25,
        bbox_reg_weights=config.box_weights,
        score_thresh=config.score_threshold,
        nms_thresh=config.nms_threshold,
        detections_per_img=config.max_detections,
        mask_roi_pool=_pool(config.mask_pool),
        mask_head=MaskRCNNHeads(
            width, [config.mask_width] * config.mask_convs, 1, _norm(config.mask_norm)
        ),
        mask_predictor=MaskRCNNPredictor(
            config.mask_width if config.mask_convs else width, config.mask_width, classes
        ),
    )
    # Boxes of no area count among the detections there, and are dropped at the end.
    heads.smallest_box = 0.0
    # All at once: the first, largest weight of the head is read once, and cores share evenly.
    heads.box_chunk = 1024
    return heads


def _pool(settings: PoolSettings) -> AlignedPool:
    return AlignedPool(settings.resolution, settings.sampling_ratio, settings.aligned)


def _box_head(config: Detectron2Config, side: int) -> tuple[nn.Module, int]:
    """The head, and the number of figures that it gives for a region."""
    width = config.fpn_width
    if config.box_convs == 0 and config.box_fcs == 2:
        return TwoMLPHead(width * side**2, config.box_fc_width), config.box_fc_width
    head = FastRCNNConvFCHead(
        (width, side, side),
        [config.box_conv_width] * config.box_convs,
        [config.box_fc_width] * config.box_fcs,
        _norm(config.box_norm),
    )
    if config.box_fcs:
        return head, config.box_fc_width
    return head, (config.box_conv_width if config.box_convs else width) * side**2
