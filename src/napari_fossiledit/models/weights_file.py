"""Read a file of weights, whatever kind it is, without running anything that lies in it.

The kind is decided by the first bytes, not by the name: ``.safetensors``; what ``torch.save``
writes now (a zip archive) and wrote until 2020; a pickle of numpy arrays (detectron2's model
zoo). A torch file is mapped, not read, so that an optimizer's state costs nothing.
"""

from __future__ import annotations

import argparse
import io
import os
import pickle
import struct
import threading
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models import plain_pickle, plain_values
from napari_fossiledit.models.plain_values import RefusedError, clean

__all__ = ["WeightsFile", "read_weights"]

_WRAPPERS = ("model", "state_dict")
_SUFFIXES = {".safetensors", ".pth", ".pt", ".pkl", ".pickle", ".pyth"}
_LEGACY = b"l\xfc\x9cF\xf9 j\xa8P\x19."  # the number that opens torch's older files
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd")
_MOST_HEADER = 100_000_000  # bytes; safetensors' own limit
# fmt: off
_STORAGES = (
    "Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool",
    "ComplexFloat", "ComplexDouble",
)
# fmt: on
# What a torch file may name besides plain data, looked for before torch begins. torch's own list
# also admits functions that set attributes or reserve memory at will; no weights need those.
_ALLOWED = frozenset(
    [
        *(f"torch._utils._rebuild_{kind}" for kind in ("tensor", "tensor_v2", "tensor_v3")),
        "torch._utils._rebuild_parameter",
        "torch.nn.parameter.Parameter",
        "torch.storage.UntypedStorage",
        "torch.Size",
        "torch.device",
        *(f"torch.{kind}Storage" for kind in _STORAGES),
        *(str(kind) for kind in vars(torch).values() if isinstance(kind, torch.dtype)),
        "argparse.Namespace",  # torchvision's training script keeps its options
    ]
)
# torch's list of what may be read is one for the whole process: two loads would share it.
_LOADING = threading.Lock()
# What torch's restricted reader does not know by itself: plain data made by our own checked
# functions (never numpy's), for one load at a time.
_SAFE: list[Any] = [
    *((made, name) for name, made in plain_values.GLOBALS.items()),
    argparse.Namespace,
    plain_values.PlainArray,
    plain_values.PlainDtype,
]


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """The weights in a file.

    Attributes
    ----------
    path : Path
    tensors : dict of str to Tensor
        On the CPU, in the file's order and dtypes. Those of a torch or safetensors file are
        views of the mapped file: on Windows it cannot be replaced or deleted until this object
        and every tensor taken from it are gone, so copy what is kept. Writing to them never
        changes the file.
    notes : dict of str to str
        The metadata of a safetensors file, else empty.
    other : dict
        What lies beside the weights (iteration, optimizer, ``__author__``, ...): plain values
        and tensors.
    wrapper : str
        The key the weights were under: ``model``, ``state_dict`` or none.
    kind : str
        ``safetensors``, ``torch`` or ``pickle``.
    """

    path: Path
    tensors: dict[str, Tensor]
    notes: dict[str, str] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)
    wrapper: str = ""
    kind: str = "torch"


