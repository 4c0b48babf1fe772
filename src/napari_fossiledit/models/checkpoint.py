"""Load and save models. No file of a stranger is ever unpickled."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_fossiledit.errors import InputError, ModelError, OutputError
from napari_fossiledit.models.backbone_lite import LiteConfig, build
from napari_fossiledit.models.device import choose_device
from napari_fossiledit.models.preprocess import Preprocess
from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN

__all__ = ["load", "new_lite", "save"]

_FORMAT = "fossiledit-segmenter"
_VERSION = 1
_LITE = "lite0-fpn-mask-rcnn"
_SUFFIXES = {".safetensors", ".pth", ".pt"}
_IMAGENET = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 800, 1333)
_MOST_CLASSES = 1000


def load(
    source: str | os.PathLike[str] = "demo",
    *,
    config: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    backend: str = "auto",
) -> TorchvisionRCNN:
    """Load a model.

    Parameters
    ----------
    source : str or path
        ``demo`` for the shipped model, or a file: a ``.safetensors`` written by `save`, or the
        state dict (``.pth``, ``.pt`` or ``.safetensors``) of a torchvision
        ``maskrcnn_resnet50_fpn`` or ``maskrcnn_resnet50_fpn_v2``.
    config : path, optional
        For detectron2 models, which this version does not load.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    backend : str
        ``auto`` or ``torchvision``.

    Raises
    ------
    ModelError
        If there is no such file, it is damaged, it is no such model, or the device is missing.
    """
    if backend not in {"auto", "torchvision", "detectron2"}:
        raise ModelError(f"The backend {backend!r} is unknown: choose auto or torchvision.")
    if backend == "detectron2" or config is not None:
        raise _detectron2(str(source))
    where = choose_device(device)
    if str(source) == "demo":
        from napari_fossiledit.sample.demo_model import weights_path

        return _load_file(weights_path(), where, "demo")
    path = Path(source)
    return _load_file(path, where, path.stem)


def _load_file(path: Path, device: torch.device, name: str) -> TorchvisionRCNN:
    if not path.is_file():
        raise ModelError(f"There is no model file {path}: check the path, or use the model 'demo'.")
    suffix = path.suffix.lower()
    if suffix in {".pkl", ".yaml", ".yml"}:
        raise _detectron2(str(path))
    if suffix not in _SUFFIXES:
        raise ModelError(f"The file {path.name} is no model: choose a .safetensors or .pth file.")
    state, notes = _read_safetensors(path) if suffix == ".safetensors" else (_read_torch(path), {})
    with torch.device("cpu"):
        if notes.get("format") == _FORMAT:
            return _ours(path, state, notes, device, name)
        return _torchvision(path, state, device, name)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            notes = dict(file.metadata() or {})
            return {key: file.get_tensor(key) for key in file.keys()}, notes  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _damaged(path) from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    """A state dict, read by torch's restricted unpickler: tensors and plain containers only."""
    import pickle

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"The file {path.name} is damaged or holds more than plain weights, and opening it "
            "could run a stranger's code: save the model's state_dict and load that."
        ) from error
    except Exception as error:  # torch raises whatever the bytes lead it to
        raise _damaged(path) from error
    for wrapper in ("model", "state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict) or not loaded:
        raise _no_model(path)
    if any(str(key).startswith("backbone.fpn_output") for key in loaded):
        raise _detectron2(path.name)
    if not all(isinstance(k, str) and isinstance(t, Tensor) for k, t in loaded.items()):
        raise _no_model(path)
    return dict(loaded)


def _ours(
    path: Path, state: dict[str, Tensor], notes: dict[str, str], device: torch.device, name: str
) -> TorchvisionRCNN:
    try:
        about = json.loads(notes["model"])
        version, architecture = int(about["version"]), about["architecture"]
        names = tuple(str(n) for n in about["class_names"])
        sizes = dict(about["config"])
        prepare = Preprocess(**{k: _frozen(v) for k, v in about["preprocess"].items()})
        density = about["proposal_density"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path) from error
    if version > _VERSION or architecture != _LITE:
        raise ModelError(
            f"The model {path.name} was written by a newer version of napari-fossiledit "
            f"({architecture}, format {version}): update the program."
        )
    config = LiteConfig.from_dict(sizes)
    if len(names) != config.classes:
        raise _damaged(path)
    model = build(config)
    _fill(model, state, path)
    return TorchvisionRCNN(
        model,
        preprocess=prepare,
        name=name,
        class_names=names,
        device=device,
        proposal_density=density,
        metadata=about,
    )


def _torchvision(
    path: Path, state: dict[str, Tensor], device: torch.device, name: str
) -> TorchvisionRCNN:
    from torchvision.models import detection

    scores = state.get("roi_heads.box_predictor.cls_score.weight")
    masks = any(key.startswith("roi_heads.mask_predictor.") for key in state)
    if scores is None or not masks or "backbone.body.conv1.weight" not in state:
        raise _no_model(path)
    classes = int(scores.shape[0])
    if not 2 <= classes <= _MOST_CLASSES:
        raise _no_model(path)
    second = any(re.match(r"backbone\.fpn\.inner_blocks\.0\.1\.", key) for key in state)
    maker = detection.maskrcnn_resnet50_fpn_v2 if second else detection.maskrcnn_resnet50_fpn
    model = maker(weights=None, weights_backbone=None, num_classes=classes)
    _fill(model, state, path)
    coco = detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    names = coco[1:] if classes == len(coco) else [f"class {i}" for i in range(1, classes)]
    return TorchvisionRCNN(model, preprocess=_IMAGENET, name=name, class_names=names, device=device)


def _fill(model: Any, state: dict[str, Tensor], path: Path) -> None:
    state = {k: t.float() if t.is_floating_point() else t for k, t in state.items()}
    if not all(bool(torch.isfinite(t).all()) for t in state.values()):
        raise ModelError(
            f"The model {path.name} has weights that are not finite numbers: its training "
            "failed, or the file is damaged; choose another checkpoint."
        )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            f"The weights in {path.name} do not fit the model they are said to be: it is another "
            "network, or the file is damaged."
        ) from error


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
        "version": _VERSION,
        "architecture": _LITE,
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

    if segmenter.metadata.get("architecture") != _LITE:
        raise InputError(f"The model {segmenter.name} is not of a kind that can be saved here.")
    about = {**segmenter.metadata, "notes": notes or segmenter.metadata.get("notes", {})}
    with segmenter.lock, torch.no_grad():
        state = {}
        for key, tensor in segmenter.model.state_dict().items():
            wanted = torch.float16 if half and tensor.is_floating_point() else tensor.dtype
            state[key] = tensor.detach().to("cpu", wanted).contiguous()
    blob = to_bytes(state, {"format": _FORMAT, "model": json.dumps(about, sort_keys=True)})
    _write(Path(path), blob)


def _write(path: Path, blob: bytes) -> None:
    """Write beside the target and move into place: a full disk leaves the old file."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
            temporary = Path(file.name)
            file.write(blob)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise OutputError(
            f"The model cannot be written to {path} ({error.strerror}): choose another folder."
        ) from error


def _damaged(path: Path) -> ModelError:
    return ModelError(
        f"The model file {path.name} is damaged or cut off: fetch or copy it once more."
    )


def _no_model(path: Path) -> ModelError:
    return ModelError(
        f"The file {path.name} is no Mask R-CNN that this program knows: choose one saved by it, "
        "or the state dict of torchvision's maskrcnn_resnet50_fpn."
    )


def _detectron2(name: str) -> ModelError:
    return ModelError(
        f"The model {name} belongs to detectron2, and such models are not supported yet: choose "
        "a torchvision Mask R-CNN or the model 'demo'."
    )
