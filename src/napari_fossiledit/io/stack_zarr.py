"""Stacks in zarr folders."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.source import Source
from napari_fossiledit.io.zarr_files import ZarrVolume, open_zarr

__all__ = ["slice_reader", "zarr_source"]

_MOST = 256 << 20  # bytes of a block of slices that is kept


def zarr_source(path: Path) -> Source:
    """Slices of an OME-Zarr image or a plain zarr array.

    Raises
    ------
    InputError
        See `open_zarr`; or it holds labels.
    """
    volume = open_zarr(path)
    if volume.labels:
        raise InputError(
            f"{path} holds labels, not photographs: choose the stack, or open it as labels."
        )
    count = volume.length("z")
    digits = max(4, len(str(count)))
    stem = path.name.removesuffix(".zarr").removesuffix(".ome")
    names = [stem] if count == 1 else [f"{stem}_{i:0{digits}d}" for i in range(count)]
    read = slice_reader(volume)

    def raw(i: int) -> tuple[NDArray[Any], tuple[str, ...]]:
        return read(i), ()

    notes = []
    if volume.voxel_size is None and volume.path.parent != path:
        notes.append(f"{path.name} tells no unit of its voxel size")
    size = (volume.length("y"), volume.length("x"))
    return Source(raw, names, size, path, volume.voxel_size, notes)


def slice_reader(volume: ZarrVolume) -> Callable[[int], NDArray[Any]]:
    """A function that reads a slice, and does not decode a deep chunk once for each of its slices.

    Where chunks hold several slices, those of the last chunk read are kept, up to 256 MB.
    """
    depth = int(volume.array.chunks[volume.axes.index("z")]) if "z" in volume.axes else 1
    one = volume.array.dtype.itemsize
    for axis in "yxc":
        one *= volume.length(axis)
    if depth == 1 or depth * one > _MOST:
        return volume.read
    return _Blocks(volume, depth).read


class _Blocks:
    def __init__(self, volume: ZarrVolume, depth: int) -> None:
        self.volume, self.depth = volume, depth
        self.lock = threading.Lock()
        self.number = -1
        self.block: list[NDArray[Any]] = []

    def read(self, z: int) -> NDArray[Any]:
        number = z // self.depth
        with self.lock:
            if number != self.number:
                first = number * self.depth
                last = min(first + self.depth, self.volume.length("z"))
                self.block = self.volume.read_block(first, last)
                self.number = number
            return np.array(self.block[z - number * self.depth])