def read_weights(path: str | os.PathLike[str]) -> WeightsFile:
    """Read the weights in a file; nothing in the file is run.

    Parameters
    ----------
    path : str or path
        A ``.safetensors``, ``.pth``, ``.pt`` or ``.pkl`` file.

    Raises
    ------
    ModelError
        If there is no such file, it is damaged, it is no model, or it names anything but plain
        data.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder, no model file: choose the model file in it.")
        if not path.is_file():
            raise ModelError(
                f"There is no model file {path}: check the path, or use the model 'demo'."
            )
        with path.open("rb") as file:
            kind = _kind(file, path)
            with torch.device("cpu"):
                return _READERS[kind](file, path)
    except ModelError:
        raise
    except RefusedError as error:
        raise _refused(path, error.what) from error
    except RecursionError as error:
        raise ModelError(
            f"The file {path.name} nests its contents too deeply for a model: fetch or copy it "
            "once more."
        ) from error
    except MemoryError as error:
        raise ModelError(
            f"The file {path.name} asks for more memory than there is: free some, or fetch the "
            "file once more if it is not that large."
        ) from error
    except OSError as error:
        raise ModelError(
            f"The model file {path.name} cannot be read ({error.strerror or 'input error'}): "
            "check the file and its permissions."
        ) from error
    except Exception as error:  # the bytes of a damaged file lead to any error
        raise _damaged(path) from error


def _kind(file: BinaryIO, path: Path) -> str:
    """Decide by the first bytes; the file is back at its start afterwards."""
    head = file.read(512)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    _not_a_model(head, path)
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if _LEGACY in head[:40]:
        return "legacy"
    length = int.from_bytes(head[:8], "little")
    suffix = path.suffix.lower()
    if head[8:9] == b"{" and length <= _MOST_HEADER:
        if length > size - 8:
            raise _damaged(path)
        return "safetensors"
    if len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return "pickle"
    if suffix not in _SUFFIXES:
        raise ModelError(
            f"The file {path.name} is no model: choose a .safetensors, .pth, .pt or .pkl file."
        )
    if suffix == ".safetensors":
        raise _damaged(path)
    return "pickle"  # the protocols 0 and 1 have no mark


def _not_a_model(head: bytes, path: Path) -> None:
    """Files that are often mistaken for a model, by name of what they are."""
    if not head:
        raise ModelError(f"The model file {path.name} is empty: fetch or copy it once more.")
    if head.startswith(b"version https://git-lfs"):
        raise ModelError(
            f"The file {path.name} is a Git LFS pointer, not the model itself: fetch the real "
            "file (git lfs pull)."
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ModelError(
            f"The file {path.name} is a web page, no model: the download went wrong, so fetch "
            "the file itself once more."
        )
    if head.startswith(_PACKED) or head[257:262] == b"ustar":
        raise ModelError(
            f"The file {path.name} is a packed archive, no model: unpack it and choose the model "
            "file in it."
        )


def _read_safetensors(file: BinaryIO, path: Path) -> WeightsFile:
    from safetensors import safe_open

    file.close()
    with safe_open(path, framework="pt", device="cpu") as opened:
        notes = dict(opened.metadata() or {})
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    if not tensors:
        raise _no_weights(path)
    return WeightsFile(path, tensors, notes=notes, kind="safetensors")


def _read_pickle(file: BinaryIO, path: Path) -> WeightsFile:
    return _weights(plain_pickle.load(file), path, "pickle")


def _read_zip(file: BinaryIO, path: Path) -> WeightsFile:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        names = [entry.filename.lower() for entry in entries]  # torch ignores case
        inner = [name.split("/", 1)[-1] for name in names]
        if "constants.pkl" in inner:
            raise ModelError(
                f"The file {path.name} is a TorchScript program, and opening it would run it: "
                'save the weights alone with torch.save(model.state_dict(), "model.pth").'
            )
        if inner.count("data.pkl") != 1 or len(set(names)) != len(names):
            raise ModelError(
                f"The file {path.name} is a zip archive, no model: unpack it and choose the model "
                "file in it."
            )
        packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
        if packed or not _one_directory(file):
            raise ModelError(
                f"The model file {path.name} was packed again by another program: fetch the file "
                "as torch.save wrote it."
            )
        if any(entry.file_size != entry.compress_size for entry in entries):
            raise _damaged(path)
    # Rehearsed are the very bytes that torch will follow: its reader of archives is another.
    file.seek(0)
    described = torch._C.PyTorchFileReader(file).get_record("data.pkl")
    plain_pickle.scan(io.BytesIO(described), _ALLOWED)
    return _load_torch(file, path, mapped=True)


def _one_directory(file: BinaryIO) -> bool:
    """Whether an archive has one list of its entries, and that right before its end.

    Python takes the list before the end record, torch the one at the place that the record names.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 98))
    tail = file.read(98).rjust(98, b"\0")
    long, locator, end = tail[:56], tail[56:76], tail[76:]
    start = size - 22
    length, offset = struct.unpack("<II", end[12:20])
    if locator.startswith(b"PK\x06\x07"):  # as torch.save writes it, for any size
        start = size - 98
        if not long.startswith(b"PK\x06\x06") or locator[8:16] != struct.pack("<Q", start):
            return False
        length, offset = struct.unpack("<QQ", long[40:56])
    at_the_end = end.startswith(b"PK\x05\x06") and end.endswith(b"\0\0")  # no comment
    return bool(at_the_end and length + offset == start)


