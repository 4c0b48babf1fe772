"""Write an edited model for other programs: only the edited tensors differ from its file."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from napari_fossiledit import progress
from napari_fossiledit.errors import InputError, ModelError
from napari_fossiledit.models import detectron2_weights, formats, lite
from napari_fossiledit.models.detectron2_config import Detectron2Config
from napari_fossiledit.models.segmenter import Segmenter
from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN
from napari_fossiledit.models.torchvision_state import EXPORTED, from_torchvision
from napari_fossiledit.models.weights_file import WeightsFile, read_weights

__all__ = ["FORMS", "Exported", "export"]

FORMS = ("auto", "detectron2", "torchvision", "safetensors")
"""What `export` writes."""

_SUFFIXES = {
    "detectron2": (".pth", ".pt", ".pkl"),
    "torchvision": (".pth", ".pt"),
    "safetensors": (".safetensors",),
}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    path : Path
    form : str
        ``detectron2``, ``torchvision`` or ``safetensors``.
    changed : tuple of str
        The tensors that differ from the file that the model came from, by the names there.
    tensors : int
        How many were written.
    """

    path: Path
    form: str
    changed: tuple[str, ...]
    tensors: int


@runtime_checkable
class _Detectron2(Protocol):
    """A segmenter of either backend that carries a detectron2 model."""

    source: Path
    config: Detectron2Config

    def tensors(self) -> dict[str, Tensor]: ...


def export(segmenter: Segmenter, path: str | os.PathLike[str], *, form: str = "auto") -> Exported:
    """Write a model with its edits as they are now.

    Parameters
    ----------
    segmenter : Segmenter
        From `load`.
    path : path
        The new file; never that of the model itself.
    form : str
        ``detectron2``: a checkpoint (``.pth``, or ``.pkl`` as in the model zoo) for the same
        config; ``torchvision``: a state dict (``.pth``) under torchvision's names (of a detectron2
        model under the key ``model``, beside the settings it needs); ``safetensors``: one file
        that `load` reads without a config; ``auto``: by the suffix and the model.

    Returns
    -------
    Exported

    Raises
    ------
    InputError
        If the model cannot be written so, or ``path`` is its own file.
    ModelError
        If the file that the model came from is gone or has changed.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    form = _form(segmenter, path, form)
    source = getattr(segmenter, "source", None)
    if source is not None and _same(path, source):
        raise InputError(
            f"{path} is the file of the model itself, which is never written over: choose another "
            "name."
        )
    if isinstance(segmenter, _Detectron2):
        return _detectron2(segmenter, path, form)
    if isinstance(segmenter, TorchvisionRCNN):
        return _torchvision(segmenter, path, form)
    raise InputError(f"The model {segmenter.name} is of a kind that cannot be exported.")


def _same(path: Path, source: Path) -> bool:
    try:
        return path.samefile(source)
    except (OSError, ValueError):  # one of them is not there, or can be no name of a file
        return False


def _form(segmenter: Segmenter, path: Path, form: str) -> str:
    theirs, suffix = isinstance(segmenter, _Detectron2), path.suffix.lower()
    if form not in FORMS:
        raise InputError(f"The form {form!r} is unknown: choose one of {', '.join(FORMS)}.")
    if form == "auto":
        usual = "detectron2" if theirs or suffix == ".pkl" else "torchvision"
        form = "safetensors" if suffix == ".safetensors" else usual
    if form == "detectron2" and not theirs:
        raise InputError(
            f"The model {segmenter.name} is none of detectron2's, so it cannot be written as one: "
            "choose a .safetensors file, or for a torchvision model a .pth file."
        )
    if suffix not in _SUFFIXES[form]:
        raise InputError(
            f"A model in the form {form} is written as {_either(_SUFFIXES[form])}, not as "
            f"{path.name}: choose another name."
        )
    return form


def _either(suffixes: tuple[str, ...]) -> str:
    *others, last = suffixes
    return f"{', '.join(others)} or {last}" if others else last


def _detectron2(segmenter: _Detectron2, path: Path, form: str) -> Exported:
    config, source = segmenter.config, segmenter.source
    file = read_weights(source)
    progress.checkpoint()
    mine = segmenter.tensors()
    tensors, changed = dict(file.tensors), []
    for key, tensor in mine.items():
        if key not in tensors or not torch.equal(tensors[key].float(), tensor):
            tensors[key] = tensor
            changed.append(key)
    whole = detectron2_weights.complete(tensors, config)
    if detectron2_weights.fingerprint(whole) != segmenter.fingerprint():  # type: ignore[attr-defined]
        raise _changed_since(source)
    if form == "detectron2":
        _write_detectron2(path, tensors, file)
    elif form == "torchvision":
        state = detectron2_weights.to_torchvision(whole, config)
        settings = json.dumps(_settings(config), sort_keys=True)
        formats.write(path, lambda out: torch.save({"model": state, EXPORTED: settings}, out))
        tensors = state
    else:
        about = {
            "version": formats.VERSION,
            "architecture": formats.DETECTRON2,
            "config": config.merged,
            "class_names": list(segmenter.class_names),  # type: ignore[attr-defined]
        }
        tensors = detectron2_weights.relevant(tensors)
        _write_safetensors(path, tensors, about)
    return Exported(path, form, tuple(changed), len(tensors))


def _changed_since(source: Path) -> ModelError:
    return ModelError(
        f"The file {source.name} has changed since the model was loaded from it: load it again, "
        "apply the edits, and export then."
    )


def _write_detectron2(path: Path, tensors: Mapping[str, Tensor], file: WeightsFile) -> None:
    if path.suffix.lower() == ".pkl":
        arrays = {key: _array(tensor) for key, tensor in tensors.items()}
        author = str(file.other.get("__author__", "napari-fossiledit"))
        # detectron2 takes a .pkl for its own only with this key beside the weights.
        zoo = {"model": arrays, "__author__": author}
        formats.write(path, lambda out: pickle.dump(zoo, out, protocol=4))
        return
    beside = file.other if file.kind == "torch" else {}
    checkpoint = {"model": dict(tensors), **beside}
    formats.write(path, lambda out: torch.save(checkpoint, out))


def _array(tensor: Tensor) -> Any:
    """As numpy, which has no bfloat16."""
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _settings(config: Detectron2Config) -> dict[str, Any]:
    """What torchvision's model must be told to predict the same; images as RGB in 0 to 1."""
    turn = -1 if config.channel_order == "BGR" else 1
    return {
        "image_mean": [m / 255 for m in config.pixel_mean[::turn]],
        "image_std": [s / 255 for s in config.pixel_std[::turn]],
        "config": config.merged,
    }


