"""Write results so that a file is either whole and in place, or as it was before.

Everything is written to a temporary file in the same folder and moved over the target with
`os.replace`, which is atomic on one file system.
"""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import math
import os
import secrets
import shutil
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError, OutputError

__all__ = [
    "atomic",
    "write_bytes",
    "write_image",
    "write_json",
    "write_label_slices",
    "write_labels",
    "write_stack",
]

_FULL = {errno.ENOSPC, errno.EDQUOT}
_LITTLE = 2**20  # bytes
_LARGEST_CLASSIC = 2**32 - 2**25  # bytes; beyond it a TIFF needs 64-bit offsets
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def atomic(path: str | Path) -> Generator[Path]:
    """Give a temporary path beside ``path``; move it there when the block ends well.

    On any error, or Ctrl-C, the temporary file is removed and ``path`` stays as it was.

    Raises
    ------
    OutputError
        When the folder is missing or read-only, the disk is full, or ``path`` is a folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise OutputError(
            f"{path.name} cannot be written: there is no folder {path.parent.absolute()}; "
            "make it first, or choose another."
        )
    if path.is_dir():
        raise OutputError(f"{path} is a folder, but a file is to be written: add a file name.")
    # The suffix stays, as writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(sentence(error, path)) from error
    finally:
        remove(temporary)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` to a file, atomically."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(data)


def write_json(path: str | Path, value: object) -> None:
    """Write figures as JSON, atomically; numpy values as numbers and lists, NaN as null."""
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def write_image(path: str | Path, image: NDArray[np.uint8]) -> None:
    """Write a (y, x, 3) uint8 image as PNG, JPEG or TIFF (by the suffix), atomically."""
    path = Path(path)
    if image.dtype != np.uint8:
        raise InputError(f"{path.name} must be written from 8-bit values, not {image.dtype}.")
    suffix = path.suffix.lower()
    if suffix in {".tif", ".tiff"}:
        _write_tiff(path, image, {"photometric": "rgb" if image.ndim > 2 else "minisblack"})
    elif suffix in {".png", ".jpg", ".jpeg"}:
        options = {"quality": 95} if suffix != ".png" else {}
        write_bytes(path, _encoded(image, "PNG" if suffix == ".png" else "JPEG", options))
    else:
        raise InputError(f"{path.name} must end in .png, .jpg or .tif: choose one of them.")


def write_labels(
    path: str | Path,
    labels: NDArray[np.integer],
    *,
    voxel_size: tuple[float, float, float] | None = None,
) -> None:
    """Write (y, x) or (z, y, x) labels, atomically.

    Parameters
    ----------
    path : path
        ``.tif``: int32, compressed without loss. ``.png``: uint16, one slice only.
    labels : integer array, 0 = background
    voxel_size : (z, y, x) in mm, optional
        Kept in a TIFF's metadata.

    Raises
    ------
    InputError
        Labels that the format cannot hold.
    OutputError
        See `atomic`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if labels.dtype.kind not in "uib":
        raise InputError(f"Labels for {path.name} must be whole numbers, not {labels.dtype}.")
    if suffix in {".tif", ".tiff"}:
        options = _label_options(labels.ndim, voxel_size)
        _write_tiff(path, _int32(labels, path), options)
    elif suffix == ".png":
        if labels.ndim != 2 or (labels.size and int(labels.max()) > np.iinfo(np.uint16).max):
            raise InputError(
                f"{path.name}: a PNG holds one slice and labels up to 65535: write a .tif instead."
            )
        write_bytes(path, _encoded(labels.astype(np.uint16), "PNG", {}))
    else:
        raise InputError(f"Labels are written as .tif or .png, not as {path.name}: rename it.")


