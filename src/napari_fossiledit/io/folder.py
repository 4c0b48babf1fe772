"""Folders of results: made, tried, and filled all at once."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from napari_fossiledit.errors import OutputError
from napari_fossiledit.io.save import remove, sentence

__all__ = ["atomic_folder", "check_writable", "make_folder"]


def make_folder(path: str | Path) -> Path:
    """Make a folder, with its parents, where there is none, and see that it can be written to.

    Raises
    ------
    OutputError
        When it cannot be made or written to, or a file has its name.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        _try(path)
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError(
            f"{path} cannot be a folder, as a file has its name or that of a folder above it: "
            "choose another name."
        ) from error
    except OSError as error:
        raise OutputError(sentence(error, path)) from error
    return path


def check_writable(path: str | Path) -> Path:
    """See that a file could be written as ``path``, before hours go into its content.

    Raises
    ------
    OutputError
        When its folder is missing or read-only, or ``path`` is a folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise OutputError(
            f"{path.name} cannot be written: there is no folder {path.parent.absolute()}; "
            "make it first, or choose another."
        )
    if path.is_dir():
        raise OutputError(f"{path} is a folder, but a file is to be written: add a file name.")
    try:
        _try(path.parent)
    except OSError as error:
        raise OutputError(sentence(error, path)) from error
    return path


@contextmanager
def atomic_folder(path: str | Path) -> Generator[Path]:
    """Give a temporary folder inside ``path``; move its files to ``path`` when the block ends well.

    On any error, or Ctrl-C, nothing of it stays, nor does ``path`` if it was made for it.

    Raises
    ------
    OutputError
    """
    existed = Path(path).is_dir()
    path = make_folder(path)
    # Inside, not beside: ``path`` may be a file system of its own.
    temporary = path / f".{secrets.token_hex(4)}.part"
    done = False
    try:
        temporary.mkdir()
        yield temporary
        for file in sorted(f for f in temporary.rglob("*") if f.is_file()):
            target = path / file.relative_to(temporary)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, target)
        done = True
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(sentence(error, path)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if not done and not existed:
            shutil.rmtree(path, ignore_errors=True)


def _try(folder: Path) -> None:
    probe = folder / f".{secrets.token_hex(4)}.part"
    try:
        probe.touch()
    finally:
        remove(probe)
