"""Which classes of a model are the fossil."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QAbstractItemView, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.page import CLEAR_BOXES, note, row, set_ready

__all__ = ["ClassList"]

_ROWS = 8
_MANY = 4  # from so many classes on, ticking one by one is tedious


class ClassList(QWidget):
    """A list with a tick for each class that counts as the fossil; hidden for a single class.

    The choice is in the session at once; the model follows in a thread while a prediction holds
    its lock.
    """

    def __init__(self, bench: Bench, button: Any) -> None:
        super().__init__()
        self._bench = bench
        self.tree = QTreeWidget()
        self.tree.setHeaderHidden(True)
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.tree.setStyleSheet(CLEAR_BOXES)
        self.tree.itemChanged.connect(self._ticked)
        self.tree.itemSelectionChanged.connect(self.refresh)
        self.only = button("Only the selected", self._only)
        self.every = button("All", self._every)
        self._buttons = QWidget()
        self._buttons.setLayout(row(self.only, self.every))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.head = note("Which classes are the fossil")
        for widget in (self.head, self.tree, self._buttons):
            layout.addWidget(widget)

    def refresh(self) -> None:
        """Show the classes of the model that is loaded, and which are ticked."""
        info = self._bench.session.model
        names = () if info is None else info.classes
        self.setVisible(len(names) > 1)
        self._buttons.setVisible(len(names) >= _MANY)
        if info is None or len(names) < 2:
            return
        with QSignalBlocker(self.tree):
            self._show(names, info.fossil_classes)
        runner = self._bench.runner
        held = f"'{runner.title}' is running: the model must stay as it is."
        why = held if runner.holds_weights else ""
        set_ready(self.tree, why, "Instances of classes without a tick are left out everywhere.")
        unselected = "" if self.tree.selectedItems() else "Select classes in the list first."
        set_ready(self.only, why or unselected, "Tick what is selected, and nothing else.")
        set_ready(self.every, why, "Tick every class.")

    def _show(self, names: tuple[str, ...], fossils: tuple[int, ...]) -> None:
        if list(names) != [self.tree.topLevelItem(i).text(0) for i in range(self._count())]:
            self.tree.clear()
            self.tree.addTopLevelItems([QTreeWidgetItem([name]) for name in names])
            lines = min(len(names), _ROWS)
            self.tree.setFixedHeight(6 + lines * (self.tree.sizeHintForRow(0) or 18))
        for i in range(self._count()):
            state = Qt.CheckState.Checked if i in fossils else Qt.CheckState.Unchecked
            self.tree.topLevelItem(i).setCheckState(0, state)

    def _count(self) -> int:
        return int(self.tree.topLevelItemCount())

    def _ticked(self, *_: Any) -> None:
        ticked = Qt.CheckState.Checked
        self._choose(
            [i for i in range(self._count()) if self.tree.topLevelItem(i).checkState(0) == ticked]
        )

    def _only(self) -> None:
        self._choose([self.tree.indexOfTopLevelItem(i) for i in self.tree.selectedItems()])

    def _every(self) -> None:
        self._choose(list(range(self._count())))

    def _choose(self, numbers: list[int]) -> None:
        session, bench = self._bench.session, self._bench
        if bench.runner.holds_weights or not numbers:
            if not numbers:
                bench.tell("At least one class must be the fossil: tick another one first.")
            self.refresh()
            return
        session.set_fossil_classes(numbers)
        segmenter, chosen = session.segmenter, tuple(sorted(numbers))

        def follow() -> None:
            segmenter.fossil_classes = chosen

        bench.change_model("classes", follow)
