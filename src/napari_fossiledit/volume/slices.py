"""Read a label volume slice by slice, whatever holds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import checkpoint

__all__ = ["check_size", "check_volume", "iter_slices"]

_BLOCK = 2**28  # bytes of one read, where a chunk holds several slices
_LARGEST = np.iinfo(np.int32).max


def check_size(voxel_size: Sequence[float], what: str = "a voxel") -> tuple[float, float, float]:
    """Return the three lengths as floats.

    Raises
    ------
    InputError
        Not three, or one that is zero, negative, infinite or not a number.
    """
    try:
        sizes = tuple(float(v) for v in voxel_size)
    except (TypeError, ValueError) as error:
        raise InputError(f"The size of {what} must be three numbers (z, y, x).") from error
    if len(sizes) != 3:
        raise InputError(f"The size of {what} must be three numbers (z, y, x), not {len(sizes)}.")
    if not all(0 < v < np.inf for v in sizes):
        shown = ", ".join(f"{v:g}" for v in sizes)
        raise InputError(
            f"The size of {what} must be above 0 along every axis, not {shown}: set it first."
        )
    return sizes


def check_volume(labels: Any) -> tuple[int, int, int]:
    """Return the shape of a label volume.

    Raises
    ------
    InputError
        Other axes than (z, y, x), values that are no whole numbers, or a store whose slices are
        not all done.
    """
    shape = tuple(int(n) for n in labels.shape)
    if len(shape) != 3:
        raise InputError(
            f"Labels of whole specimens have three axes (z, y, x), not {len(shape)}: open the "
            "whole stack of labels."
        )
    kind = getattr(labels, "dtype", np.dtype(np.int32)).kind
    if kind not in "uib":
        raise InputError(f"Labels must be whole numbers, not {labels.dtype}: convert them first.")
    if getattr(labels, "complete", True) is False:
        raise InputError(
            f"These labels are unfinished, {labels.state}: run what makes them once more; it goes "
            "on where it was."
        )
    return shape


def iter_slices(
    labels: Any, first: int = 0, last: int | None = None
) -> Iterator[tuple[int, NDArray[np.integer]]]:
    """Yield number and (y, x) labels of the slices ``first`` to ``last`` (inclusive).

    Parameters
    ----------
    labels : (z, y, x) integer: numpy, dask, zarr, or `io.LabelStore`
        Read slice by slice; where a chunk on disk holds several slices, as many of them at once
        as 256 MB hold, so that chunks are not read anew for every slice.

    Raises
    ------
    InputError
        A slice with negative labels, or above 2^31 - 1.
    """
    end = labels.shape[0] if last is None else last + 1
    step = _chunk_depth(labels)
    at = first
    while at < end:
        checkpoint()
        # Reads begin and end at borders of chunks.
        stop = min(end, (at // step + 1) * step)
        block = labels[at] if stop == at + 1 else labels[at:stop]
        block = np.asarray(block).reshape(stop - at, *labels.shape[1:])
        for z in range(at, stop):
            yield z, _checked(block[z - at], z)
        at = stop


def _chunk_depth(labels: Any) -> int:
    """How many slices to read at once."""
    chunks = getattr(labels, "chunks", None)
    if not chunks:
        return 1
    first = chunks[0]
    # zarr has one number an axis; dask all chunks' sizes, which may differ.
    sizes = {first} if isinstance(first, int) else set(first[:-1]) or set(first)
    depth = int(max(sizes)) if len(sizes) == 1 else 1
    plane = int(np.prod(labels.shape[1:])) * int(labels.dtype.itemsize)
    return max(1, min(depth, _BLOCK // max(1, plane)))


def _checked(plane: NDArray[Any], z: int) -> NDArray[np.integer]:
    if plane.dtype.kind == "b":
        return plane.astype(np.uint8)
    if plane.size and plane.dtype.kind == "i" and plane.min() < 0:
        raise InputError(f"Slice {z} has negative labels: 0 is background, others are above.")
    if plane.size and plane.dtype.itemsize > 4 and plane.max() > _LARGEST:
        raise InputError(
            f"Slice {z} has labels above {_LARGEST}, more than a label layer can hold: number "
            "the specimens anew."
        )
    return plane