def _read_legacy(file: BinaryIO, path: Path) -> WeightsFile:
    # A magic number, the version, the writer's system, the object, and the storages' keys; the
    # numbers follow, and are not looked at.
    for _ in range(5):
        plain_pickle.scan(file, _ALLOWED)
    return _load_torch(file, path, mapped=False)


def _load_torch(file: BinaryIO, path: Path, *, mapped: bool) -> WeightsFile:
    file.close()
    if path.suffix.lower() == ".safetensors":  # torch.load would go by the name
        raise ModelError(
            f"The file {path.name} was written by torch.save and is no safetensors file: rename "
            "it to end in .pth."
        )
    try:
        with (
            _LOADING,
            warnings.catch_warnings(),
            torch.serialization.safe_globals(_SAFE),
        ):
            warnings.simplefilter("ignore")  # of other protocols: they are refused
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if "Unsupported operand" in str(error):
            raise ModelError(
                f"The file {path.name} was saved with another pickle protocol than torch's own: "
                "save it once more with torch.save without the option pickle_protocol."
            ) from error
        raise _refused(path, "") from error
    except RuntimeError as error:
        if "allocate memory" in str(error):
            raise MemoryError from error
        raise
    return _weights(loaded, path, "torch")


def _weights(loaded: Any, path: Path, kind: str) -> WeightsFile:
    """Find the tensors in what a file holds."""
    size = path.stat().st_size
    held = plain_values.settle(loaded, lambda leaf: _leaf(leaf, size))
    if not isinstance(held, dict):
        raise _no_weights(path)
    wrapper = next((key for key in _WRAPPERS if isinstance(held.get(key), dict)), "")
    tensors = _tensors(held[wrapper] if wrapper else held, path)
    other = {str(k): v for k, v in held.items() if k != wrapper} if wrapper else {}
    return WeightsFile(
        path, tensors, other=plain_values.settle(other, _plain), wrapper=wrapper, kind=kind
    )


def _tensors(found: dict[Any, Any], path: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    odd = []
    for key, value in found.items():
        if isinstance(value, np.generic) and value.dtype.kind in _NUMBERS:
            value = torch.from_numpy(np.array(value))
        if isinstance(key, str) and isinstance(value, Tensor):
            tensors[key] = value
        elif value is not None:  # some writers keep an empty place, e.g. of num_batches_tracked
            odd.append((key, value))
    if not tensors:
        raise _no_weights(path)
    if odd:
        key, value = odd[0]
        raise ModelError(
            f"The weights in {path.name} hold something else than numbers under "
            f"{clean(str(key), 60)!r} (a {type(value).__name__}): save the model alone, {_HOW}."
        )
    if all(key.startswith("module.") for key in tensors):  # written by DataParallel
        return {key.removeprefix("module."): value for key, value in tensors.items()}
    return tensors


def _leaf(value: Any, size: int) -> Any:
    """Turn arrays of numbers into tensors; other values are torch's small ones, or refused."""
    if isinstance(value, np.ndarray):
        number = value.dtype.kind in _NUMBERS
        return torch.from_numpy(value) if number and value.dtype.char not in "gG" else value
    if isinstance(value, Tensor):
        if value.layout != torch.strided or value.numel() * value.element_size() > size:
            raise ValueError("a tensor larger than its file")
        return value.detach()
    return _plain(value) if not isinstance(value, np.generic) else value


def _plain(value: Any) -> Any:
    """The value as Python keeps it, for what lies beside the weights."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, Tensor | torch.dtype | torch.device):
        return value
    return plain_values.numpy_only(value)


def _damaged(path: Path) -> ModelError:
    return ModelError(
        f"The model file {path.name} is damaged or cut off: fetch or copy it once more."
    )


def _no_weights(path: Path) -> ModelError:
    return ModelError(
        f"The file {path.name} holds no weights of a model: choose a file that was saved with "
        "the model's state_dict, or one from a model zoo."
    )


def _refused(path: Path, what: str) -> ModelError:
    reason = f"holds {what}" if what else "is damaged or holds more than plain weights"
    return ModelError(
        f"The file {path.name} {reason}, and opening it could run a stranger's code: save the "
        f"model alone, {_HOW}."
    )


_HOW = 'torch.save({"model": model.state_dict()}, "model.pth")'
_NUMBERS = "biufc"
_READERS: dict[str, Callable[[BinaryIO, Path], WeightsFile]] = {
    "safetensors": _read_safetensors,
    "zip": _read_zip,
    "legacy": _read_legacy,
    "pickle": _read_pickle,
}
