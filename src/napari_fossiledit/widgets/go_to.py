"""Bring an instance into view."""

from __future__ import annotations

from typing import Any

__all__ = ["go_to_instance"]

_SMALL, _WANTED = 40.0, 100.0  # px on the screen


def go_to_instance(
    viewer: Any,
    stack: Any,
    labels: Any,
    *,
    z: int,
    centre: tuple[float, float],
    number: int,
    pixels: int,
) -> None:
    """Show a slice in 2D, centre on one of its instances, and select its label.

    Parameters
    ----------
    viewer : napari.Viewer
    stack : Image layer
        Whose slice and pixels are meant.
    labels : Labels layer or None
        Where the label is selected.
    z : int
        Slice of the stack.
    centre : (float, float)
        Row and column.
    number : int
        The label value.
    pixels : int
        The instance's area: what would be a speck on the screen is enlarged.
    """
    if viewer.dims.ndisplay != 2:
        viewer.dims.ndisplay = 2
    point = centre if stack.ndim == 2 else (z, *centre)
    world = [float(value) for value in stack.data_to_world(point)]
    before = viewer.dims.ndim - len(world)
    for axis, value in enumerate(world, start=before):
        if axis not in viewer.dims.displayed:
            viewer.dims.set_point(axis, value)
    camera = getattr(viewer, "scene", viewer).camera
    y, x = (world[axis - before] for axis in viewer.dims.displayed[-2:])
    camera.center = (0.0, y, x)
    size = pixels**0.5 * float(stack.scale[-1])
    if size > 0 and camera.zoom * size < _SMALL:
        camera.zoom = _WANTED / size
    stack.visible = True
    if labels is not None:
        labels.visible = True
        labels.selected_label = number
        viewer.layers.selection.active = labels
