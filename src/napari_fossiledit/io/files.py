"""Folders of slices: natural order, label suffixes, gaps in the numbering."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.images import IMAGE_SUFFIXES

__all__ = ["base_stem", "gaps", "holds_images", "image_files", "label_files", "natural_key"]

LABEL_SUFFIXES = ("_masks", "_mask", "_labels", "_label", "_confusers", "_confuser")


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which ``slice_9`` comes before ``slice_10``."""
    parts = re.split(r"(\d+)", text)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p.lower()) for p in parts if p)


def base_stem(stem: str) -> str:
    """Return the stem without a label suffix such as ``_mask`` or ``_labels``."""
    for suffix in LABEL_SUFFIXES:
        if stem.lower().endswith(suffix) and len(stem) > len(suffix):
            return stem[: -len(suffix)]
    return stem


def image_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images of a folder in natural order, and the label files that lie among them.

    A file counts as a label file when its stem without the label suffix is another file's stem.
    """
    files = _listed(folder)
    stems = {f.stem for f in files}
    labels = [f for f in files if base_stem(f.stem) != f.stem and base_stem(f.stem) in stems]
    left_out = set(labels)
    images = [f for f in files if f not in left_out]
    if not images:
        raise InputError(
            f"The folder {folder} holds no PNG, JPEG or TIFF image: choose the folder that does."
        )
    return images, labels


def holds_images(folder: Path) -> bool:
    """Whether a folder holds any image file."""
    try:
        return bool(_listed(folder))
    except (OSError, InputError):
        return False


def label_files(folder: Path) -> list[Path]:
    """Label images of a folder in natural order: the suffixed ones where there are any."""
    files = _listed(folder)
    suffixed = [f for f in files if base_stem(f.stem) != f.stem]
    chosen = suffixed or files
    if not chosen:
        raise InputError(
            f"The folder {folder} holds no TIFF or PNG label image: choose the folder that does."
        )
    return chosen


def gaps(stems: Sequence[str]) -> str | None:
    """Note which numbers are missing from the stems' numbering; None when none is.

    Only where the stems differ in one number alone; every 5th number throughout is no gap.
    """
    numbers = _numbering(stems)
    if numbers is None or len(numbers) < 3:
        return None
    numbers = sorted(numbers)
    steps = [b - a for a, b in pairwise(numbers)]
    step = min(steps)
    if step <= 0 or max(steps) == step or any(s % step for s in steps):
        return None
    missing = sum(s // step - 1 for s in steps)
    first = next(a + step for a, s in zip(numbers, steps, strict=False) if s != step)
    rest = f" and {missing - 1} more" if missing > 1 else ""
    return (
        f"The numbering of the slices has gaps (number {first}{rest} missing): "
        "the slices on either side are treated as neighbours"
    )


def _numbering(stems: Sequence[str]) -> list[int] | None:
    split = [re.split(r"(\d+)", stem) for stem in stems]
    if not split or len({len(s) for s in split}) != 1:
        return None
    columns = list(zip(*split, strict=True))
    # Odd places hold the numbers, even ones the text between them.
    if any(len(set(c)) != 1 for c in columns[0::2]):
        return None
    varying = [c for c in columns[1::2] if len(set(c)) != 1]
    return [int(n) for n in varying[0]] if len(varying) == 1 else None


def _listed(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if not entry.name.startswith(".")
                and os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
                and entry.is_file()
            ]
    except PermissionError as error:
        raise InputError(f"The folder {folder} may not be read: ask its owner for access.") from (
            error
        )
    return [folder / name for name in sorted(names, key=natural_key)]
