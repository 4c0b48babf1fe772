"""Edits on disk: one safetensors file, everything but the deltas as JSON in its header.

Nothing in such a file is ever executed.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from napari_fossiledit.editing.edit import STRENGTHS, Edit
from napari_fossiledit.errors import EditError, OutputError

__all__ = ["load_edit", "save_edit"]

_KEY = "fossiledit_edit"  # of the header's metadata
_CONVOLUTIONS, _ANY = 1, 2  # formats: convolutions' weights alone; biases and heads as well
_START = b'{"__metadata__"'
_LONGEST_HEADER = 100_000_000


def save_edit(edit: Edit, path: str | Path) -> Path:
    """Write an edit; the file appears whole or not at all.

    Parameters
    ----------
    edit : Edit
    path : str or Path
        By custom with the suffix ``.safetensors``.

    Raises
    ------
    OutputError
        If the file cannot be written; an existing file is then as it was.
    """
    from safetensors.numpy import save

    path = Path(path)
    # Older versions of the program read only the first: they are not shut out without need.
    convolutions = all(delta.ndim == 4 for delta in edit.deltas.values())
    facts = {
        "format": _CONVOLUTIONS if convolutions else _ANY,
        "name": edit.name,
        "strength": edit.strength,
        "provenance": edit.provenance,
        "losses": {layer: [float(x) for x in curve] for layer, curve in edit.losses.items()},
    }
    arrays = {
        layer: delta.detach().cpu().float().contiguous().numpy()
        for layer, delta in edit.deltas.items()
    }
    content = save(arrays, metadata={_KEY: json.dumps(facts)})
    try:
        _write(content, path)
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(
            f"The edit '{edit.name}' cannot be written to {path} ({why}): "
            "choose a folder that you may write to, with enough space."
        ) from error
    return path


def _write(content: bytes, path: Path) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; give it the rights that any new file would have.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_edit(path: str | Path) -> Edit:
    """Read an edit; whether it fits a model is checked when it is applied.

    Raises
    ------
    EditError
        If the file is missing, truncated, damaged or not an edit, or holds NaN.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise EditError(f"The edit file {path} cannot be read ({why}).") from error
    facts = _facts(_header(content, path), path)
    return Edit(
        name=facts["name"],
        deltas=_deltas(content, path),
        provenance=facts["provenance"],
        losses=facts["losses"],
        strength=facts["strength"],
    )


def _not_an_edit(path: Path) -> EditError:
    return EditError(
        f"{path.name} is not an edit: choose a file that was saved from the list of edits."
    )


def _truncated(path: Path) -> EditError:
    return EditError(
        f"The edit file {path.name} is incomplete or damaged: copy it again from its source, "
        "or make the edit anew."
    )


def _header(content: bytes, path: Path) -> dict[str, Any]:
    if not content:
        raise _truncated(path)
    length = int.from_bytes(content[:8], "little")
    beginning = content[8 : 8 + len(_START)]
    if not _START.startswith(beginning) or length > _LONGEST_HEADER:
        raise _not_an_edit(path)
    if len(content) < 8 + max(length, len(_START)):
        raise _truncated(path)
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError):
        raise _truncated(path) from None
    if not isinstance(header, dict):
        raise _not_an_edit(path)
    return header


def _facts(header: dict[str, Any], path: Path) -> dict[str, Any]:
    metadata = header.get("__metadata__")
    text = metadata.get(_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise _not_an_edit(path)
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        raise _truncated(path) from None
    if not isinstance(facts, dict):
        raise _truncated(path)
    if facts.get("format") not in (_CONVOLUTIONS, _ANY):
        raise EditError(
            f"The edit file {path.name} was written by another version of the program: "
            "update napari-fossiledit."
        )
    strength = facts.get("strength")
    sound = (
        isinstance(facts.get("name"), str)
        and isinstance(facts.get("provenance"), dict)
        and isinstance(strength, (int, float))
        and STRENGTHS[0] <= strength <= STRENGTHS[1]
        and _are_curves(facts.get("losses"))
    )
    if not sound:
        raise _truncated(path)
    return facts


def _are_curves(losses: object) -> bool:
    return isinstance(losses, dict) and all(
        isinstance(curve, list) and all(isinstance(x, (int, float)) for x in curve)
        for curve in losses.values()
    )


def _deltas(content: bytes, path: Path) -> dict[str, Any]:
    import numpy as np
    import torch
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
    except (SafetensorError, KeyError, ValueError, TypeError):
        raise _truncated(path) from None
    if not arrays or any(a.dtype != np.float32 or not 1 <= a.ndim <= 4 for a in arrays.values()):
        raise _truncated(path)
    for layer, array in arrays.items():
        if not math.isfinite(float(np.abs(array).max(initial=0.0))):
            raise EditError(
                f"The edit file {path.name} holds NaN or infinite values at layer {layer}, so it "
                "is not applied: make the edit anew."
            )
    # A copy: what `load` gives is read-only memory of the file's bytes.
    return {layer: torch.from_numpy(array.copy()) for layer, array in arrays.items()}
