"""A table of specimens: voxels, volume, extent in depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["measure"]


def measure(
    labels: NDArray[np.integer] | da.Array, voxel_size: Sequence[float]
) -> dict[str, NDArray[Any]]:
    """Measure every specimen of a label volume, by counting voxels.

    Parameters
    ----------
    labels : (z, y, x) integer, numpy or dask, 0 = background
        Read slice by slice.
    voxel_size : (z, y, x) in mm

    Returns
    -------
    dict of columns, one row a specimen in order of ``id`` (as `pandas.DataFrame` takes it)
        ``id``; ``voxels``; ``volume_mm3``; ``z_first`` and ``z_last``, the first and last slice,
        counted from 0; ``slices``, in how many it lies; ``equivalent_diameter_mm``, the diameter
        of the sphere of its volume.

    Raises
    ------
    InputError
        Other axes, negative labels, or a voxel size that is not above 0.
    """
    sizes = [float(v) for v in voxel_size]
    if labels.ndim != 3 or len(sizes) != 3:
        raise InputError("Measuring needs labels with three axes (z, y, x) and a voxel's size.")
    if not all(0 < v < np.inf for v in sizes):
        raise InputError("The voxel's size must be above 0 mm along every axis: set it first.")
    rows: dict[int, list[int]] = {}  # id -> voxels, first, last, slices
    for z in range(labels.shape[0]):
        values, counts = np.unique(np.asarray(labels[z]), return_counts=True)
        if values.size and values[0] < 0:
            raise InputError(f"Slice {z} has negative labels: 0 is background, others are above.")
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            if value:
                row = rows.setdefault(value, [0, z, z, 0])
                row[0] += count
                row[2] = z
                row[3] += 1
    ids = sorted(rows)
    table = np.array([rows[i] for i in ids], np.int64).reshape(-1, 4)
    volume = table[:, 0] * float(np.prod(sizes))
    return {
        "id": np.array(ids, np.int64),
        "voxels": table[:, 0],
        "volume_mm3": volume,
        "z_first": table[:, 1],
        "z_last": table[:, 2],
        "slices": table[:, 3],
        "equivalent_diameter_mm": np.cbrt(6 * volume / np.pi),
    }
