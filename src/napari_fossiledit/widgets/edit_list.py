"""The list of edits: order, switch, weigh, rename, duplicate, merge, remove, save and load."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHeaderView,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from napari_fossiledit.editing.provenance_words import provenance_rows
from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.edit_jobs import load_edit_task, save_edit_task
from napari_fossiledit.widgets.live_box import LiveBox
from napari_fossiledit.widgets.page import CLEAR_BOXES, Section, note, row, say, set_ready
from napari_fossiledit.widgets.provenance import provenance_html
from napari_fossiledit.widgets.strength_box import STRONGEST

__all__ = ["EditList"]

_FILTER = "Edits (*.safetensors);;All files (*)"
_ROWS = 6
_UP, _DOWN = -1, 1


class EditList(QWidget):
    """Shows the session's `EditStack`.

    A change is in the list at once; the weights follow in a thread, since they wait for the
    segmenter's lock while a prediction runs.
    """

    def __init__(self, bench: Bench, button: Any) -> None:
        super().__init__()
        self._bench = bench
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["Edit (on / off)", "Strength"])
        self.tree.setRootIsDecorated(False)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        triggers = QAbstractItemView.EditTrigger
        self.tree.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed)
        self.tree.header().setStretchLastSection(False)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.tree.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.tree.setStyleSheet(CLEAR_BOXES)
        self.tree.itemChanged.connect(self._item_changed)
        self.tree.currentItemChanged.connect(lambda *_: self._show_selected())
        self.empty = note("No edit yet.")
        self.slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0.0, STRONGEST)
        self.slider.setSingleStep(0.01)
        self.slider.setDecimals(2)
        self.slider.wheelEvent = lambda event: event.ignore()
        self.slider.valueChanged.connect(self._slid)
        self.live = LiveBox(bench)
        self.up = button("Up", lambda: self._move(_UP))
        self.down = button("Down", lambda: self._move(_DOWN))
        self.duplicate = button("Duplicate", self._duplicate)
        self.merge = button("Merge", self._merge)
        self.remove = button("Remove", self._remove)
        self.clear = button("Remove all", self._clear)
        self.save = button("Save…", self._save)
        self.load = button("Load…", self._load)
        layout.addWidget(self.empty)
        layout.addWidget(self.tree)
        self.strength_label = QLabel("Strength")
        layout.addLayout(row(self.strength_label, self.slider, self.live.toggle, stretch=1))
        layout.addWidget(self.live)
        layout.addLayout(row(self.up, self.down, self.duplicate, self.merge))
        layout.addLayout(row(self.remove, self.clear, self.save, self.load))
        self.origin_text = note()
        self.origin_text.setTextFormat(Qt.TextFormat.RichText)
        self.origin = Section("Where this edit comes from", self.origin_text)
        self.origin.head.toggled.connect(lambda: self._show_selected())
        layout.addWidget(self.origin)

    @property
    def _edits(self) -> Any:
        return self._bench.session.edits

    @property
    def selected(self) -> int | None:
        """Place of the selected edit, or None."""
        at = self.tree.indexOfTopLevelItem(self.tree.currentItem()) if self._count() else -1
        return at if 0 <= at < self._count() else None

    def select(self, at: int) -> None:
        """Select an edit by its place."""
        self.refresh()
        if 0 <= at < self.tree.topLevelItemCount():
            self.tree.setCurrentItem(self.tree.topLevelItem(at))

    def _count(self) -> int:
        return 0 if self._edits is None else len(self._edits.entries)

    def refresh(self) -> None:
        """Show the list as it is now."""
        entries = () if self._edits is None else self._edits.entries
        at = self.selected
        with QSignalBlocker(self.tree):
            while self.tree.topLevelItemCount() > len(entries):
                self.tree.takeTopLevelItem(self.tree.topLevelItemCount() - 1)
            while self.tree.topLevelItemCount() < len(entries):
                self.tree.addTopLevelItem(QTreeWidgetItem())
            for i, entry in enumerate(entries):
                self._show_entry(self.tree.topLevelItem(i), entry)
            lines = min(max(len(entries), 1), _ROWS)
            height = self.tree.header().sizeHint().height() + 6
            self.tree.setFixedHeight(height + lines * max(self.tree.sizeHintForRow(0), 18))
            if entries:
                place = len(entries) - 1 if at is None else min(at, len(entries) - 1)
                self.tree.setCurrentItem(self.tree.topLevelItem(place))
        say(self.empty, "" if entries else "No edit yet.")
        editing = (self.strength_label, self.slider, self.live.toggle, self.origin)
        buttons = (self.up, self.down, self.duplicate, self.merge)
        for widget in (self.tree, *editing, *buttons):
            widget.setVisible(bool(entries))
        if not entries:
            self.live.toggle.setChecked(False)
        self.live.refresh()
        self._show_ready(bool(entries))
        self._show_selected()

    def _show_entry(self, item: QTreeWidgetItem, entry: Any) -> None:
        flags = Qt.ItemFlag
        item.setFlags(
            flags.ItemIsEnabled
            | flags.ItemIsSelectable
            | flags.ItemIsEditable
            | flags.ItemIsUserCheckable
        )
        item.setText(0, entry.name)
        item.setText(1, f"{entry.strength:.2f}")
        item.setCheckState(0, Qt.CheckState.Checked if entry.active else Qt.CheckState.Unchecked)
        item.setToolTip(0, "Double-click, or press F2, to rename.")

    def _show_ready(self, some: bool) -> None:
        runner = self._bench.runner
        held = (
            f"'{runner.title}' needs the weights as they are: wait for it, or cancel it below."
            if runner.holds_weights
            else ""
        )
        none = "" if some else "There is no edit in the list."
        busy = f"'{runner.title}' is running: wait for it, or cancel it below."
        no_model = "" if self._edits is not None else "Load a model first (page 2)."
        for widget in (self.tree, self.slider):
            set_ready(widget, held, "")
        active = self._bench.session.active_edits
        few = "" if active > 1 else "Merging needs at least two edits that are switched on."
        set_ready(
            self.merge,
            few or held,
            f"Make one edit of the {active} that are switched on; the model stays what it is now.",
        )
        set_ready(
            self.duplicate,
            none or held,
            "A copy of the selected edit, switched off: try another strength beside it.",
        )
        self.slider.setToolTip(held or "0 = the model without this edit, 1 = the edit as solved.")
        set_ready(self.remove, none or held, "Take the selected edit off the model.")
        set_ready(self.clear, none or held, "The model is the unedited one again, bit for bit.")
        waiting = busy if runner.busy else ""
        set_ready(self.save, none or waiting, "Save the selected edit to a file.")
        set_ready(self.load, no_model or waiting, "Load an edit made for this model.")

    def _show_selected(self) -> None:
        """Show the selected edit's strength and origin, and where it may move."""
        at = self.selected
        if at is None:
            return
        entry = self._edits.entries[at]
        if not self.slider.isSliderDown():
            with QSignalBlocker(self.slider):
                self.slider.setValue(entry.strength)
        if self.origin.head.isChecked():
            rows = provenance_rows(entry.edit, entry.strength, self._edits.base_fingerprint)
            text = provenance_html(rows)
            if text != self.origin_text.text():
                self.origin_text.setText(text)
            self.origin_text.show()
        held = self._bench.runner.holds_weights
        why = f"'{self._bench.runner.title}' is running." if held else ""
        tip = "Only rounding depends on the order: the strengths add up."
        set_ready(self.up, why or ("" if at else "It is the first."), tip)
        last = at == self._count() - 1
        set_ready(self.down, why or ("It is the last." if last else ""), tip)

    def _changed(self) -> None:
        """Let the weights follow the list, off the main thread."""
        edits = self._edits
        self._bench.latest.submit("sync", edits.sync)
        self._bench.session.touch_edits()

    def _slid(self, strength: float) -> None:
        at = self.selected
        if at is None or self._bench.runner.holds_weights:
            return
        self._edits.set_strength(at, round(strength, 3), wait=False)
        self._changed()

    def _item_changed(self, item: QTreeWidgetItem, column: int) -> None:
        at = self.tree.indexOfTopLevelItem(item)
        if column != 0 or not 0 <= at < self._count() or self._bench.runner.holds_weights:
            return
        entry = self._edits.entries[at]
        active = item.checkState(0) == Qt.CheckState.Checked
        if item.text(0) != entry.name:
            self._bench.attempt(lambda: self._edits.rename(at, item.text(0)))
        if active != entry.active:
            self._edits.set_active(at, active, wait=False)
        self._changed()

    def _move(self, step: int) -> None:
        at = self.selected
        if at is not None and 0 <= at + step < self._count():
            self._edits.move(at, at + step, wait=False)
            self._changed()
            self.select(at + step)

    def _duplicate(self) -> None:
        at = self.selected
        if at is not None:
            self._edits.duplicate(at, wait=False)
            self._changed()
            self.select(at + 1)

    def _merge(self) -> None:
        def merge() -> None:
            count = self._bench.session.active_edits
            merged = self._edits.merge(name=f"merged from {count} edits", wait=False)
            self._changed()
            self.select(self._edits.entries.index(merged))

        self._bench.attempt(merge)

    def _remove(self) -> None:
        if self.selected is not None:
            self._edits.remove(self.selected, wait=False)
            self._changed()

    def _clear(self) -> None:
        self._edits.clear(wait=False)
        self._changed()

    def _save(self) -> None:
        if self.selected is None:
            return
        entry = self._edits.entries[self.selected]
        name = "".join(c if c.isalnum() or c in " -_" else "_" for c in entry.name)
        path, _ = QFileDialog.getSaveFileName(self, "Save the edit", f"{name}.safetensors", _FILTER)
        if path:
            self.save_to(path)

    def save_to(self, path: str) -> None:
        """Save the selected edit, under its name and with its strength."""
        at = self.selected
        if at is None:
            return
        entry = self._edits.entries[at]
        edit = entry.edit.with_name(entry.name).with_strength(entry.strength)
        self._bench.start(
            lambda: save_edit_task(edit, path),
            title="Save the edit",
            on_done=lambda saved: self._bench.tell(f"The edit was saved to {saved}."),
        )

    def _load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load an edit", "", _FILTER)
        if path:
            self.load_from(path)

    def load_from(self, path: str) -> None:
        """Load an edit and switch it on at the strength found best for it, if it is worth it."""
        edits = self._edits
        self._bench.start(
            lambda: load_edit_task(path, edits),
            title="Load an edit",
            on_done=self._loaded,
            holds_weights=True,
        )

    def _loaded(self, edit: Any) -> None:
        self._edits.add(edit, edit.strength, wait=False)
        if not edit.worth_it:
            self._edits.set_active(edit, False, wait=False)
            self._bench.tell(
                f"The edit '{edit.name}' was found not worth applying when it was made: it is in "
                "the list, switched off."
            )
        self._changed()
        self.select(self._count() - 1)
