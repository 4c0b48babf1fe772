"""Label volumes of every kind, read slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.files import label_files
from napari_fossiledit.io.images import TIFF_SUFFIXES
from napari_fossiledit.io.label_store import LabelStore, is_store
from napari_fossiledit.io.labels import as_labels, read_label_file
from napari_fossiledit.io.slices import Slices
from napari_fossiledit.io.voxels import checked_voxel_size, voxel_size_of
from napari_fossiledit.io.zarr_files import is_zarr

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["LabelVolume", "open_labels"]

VoxelSize = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class LabelVolume:
    """Labels (z, y, x), read when they are needed.

    Attributes
    ----------
    slices : array-like (z, y, x) int32
        For viewers; it reads a slice when it is indexed.
    names : list of str, length z
    voxel_size : (z, y, x) in mm, or None
    notes : tuple of str
        What the user should know, e.g. how many slices are done.
    store : LabelStore or None
        The store that it lies in, with its tables.
    """

    slices: Slices
    names: list[str]
    voxel_size: VoxelSize | None = None
    notes: tuple[str, ...] = ()
    store: LabelStore | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        z, y, x = self.slices.shape
        return z, y, x

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, z: int) -> NDArray[np.int32]:
        """One slice, (y, x) int32.

        Raises
        ------
        InputError
            It is damaged, not done yet, or holds what are no labels.
        IndexError
        """
        if not -len(self) <= z < len(self):
            raise IndexError(z)
        if self.store is not None:
            return self.store[z]
        return self.slices.slice(int(z) % len(self))

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[z] for z in range(len(self)))

    def lazy(self) -> da.Array:
        """The volume as a dask array (z, y, x) int32, one chunk a slice."""
        import dask.array as da

        chunks = (1, *self.shape[1:])
        empty = np.empty((0, 0, 0), np.int32)
        return da.from_array(self.slices, chunks=chunks, name=False, asarray=False, meta=empty)


def open_labels(
    path: str | Path, *, whole: bool = True, voxel_size: Sequence[float] | None = None
) -> LabelVolume:
    """Open labels without reading their pixels.

    Parameters
    ----------
    path : path
        A result of this program (`LabelStore`), an OME-Zarr or plain zarr of labels (or an
        OME-Zarr image with one volume of labels inside), a TIFF of one or many pages, a PNG, or a
        folder of TIFFs or PNGs in natural order.
    whole : bool
        Refuse a result that is not finished; else its missing slices are background, and this is
        noted.
    voxel_size : (z, y, x) in mm, optional
        Instead of what the files say.

    Raises
    ------
    InputError
        Nothing to read, an unfinished result, a voxel size that is not above 0. What are no labels
        is refused when its slice is read.
    """
    path = Path(path)
    given = None if voxel_size is None else checked_voxel_size(voxel_size)
    if not path.exists():
        raise InputError(f"There are no labels {path}: check the name.")
    if is_store(path):
        return _of_store(LabelStore.open(path, whole=whole), given)
    if is_zarr(path):
        return _of_zarr(path, given, whole)
    if path.is_dir():
        return _of_folder(path, given)
    if path.suffix.lower() in TIFF_SUFFIXES:
        return _of_tiff(path, given)
    labels = read_label_file(path)
    slices = Slices(lambda _: labels.copy(), (1, *labels.shape), np.int32)
    return LabelVolume(slices, [path.stem], given or voxel_size_of(path))


def _of_store(store: LabelStore, given: VoxelSize | None) -> LabelVolume:
    notes = []
    if not store.complete:
        notes.append(f"{store.path.name} is unfinished: {store.state}, the others are background")
    failed = store.problems()
    if failed:
        first = next(iter(failed.values()))
        notes.append(f"{len(failed)} slices of {store.path.name} could not be made ({first})")

    slices = store.for_viewer()
    return LabelVolume(slices, store.names, given or store.voxel_size, tuple(notes), store)


def _of_zarr(path: Path, given: VoxelSize | None, whole: bool) -> LabelVolume:
    from napari_fossiledit.io.stack_zarr import slice_reader
    from napari_fossiledit.io.zarr_files import labels_inside, open_zarr

    inner = labels_inside(path)
    if inner is not None:
        return open_labels(inner, whole=whole, voxel_size=given)
    volume = open_zarr(path)
    if volume.length("c") != 1:
        raise InputError(
            f"{path} has {volume.length('c')} channels, so it holds no labels: choose the labels."
        )
    stem = path.name.removesuffix(".zarr").removesuffix(".ome")
    raw = slice_reader(volume)

    def read(z: int) -> NDArray[Any]:
        array = raw(z)
        return array[..., 0] if array.ndim == 3 else array

    size = (volume.length("z"), volume.length("y"), volume.length("x"))
    return _checked(read, size, stem, given or volume.voxel_size or voxel_size_of(path))


def _of_tiff(path: Path, given: VoxelSize | None) -> LabelVolume:
    from napari_fossiledit.io.stack_tiff import tiff_source

    source = tiff_source(path)
    size = (len(source.names), *source.size)
    made = _checked(lambda z: source.raw(z)[0], size, path.name, given or voxel_size_of(path))
    return LabelVolume(made.slices, source.names, made.voxel_size, tuple(source.notes))


def _of_folder(path: Path, given: VoxelSize | None) -> LabelVolume:
    files = label_files(path)
    first = read_label_file(files[0])
    if first.ndim != 2:
        raise InputError(
            f"{files[0].name} has {len(first)} pages and lies in a folder: open the file itself."
        )

    def read(z: int) -> NDArray[Any]:
        labels = read_label_file(files[z])
        if labels.shape != first.shape:
            raise InputError(
                f"The labels {files[z].name} have {' x '.join(map(str, labels.shape))} pixels, but "
                f"{files[0].name} {' x '.join(map(str, first.shape))}: all labels of a stack must "
                "be of one size."
            )
        return labels

    size = (len(files), *first.shape)
    made = _checked(read, size, path.name, given or voxel_size_of(path))
    return LabelVolume(made.slices, [f.stem for f in files], made.voxel_size)


def _checked(
    read: Callable[[int], NDArray[Any]],
    shape: tuple[int, ...],
    name: str,
    voxel_size: VoxelSize | None,
) -> LabelVolume:
    """Slices that are looked at for what is no label whenever one is read."""
    digits = max(4, len(str(shape[0])))
    names = [f"{name}_{z:0{digits}d}" for z in range(shape[0])]

    def checked(z: int) -> NDArray[np.int32]:
        return as_labels(read(z), name=name if len(names) == 1 else f"{name}, slice {z}")

    return LabelVolume(Slices(checked, shape, np.int32), names, voxel_size)
