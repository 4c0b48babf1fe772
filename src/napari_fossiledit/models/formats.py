"""Model files of this program's own, and writing any model file whole or not at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from napari_fossiledit import progress
from napari_fossiledit.errors import ModelError, OutputError
from napari_fossiledit.models.weights_file import WeightsFile

__all__ = ["DETECTRON2", "FORMAT", "LITE", "VERSION", "about", "damaged", "is_ours", "write"]

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
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(weights.path) from error
    if version > VERSION or architecture not in {LITE, DETECTRON2}:
        raise ModelError(
            f"The model {weights.path.name} was written by a newer version of napari-fossiledit "
            f"({architecture}, format {version}): update the program."
        )
    return dict(found)


def damaged(path: Path) -> ModelError:
    """The error for a file that cannot be what it says."""
    return ModelError(
        f"The model file {path.name} is damaged or cut off: fetch or copy it once more."
    )


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write beside the target and move into place: a full disk leaves the old file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
            temporary = Path(file.name)
            fill(file)
        progress.checkpoint()
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch's zip writer raises a RuntimeError
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise OutputError(
            f"The model cannot be written to {path} ({reason}): choose another folder."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