def write_stack(
    path: str | Path,
    images: NDArray[np.uint8],
    *,
    voxel_size: tuple[float, float, float] | None = None,
) -> None:
    """Write (z, y, x, 3) uint8 slices as a multi-page RGB TIFF, atomically.

    Parameters
    ----------
    path : path
        ``.tif``
    images : (z, y, x, 3) uint8
    voxel_size : (z, y, x) in mm, optional
        Kept in the metadata.

    Raises
    ------
    InputError
        When it is no stack of RGB slices.
    OutputError
        See `atomic`.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise InputError(
            f"A stack is written from 8-bit RGB slices (z, y, x, 3), not from {images.dtype} of "
            f"shape {images.shape}."
        )
    _write_tiff(Path(path), images, _tiff_options("ZYXS", "rgb", voxel_size))


def write_label_slices(
    path: str | Path,
    slices: Iterable[NDArray[np.integer]],
    shape: tuple[int, int, int],
    *,
    voxel_size: tuple[float, float, float] | None = None,
) -> None:
    """Write a TIFF of labels slice by slice, so that the volume need not fit into memory.

    Parameters
    ----------
    path : path
        ``.tif``
    slices : iterable of (y, x) integer
        As many as ``shape`` says.
    shape : (z, y, x)
    voxel_size : (z, y, x) in mm, optional

    Raises
    ------
    InputError
        Labels that int32 cannot hold.
    OutputError
        See `atomic`.
    """
    # One strip a slice, so that tifffile takes the iterable's items as they come.
    pages = (_int32(np.asarray(labels), Path(path)) for labels in slices)
    more: dict[str, Any] = {"shape": shape, "dtype": np.int32, "rowsperstrip": shape[1]}
    # The size before compression decides, as that after it is not known yet.
    more["bigtiff"] = int(np.prod(shape, dtype=np.int64)) * 4 > _LARGEST_CLASSIC
    _write_tiff(Path(path), pages, _label_options(3, voxel_size) | more)


def _int32(labels: NDArray[Any], path: Path) -> NDArray[np.int32]:
    highest = int(labels.max()) if labels.size else 0
    if highest > np.iinfo(np.int32).max:
        raise InputError(
            f"The labels for {path.name} hold the number {highest}, but label files take numbers "
            f"up to {np.iinfo(np.int32).max}: number the instances anew."
        )
    return labels.astype(np.int32, copy=False)


def _label_options(axes: int, voxel_size: tuple[float, float, float] | None) -> dict[str, Any]:
    return _tiff_options("ZYX"[3 - axes :], "minisblack", voxel_size)


def _tiff_options(
    axes: str, photometric: str, voxel_size: tuple[float, float, float] | None
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": axes}
    if voxel_size is not None:
        metadata["voxel_size_mm"] = [float(v) for v in voxel_size]
    return {"compression": "zlib", "metadata": metadata, "photometric": photometric}


def _write_tiff(path: Path, array: Any, options: dict[str, Any]) -> None:
    import tifffile

    with atomic(path) as temporary:
        tifffile.imwrite(temporary, array, **options)


def _encoded(image: NDArray[Any], kind: str, options: dict[str, Any]) -> bytes:
    # In memory first: when the disk is full, Pillow raises errors that don't say so.
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def _flush(path: Path) -> None:
    # Some file systems report a full disk only here.
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def remove(path: Path) -> None:
    """Remove a file if it is there and can be removed."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def sentence(error: OSError, path: Path) -> str:
    """Say in one sentence why ``path`` could not be written."""
    if error.errno in _FULL or (error.errno is None and _has_no_room(path)):
        return f"The disk is full: {path} was not written; free some space, or choose another disk."
    if error.errno in _FORBIDDEN:
        return f"{path} may not be written: its folder is read-only for you; choose another."
    reason = error.strerror or type(error).__name__
    return f"{path} could not be written ({reason}): choose another folder."


def _has_no_room(path: Path) -> bool:
    # numpy's tofile, under tifffile, raises an OSError without a number when the disk is full.
    try:
        return shutil.disk_usage(path.parent).free < _LITTLE
    except OSError:
        return False


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
