"""Applying edits by hand to a Labels layer, so that Ctrl+Z takes them back. No Qt."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task
from napari_fossiledit.volume import hand_edits
from napari_fossiledit.volume.hand_edits import HandEdit
from napari_fossiledit.widgets.specimens import edit_problem

__all__ = ["HandJob", "apply_edit", "hand_edit_task"]

HandJob = tuple[str, Any]


def hand_edit_task(
    data: Any,
    kind: str,
    ids: tuple[int, ...],
    z: int,
    pixel_size: tuple[float, float] = (1.0, 1.0),
) -> Task[HandEdit]:
    """Find the voxels that an edit changes.

    Parameters
    ----------
    data : (z, y, x) integer array
    kind : {"merge", "split", "delete", "fill"}
    ids : tuple of int
        The specimens; split and fill take the last.
    z : int
        The slice to split at, or to fill.
    pixel_size : (y, x)

    Raises
    ------
    InputError
        See `volume.hand_edits`.
    """
    yield Progress(0, 1, "looking for the specimens' voxels")
    if not ids:
        raise InputError("Select specimens first: click them in the viewer, or in the table.")
    if kind == "merge":
        return hand_edits.merge(data, ids)
    if kind == "delete":
        return hand_edits.delete(data, ids)
    if kind == "split":
        return hand_edits.split_at(data, ids[-1], z)
    return hand_edits.fill_slice(data, ids[-1], z, pixel_size=pixel_size)


def apply_edit(layer: Any, edit: HandEdit) -> None:
    """Change a layer's voxels as one step of its history.

    Raises
    ------
    InputError
        The layer is the user's own, or its voxels cannot be changed.
    """
    problem = edit_problem(layer)
    if problem:
        raise InputError(problem)
    values = edit.values.astype(layer.data.dtype)
    if layer.visible and layer._slice_input.ndisplay == 2:
        layer.data_setitem(edit.indices, values)
        return
    # napari's `data_setitem` also writes into the slice that is shown: a hidden layer has none
    # that fits. The history is the same.
    before = np.array(layer.data[edit.indices], copy=True)
    layer._save_history((edit.indices, before, values))
    layer.data[edit.indices] = values
    layer.refresh()
