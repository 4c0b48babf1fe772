"""The demo model's architecture: made new, trained elsewhere, saved and loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from napari_fossiledit.errors import InputError
from napari_fossiledit.models import formats
from napari_fossiledit.models.backbone_lite import LiteConfig, build
from napari_fossiledit.models.classes import check_names
from napari_fossiledit.models.device import choose_device
from napari_fossiledit.models.preprocess import Preprocess
from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN
from napari_fossiledit.models.torchvision_state import fill
from napari_fossiledit.models.weights_file import WeightsFile

__all__ = ["from_lite", "new_lite", "save"]


def from_lite(
    weights: WeightsFile, device: torch.device, name: str, class_names: Sequence[str] | None
) -> TorchvisionRCNN:
    """Load a model that `save` wrote.

    Raises
    ------
    ModelError
        If the file is damaged.
    """
    about = formats.about(weights)
    try:
        names = formats.names(about, weights.path) or ()
        sizes = dict(about["config"])
        prepare = Preprocess(**{k: _frozen(v) for k, v in about["preprocess"].items()})
        density = about["proposal_density"]
        if density is not None and not 0 < float(density) < 1:
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise formats.damaged(weights.path) from error
    check_names(class_names, len(names), name)
    config = LiteConfig.from_dict(sizes)
    if len(names) != config.classes:
        raise formats.damaged(weights.path)
    model = build(config)
    fill(model, weights.tensors, weights.path.name)
    segmenter = TorchvisionRCNN(
        model,
        preprocess=prepare,
        name=name,
        class_names=names if class_names is None else class_names,
        device=device,
        proposal_density=density,
        metadata=about,
        facts={"Kind": "Mask R-CNN EfficientNet-Lite0-FPN", "Input": "RGB, at full resolution"},
    )
    segmenter.source = weights.path.resolve()
    return segmenter


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def new_lite(
    config: LiteConfig,
    *,
    name: str = "lite",
    class_names: tuple[str, ...] = ("fossil",),
    device: str | torch.device = "cpu",
    imagenet: bool = False,
    seed: int = 0,
) -> TorchvisionRCNN:
    """An untrained EfficientNet-Lite0 Mask R-CNN that takes slices at their own resolution.

    Parameters
    ----------
    config : LiteConfig
    imagenet : bool
        Start the body from ImageNet weights (see `backbone_lite.load_imagenet`).
    seed : int
        For the random weights; the caller's random state is not touched.
    """
    from napari_fossiledit.models.backbone_lite import load_imagenet

    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        model = build(config)
    if imagenet:
        load_imagenet(model.backbone)
    # The ImageNet weights of the Lite networks were trained on (value - 127) / 128.
    prepare = Preprocess((127 / 255,) * 3, (128 / 255,) * 3)
    density = config.proposals / 384**2
    about = {
        "version": formats.VERSION,
        "architecture": formats.LITE,
        "class_names": list(class_names),
        "config": config.to_dict(),
        "preprocess": {"mean": list(prepare.mean), "std": list(prepare.std)},
        "proposal_density": density,
    }
    return TorchvisionRCNN(
        model,
        preprocess=prepare,
        name=name,
        class_names=class_names,
        device=choose_device(device),
        proposal_density=density,
        metadata=about,
    )


def save(
    segmenter: TorchvisionRCNN,
    path: str | os.PathLike[str],
    *,
    half: bool = False,
    notes: dict[str, Any] | None = None,
) -> None:
    """Write a model made by `new_lite` (or loaded from such a file) as ``.safetensors``.

    Parameters
    ----------
    half : bool
        Half precision: half the size; the weights lose digits.
    notes : dict, optional
        Anything for JSON to keep beside the weights, e.g. the training regime.

    Raises
    ------
    InputError
        If the model is of another architecture.
    OutputError
        If the file cannot be written.
    """
    from safetensors.torch import save as to_bytes

    if segmenter.metadata.get("architecture") != formats.LITE:
        raise InputError(f"The model {segmenter.name} is not of a kind that can be saved here.")
    about = {**segmenter.metadata, "notes": notes or segmenter.metadata.get("notes", {})}
    with segmenter.lock, torch.no_grad():
        state = {}
        for key, tensor in segmenter.model.state_dict().items():
            wanted = torch.float16 if half and tensor.is_floating_point() else tensor.dtype
            state[key] = tensor.detach().to("cpu", wanted).contiguous()
    blob = to_bytes(state, {"format": formats.FORMAT, "model": json.dumps(about, sort_keys=True)})
    formats.write(Path(path), lambda file: file.write(blob))
