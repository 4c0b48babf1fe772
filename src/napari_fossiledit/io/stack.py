"""Stacks of slices: a folder of images, a TIFF of one or many pages, or a single image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.files import gaps, image_files
from napari_fossiledit.io.images import (
    IMAGE_SUFFIXES,
    TIFF_SUFFIXES,
    read_array,
    refuse_codec,
    to_rgb8,
    value_range,
)
from napari_fossiledit.io.voxels import voxel_size_of

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["Stack", "open_stack"]

_MOST_CHANNELS = 4


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
        As the files say.
    notes : tuple of str
        Conversions, gaps in the numbering, files left out: in plain words.
    """

    images: da.Array | NDArray[np.uint8]
    names: list[str]
    voxel_size: tuple[float, float, float] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One slice, (y, x, 3) uint8, read now."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return np.asarray(self.images[index], dtype=np.uint8)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[i] for i in range(len(self)))

    def index(self, name: str) -> int:
        """Place of a slice given by its name, or by its number counted from 0."""
        return slice_index(self.names, name)


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


def open_stack(path: str | Path) -> Stack:
    """Open a stack without reading its pixels.

    Parameters
    ----------
    path : path
        A folder of PNG, JPEG or TIFF slices (natural order), a TIFF of one or many pages, or a
        single image.

    Raises
    ------
    InputError
        Nothing to read, slices of different sizes (the slice is named), damaged files. Values
        that are not numbers are refused when their slice is read.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no stack {path}: check the name.")
    if path.is_dir():
        return _open_folder(path)
    if path.suffix.lower() in TIFF_SUFFIXES:
        return _open_tiff(path)
    array, notes = read_array(path)
    converted = to_rgb8(array, name=path.name)
    notes += converted.notes
    return Stack(_one_block(converted.image), [path.stem], voxel_size_of(path), _prefixed(notes))


def _open_folder(folder: Path) -> Stack:
    files, labels = image_files(folder)
    many = [f for f in files if f.suffix.lower() in TIFF_SUFFIXES and _page_count(f) > 1]
    if many:
        if len(files) == 1:
            return _open_tiff(files[0])
        raise InputError(
            f"{many[0].name} has several pages and lies among other images: "
            "open the file itself, or save its pages one by one."
        )
    _refuse_other_sizes(files)
    notes: list[str] = []
    if labels:
        some = labels[0].name + (f" and {len(labels) - 1} more" if len(labels) > 1 else "")
        notes.append(f"Label files among the images ({some}) are left out of the stack")
    gap = gaps([f.stem for f in files])
    if gap:
        notes.append(gap)

    def read(i: int) -> tuple[NDArray[Any], tuple[str, ...]]:
        return read_array(files[i])

    names = _unique([f.stem for f in files], [f.name for f in files])
    size = _size(files[0])
    return _lazy(read, names, size, voxel_size_of(folder), notes)


def _open_tiff(path: Path) -> Stack:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            shape, axes = tuple(file.series[0].shape), file.series[0].axes
            sizes = {page.shape[:2] for page in file.pages} if len(file.series) > 1 else set()
    except PermissionError as error:
        raise InputError(f"{path} may not be read: ask its owner for access.") from error
    except Exception as error:  # a damaged TIFF raises nearly anything
        raise InputError(
            f"{path.name} cannot be read as a TIFF: it may be damaged; export it again."
        ) from error
    if len(sizes) > 1:
        raise InputError(f"The pages of {path.name} differ in size: save slices of one size.")
    lead, size = _layout(shape, axes, path)
    count = int(np.prod(lead, dtype=int))
    store = _TiffPages(path, shape, len(lead))
    digits = max(4, len(str(count)))
    names = [path.stem] if count == 1 else [f"{path.stem}_{i:0{digits}d}" for i in range(count)]
    return _lazy(store.read, names, size, voxel_size_of(path), [])


def _layout(shape: tuple[int, ...], axes: str, path: Path) -> tuple[tuple[int, ...], Any]:
    """Leading axes (slices), and rows and columns, of a TIFF's series."""
    # A TIFF's axes are told by its metadata: S are samples (RGB), C channels.
    tail = 2
    if len(shape) > 2 and (axes.endswith("S") or shape[-1] in {3, _MOST_CHANNELS}):
        tail = 3
        size = shape[-3:-1]
    elif len(shape) > 2 and axes.endswith(("CYX", "SYX")) and shape[-3] in {1, 3, 4}:
        tail = 3
        size = shape[-2:]
    else:
        size = shape[-2:]
    lead = shape[:-tail]
    if sum(n > 1 for n in lead) > 1:
        raise InputError(
            f"{path.name} has the axes {' x '.join(map(str, shape))}: a stack has (z, y, x) or "
            "(z, y, x, 3); save one channel and one time point."
        )
    return lead, size


