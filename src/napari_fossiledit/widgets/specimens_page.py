"""Page 7: link the instances of the slices to specimens and turn them in 3D."""

from __future__ import annotations

from typing import Any

from napari.layers import Image, Labels
from qtpy.QtWidgets import QSpinBox

from napari_fossiledit.widgets.layers import spatial, turn_to_3d
from napari_fossiledit.widgets.page import LayerCombo, Page, note, row, say, set_ready
from napari_fossiledit.widgets.specimen_jobs import Linked, link_task

__all__ = ["SpecimensPage"]


def _is_volume(layer: Any) -> bool:
    return isinstance(layer, Labels) and layer.ndim == 3


class SpecimensPage(Page):
    """A quick look at whole specimens."""

    title = "Specimens in 3D"

    def build(self) -> None:
        """Make the page's widgets."""
        self._source = ""
        self.body.addWidget(
            note(
                "Instances that overlap from slice to slice become one specimen. This is a "
                "preview to look at, not yet a measurement."
            )
        )
        self.source = LayerCombo(self.bench, _is_volume, self._read, self._choose)
        self.source.setToolTip("A prediction of many slices (page 3), or your own labels.")
        self.gap = QSpinBox()
        self.gap.setRange(1, 5)
        self.gap.setToolTip("2 also links across one slice in which a specimen was missed.")
        self.axis = QSpinBox()
        self.axis.setRange(32, 1024)
        self.axis.setSingleStep(32)
        self.axis.setValue(256)
        self.axis.setToolTip("Longest side of the 3D preview. Smaller turns more smoothly.")
        form = self.form()
        form.addRow("Labels", self.source)
        form.addRow("Look back (slices)", self.gap)
        form.addRow("Preview size", self.axis)
        self.start = self.button("Link and show in 3D", self._start, main=True)
        self.back = self.button("Back to 2D", self._flat)
        self.body.addLayout(row(self.start, self.back, stretch=0))
        self.said = note()
        self.body.addWidget(self.said)
        self._hidden: list[Any] = []

    def _read(self) -> str:
        """The user's choice, else the newest prediction of several slices, else the labels."""
        if self._source and self.bench.layer(self._source) is not None:
            return self._source
        newest = self.session.result("volume")
        return newest if newest and self.bench.layer(newest) else self.session.labels

    def _choose(self, name: str) -> None:
        self._source = name
        self.bench.touch()

    def refresh(self) -> None:
        """Show whether there is something to link."""
        self.source.refresh()
        why = self.bench.why_not(stack=False)
        layer: Any = self.bench.layer(self.source.currentText())
        if not why and layer is None:
            why = "Segment several slices first (page 3), or choose labels with a z axis."
        if not why and layer.data.shape[0] < 2:
            why = f"The labels '{layer.name}' have a single slice: segment a range of slices."
        set_ready(self.start, why, "Adds the linked specimens and a 3D preview as new layers.")
        flat = self.bench.viewer.dims.ndisplay == 2
        set_ready(self.back, "The viewer shows 2D already." if flat else "", "Slices again.")

    def _start(self) -> None:
        layer: Any = self.bench.layer(self.source.currentText())
        if layer is None or self.bench.why_not(stack=False):
            return
        data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
        name, place = layer.name, spatial(layer)
        gap, axis = self.gap.value(), self.axis.value()
        self.bench.start(
            lambda: link_task(data, name, place, gap=gap, longest=axis),
            title="Link specimens",
            on_done=self._done,
            needs=[name],
        )

    def _done(self, linked: Linked) -> None:
        viewer = self.bench.viewer
        self._hide()
        self.bench.add_labels(
            linked.labels,
            f"{linked.name}: specimens",
            linked.place,
            visible=False,
            features=linked.features,
        )
        preview = self.bench.add_labels(
            linked.preview, f"{linked.name}: 3D preview", linked.preview_place, opacity=1.0
        )
        turn_to_3d(viewer)
        viewer.layers.selection.active = preview
        say(
            self.said,
            f"{linked.count} specimens; {linked.long} of them are seen in two or more slices, "
            f"the longest in {linked.longest}. Drag to turn, scroll to zoom.",
        )

    def _hide(self) -> None:
        """Hide everything else before 3D: a large volume would ask for gigabytes at once."""
        self._hidden = [layer for layer in self.bench.viewer.layers if layer.visible]
        for layer in self._hidden:
            layer.visible = False

    def _flat(self) -> None:
        viewer = self.bench.viewer
        viewer.dims.ndisplay = 2
        for layer in self._hidden:
            if layer in viewer.layers:
                layer.visible = True
        self._hidden = []
        for layer in viewer.layers:
            if isinstance(layer, Labels) and layer.name.endswith("3D preview"):
                layer.visible = False
        image = self.bench.stack_layer
        if isinstance(image, Image):
            image.visible = True
        viewer.reset_view()
