"""Going to a specimen in the viewer, and telling which one was clicked."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.widgets.go_to import go_to_instance
from napari_fossiledit.widgets.specimens import Specimens

__all__ = ["MESH_IDS", "SpecimenPicker", "go_to_specimen", "slice_centre"]

MESH_IDS = "fossiledit_ids"  # metadata of a Surface layer: the specimen of every face
_STILL = 4.0  # px that the mouse may move in a click


def slice_centre(plane: NDArray[Any], number: int) -> tuple[tuple[float, float], int] | None:
    """Centre (row, column) and pixels of a label in a slice, or None where it is not."""
    rows, columns = np.nonzero(plane == number)
    if not rows.size:
        return None
    return (float(rows.mean()), float(columns.mean())), int(rows.size)


def go_to_specimen(viewer: Any, specimens: Specimens, number: int, z: int | None = None) -> None:
    """Bring a specimen into view, in the slices or in 3D, and select its label.

    Parameters
    ----------
    viewer : napari.Viewer
    specimens : Specimens
    number : int
    z : int, optional
        The slice to go to (also leaves 3D alone); by default the middle one that has it.

    Raises
    ------
    InputError
        It is no longer there.
    """
    layer = specimens.layer
    if layer is None:
        raise InputError("The specimens' layer was deleted: link the labels again.")
    for each in (layer, specimens.preview):
        if each is not None:
            each.selected_label = number
    if viewer.dims.ndisplay == 3 and z is None:
        _centre_in_3d(viewer, specimens, number)
        return
    for at in [z] if z is not None else _likely_slices(specimens, number):
        found = slice_centre(np.asarray(_data(layer)[at]), number)
        if found is not None:
            centre, pixels = found
            go_to_instance(viewer, layer, layer, z=at, centre=centre, number=number, pixels=pixels)
            return
    raise InputError(f"Specimen {number} is no longer there: measure again.")


def _data(layer: Any) -> Any:
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def _likely_slices(specimens: Specimens, number: int) -> list[int]:
    """Slices that may have a specimen, the middle of it first."""
    count = int(_data(specimens.layer).shape[0])
    row = specimens.row_of(number)
    if row is None:
        return list(range(count))
    first, last = int(row["z_first"]), int(row["z_last"])
    middle = (first + last) // 2
    return sorted(range(max(0, first), min(count, last + 1)), key=lambda z: abs(z - middle))


def _centre_in_3d(viewer: Any, specimens: Specimens, number: int) -> None:
    preview = specimens.preview
    if preview is None:
        raise InputError("Press 'Show in 3D' first.")
    inside = np.argwhere(np.asarray(preview.data) == number)
    if not inside.size:
        row, size = specimens.row_of(number), specimens.voxel_size
        if row is None or size is None:
            raise InputError(f"Specimen {number} is too small for the 3D preview: see the slices.")
        point = [float(row[f"centroid_{a}_{specimens.unit}"]) for a in "zyx"]
        world = specimens.layer.data_to_world(np.array(point) / np.array(size))
    else:
        world = preview.data_to_world(inside.mean(0))
    camera = getattr(viewer, "scene", viewer).camera
    camera.center = tuple(float(v) for v in world[-3:])


class SpecimenPicker:
    """Selects the specimen under a click in the viewer; Ctrl or Shift adds it, or takes it out.

    Only where the mouse moves the view: a click of the brush paints.
    """

    def __init__(self, viewer: Any, specimens: Specimens, picked: Callable[[], Any]) -> None:
        self._viewer, self._specimens, self._picked = viewer, specimens, picked
        viewer.mouse_drag_callbacks.append(self._press)

    def disconnect(self) -> None:
        """Let go of the viewer."""
        if self._press in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._press)

    def _press(self, viewer: Any, event: Any) -> Generator[None]:
        start = np.array(event.pos, float)
        moved = False
        yield
        while event.type == "mouse_move":
            moved = moved or bool(np.abs(np.array(event.pos, float) - start).max() > _STILL)
            yield
        active = viewer.layers.selection.active
        painting = getattr(active, "mode", "pan_zoom") != "pan_zoom"
        if moved or painting or event.button != 1:
            return
        number = self.under(event.position, event.view_direction, event.dims_displayed)
        if not number:
            return
        if any(key in event.modifiers for key in ("Control", "Shift")):
            self._specimens.toggle(number)
        else:
            self._specimens.select([number])
        self._picked()

    def under(self, position: Any, direction: Any, displayed: Any) -> int:
        """The specimen at a point of the world (in 3D, the first along the view); 0 for none."""
        specimens = self._specimens
        for layer in (specimens.preview, specimens.layer):
            if layer is None or not layer.visible:
                continue
            value = layer.get_value(
                position, view_direction=direction, dims_displayed=displayed, world=True
            )
            if isinstance(value, tuple):  # multiscale: level and value
                value = value[1]
            if value:
                return int(value)
        for layer in specimens.companions:
            ids = layer.metadata.get(MESH_IDS)
            if ids is not None and layer.visible:
                found = layer.get_value(
                    position, view_direction=direction, dims_displayed=displayed, world=True
                )
                if isinstance(found, tuple) and found[1] is not None:
                    return int(ids[int(found[1])])
        return 0
