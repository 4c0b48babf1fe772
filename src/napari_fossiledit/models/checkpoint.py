"""Load models of every kind. No file of a stranger is ever unpickled."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models import formats
from napari_fossiledit.models.classes import check_names, class_numbers
from napari_fossiledit.models.detectron2_config import (
    Detectron2Config,
    config_from,
    find_config,
    read_config,
)
from napari_fossiledit.models.device import choose_device
from napari_fossiledit.models.lite import from_lite
from napari_fossiledit.models.model_folder import weights_in
from napari_fossiledit.models.preprocess import check_zoom
from napari_fossiledit.models.segmenter import Segmenter
from napari_fossiledit.models.torchvision_state import (
    from_torchvision,
    is_torchvision,
)
from napari_fossiledit.models.weights_file import WeightsFile, read_weights

__all__ = ["load"]


def load(
    source: str | os.PathLike[str] = "demo",
    *,
    config: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    backend: str = "auto",
    class_names: Sequence[str] | None = None,
    fossil_classes: Sequence[int | str] | None = None,
    input_zoom: float = 1.0,
) -> Segmenter:
    """Load a model.

    Parameters
    ----------
    source : str or path
        ``demo`` for the shipped model, or a file: what `save` or `export` wrote, a detectron2
        checkpoint (``model_final.pth``, or ``.pkl`` from its model zoo), or the state dict
        (``.pth``, ``.pt`` or ``.safetensors``) of a torchvision ``maskrcnn_resnet50_fpn`` or
        ``maskrcnn_resnet50_fpn_v2``. Nothing in it is executed.
    config : path, optional
        The detectron2 model's ``config.yaml``; looked for beside the weights if left out.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    backend : str
        What carries a detectron2 model: ``torchvision``, ``detectron2`` (the package itself), or
        ``auto``: the package where it is installed.
    class_names : sequence of str, optional
        One name a class, in the model's order.
    fossil_classes : sequence of int or str, optional
        Numbers (from 0) or names of the classes that count as the fossil; default: all.
    input_zoom : float
        How many times larger than usual the network shall see a slice.

    Raises
    ------
    ModelError
        If there is no such file, it is damaged, it is no such model, a setting is not supported,
        or the device is missing.
    InputError
        If the class names or the fossil's classes are not those of the model, or for a zoom that
        no network could work with.
    """
    check_zoom(input_zoom)
    if backend not in {"auto", "torchvision", "detectron2"}:
        raise ModelError(
            f"The backend {backend!r} is unknown: choose auto, torchvision or detectron2."
        )
    where = choose_device(device)
    path, name = _file_of(source)
    weights = read_weights(path)
    with torch.device("cpu"):
        segmenter = _build(weights, config, where, backend, name, class_names)
    if fossil_classes is not None:
        names = segmenter.class_names
        segmenter.fossil_classes = class_numbers(fossil_classes, names, segmenter.name)
    segmenter.input_zoom = input_zoom
    return segmenter


def _file_of(source: str | os.PathLike[str]) -> tuple[Path, str]:
    if source == "demo":
        from napari_fossiledit.sample.demo_model import weights_path

        return weights_path(), "demo"
    if not isinstance(source, str | os.PathLike):
        raise ModelError(
            f"A model is a file's path or 'demo', not {type(source).__name__}: choose one."
        )
    path = Path(source).expanduser()
    if path.is_dir():
        path = weights_in(path)
    if path.suffix.lower() in {".yaml", ".yml"}:
        raise ModelError(
            f"The file {path.name} is a config, not a model's weights: choose the weights (for "
            "example model_final.pth) as the model, and this file as its config."
        )
    return path, path.stem


def _name(path: Path) -> str:
    """detectron2 calls every model the same: its folder tells them apart."""
    folder = path.resolve().parent.name
    usual = re.fullmatch(r"model(_final|_best|_\d+)?", path.stem)
    return f"{folder}/{path.stem}" if usual and folder else path.stem


def _build(
    weights: WeightsFile,
    config: str | os.PathLike[str] | None,
    device: torch.device,
    backend: str,
    name: str,
    class_names: Sequence[str] | None,
) -> Segmenter:
    ours = formats.is_ours(weights)
    if ours and formats.about(weights)["architecture"] == formats.DETECTRON2:
        if config is not None:
            raise ModelError(
                f"The model {weights.path.name} holds its config itself: leave the other one out."
            )
        if class_names is None:
            class_names = formats.names(formats.about(weights), weights.path)
        return _detectron2(weights, _config_within(weights), device, backend, class_names)
    if not ours and is_detectron2(weights.tensors):
        found = Path(config) if config is not None else find_config(weights.path)
        if found is None:
            raise ModelError(
                f"The model {weights.path.name} was trained with detectron2 and needs its "
                "config.yaml, which detectron2 wrote into the training's output folder: choose it "
                "as the config, or put it beside the weights."
            )
        return _detectron2(weights, read_config(found), device, backend, class_names)
    if config is not None and name == "demo":
        raise ModelError(
            f"The demo model takes no config: give the weights that {Path(config).name} belongs to "
            "as the model."
        )
    if config is not None or backend == "detectron2":
        raise ModelError(
            f"The model {name} is none of detectron2's, so it takes neither a config "
            "nor the backend detectron2: leave both out."
        )
    if ours:
        return from_lite(weights, device, name, class_names)
    if is_torchvision(weights.tensors):
        return from_torchvision(weights, name=name, class_names=class_names, device=device)
    raise _no_model(weights)


def is_detectron2(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a detectron2 model with a feature pyramid."""
    return any(key.startswith(("backbone.bottom_up.", "backbone.fpn_")) for key in tensors)


def _detectron2(
    weights: WeightsFile,
    config: Detectron2Config,
    device: torch.device,
    backend: str,
    class_names: Sequence[str] | None,
) -> Segmenter:
    from napari_fossiledit.models import detectron2_native
    from napari_fossiledit.models.detectron2_rcnn import Detectron2RCNN

    name = _name(weights.path)
    check_names(class_names, config.classes, name)
    if backend == "detectron2" or (backend == "auto" and detectron2_native.is_installed()):
        return detectron2_native.load_native(
            weights, config, device=device, name=name, class_names=class_names
        )
    segmenter = Detectron2RCNN(weights, config, name=name, class_names=class_names, device=device)
    if backend == "auto" and detectron2_native.is_broken():
        segmenter.add_fact("Backend", f"torchvision, as {detectron2_native.why_not_installed()}")
    return segmenter


def _config_within(weights: WeightsFile) -> Detectron2Config:
    merged = formats.about(weights).get("config")
    if not isinstance(merged, dict):
        raise formats.damaged(weights.path)
    return config_from(merged, weights.path)


def _no_model(weights: WeightsFile) -> ModelError:
    name = weights.path.name
    if "blobs" in weights.other or "conv1_w" in weights.tensors:
        return ModelError(
            f"The file {name} holds a model of Caffe2 or Detectron, the forerunners of detectron2: "
            "choose a model that detectron2 trained."
        )
    if any(key.startswith(("stem.", "res2.")) for key in weights.tensors):
        return ModelError(
            f"The file {name} holds only a ResNet body for starting a training: choose the model "
            "that came out of the training (model_final.pth)."
        )
    return ModelError(
        f"The file {name} is no Mask R-CNN that this program knows: choose one saved by it, a "
        "detectron2 model with its config.yaml, or the state dict of torchvision's "
        "maskrcnn_resnet50_fpn."
    )
