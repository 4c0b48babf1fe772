"""What a command writes: checked before any work, so that no original is ever overwritten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_fossiledit.errors import InputError

__all__ = ["check_outputs", "file_stems"]


def check_outputs(inputs: Iterable[Path | str | None], outputs: Iterable[Path | None]) -> None:
    """Refuse to write over a file that is read, or an image beside those that are read.

    Parameters
    ----------
    inputs : iterable of path, str or None
        Files and folders that the command reads; ``"demo"`` is the model of that name.
    outputs : iterable of path or None
        Every file that it will write; None for an option that was not given.

    Raises
    ------
    InputError
        An output is an input file, an image in an input folder, or given twice.
    """
    originals = set(_files(Path(p) for p in inputs if p is not None and p != "demo"))
    inodes = {key for file in originals if (key := _inode(file)) is not None}
    seen: set[Path] = set()
    for path in outputs:
        if path is None:
            continue
        real = path.resolve()
        if real in originals or _inode(path) in inodes:
            raise InputError(
                f"Writing {path} would overwrite one of the originals that are read: choose "
                "another file or folder to write to."
            )
        if real in seen:
            raise InputError(f"Two results would be written to {path}: give each its own name.")
        seen.add(real)


def file_stems(names: Sequence[str]) -> list[str]:
    """File stems for slices' names: without an image's suffix, and no two alike."""
    from napari_fossiledit.io.images import IMAGE_SUFFIXES

    # Only a real suffix goes: the slices of `reef.v2.tif` are called `reef.v2_0000` and so on.
    stems = [
        name[: -len(suffix)] if (suffix := Path(name).suffix).lower() in IMAGE_SUFFIXES else name
        for name in names
    ]
    if len(set(stems)) < len(stems):
        stems = list(names)
    if len(set(stems)) < len(stems):
        stems = [f"{stem}_{i}" for i, stem in enumerate(stems)]
    return stems


def _files(inputs: Iterable[Path]) -> Iterable[Path]:
    from napari_fossiledit.io.images import IMAGE_SUFFIXES
    from napari_fossiledit.io.voxels import VOXEL_FILE

    for path in inputs:
        if not path.is_dir():
            yield path.resolve()
            continue
        try:
            entries = list(path.iterdir())
        except OSError:  # said by the reader of the folder
            continue
        for entry in entries:
            if entry.suffix.lower() in IMAGE_SUFFIXES or entry.name == VOXEL_FILE:
                yield entry.resolve()


def _inode(path: Path) -> tuple[int, int] | None:
    """What tells a file under another spelling, as where capitals make no difference."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_ino else None
