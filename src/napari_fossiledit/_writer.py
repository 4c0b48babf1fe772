"""Writers for napari: a Labels layer as OME-Zarr, TIFF or NRRD, with its size in mm."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit import io
from napari_fossiledit.errors import InputError, OutputError

__all__ = ["voxel_size_in_mm", "write_labels"]


def write_labels(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Write a Labels layer.

    Parameters
    ----------
    path : str
        ``.ome.zarr`` (or ``.zarr``), ``.tif`` or ``.tiff``, or ``.nrrd`` for 3D Slicer, Avizo and
        Dragonfly.
    data : (z, y, x) or (y, x) integer array
        Read slice by slice.
    meta : mapping
        napari's: name, scale, units.

    Returns
    -------
    list of str
        The path, as napari wants it.

    Raises
    ------
    OutputError
        It cannot be written: labels above 2,147,483,647, a zarr that is there already, NRRD of a
        layer whose units are no lengths, a full disk...
    """
    try:
        _write(Path(path), data, meta)
    except InputError as error:
        # As a ValueError, napari would take it for "no writer found", without the sentence.
        raise OutputError(str(error)) from error
    return [path]


def _write(target: Path, data: Any, meta: Mapping[str, Any]) -> None:
    size = voxel_size_in_mm(meta)
    volume = data[None] if data.ndim == 2 else data
    z, y, x = volume.shape
    suffix = target.suffix.lower()
    if suffix == ".nrrd":
        _write_nrrd(target, volume, size)
        return
    slices: Iterator[NDArray[Any]] = (np.asarray(volume[i]) for i in range(z))
    if suffix != ".zarr":
        io.write_label_slices(target, slices, (z, y, x), voxel_size=size)
        return
    about = {"kind": "labels", "layer": str(meta.get("name", ""))}
    store = io.LabelStore.create(target, shape=(z, y, x), voxel_size=size, about=about)
    try:
        for i, labels in enumerate(slices):
            store.write(i, labels)
        store.finish()
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)  # ours alone: nothing was there before
        raise


def _write_nrrd(path: Path, data: Any, size: tuple[float, float, float] | None) -> None:
    from napari_fossiledit.volume import write_volume

    if size is None:
        raise InputError(
            f"{path.name} needs the voxel size in mm: set it on the page Stack and labels first."
        )
    write_volume(path, data, size)


def voxel_size_in_mm(meta: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Voxel size (z, y, x) of a layer in mm; None where its units are no lengths.

    A flat layer's slice is taken to be as thick as its pixels are high.
    """
    scale = [float(v) for v in meta.get("scale", ())]
    units = list(meta.get("units") or ())
    factors = [io.mm_per(unit) for unit in units]
    if len(scale) not in {2, 3} or len(factors) != len(scale):
        return None
    sizes = [s * f for s, f in zip(scale, factors, strict=True) if f is not None]
    if len(sizes) != len(scale) or not all(0 < s < float("inf") for s in sizes):
        return None
    z, y, x = sizes if len(sizes) == 3 else (sizes[0], *sizes)
    return z, y, x