class _TiffPages:
    """Slices of a TIFF, read page by page."""

    def __init__(self, path: Path, shape: tuple[int, ...], leading: int) -> None:
        self.path = path
        self.count = int(np.prod(shape[:leading], dtype=int))
        self.shape = shape[leading:]

    def read(self, i: int) -> tuple[NDArray[Any], tuple[str, ...]]:
        import tifffile

        try:
            with tifffile.TiffFile(self.path) as file:
                pages = len(file.series[0].pages)
                per_slice = pages // self.count
                if per_slice == 0 or pages % self.count:
                    # One "page" holds all slices (ImageJ's large files): map it, read one slice.
                    whole = np.asarray(tifffile.memmap(self.path, mode="r"))
                    block = whole.reshape(self.count, *self.shape)[i]
                else:
                    key = range(i * per_slice, (i + 1) * per_slice)
                    block = file.asarray(key=key, series=0)
                return np.array(block).reshape(self.shape), ()
        except Exception as error:  # a damaged page raises nearly anything
            refuse_codec(self.path, error)
            raise InputError(
                f"Slice {i} of {self.path.name} cannot be read: the file is damaged; export it "
                "again."
            ) from error


def _lazy(
    read: Any,
    names: list[str],
    size: tuple[int, int],
    voxel_size: tuple[float, float, float] | None,
    notes: list[str],
) -> Stack:
    """Make a stack whose slices are read and converted one by one, all scaled alike."""
    import dask.array as da

    values, said = _common_range(read, names)

    def block(block_info: Any = None) -> NDArray[np.uint8]:
        i = block_info[None]["chunk-location"][0]
        array, _ = read(i)
        image = to_rgb8(array, name=f"slice {names[i]}", values=values).image
        if image.shape[:2] != tuple(size):
            raise InputError(
                f"Slice {names[i]} has {image.shape[0]} x {image.shape[1]} pixels, "
                f"but the first slice {size[0]} x {size[1]}."
            )
        return image[None]

    chunks = ((1,) * len(names), (size[0],), (size[1],), (3,))
    # dask's stubs leave map_blocks untyped.
    images = cast("da.Array", da.map_blocks(block, chunks=chunks, dtype=np.uint8, meta=_META))
    return Stack(images, names, voxel_size, _prefixed(said) + tuple(notes))


_META = np.empty((0, 0, 0, 0), np.uint8)


def _common_range(
    read: Any, names: list[str]
) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Scaling for all slices, from the first, middle and last one, and the conversion's notes."""
    array, notes = read(0)
    values = None
    if array.dtype not in (np.uint8, np.bool_):
        sampled = [array] + [read(i)[0] for i in sorted({len(names) // 2, len(names) - 1} - {0})]
        extents = [
            np.array([a.min(), a.max()])
            for a, i in zip(sampled, (0, len(names) // 2, len(names) - 1), strict=False)
            if value_range(a, f"slice {names[i]}") is not None
        ]
        values = value_range(np.concatenate(extents)) if extents else None
    converted = to_rgb8(array, name=f"slice {names[0]}", values=values)
    return values, notes + converted.notes


def _prefixed(notes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"Images are {note}" for note in notes)


def _one_block(image: NDArray[np.uint8]) -> Any:
    import dask.array as da

    return da.from_array(image[None], chunks=(1, *image.shape))


def _unique(stems: list[str], names: list[str]) -> list[str]:
    return stems if len(set(stems)) == len(stems) else names


def _refuse_other_sizes(files: Sequence[Path]) -> None:
    first = _size(files[0])
    for file in files[1:]:
        size = _size(file)
        if size != first:
            raise InputError(
                f"Slice {file.name} has {size[0]} x {size[1]} pixels, but the first slice "
                f"{files[0].name} {first[0]} x {first[1]}: crop or resize the slices to one size."
            )


def _size(path: Path) -> tuple[int, int]:
    """Rows and columns of an image file, from its header alone."""
    from PIL import Image

    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"{path.name} is not an image.")
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            import tifffile

            with tifffile.TiffFile(path) as file:
                page = file.pages.first
                return int(page.imagelength), int(page.imagewidth)
        with Image.open(path) as image:
            return image.height, image.width
    except Exception as error:  # a damaged header raises nearly anything
        raise InputError(
            f"Slice {path.name} cannot be read: it is damaged or not an image; export it again."
        ) from error


def _page_count(path: Path) -> int:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            shape, axes = tuple(file.series[0].shape), file.series[0].axes
    except Exception:  # said by _size, which names the slice
        return 1
    lead, _ = _layout(shape, axes, path)
    return int(np.prod(lead, dtype=int))
