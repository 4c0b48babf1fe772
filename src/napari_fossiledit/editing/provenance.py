"""What an edit's file tells of its making."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_fossiledit.editing.edit_stack import EditStack
    from napari_fossiledit.models.segmenter import EditableLayer, Segmenter

__all__ = ["edits_below", "layer_facts", "made_by"]


def made_by(segmenter: Segmenter, base_fingerprint: str) -> dict[str, Any]:
    """The model, the programs and the date."""
    import torch

    from napari_fossiledit import __version__

    return {
        "base_fingerprint": base_fingerprint,
        "model": segmenter.name,
        **({} if segmenter.input_zoom == 1 else {"input_zoom": segmenter.input_zoom}),
        "versions": {
            "napari-fossiledit": __version__,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def layer_facts(layers: Iterable[EditableLayer]) -> list[dict[str, Any]]:
    """Name, level and shape of each layer."""
    return [
        {"name": layer.name, "level": layer.level, "shape": list(layer.shape)} for layer in layers
    ]


def edits_below(stack: EditStack) -> list[dict[str, Any]]:
    """The edits that act on the model at this moment."""
    return [
        {"name": e.name, "identity": e.edit.identity, "strength": e.strength}
        for e in stack.entries
        if e.active and e.strength > 0
    ]
