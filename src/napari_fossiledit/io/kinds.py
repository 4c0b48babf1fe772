"""Tell labels from photographs before anything is opened."""

from __future__ import annotations

from pathlib import Path

from napari_fossiledit.errors import InputError
from napari_fossiledit.io import zarr_files
from napari_fossiledit.io.files import label_files
from napari_fossiledit.io.headers import read_header
from napari_fossiledit.io.images import TIFF_SUFFIXES

__all__ = ["holds_labels"]

_WORDS = ("label", "labels", "mask", "masks", "confuser", "confusers")
_BITS = 32  # integers of this size hold labels, never photographs
_DEEP_GREY = f"{_BITS}-bit grey"


def holds_labels(path: Path) -> bool:
    """Whether a path holds labels rather than photographs.

    A zarr says so, or has integers of 32 bits or more; a TIFF or a folder has such integers, or
    its name ends in "labels" or "masks".
    """
    if zarr_files.is_zarr(path):
        return zarr_files.holds_labels(path) or _deep_zarr(path)
    stem = path.stem.lower()
    if any(stem == word or stem.endswith((f"_{word}", f"-{word}", f" {word}")) for word in _WORDS):
        return True
    try:
        file = label_files(path)[0] if path.is_dir() else path
        return file.suffix.lower() in TIFF_SUFFIXES and read_header(file).kind == _DEEP_GREY
    except (OSError, InputError):
        return False


def _deep_zarr(path: Path) -> bool:
    try:
        volume = zarr_files.open_zarr(path)
    except InputError:
        return False
    dtype = volume.array.dtype
    return dtype.kind in "iu" and dtype.itemsize * 8 >= _BITS and volume.length("c") == 1
