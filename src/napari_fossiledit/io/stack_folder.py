"""Folders of slices, one image file each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.files import gaps, image_files
from napari_fossiledit.io.headers import Header, read_headers
from napari_fossiledit.io.images import TIFF_SUFFIXES, read_array
from napari_fossiledit.io.source import Source
from napari_fossiledit.io.stack_tiff import page_count, tiff_source

__all__ = ["folder_source"]


def folder_source(folder: Path) -> Source:
    """Slices of a folder in natural order.

    Raises
    ------
    InputError
        No image, slices of different sizes, a TIFF of many pages among others, or no image whose
        header can be read.
    """
    files, labels = image_files(folder)
    headers = read_headers(files)
    many = [f for f, h in zip(files, headers, strict=True) if _has_pages(f, h)]
    if many:
        if len(files) == 1:
            return tiff_source(files[0])
        raise InputError(
            f"{many[0].name} has several pages and lies among other images: "
            "open the file itself, or save its pages one by one."
        )
    size = _common_size(files, headers)
    notes = [*_label_note(labels), *_damage_note(files, headers), *_kind_note(files, headers)]
    gap = gaps([f.stem for f in files])
    if gap:
        notes.append(gap)

    def raw(i: int) -> tuple[NDArray[Any], tuple[str, ...]]:
        return read_array(files[i])

    stems = [f.stem for f in files]
    names = stems if len(set(stems)) == len(stems) else [f.name for f in files]
    kinds = [h.kind if isinstance(h, Header) else None for h in headers]
    return Source(raw, names, size, folder, notes=notes, kinds=kinds)


def _has_pages(file: Path, header: Header | InputError) -> bool:
    if not isinstance(header, Header) or header.pages == 1:
        return False
    return file.suffix.lower() in TIFF_SUFFIXES and page_count(file) > 1


def _common_size(files: Sequence[Path], headers: Sequence[Header | InputError]) -> tuple[int, int]:
    readable = [(f, h) for f, h in zip(files, headers, strict=True) if isinstance(h, Header)]
    if not readable:
        raise next(h for h in headers if isinstance(h, InputError))
    first_file, first = readable[0]
    for file, header in readable[1:]:
        if (header.rows, header.columns) != (first.rows, first.columns):
            raise InputError(
                f"Slice {file.name} has {header.rows} x {header.columns} pixels, but the first "
                f"slice {first_file.name} {first.rows} x {first.columns}: crop or resize the "
                "slices to one size."
            )
    return first.rows, first.columns


def _label_note(labels: Sequence[Path]) -> list[str]:
    if not labels:
        return []
    some = labels[0].name + (f" and {len(labels) - 1} more" if len(labels) > 1 else "")
    return [f"Label files among the images ({some}) are left out of the stack"]


def _damage_note(files: Sequence[Path], headers: Sequence[Header | InputError]) -> list[str]:
    bad = [f for f, h in zip(files, headers, strict=True) if isinstance(h, InputError)]
    if not bad:
        return []
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return [f"Slice {bad[0].name}{more} cannot be read (damaged): export it again"]


def _kind_note(files: Sequence[Path], headers: Sequence[Header | InputError]) -> list[str]:
    """Say which slices are of another kind than most."""
    kinds = [(f, h.kind) for f, h in zip(files, headers, strict=True) if isinstance(h, Header)]
    counted = Counter(kind for _, kind in kinds if kind).most_common()
    if len(counted) < 2:
        return []
    usual = counted[0][0]
    file, kind = next((f, k) for f, k in kinds if k and k != usual)
    others = sum(n for _, n in counted[1:]) - 1
    more = f" and {others} more" if others else ""
    return [
        f"Slices differ in kind: most are {usual}, but {file.name}{more} {kind}; each kind is "
        "converted by itself"
    ]
