"""State dicts of torchvision's ``maskrcnn_resnet50_fpn`` and ``maskrcnn_resnet50_fpn_v2``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models.classes import check_names
from napari_fossiledit.models.plain_values import clean
from napari_fossiledit.models.preprocess import Preprocess
from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN
from napari_fossiledit.models.weights_file import WeightsFile

__all__ = ["EXPORTED", "fill", "from_torchvision", "is_torchvision"]

EXPORTED = "fossiledit-detectron2"
"""Key that marks a torchvision state dict made from a detectron2 model."""

_IMAGENET = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 800, 1333)
_MOST_CLASSES = 1000
_SHOWN = 3


def is_torchvision(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a torchvision Mask R-CNN with a ResNet body."""
    scores = tensors.get("roi_heads.box_predictor.cls_score.weight")
    masks = any(key.startswith("roi_heads.mask_predictor.") for key in tensors)
    known = scores is not None and masks and "backbone.body.conv1.weight" in tensors
    return known and scores is not None and 2 <= scores.shape[0] <= _MOST_CLASSES


def from_torchvision(
    weights: WeightsFile, *, name: str, class_names: Sequence[str] | None, device: torch.device
) -> TorchvisionRCNN:
    """A segmenter from a torchvision state dict with any number of classes.

    Raises
    ------
    ModelError
        If tensors are missing, too many, of another shape or not finite.
    """
    from torchvision.models import detection

    if EXPORTED in weights.other:
        # The names fit, but not the anchors, the pooling and the resizing: other predictions.
        raise ModelError(
            f"The file {weights.path.name} was exported from a detectron2 model for use with "
            "torchvision alone: load that model, or its export in the form detectron2 or "
            "safetensors."
        )
    state = weights.tensors
    classes = int(state["roi_heads.box_predictor.cls_score.weight"].shape[0])
    check_names(class_names, classes - 1, name)
    second = any(re.match(r"backbone\.fpn\.inner_blocks\.0\.1\.", key) for key in state)
    maker = detection.maskrcnn_resnet50_fpn_v2 if second else detection.maskrcnn_resnet50_fpn
    model = maker(weights=None, weights_backbone=None, num_classes=classes)
    fill(model, state, weights.path.name)
    if class_names is None:
        coco = detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
        known = coco[1:] if classes == len(coco) else None
        class_names = known or [f"class {i}" for i in range(classes - 1)]
    segmenter = TorchvisionRCNN(
        model,
        preprocess=_IMAGENET,
        name=name,
        class_names=class_names,
        device=device,
        facts={
            "Kind": f"torchvision {maker.__name__}",
            "Input": "RGB, shortest edge 800, longest at most 1333 pixels",
        },
    )
    segmenter.source = weights.path.resolve()
    return segmenter


def fill(model: Any, state: Mapping[str, Tensor], file: str) -> None:
    """Put a state dict into a model, or say which tensors do not fit.

    Raises
    ------
    ModelError
        If tensors are missing, too many, of another shape or not finite.
    """
    state = {k: t.float() if t.is_floating_point() else t for k, t in state.items()}
    own = model.state_dict()
    odd = [key for key, tensor in state.items() if tensor.is_complex()]
    if odd:
        raise ModelError(
            f"The model {file} has complex numbers for weights ({clean(odd[0])}): choose another "
            "checkpoint."
        )
    broken = [key for key, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise ModelError(
            f"The model {file} has weights that are not finite numbers "
            f"({_first(broken)}): its training failed, or the file is damaged; choose another "
            "checkpoint."
        )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        # Old checkpoints of the pyramid have other names, which torchvision translates.
        wrong = [k for k in own if k not in state or state[k].shape != own[k].shape]
        wrong += [k for k in state if k not in own]
        raise ModelError(
            f"The weights in {file} do not fit the model they are said to be "
            f"({_first(wrong)}): it is another network, or the file is damaged."
        ) from error


def _first(names: Sequence[str]) -> str:
    return ", ".join(clean(name) for name in names[:_SHOWN])
