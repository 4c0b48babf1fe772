"""Model files of this program's own, and writing any model file whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from napari_fossiledit import progress
from napari_fossiledit.errors import ModelError, OutputError
from napari_fossiledit.models.plain_values import clean
from napari_fossiledit.models.weights_file import WeightsFile

__all__ = [
    "DETECTRON2",
    "FORMAT",
    "LITE",
    "VERSION",
    "about",
    "clean",
    "damaged",
    "is_ours",
    "names",
    "write",
]

FORMAT = "fossiledit-segmenter"
VERSION = 1
LITE = "lite0-fpn-mask-rcnn"
DETECTRON2 = "detectron2-mask-rcnn-fpn"


def is_ours(weights: WeightsFile) -> bool:
    """Whether this program wrote the file."""
    return weights.notes.get("format") == FORMAT


def about(weights: WeightsFile) -> dict[str, Any]:
    """What one of our files says of its model.

    Raises
    ------
    ModelError
        If it is damaged, or of a newer version.
    """
    try:
        found = json.loads(weights.notes["model"])
        version, architecture = int(found["version"]), str(found["architecture"])
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,  # Infinity is a number of Python's JSON
        RecursionError,
    ) as error:
        raise damaged(weights.path) from error
    if not 1 <= version <= VERSION or architecture not in {LITE, DETECTRON2}:
        raise ModelError(
            f"The model {weights.path.name} was written by another version of napari-fossiledit "
            f"({clean(architecture, 60)}, format {clean(str(version), 20)}): update the program."
        )
    return dict(found)


def names(about: Mapping[str, Any], path: Path | None = None) -> tuple[str, ...] | None:
    """The classes' names in what `about` read; None if the file gives none.

    Parameters
    ----------
    about : mapping
    path : Path, optional
        The file, for the error's sentence.

    Returns
    -------
    tuple of str or None
        Each without control characters and of at most 80 characters.

    Raises
    ------
    ModelError
        If they are anything but a list of texts.
    """
    found = about.get("class_names")
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise damaged(path)
    cleaned = tuple(clean(name, 80) for name in found)
    if not cleaned or not all(name.strip() for name in cleaned):
        raise damaged(path)
    return cleaned


def damaged(path: Path | None) -> ModelError:
    """The error for a file that cannot be what it says."""
    name = f" {path.name}" if path else ""
    return ModelError(f"The model file{name} is damaged or cut off: fetch or copy it once more.")


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return clean(text.splitlines()[0] if text else "input error")


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write beside the target and move into place: a full disk leaves the old file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    if "\0" in str(path):
        raise OutputError(
            f"The model cannot be written to {clean(str(path))} (the name holds a null "
            "character): choose another name."
        )
    temporary = None
    try:
        with contextlib.suppress(FileNotFoundError):
            os.lstat(path)  # a name that is too long is found before the work
        prefix = path.name[:40]  # with its own ending it must not become too long
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=prefix, delete=False) as file:
            temporary = Path(file.name)
            fill(file)
        progress.checkpoint()
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        # torch's zip writer raises a RuntimeError whose text names its own source code.
        full = isinstance(error, RuntimeError)
        reason = "the disk may be full" if full else _reason(error)
        raise OutputError(
            f"The model cannot be written to {path} ({reason}): choose another folder."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
