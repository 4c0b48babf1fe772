"""Write label volumes for Slicer, Avizo, Dragonfly and ImageJ."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_fossiledit.errors import InputError
from napari_fossiledit.io import atomic, write_label_slices
from napari_fossiledit.progress import Progress, Task, run
from napari_fossiledit.volume.slices import check_size, check_volume, iter_slices

__all__ = ["write_volume", "write_volume_task"]

_FASTER = 4  # gzip's level: labels shrink a hundredfold at any


def write_volume(path: str | Path, labels: Any, voxel_size: Sequence[float]) -> None:
    """Write a label volume with its physical size, atomically.

    Parameters
    ----------
    path : path
        ``.nrrd`` (3D Slicer, Dragonfly, Avizo; compressed; uint16 where the ids fit, else int32)
        or ``.tif`` (int32).
    labels : (z, y, x) integer: numpy, dask, zarr, or `io.LabelStore`
        Read slice by slice; for ``.nrrd`` twice.
    voxel_size : (z, y, x) in mm

    Raises
    ------
    InputError
        Another suffix, or what `measure` raises.
    OutputError
        See `io.atomic`.

    Notes
    -----
    NRRD's axes are x, y, z, with x (columns) running fastest; its space directions are the
    voxel's size in mm, and its origin, the centre of the first voxel, is 0: the meshes of
    `write_mesh` lie exactly in it.
    """
    run(write_volume_task(path, labels, voxel_size))


def write_volume_task(path: str | Path, labels: Any, voxel_size: Sequence[float]) -> Task[None]:
    """`write_volume` as a task: one `Progress` a slice."""
    path = Path(path)
    size = check_size(voxel_size)
    shape = check_volume(labels)
    suffix = path.suffix.lower()
    if suffix == ".nrrd":
        yield from _nrrd_task(path, labels, shape, size)
    elif suffix in {".tif", ".tiff"}:
        yield Progress(0, shape[0], f"Writing {path.name}")
        planes = (plane for _, plane in iter_slices(labels))
        write_label_slices(path, planes, shape, voxel_size=size)
    else:
        raise InputError(f"Label volumes are written as .nrrd or .tif, not as {path.name}.")


def _nrrd_task(
    path: Path, labels: Any, shape: tuple[int, int, int], size: tuple[float, float, float]
) -> Task[None]:
    count = shape[0]
    largest = 0
    for z, plane in iter_slices(labels):
        largest = max(largest, int(plane.max(initial=0)))
        yield Progress(z + 1, 2 * count, f"Looking at slice {z + 1}")
    dtype = np.dtype("<u2" if largest <= np.iinfo(np.uint16).max else "<i4")
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(_nrrd_header(shape, size, dtype))
        # No name and no time within: the same labels give the same bytes.
        with gzip.GzipFile("", "wb", _FASTER, file, mtime=0) as packed:
            for z, plane in iter_slices(labels):
                packed.write(np.ascontiguousarray(plane, dtype).data)
                yield Progress(count + z + 1, 2 * count, f"Writing slice {z + 1}")


def _nrrd_header(
    shape: tuple[int, int, int], size: tuple[float, float, float], dtype: np.dtype[Any]
) -> bytes:
    z, y, x = size
    lines = [
        "NRRD0005",
        "# x, y, z = columns, rows, slices; mm",
        f"type: {'uint16' if dtype.itemsize == 2 else 'int32'}",
        "dimension: 3",
        # Slicer's own frame for files that name none: so its models and this volume coincide.
        "space: left-posterior-superior",
        "sizes: {2} {1} {0}".format(*shape),
        f"space directions: ({x!r},0,0) (0,{y!r},0) (0,0,{z!r})",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        'space units: "mm" "mm" "mm"',
        "space origin: (0,0,0)",
    ]
    return ("\n".join(lines) + "\n\n").encode("ascii")