def _torchvision(segmenter: TorchvisionRCNN, path: Path, form: str) -> Exported:
    source: Path | None = getattr(segmenter, "source", None)
    with segmenter.lock, torch.no_grad():
        state = {
            key: tensor.detach().cpu().contiguous().clone()
            for key, tensor in segmenter.model.state_dict().items()
        }
    before = {} if source is None else _state_in(source, segmenter)
    changed = tuple(
        key
        for key, tensor in state.items()
        if key not in before or not torch.equal(before[key], tensor)
    )
    editable = {f"{layer.name}.weight" for layer in segmenter.editable_layers()}
    if source is not None and not segmenter.trained and not editable.issuperset(changed):
        raise _changed_since(source)
    if segmenter.metadata.get("architecture") == formats.LITE:
        if form != "safetensors":
            raise InputError(
                f"The model {segmenter.name} is of this program's own kind, which torchvision does "
                "not know: export it as .safetensors."
            )
        lite.save(segmenter, path)
    elif form == "safetensors":
        _write_safetensors(path, state, None)
    else:
        formats.write(path, lambda out: torch.save(state, out))
    return Exported(path, form, changed, len(state))


def _state_in(source: Path, segmenter: TorchvisionRCNN) -> dict[str, Tensor]:
    """The state dict as loading the file gives it: old files have other names and dtypes."""
    file, cpu = read_weights(source), torch.device("cpu")
    with cpu:
        if formats.is_ours(file):
            fresh = lite.from_lite(file, cpu, segmenter.name, None)
        else:
            fresh = from_torchvision(file, name=segmenter.name, class_names=None, device=cpu)
    state: dict[str, Tensor] = fresh.model.state_dict()
    return state


def _write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None
) -> None:
    from safetensors.torch import save as to_bytes

    notes = None
    if about is not None:
        notes = {"format": formats.FORMAT, "model": json.dumps(about, sort_keys=True)}
    blob = to_bytes({k: t.contiguous() for k, t in tensors.items()}, notes)

    def fill(out: IO[bytes]) -> None:
        out.write(blob)

    formats.write(path, fill)
