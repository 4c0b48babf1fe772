"""What a whole-stack result is of: the stack, the model with its edits, the settings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import FossilEditError, InputError
from napari_fossiledit.progress import checkpoint

if TYPE_CHECKING:
    from napari_fossiledit.io import Stack
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["KIND", "RESULT_VERSION", "agreed", "describe", "read_slice", "stack_shape"]

KIND = "segmentation"
RESULT_VERSION = 1
"""Raised whenever the same slice, model and settings would give another result."""

_SAMPLES = 5
_WORDS = {
    "score_threshold": "confidence",
    "tile": "tiles",
    "fossil_classes": "classes that are the fossil",
    "input": "input size of the model",
    "input_zoom": "input zoom",
    "max_detections": "number of instances a slice",
}


def stack_shape(stack: Stack) -> tuple[int, int, int]:
    """Slices, rows and columns of a stack."""
    z, y, x = (int(n) for n in stack.images.shape[:3])
    return z, y, x


def read_slice(stack: Stack, z: int) -> NDArray[np.uint8]:
    """One slice of a stack, (y, x, 3) uint8.

    Raises
    ------
    InputError
        It cannot be read, whatever is wrong with it, or is of another size than the others.
    """
    try:
        image = stack[z]
    except (FossilEditError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises nearly anything
        kind = type(error).__name__
        raise InputError(
            f"Slice {stack.names[z]} cannot be read ({kind}): it may be damaged; export it again."
        ) from error
    if image.shape[:2] != stack_shape(stack)[1:]:
        rows, columns = image.shape[:2]
        raise InputError(
            f"Slice {stack.names[z]} has {rows} x {columns} pixels, unlike the others: export it "
            "again."
        )
    return image


def describe(
    stack: Stack, segmenter: Segmenter, *, score_threshold: float, tile: int | None
) -> dict[str, Any]:
    """What identifies a run, as `LabelStore.about` keeps it: plain values for JSON.

    Of the stack, the pixels of five slices (first, last and three between) stand for all, beside
    the names and the size that the store itself compares: 3,000 slices would take minutes to
    read. A slice that cannot be read stands with an empty text.
    """
    return {
        "kind": KIND,
        "stack": {"shape": list(stack_shape(stack)), "pixels": _pixels(stack)},
        "model": {"name": segmenter.name, "fingerprint": segmenter.fingerprint()},
        "settings": {
            "score_threshold": float(score_threshold),
            "tile": tile,
            "class_names": list(segmenter.class_names),
            "fossil_classes": [int(n) for n in segmenter.fossil_classes],
            "max_detections": segmenter.limits.most,
            "least_score": float(segmenter.limits.score_threshold),
            "input": segmenter.facts.get("Input", ""),
            "backend": segmenter.facts.get("Backend", ""),
            "input_zoom": float(getattr(segmenter, "input_zoom", 1.0)),
        },
        "versions": {"result": RESULT_VERSION, **_libraries()},
    }


def agreed(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What a run that goes on with the result at ``path`` is to be called: as that one was.

    Parameters
    ----------
    path : Path
        For the message.
    found : mapping
        What the result says of itself.
    wanted : mapping
        `describe` of the run that wants to go on. A tile of None takes the one that was chosen
        then.

    Raises
    ------
    InputError
        When it is of another stack or model or has other settings: what differs is named.
    """
    if found.get("kind") != KIND:
        raise InputError(
            f"{path} holds no segmentation of a stack ({found.get('kind') or 'unknown'}) and is "
            "left as it is: choose another folder."
        )
    differs = _difference(found, wanted)
    if differs is not None:
        what, remedy = differs
        raise InputError(
            f"{path} holds the result of {what} and is left as it is: {remedy}choose another "
            "folder."
        )
    return dict(found)


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, str] | None:
    """What differs, and what to do beside choosing another folder."""
    before_stack = dict(found.get("stack", {}))
    if before_stack.get("shape") != wanted["stack"]["shape"]:
        return "another stack (its size differs)", ""
    for key, pixels in wanted["stack"]["pixels"].items():
        before = before_stack.get("pixels", {}).get(key)
        # What could not be read, then or now, says nothing.
        if before is None or (before and pixels and before != pixels):
            return "another stack (its pixels differ)", ""
    if found.get("model", {}).get("fingerprint") != wanted["model"]["fingerprint"]:
        name = found.get("model", {}).get("name", "unknown")
        return (
            f"another model or other edits of it (the model {name})",
            "take the model and the edits that it was made with, or ",
        )
    before, now = dict(found.get("settings", {})), dict(wanted["settings"])
    if now["tile"] is None:
        now["tile"] = before.get("tile")
    for key in now:
        if before.get(key) != now[key]:
            word = _WORDS.get(key, key.replace("_", " "))
            return (
                f"other settings ({word}: {_shown(before.get(key))}, not {_shown(now[key])})",
                "set it as it was, or ",
            )
    if found.get("versions") != wanted["versions"]:
        was = ", ".join(f"{name} {number}" for name, number in found.get("versions", {}).items())
        return f"another version of the program ({was})", "use that one, or "
    return None


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _pixels(stack: Stack) -> dict[str, str]:
    found = {}
    for z in sorted({int(z) for z in np.linspace(0, len(stack) - 1, _SAMPLES).round()}):
        checkpoint()
        try:
            image = np.ascontiguousarray(read_slice(stack, z))
        except InputError:
            found[str(z)] = ""
            continue
        found[str(z)] = hashlib.sha256(image.data).hexdigest()
    return found


def _libraries() -> dict[str, str]:
    """Major and minor versions of what computes: others may round otherwise."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("torch", "torchvision"):
        try:
            found[name] = ".".join(version(name).split("+")[0].split(".")[:2])
        except PackageNotFoundError:
            found[name] = ""
    return found
