"""Turning between slices and 3D, so that nothing large is ever shown in 3D."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.layers import turn_to_3d
from napari_fossiledit.widgets.specimen_jobs import Preview
from napari_fossiledit.widgets.specimens import Specimens, is_large

__all__ = ["SpecimenView"]


class SpecimenView:
    """What the viewer shows of the specimens: their slices, or the preview in 3D."""

    def __init__(self, bench: Bench, specimens: Specimens) -> None:
        self._bench, self._specimens = bench, specimens
        self._hidden: list[Any] = []

        def turning(event: Any) -> None:
            self._turning()

        # napari slices the visible layers on this event, which would ask for gigabytes, and calls
        # its own listeners before others. It knows them by their module.
        turning.__module__ = "napari.fossiledit"
        self._guard = turning
        bench.viewer.dims.events.ndisplay.connect(turning, position="first")

    def disconnect(self) -> None:
        """Let go of the viewer."""
        self._bench.viewer.dims.events.ndisplay.disconnect(self._guard)

    @property
    def in_3d(self) -> bool:
        """Whether the viewer shows 3D."""
        return bool(self._bench.viewer.dims.ndisplay == 3)

    def show(self, made: Preview) -> Any:
        """Show a preview of the specimens in 3D, and hide all else; returns its layer."""
        viewer, specimens = self._bench.viewer, self._specimens
        old = specimens.preview
        self._hide()
        preview = self._bench.add_labels(
            made.labels,
            f"{specimens.layer.name}: 3D preview",
            made.place,
            opacity=1.0,
            features=specimens.layer.features,
        )
        preview.editable = False  # what is painted here would be lost
        specimens.set_preview(preview)
        if old is not None:
            viewer.layers.remove(old)
        turn_to_3d(viewer)
        viewer.layers.selection.active = preview
        return preview

    def show_again(self) -> None:
        """Show the preview that is there already."""
        self._hide()
        self._specimens.preview.visible = True
        for layer in self._specimens.companions:
            layer.visible = True
        turn_to_3d(self._bench.viewer)
        self._bench.viewer.layers.selection.active = self._specimens.preview

    def back(self) -> None:
        """Show slices: the layers of before, the stack, and the specimens on it."""
        viewer, specimens = self._bench.viewer, self._specimens
        for layer in (specimens.preview, *specimens.companions):
            if layer is not None:
                layer.visible = False
        viewer.dims.ndisplay = 2
        for layer in self._hidden:
            # Of the labels only the specimens: the others would lie below them.
            if layer in viewer.layers and not isinstance(layer, Labels):
                layer.visible = True
        self._hidden = []
        for layer in (self._bench.stack_layer, specimens.layer):
            if layer is not None:
                layer.visible = True
        if specimens.layer is not None:
            viewer.layers.selection.active = specimens.layer
        viewer.reset_view()

    def _hide(self) -> None:
        """Hide everything else before 3D: a large volume would ask for gigabytes at once."""
        shown = [layer for layer in self._bench.viewer.layers if layer.visible]
        if not self.in_3d:
            self._hidden = shown
        for layer in shown:
            layer.visible = False

    def _turning(self) -> None:
        """Hide what is too large, whoever turned to 3D."""
        if not self.in_3d:
            return
        large = [x for x in self._bench.viewer.layers if x.visible and is_large(x)]
        for layer in large:
            layer.visible = False
        if large:
            self._hidden = [*self._hidden, *(x for x in large if x not in self._hidden)]
            names = ", ".join(f"'{layer.name}'" for layer in large)
            self._bench.tell(
                f"{names} {'was' if len(large) == 1 else 'were'} hidden: too large to be turned in "
                "3D. Page 7 makes a smaller volume of labels."
            )
