"""Page 7: link instances to specimens, turn, measure, mesh and correct them in 3D."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_fossiledit.errors import InputError
from napari_fossiledit.widgets.edit_box import EditBox
from napari_fossiledit.widgets.layers import spatial
from napari_fossiledit.widgets.link_box import LinkBox, is_label_volume
from napari_fossiledit.widgets.look_box import LookBox
from napari_fossiledit.widgets.measure_box import MeasureBox
from napari_fossiledit.widgets.mesh_box import MeshBox
from napari_fossiledit.widgets.page import LayerCombo, Page, Section, note, row, say, set_ready
from napari_fossiledit.widgets.section_box import SectionBox
from napari_fossiledit.widgets.specimen_jobs import Preview, preview_task
from napari_fossiledit.widgets.specimen_places import SpecimenPicker, go_to_specimen
from napari_fossiledit.widgets.specimen_view import SpecimenView
from napari_fossiledit.widgets.specimens import Specimens, is_large

__all__ = ["SpecimensPage"]


class SpecimensPage(Page):
    """Whole specimens."""

    title = "Specimens in 3D"

    def build(self) -> None:
        """Make the page's widgets."""
        bench, viewer = self.bench, self.bench.viewer
        self.specimens = Specimens(viewer)
        self.view = SpecimenView(bench, self.specimens)
        self.picker = SpecimenPicker(viewer, self.specimens, self._clicked)
        self.body.addWidget(
            note("Instances that overlap from slice to slice become one specimen, with one number.")
        )
        self.link = LinkBox(bench, self.specimens, self.button, self._show, self._go_to_event)
        self.body.addWidget(self.link)
        self._build_specimens()
        self.look = LookBox(bench, self.specimens)
        self.section = SectionBox(bench, self.specimens)
        self.measure = MeasureBox(bench, self.specimens, self.button, self._go_to)
        self.meshes = MeshBox(bench, self.specimens, self.button)
        self.edits = EditBox(bench, self.specimens, self.button)
        self.sections: dict[str, Section] = {}
        for title, widgets in (
            ("Colours and section", (self.look, self.section)),
            ("Measure", (self.measure,)),
            ("Edit by hand", (self.edits,)),
            ("Meshes", (self.meshes,)),
        ):
            self.sections[title] = Section(title, _stacked(*widgets))
            self.body.addWidget(self.sections[title])
        self.specimens.changed.connect(bench.touch)
        self.specimens.selected_changed.connect(self._tell_selected)
        self.destroyed.connect(self.picker.disconnect)
        self.destroyed.connect(self.view.disconnect)

    def _build_specimens(self) -> None:
        self.which = LayerCombo(self.bench, is_label_volume, self._chosen, self._choose)
        self.which.setToolTip("Labels in which a number is one specimen in all slices.")
        form = self.form()
        form.addRow("Specimens", self.which)
        self.start_3d = self.button("Show in 3D", self._show_3d)
        self.back = self.button("Back to slices", self._back)
        self.body.addLayout(row(self.start_3d, self.back, stretch=0))
        self.picked = note()
        self.body.addWidget(self.picked)

    # The names that scripts and tests of the first version know.
    @property
    def start(self) -> Any:
        """The button that links and shows."""
        return self.link.start

    @property
    def source(self) -> Any:
        """The labels to link."""
        return self.link.source

    @property
    def said(self) -> Any:
        """What linking found."""
        return self.link.said

    def refresh(self) -> None:
        """Show what there is."""
        specimens = self.specimens
        if specimens.layer is None and specimens._layer is not None:
            specimens.choose(None)  # the user deleted it
        self.link.refresh()
        self.which.refresh()
        why = self.bench.why_not(stack=False)
        if not why and specimens.layer is None:
            why = "Choose specimens first: link labels above, or choose a layer."
        set_ready(self.start_3d, why, "Turn a small copy of the specimens; all else is hidden.")
        flat = self.bench.viewer.dims.ndisplay == 2
        set_ready(self.back, "The viewer shows slices already." if flat else "", "Slices again.")
        for box in (self.look, self.section, self.measure, self.meshes, self.edits):
            box.refresh()

    # ---- layers ---------------------------------------------------------------------------

    def _chosen(self) -> str:
        layer = self.specimens.layer
        return "" if layer is None else str(layer.name)

    def _choose(self, name: str) -> None:
        layer = self.bench.layer(name)
        self.specimens.choose(layer)
        if layer is not None and self.view.in_3d and not is_large(layer):
            self.bench.touch()

    def _show(self, made: Preview) -> None:
        self.view.show(made)
        self.look.paint()

    def _show_3d(self) -> None:
        specimens = self.specimens
        layer = specimens.layer
        if layer is None or self.bench.why_not(stack=False):
            return
        if specimens.preview is not None:
            self.view.show_again()
            return
        data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
        name, place, longest = layer.name, spatial(layer), self.link.axis.value()

        def done(made: Preview) -> None:
            if specimens.layer is layer:
                self._show(made)

        self.bench.start(
            lambda: preview_task(data, name, place, longest),
            title="Make the 3D preview",
            on_done=done,
            needs=[name],
        )

    def _back(self) -> None:
        self.view.back()
        self.look.paint()

    # ---- selection ------------------------------------------------------------------------

    def _clicked(self) -> None:
        """A specimen was clicked in the viewer: select its label, its row follows."""
        selected = self.specimens.selected
        for layer in (self.specimens.layer, self.specimens.preview):
            if layer is not None and selected:
                layer.selected_label = selected[-1]

    def _go_to(self, number: int) -> None:
        go_to_specimen(self.bench.viewer, self.specimens, number)

    def _go_to_event(self, ids: list[int], z: int, kind: str) -> None:
        """Show both specimens of a merge or split in the slice where both are seen."""
        if self.specimens.layer is None:
            raise InputError("The specimens' layer was deleted: link the labels again.")
        self.specimens.select(ids)
        if self.view.in_3d:
            self._back()
        at = z if kind == "split" else max(0, z - 1)
        try:
            go_to_specimen(self.bench.viewer, self.specimens, ids[-1], at)
        except InputError:
            go_to_specimen(self.bench.viewer, self.specimens, ids[-1])

    def _tell_selected(self) -> None:
        selected = self.specimens.selected
        listed = ", ".join(map(str, selected[:8])) + (" …" if len(selected) > 8 else "")
        words = f"Selected: specimen{'s' * (len(selected) > 1)} {listed}." if selected else ""
        say(self.picked, words)


def _stacked(*widgets: QWidget) -> QWidget:
    holder = QWidget()
    layout = QVBoxLayout(holder)
    layout.setContentsMargins(8, 0, 0, 4)
    for widget in widgets:
        layout.addWidget(widget)
    return holder
