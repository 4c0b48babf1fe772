"""Writers for napari: a Labels layer as OME-Zarr, TIFF or NRRD, with its size in mm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit import io

__all__ = ["voxel_size_in_mm", "write_labels"]


def write_labels(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Write a Labels layer.

    Parameters
    ----------
    path : str
        ``.ome.zarr`` (or ``.zarr``), ``.tif`` or ``.tiff``.
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
    InputError
        Labels above 2,147,483,647, or a zarr that is there already.
    OutputError
        It cannot be written.
    """
    target = Path(path)
    size = voxel_size_in_mm(meta)
    flat = data.ndim == 2
    z, y, x = (1, *data.shape) if flat else data.shape

    def slices() -> Iterator[NDArray[Any]]:
        return (np.asarray(data if flat else data[i]) for i in range(z))

    if target.suffix.lower() != ".zarr":
        io.write_label_slices(target, slices(), (z, y, x), voxel_size=size)
        return [path]
    about = {"kind": "labels", "layer": str(meta.get("name", ""))}
    store = io.LabelStore.create(target, shape=(z, y, x), voxel_size=size, about=about)
    for i, labels in enumerate(slices()):
        store.write(i, labels)
    store.finish()
    return [path]


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
