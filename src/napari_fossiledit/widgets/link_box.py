"""Linking instances to specimens: settings, start, and the merges and splits found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_fossiledit.volume.link import GAP, MINIMUM_IOU
from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.frame_table import FrameTable
from napari_fossiledit.widgets.layers import spatial
from napari_fossiledit.widgets.page import LayerCombo, Section, note, say, set_ready
from napari_fossiledit.widgets.specimen_jobs import (
    MOST_IN_MEMORY,
    Linked,
    LinkJob,
    link_and_preview_task,
)
from napari_fossiledit.widgets.specimens import Specimens

__all__ = ["LinkBox", "is_label_volume"]

_LEAST_SLICES = 2
_EVENT_TITLES = {
    "kind": "what",
    "slice": "slice",
    "id": "specimen",
    "other_id": "other",
    "overlap": "overlap",
}
_EVENT_TIPS = {
    "kind": "split: a branch leaves a specimen; merge: one ends in another.",
    "slice": "The first slice of the branch, or the first without the one that ended.",
    "id": "Split: the specimen that goes on. Merge: the one that ends.",
    "other_id": "Split: the branch. Merge: the specimen that goes on.",
    "overlap": "Shared pixels over those of the smaller section.",
}


def is_label_volume(layer: Any) -> bool:
    """Whether a layer holds labels with a z axis."""
    from napari.layers import Labels

    return isinstance(layer, Labels) and layer.ndim == 3


class LinkBox(QWidget):
    """Settings of linking, the button, and what was found.

    Parameters
    ----------
    bench : Bench
    specimens : Specimens
    button : callable
        Makes the page's buttons.
    show : callable
        Shows a preview in 3D.
    go_to : callable
        Goes to specimens in a slice: ``go_to(ids, z)``.
    """

    def __init__(
        self, bench: Bench, specimens: Specimens, button: Any, show: Any, go_to: Any
    ) -> None:
        super().__init__()
        self._bench, self._specimens, self._show, self._go_to = bench, specimens, show, go_to
        self._source = ""
        self._events: Any = None
        self._linked: Any = None
        self.source = LayerCombo(bench, is_label_volume, self._read, self._choose)
        self.source.setToolTip("A prediction of many slices (page 3), or your own labels.")
        self.gap = _spin(1, 5, GAP, "2 also links across one slice in which a specimen was missed.")
        self.least = _spin(
            1,
            1000,
            _LEAST_SLICES,
            "What is seen in fewer slices is left out: mostly specks and false detections. 1 keeps "
            "everything.",
        )
        self.iou = QDoubleSpinBox()
        self.iou.setRange(0.05, 0.95)
        self.iou.setSingleStep(0.05)
        self.iou.setValue(MINIMUM_IOU)
        self.iou.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.iou.setToolTip(
            "Two outlines of neighbouring slices are one specimen if they share at least this part "
            "of their common area (intersection over union)."
        )
        self.axis = _spin(
            32, 1024, 256, "Longest side of the 3D preview, in voxels. Smaller turns more smoothly."
        )
        self.axis.setSingleStep(32)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Labels", self.source)
        form.addRow("Look ahead (slices)", self.gap)
        form.addRow("Least slices", self.least)
        form.addRow("Least overlap", self.iou)
        form.addRow("Preview size", self.axis)
        self.start = button("Link and show in 3D", self._start, main=True)
        self.said = note()
        self.table = FrameTable(rows=5, several=False)
        self.events = Section("Merges and splits", self.table)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        for widget in (self.start, self.said, self.events):
            layout.addWidget(widget)
        self.events.setVisible(False)
        self.table.picked.connect(self._picked)

    def _read(self) -> str:
        """The user's choice, else the newest prediction of several slices, else the labels."""
        bench = self._bench
        if self._source and bench.layer(self._source) is not None:
            return self._source
        newest = bench.session.result("volume")
        return newest if newest and bench.layer(newest) else bench.session.labels

    def _choose(self, name: str) -> None:
        self._source = name
        self._bench.touch()

    def _layer(self) -> Any:
        layer = self._bench.layer(self.source.currentText())
        return layer if layer is not None and is_label_volume(layer) else None

    def refresh(self) -> None:
        """Show whether there is something to link."""
        self.source.refresh()
        why, layer = self._bench.why_not(stack=False), self._layer()
        if not why and layer is None:
            why = "Segment several slices first (page 3), or choose labels with a z axis."
        if not why and layer.data.shape[0] < 2:
            why = f"The labels '{layer.name}' have a single slice: segment a range of slices."
        set_ready(self.start, why, "Adds the linked specimens and a 3D preview as new layers.")
        if self._linked is not None and self._specimens.layer is not self._linked:
            self.events.setVisible(False)
            self._linked = None

    def _start(self) -> None:
        layer = self._layer()
        if layer is None or self._bench.why_not(stack=False):
            return
        out: Path | None = None
        data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
        job = LinkJob(
            data=data,
            name=layer.name,
            place=spatial(layer),
            gap=self.gap.value(),
            minimum_slices=self.least.value(),
            minimum_iou=self.iou.value(),
            longest=self.axis.value(),
        )
        if job.voxels > MOST_IN_MEMORY:
            out = self._ask_folder(layer.name)
            if out is None:
                return
            job = LinkJob(**{**vars(job), "out": out})
        self._bench.start(
            lambda: link_and_preview_task(job),
            title="Link specimens",
            on_done=self._done,
            needs=[layer.name],
        )

    def _ask_folder(self, name: str) -> Path | None:
        start = f"{name.replace(':', '').replace('/', '-')} specimens.ome.zarr"
        path, _ = QFileDialog.getSaveFileName(
            self, "Too large for memory: save the specimens to", start, "OME-Zarr (*.ome.zarr)"
        )
        if not path:
            return None
        return Path(path if path.endswith(".zarr") else f"{path}.ome.zarr")

    def _done(self, linked: Linked) -> None:
        job = linked.job
        made = self._bench.add_labels(
            linked.labels,
            f"{job.name}: specimens",
            job.place,
            visible=False,
            features=linked.features,
        )
        self._specimens.choose(made)
        self._linked = made
        self._show(linked.preview)
        events = linked.links.events_table()
        self._events = events if len(events) else None
        self.table.show_frame(
            self._events,
            lambda name: _EVENT_TITLES.get(name, name),
            lambda name: _EVENT_TIPS.get(name, ""),
        )
        self.events.setVisible(self._events is not None)
        count = len(events)
        self.events.set_title(f"Merges and splits ({count})")
        noted = f" {count} merges and splits are listed below." if count else ""
        say(self.said, f"{linked.words}{noted} Drag to turn, scroll to zoom.")

    def _picked(self, rows: list[int]) -> None:
        if self._events is None or not rows:
            return
        event = self._events.iloc[rows[-1]]
        ids = list(dict.fromkeys((int(event["id"]), int(event["other_id"]))))
        self._bench.attempt(lambda: self._go_to(ids, int(event["slice"]), str(event["kind"])))


def _spin(low: int, high: int, value: int, tip: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(low, high)
    spin.setValue(value)
    spin.setToolTip(tip)
    spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return spin
