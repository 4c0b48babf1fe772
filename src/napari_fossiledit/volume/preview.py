"""Make a label volume small enough to turn in 3D."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, run
from napari_fossiledit.volume.sections import runs
from napari_fossiledit.volume.slices import check_size, check_volume, iter_slices

__all__ = ["preview", "preview_task"]

# Voxels longer than this times their width show as steps; closer to 1 costs detail.
_LONGEST = 2.0
_TEXTURE = 2048  # what graphics cards take along an axis in 3D
_AROUND = 2  # voxels within which a free place is sought for a small specimen

Place = tuple[int, int, int]


def preview(
    labels: Any, scale: Sequence[float], max_axis: int = 512
) -> tuple[NDArray[np.int32], tuple[float, float, float]]:
    """Downsample labels by whole factors, for a look in 3D.

    Parameters
    ----------
    labels : (z, y, x) integer: numpy, dask, zarr, or `io.LabelStore`
        Read slice by slice; beside the result, one slice is held.
    scale : (z, y, x)
        Size of a voxel, in any unit.
    max_axis : int
        Most voxels along any axis of the result, up to 2048.

    Returns
    -------
    labels : (z, y, x) int32
        Every n-th voxel, so that no label is invented and volumes are kept on average. A specimen
        that lies between these voxels gets the one next to the middle of its largest section, or
        a free one close by, so that none vanishes while there is room.
    scale : (z, y, x)
        Size of the new voxel, its sides within a factor of two of each other where the volume
        allows it. Voxel (0, 0, 0) keeps its centre, so a layer with this scale and the original
        translation lies exactly on the original.

    Raises
    ------
    InputError
        Other axes, a size that is not above 0, negative labels, or slices that are not done.
    """
    return run(preview_task(labels, scale, max_axis))


def preview_task(
    labels: Any, scale: Sequence[float], max_axis: int = 512
) -> Task[tuple[NDArray[np.int32], tuple[float, float, float]]]:
    """`preview` as a task: one `Progress` a slice."""
    sizes = check_size(scale)
    shape = check_volume(labels)
    if max_axis < 1:
        raise InputError("The longest axis of a 3D preview must be 1 or more.")
    factors = _factors(shape, sizes, min(max_axis, _TEXTURE))
    fz, fy, fx = factors
    small = np.zeros([ceil(n / f) for n, f in zip(shape, factors, strict=True)], np.int32)
    between = _Between(factors)
    for z, plane in iter_slices(labels):
        if z % fz == 0:
            small[z // fz] = plane[::fy, ::fx]
            between.seen(small[z // fz])
        if factors != (1, 1, 1):
            between.add(plane, z)
        yield Progress(z + 1, shape[0], f"Making slice {z + 1} smaller")
    between.put_into(small)
    z_size, y_size, x_size = (f * s for f, s in zip(factors, sizes, strict=True))
    return small, (z_size, y_size, x_size)


def _factors(
    shape: tuple[int, int, int], sizes: tuple[float, float, float], max_axis: int
) -> tuple[int, int, int]:
    factors = [max(1, ceil(n / max_axis)) for n in shape]
    coarsest = max(f * s for f, s in zip(factors, sizes, strict=True))
    for axis, size in enumerate(sizes):
        # The smallest factor that brings this side within the bound, if the axis is long enough.
        wanted = ceil(coarsest / (_LONGEST * size) - 1e-9)
        factors[axis] = max(factors[axis], min(wanted, shape[axis]))
    return factors[0], factors[1], factors[2]


class _Between:
    """Specimens that no voxel of the preview has hit so far, and where they lie."""

    def __init__(self, factors: Place) -> None:
        self._factors = factors
        self._hit = np.zeros(0, np.int64)
        self._places: dict[int, tuple[int, Place]] = {}  # id -> area of its section, a pixel in it

    def seen(self, plane: NDArray[np.int32]) -> None:
        """Note the specimens that a slice of the preview shows."""
        new = np.setdiff1d(plane[plane != 0], self._hit)
        if len(new):
            self._hit = np.union1d(self._hit, new)
            for i in new.tolist():
                self._places.pop(i, None)

    def add(self, plane: NDArray[np.integer], z: int) -> None:
        """Look in a slice for specimens that are not shown yet."""
        value, row, start, stop = runs(plane)
        wanted = ~np.isin(value, self._hit)
        value, row, start, stop = (a[wanted] for a in (value, row, start, stop))
        for i in np.unique(value).tolist():
            own = value == i
            length = (stop - start)[own]
            area, longest = int(length.sum()), int(length.argmax())
            if area > self._places.get(i, (0,))[0]:
                y, x = int(row[own][longest]), int((start + stop)[own][longest] - 1) // 2
                self._places[i] = (area, (z, y, x))

    def put_into(self, small: NDArray[np.int32]) -> None:
        """Give each of them a voxel: the largest first."""
        if not self._places:
            return
        ids, counts = np.unique(small[small != 0], return_counts=True)
        left = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        for i, (_, place) in sorted(self._places.items(), key=lambda item: (-item[1][0], item[0])):
            at = self._free(small, place, left)
            if at is not None:
                left[int(small[at])] = left.get(int(small[at]), 0) - 1
                small[at] = i
                left[i] = 1

    def _free(
        self, small: NDArray[np.int32], place: Place, left: dict[int, int]
    ) -> tuple[int, ...] | None:
        """The nearest voxel that is background, else the nearest that its owner can spare."""
        near = [
            min(round(p / f), n - 1)
            for p, f, n in zip(place, self._factors, small.shape, strict=True)
        ]
        reach = range(-_AROUND, _AROUND + 1)
        spare = None
        for step in sorted(product(reach, repeat=3), key=lambda s: (sum(d * d for d in s), s)):
            at = tuple(n + d for n, d in zip(near, step, strict=True))
            if not all(0 <= a < n for a, n in zip(at, small.shape, strict=True)):
                continue
            owner = int(small[at])
            if owner == 0:
                return at
            if spare is None and left[owner] > 1:
                spare = at
        return spare
