"""TIFFs of one or many pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.headers import tiff_pages
from napari_fossiledit.io.images import refuse_codec
from napari_fossiledit.io.source import Source

__all__ = ["page_count", "tiff_source"]

_MOST_CHANNELS = 4
# Series whose pages lie in the file in the slices' order; OME and others may shuffle them.
_IN_ORDER = {"shaped", "imagej", "uniform", "generic"}


@dataclass(frozen=True)
class _Outline:
    """Shape and pages of a TIFF's series."""

    shape: tuple[int, ...]
    axes: str
    offsets: Sequence[int] = ()
    missing: int = 0
    # Where the pixels begin and what they are, where all lie behind one another as in memory.
    start: int | None = None
    dtype: str = ""


def tiff_source(path: Path) -> Source:
    """Slices of a TIFF.

    Raises
    ------
    InputError
        It is damaged, its pages differ in size, or it has more axes than a stack.
    """
    outline = _outline(path)
    lead, size = _layout(outline.shape, outline.axes, path)
    count = int(np.prod(lead, dtype=int))
    pages = _TiffPages(path, outline, len(lead), count)
    digits = max(4, len(str(count)))
    names = [path.stem] if count == 1 else [f"{path.stem}_{i:0{digits}d}" for i in range(count)]
    notes = []
    if outline.missing:
        notes.append(
            f"{path.name} was cut off: "
            + (
                f"its last {outline.missing} slices are missing"
                if outline.missing > 0
                else "slices after the last one that is shown are missing"
            )
            + "; export it again"
        )
    return Source(pages.read, names, size, path, notes=notes)


def page_count(path: Path) -> int:
    """Number of slices in a TIFF; 1 where it cannot be told."""
    try:
        outline = _outline(path)
        lead, _ = _layout(outline.shape, outline.axes, path)
    except InputError as error:
        if "has the axes" in str(error):
            raise
        return 1
    return int(np.prod(lead, dtype=int))


def _outline(path: Path) -> _Outline:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            shape, axes = tuple(series.shape), series.axes
            offsets, broken = tiff_pages(path)
            if broken:
                return _cut_off(file, offsets, path)
            if len(file.series) > 1:
                sizes = {page.shape[:2] for page in file.pages}
                if len(sizes) > 1:
                    raise InputError(
                        f"The pages of {path.name} differ in size: save slices of one size."
                    )
            ordered = len(file.series) == 1 and series.kind in _IN_ORDER
            plain = series.keyframe.is_final and series.dataoffset
            start = int(series.dataoffset) if plain else None
            dtype = series.dtype.newbyteorder(file.byteorder).str
            return _Outline(shape, axes, offsets if ordered else (), 0, start, dtype)
    except PermissionError as error:
        raise InputError(f"{path} may not be read: ask its owner for access.") from error
    except InputError:
        raise
    except Exception as error:  # a damaged TIFF raises nearly anything
        raise InputError(
            f"{path.name} cannot be read as a TIFF: it may be damaged; export it again."
        ) from error


def _cut_off(file: Any, offsets: Sequence[int], path: Path) -> _Outline:
    """Outline of a file that ends too early: pages that are there, and those that are told of."""
    if not offsets:
        raise InputError(f"{path.name} was cut off before its first slice: export it again.")
    page = file.pages.first
    axes = page.axes if page.axes.endswith("S") or len(page.shape) == 2 else "YX"
    told = file.shaped_metadata or ()
    total = int(np.prod(told[0]["shape"], dtype=np.int64)) // page.size if told else 0
    if file.imagej_metadata:
        total = int(file.imagej_metadata.get("images", 0))
    count = max(len(offsets), total)
    start = None
    if len(offsets) == 1 and page.is_final and page.is_contiguous:
        # Programs that write the pixels in one piece put the other pages' headers behind them.
        start = int(page.dataoffsets[0])
        there = (path.stat().st_size - start) // page.nbytes
        count = max(there, total)
        missing = count - there if total else -1
    else:
        missing = count - len(offsets) if total else -1
    dtype = page.dtype.newbyteorder(file.byteorder).str
    return _Outline((count, *page.shape), "Q" + axes, offsets, missing, start, dtype)


def _layout(
    shape: tuple[int, ...], axes: str, path: Path
) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Leading axes (slices), and rows and columns, of a TIFF's series."""
    # A TIFF's axes are told by its metadata: S are samples (RGB), C channels.
    tail = 2
    rows, columns = shape[-2:]
    if len(shape) > 2 and (axes.endswith("S") or shape[-1] in {3, _MOST_CHANNELS}):
        tail = 3
        rows, columns = shape[-3:-1]
    elif len(shape) > 2 and axes.endswith(("CYX", "SYX")) and shape[-3] in {1, 3, 4}:
        tail = 3
    lead = shape[:-tail]
    if sum(n > 1 for n in lead) > 1:
        raise InputError(
            f"{path.name} has the axes {' x '.join(map(str, shape))}: a stack has (z, y, x) or "
            "(z, y, x, 3); save one channel and one time point."
        )
    return lead, (rows, columns)


class _TiffPages:
    """Slices of a TIFF, read page by page; the file is open only meanwhile."""

    def __init__(self, path: Path, outline: _Outline, leading: int, count: int) -> None:
        self.path = path
        self.count = count
        self.shape = outline.shape[leading:]
        self.offsets = tuple(outline.offsets)
        self.start, self.dtype = outline.start, outline.dtype
        # Pages of a slice: several where its channels are pages of their own, less than one in a
        # file that was cut off.
        self.each = max(1, len(self.offsets) // count)
        self.by_page = count > 1 and len(self.offsets) > 1

    def read(self, i: int) -> tuple[NDArray[Any], tuple[str, ...]]:
        import tifffile

        try:
            if self.start is not None:
                return self._piece(i, self.start), ()
            with tifffile.TiffFile(self.path) as file:
                block = self._pages(file, i) if self.by_page else self._from_series(file, i)
                return np.array(block).reshape(self.shape), ()
        except Exception as error:  # a damaged page raises nearly anything
            refuse_codec(self.path, error)
            which = f"Slice {i} of {self.path.name}" if self.count > 1 else f"{self.path.name}"
            raise InputError(
                f"{which} cannot be read: the file is damaged; export it again."
            ) from error

    def _piece(self, i: int, start: int) -> NDArray[Any]:
        """From its place in the file, as the pixels lie there as in memory."""
        count = int(np.prod(self.shape))
        dtype = np.dtype(self.dtype)
        with self.path.open("rb") as file:
            file.seek(start + i * count * dtype.itemsize)
            block = np.fromfile(file, dtype, count)
        return block.reshape(self.shape).astype(dtype.newbyteorder("="), copy=False)

    def _pages(self, file: Any, i: int) -> NDArray[Any]:
        """By the pages' places, without walking through those before."""
        import tifffile

        blocks = []
        for k in range(i * self.each, (i + 1) * self.each):
            file.filehandle.seek(self.offsets[k])
            blocks.append(tifffile.TiffPage(file, k).asarray())
        return blocks[0] if len(blocks) == 1 else np.stack(blocks)

    def _from_series(self, file: Any, i: int) -> NDArray[Any]:
        each = len(file.series[0].pages) // self.count
        return np.asarray(file.asarray(key=range(i * each, (i + 1) * each), series=0))
