"""Stacks of slices: a folder of images, a TIFF, a zarr, or a single image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.images import TIFF_SUFFIXES, read_array, to_rgb8, value_range
from napari_fossiledit.io.slices import BrowsedSlices, Slices
from napari_fossiledit.io.source import Source
from napari_fossiledit.io.voxels import checked_voxel_size, voxel_size_of

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["Stack", "open_stack", "slice_index"]

VoxelSize = tuple[float, float, float]
_TRIED = 8  # slices that are read in search of one that tells how values are to be scaled


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices of one specimen of rock, read when they are needed.

    Attributes
    ----------
    images : (z, y, x, 3) uint8
        A dask array with one chunk a slice.
    names : list of str, length z
        The file's stem, or the TIFF's stem and the page's number.
    voxel_size : (z, y, x) in mm, or None
        As the files say, or as it was given to `open_stack`.
    notes : tuple of str
        Conversions, gaps in the numbering, files left out, slices that cannot be read: in plain
        words.
    """

    images: da.Array | NDArray[np.uint8]
    names: list[str]
    voxel_size: VoxelSize | None = None
    notes: tuple[str, ...] = ()
    slices: Slices | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One slice, (y, x, 3) uint8, read now.

        Raises
        ------
        InputError
            It cannot be read; the sentence names it. The other slices can be read all the same.
        IndexError
        """
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        source: Any = self.images if self.slices is None else self.slices
        return np.asarray(source[index], dtype=np.uint8)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[i] for i in range(len(self)))

    def index(self, name: str) -> int:
        """Place of a slice given by its name, or by its number counted from 0."""
        return slice_index(self.names, name)

    def for_viewer(self) -> Slices | NDArray[np.uint8] | da.Array:
        """The stack as an array (z, y, x, 3) for a viewer's layer: the next slices are read ahead.

        It holds up to 256 MB of slices.
        """
        if self.slices is None:
            return self.images
        return BrowsedSlices(self.slices.slice, self.slices.shape, np.uint8)


def slice_index(names: Sequence[str], name: str) -> int:
    """Place of ``name`` in ``names``: the name itself (with or without suffix), or a number.

    Raises
    ------
    InputError
    """
    for wanted in (name, Path(name).stem):
        if wanted in names:
            return list(names).index(wanted)
    if re.fullmatch(r"\d+", name) and int(name) < len(names):
        return int(name)
    raise InputError(
        f"There is no slice {name}: give a number from 0 to {len(names) - 1} or a name "
        f"such as {names[0]}."
    )


def open_stack(path: str | Path, *, voxel_size: Sequence[float] | None = None) -> Stack:
    """Open a stack without reading its pixels.

    Parameters
    ----------
    path : path
        A folder of PNG, JPEG or TIFF slices (natural order), a TIFF of one or many pages, an
        OME-Zarr image (0.4 or 0.5, its finest level) or a plain zarr array, or a single image.
    voxel_size : (z, y, x) in mm, optional
        Instead of what the files say.

    Raises
    ------
    InputError
        Nothing to read, slices of different sizes (the slice is named), a voxel size that is not
        above 0. A slice that is damaged is noted where its header tells, and else refused when it
        is read, as are values that are not numbers.
    """
    path = Path(path)
    given = None if voxel_size is None else checked_voxel_size(voxel_size)
    if not path.exists():
        raise InputError(f"There is no stack {path}: check the name.")
    return _assembled(_source(path), given)


def _source(path: Path) -> Source:
    from napari_fossiledit.io.zarr_files import is_zarr

    if is_zarr(path):
        from napari_fossiledit.io.stack_zarr import zarr_source

        return zarr_source(path)
    if path.is_dir():
        from napari_fossiledit.io.stack_folder import folder_source

        return folder_source(path)
    if path.suffix.lower() in TIFF_SUFFIXES:
        from napari_fossiledit.io.stack_tiff import tiff_source

        return tiff_source(path)
    array, notes = read_array(path)
    size = to_rgb8(array, name=path.name).image.shape[:2]
    return Source(lambda _: (array.copy(), notes), [path.stem], size, place=path)


def _assembled(source: Source, given: VoxelSize | None) -> Stack:
    """Make a stack whose slices are read and converted one by one, those of a kind alike."""
    import dask.array as da

    ranges, said = _ranges(source)
    names, size = source.names, tuple(source.size)

    def read(i: int) -> NDArray[np.uint8]:
        array, _ = source.raw(i)
        name = f"slice {names[i]}"
        image = to_rgb8(array, name=name, values=ranges.get(str(array.dtype))).image
        if image.shape[:2] != size:
            raise InputError(
                f"Slice {names[i]} has {image.shape[0]} x {image.shape[1]} pixels, "
                f"but the first slice {size[0]} x {size[1]}."
            )
        return image

    shape = (len(names), *size, 3)
    slices = Slices(read, shape, np.uint8)
    # Without a name, dask would hash what it cannot.
    images = da.from_array(slices, chunks=(1, *shape[1:]), name=False, asarray=False, meta=_META)
    voxel_size = given or source.voxel_size or voxel_size_of(source.place)
    notes = tuple(f"Images are {note}" for note in said) + tuple(source.notes)
    return Stack(images, names, voxel_size, notes, slices)


_META = np.empty((0, 0, 0, 0), np.uint8)


def _ranges(source: Source) -> tuple[dict[str, tuple[float, float]], tuple[str, ...]]:
    """Scaling of each dtype that needs one, and the conversion's notes.

    From the first, middle and last slice that can be read of every kind that the headers tell.
    """
    extents: dict[str, list[NDArray[Any]]] = {}
    firsts: dict[str, tuple[NDArray[Any], tuple[str, ...], str]] = {}
    problem: InputError | None = None
    for places in _by_kind(source):
        several = 1
        for i in _to_try(places):
            try:
                array, notes = source.raw(i)
                scaling = value_range(array, f"slice {source.names[i]}")
            except InputError as error:
                problem = problem or error
                continue
            key = str(array.dtype)
            firsts.setdefault(key, (array, notes, source.names[i]))
            if scaling is None:
                break
            extents.setdefault(key, []).append(np.array([array.min(), array.max()]))
            several += 1
            if several > 3:
                break
    if not firsts and problem is not None:
        raise problem
    ranges = {}
    for key, found in extents.items():
        values = value_range(np.concatenate(found))
        if values is not None:
            ranges[key] = values
    said: list[str] = []
    for key, (array, notes, name) in firsts.items():
        converted = to_rgb8(array, name=f"slice {name}", values=ranges.get(key))
        said += [note for note in (*notes, *converted.notes) if note not in said]
    return ranges, tuple(said)


def _by_kind(source: Source) -> list[list[int]]:
    kinds = source.kinds or [""] * len(source.names)
    groups: dict[str, list[int]] = {}
    for i, kind in enumerate(kinds):
        if kind is not None:  # None: not even its header could be read
            groups.setdefault(kind, []).append(i)
    return list(groups.values())


def _to_try(places: Sequence[int]) -> list[int]:
    """First, middle and last of some slices, then a few others."""
    chosen = [places[0], places[len(places) // 2], places[-1], *places[1:_TRIED]]
    return list(dict.fromkeys(chosen))
