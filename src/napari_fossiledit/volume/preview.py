"""Make a label volume small enough to turn in 3D."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["preview"]

# Voxels longer than this times their width show as steps; closer to 1 costs detail.
_LONGEST = 2.0


def preview(
    labels: NDArray[np.integer] | da.Array, scale: Sequence[float], max_axis: int = 512
) -> tuple[NDArray[np.int32], tuple[float, float, float]]:
    """Downsample labels by whole factors, for a look in 3D.

    Parameters
    ----------
    labels : (z, y, x) integer, numpy or dask
    scale : (z, y, x)
        Size of a voxel, in any unit.
    max_axis : int
        Most voxels along any axis of the result.

    Returns
    -------
    labels : (z, y, x) int32
        Every n-th voxel, so that no label is invented and volumes are kept on average; things
        thinner than the new voxel may vanish.
    scale : (z, y, x)
        Size of the new voxel, its sides within a factor of two of each other where the volume
        allows it. Voxel (0, 0, 0) keeps its centre, so a layer with this scale and the original
        translation lies exactly on the original.

    Raises
    ------
    InputError
    """
    sizes = [float(s) for s in scale]
    if labels.ndim != 3 or len(sizes) != 3:
        raise InputError("A 3D preview needs labels with three axes (z, y, x) and three sizes.")
    if min(sizes) <= 0 or max_axis < 1:
        raise InputError("The size of a voxel and the longest axis must be above 0.")
    factors = [max(1, ceil(n / max_axis)) for n in labels.shape]
    coarsest = max(f * s for f, s in zip(factors, sizes, strict=True))
    for axis, size in enumerate(sizes):
        # The smallest factor that brings this side within the bound, if the axis is long enough.
        wanted = ceil(coarsest / (_LONGEST * size) - 1e-9)
        factors[axis] = max(factors[axis], min(wanted, labels.shape[axis]))
    small = labels[:: factors[0], :: factors[1], :: factors[2]]
    z, y, x = (f * s for f, s in zip(factors, sizes, strict=True))
    return np.asarray(small).astype(np.int32), (z, y, x)
