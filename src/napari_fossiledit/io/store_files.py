"""How a label volume lies on disk: OME-Zarr 0.4 chunks and metadata, and one small file a slice.

::

    RESULT.ome.zarr/
        .zgroup  .zattrs         what it is (OME-Zarr 0.4), its scale, what made it, whether whole
        0/.zarray  0/Z/Y/X       labels, int32, tiles of 1 x 1024 x 1024; background has no file
        slices/00017.json        written last for its slice: it is done, and its rows of the table
        instances.csv            all rows, once the volume is whole; further tables beside it
        .part/                   what is being written; swept away by the next run

Nothing is ever written in place: every file is made whole in ``.part``, forced to the disk, and
moved. No file holds a date, a path or a machine's name, so that the bytes depend on the content
alone.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ARRAY",
    "MARKS",
    "PART",
    "TILE",
    "array_metadata",
    "group_attributes",
    "json_bytes",
    "mark_file",
    "move_tiles",
    "put",
    "read_tiles",
    "sweep",
    "write_tiles",
]

ARRAY, MARKS, PART = "0", "slices", ".part"
TILE = 1024
_VERSION = "0.4"
Shape = tuple[int, int, int]


def tile_shape(shape: Shape) -> tuple[int, int]:
    """Rows and columns of a tile: 1024, or the whole of a smaller slice."""
    return min(TILE, shape[1]), min(TILE, shape[2])


def array_metadata(shape: Shape) -> dict[str, Any]:
    """Metadata of the zarr array (format 2, which every OME-Zarr 0.4 reader opens)."""
    return {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": [1, *tile_shape(shape)],
        "dtype": "<i4",
        "compressor": {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 1, "blocksize": 0},
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }


def group_attributes(
    voxel_size: tuple[float, float, float] | None, own: Mapping[str, Any]
) -> dict[str, Any]:
    """Attributes of the group: OME-Zarr's multiscales of one level, and our own.

    References
    ----------
    OME-NGFF specification 0.4, sections "multiscales" and "image-label".
    """
    axes: list[dict[str, str]] = [{"name": name, "type": "space"} for name in "zyx"]
    if voxel_size is not None:
        axes = [{**axis, "unit": "millimeter"} for axis in axes]
    scale = [1.0, 1.0, 1.0] if voxel_size is None else [float(v) for v in voxel_size]
    level = {
        "path": ARRAY,
        "coordinateTransformations": [{"type": "scale", "scale": scale}],
    }
    # Other programs show the name: it is all that tells them of a broken-off run.
    name = "labels" if own["complete"] else "labels (unfinished)"
    return {
        "multiscales": [{"version": _VERSION, "name": name, "axes": axes, "datasets": [level]}],
        "image-label": {"version": _VERSION},
        "fossiledit": dict(own),
    }


def json_bytes(value: object) -> bytes:
    """JSON as it is kept in the store; keys stay in their order."""
    return (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n").encode()


def mark_file(root: Path, z: int) -> Path:
    """The file that says that a slice is done."""
    return root / MARKS / f"{z:05d}.json"


def put(root: Path, target: Path, data: bytes) -> None:
    """Write a file of the store so that it is whole or not there; an older one is replaced."""
    temporary = _part(root) / secrets.token_hex(8)
    try:
        _write(temporary, data)
        _sync([temporary])
        target.parent.mkdir(exist_ok=True)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_tiles(root: Path, labels: NDArray[np.int32]) -> Path | None:
    """Write a slice's tiles to a temporary folder and force them to the disk; None without any.

    Tiles of background alone are left out: the array's fill value stands for them.
    """
    rows, columns = tile_shape((1, *labels.shape))
    folder = _part(root) / secrets.token_hex(8)
    written: list[Path] = []
    try:
        for i, y in enumerate(range(0, labels.shape[0], rows)):
            for k, x in enumerate(range(0, labels.shape[1], columns)):
                piece = labels[y : y + rows, x : x + columns]
                if not piece.any():
                    continue
                file = folder / str(i) / str(k)
                file.parent.mkdir(parents=True, exist_ok=True)
                _write(file, _encode(piece, (rows, columns)))
                written.append(file)
        _sync(written)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder if written else None


def move_tiles(root: Path, z: int, folder: Path | None) -> None:
    """Put a slice's tiles in place, all at once; what an unfinished run left there goes."""
    target = root / ARRAY / str(z)
    if target.exists():
        shutil.rmtree(target)
    if folder is not None:
        os.replace(folder, target)


def read_tiles(root: Path, z: int, shape: Shape) -> NDArray[np.int32]:
    """One slice (y, x) int32 from its tiles; where there is no file there is background."""
    out = np.empty(shape[1:], np.int32)
    rows, columns = tile_shape(shape)
    for i, y in enumerate(range(0, shape[1], rows)):
        for k, x in enumerate(range(0, shape[2], columns)):
            into = out[y : y + rows, x : x + columns]
            try:
                data = (root / ARRAY / str(z) / str(i) / str(k)).read_bytes()
            except FileNotFoundError:
                into[...] = 0
            else:
                into[...] = _decode(data, (rows, columns))[: into.shape[0], : into.shape[1]]
    return out


def sweep(root: Path) -> None:
    """Remove what a killed run left half-written."""
    shutil.rmtree(root / PART, ignore_errors=True)


def _encode(piece: NDArray[np.int32], shape: tuple[int, int]) -> bytes:
    import imagecodecs

    whole = piece
    if piece.shape != shape:  # zarr's tiles at the edge are as large as all others
        whole = np.zeros(shape, np.int32)
        whole[: piece.shape[0], : piece.shape[1]] = piece
    # One thread: several write a tile's blocks in the order in which they happen to end.
    return bytes(
        imagecodecs.blosc_encode(
            whole.astype("<i4").tobytes(),
            level=1,
            compressor="zstd",
            shuffle=1,
            typesize=4,
            numthreads=1,
        )
    )


def _decode(data: bytes, shape: tuple[int, int]) -> NDArray[np.int32]:
    import imagecodecs

    return np.frombuffer(imagecodecs.blosc_decode(data, numthreads=1), "<i4").reshape(shape)


def _part(root: Path) -> Path:
    folder = root / PART
    folder.mkdir(exist_ok=True)
    return folder


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)


def _sync(paths: Sequence[Path]) -> None:
    # After all are written: the first call then takes the others' data with it.
    for path in paths:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
