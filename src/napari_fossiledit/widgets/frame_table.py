"""A pandas table in a Qt view: thousands of rows stay quick, numbers are sorted as numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    Qt,
    Signal,
)
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTableView

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["FrameModel", "FrameTable", "cell_text"]

_DASH = "–"
_SAMPLE = 40  # rows whose widths are looked at
_MARGIN = 18  # px in a cell beside its text


def cell_text(value: Any) -> str:
    """A cell as text: whole numbers whole, others with four digits, a dash for none."""
    if isinstance(value, float | np.floating):
        number = float(value)
        if not math.isfinite(number):
            return _DASH
        if number == int(number) and abs(number) < 1e6:
            return f"{number:.0f}"
        return f"{number:.4g}"
    return str(value)


class FrameModel(QAbstractTableModel):
    """A table's columns as arrays, and the order in which its rows are shown."""

    def __init__(self) -> None:
        super().__init__()
        self._names: list[str] = []
        self._titles: list[str] = []
        self._tips: list[str] = []
        self._columns: list[NDArray[Any]] = []
        self._order: NDArray[np.intp] = np.zeros(0, np.intp)

    def set_frame(
        self,
        frame: DataFrame | None,
        title: Callable[[str], str] = str,
        tip: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Show another table, in its own order."""
        self.beginResetModel()
        self._names = [] if frame is None else [str(name) for name in frame.columns]
        self._titles = [title(name) for name in self._names]
        self._tips = [tip(name) for name in self._names]
        self._columns = [] if frame is None else [frame[n].to_numpy() for n in frame.columns]
        self._order = np.arange(0 if frame is None else len(frame))
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Rows shown."""
        return 0 if parent is not None and parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Columns shown."""
        return 0 if parent is not None and parent.isValid() else len(self._names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What Qt asks of a cell."""
        if role == Qt.ItemDataRole.DisplayRole:
            return cell_text(self._columns[index.column()][self._order[index.row()]])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            number = self._columns[index.column()].dtype.kind in "iuf"
            side = Qt.AlignmentFlag.AlignRight if number else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(  # noqa: N802 - Qt's name
        self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """What Qt asks of a column's head."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._titles):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._titles[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{self._tips[section]} Click to sort.".strip()
        return None

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column's values; what is not known comes last either way."""
        if not 0 <= column < len(self._columns):
            return
        values = self._columns[column]
        self.layoutAboutToBeChanged.emit()
        known = np.array([v == v for v in values], bool)  # NaN differs from itself
        rank = np.flatnonzero(known)[np.argsort(values[known], kind="stable")]
        if order == Qt.SortOrder.DescendingOrder:
            rank = rank[::-1]
        self._order = np.concatenate([rank, np.flatnonzero(~known)])
        self.layoutChanged.emit()

    def row_in_frame(self, row: int) -> int:
        """Which row of the frame is shown at ``row``."""
        return int(self._order[row])

    def rows_shown(self, frame_rows: Iterable[int]) -> list[int]:
        """Where rows of the frame are shown."""
        place = np.empty(len(self._order), np.intp)
        place[self._order] = np.arange(len(self._order))
        return [int(place[i]) for i in frame_rows]

    def text(self) -> str:
        """The table as tab-separated text, in the order shown."""
        lines = ["\t".join(title.replace("\n", " ") for title in self._titles)]
        for i in self._order:
            lines.append("\t".join(cell_text(column[i]) for column in self._columns))
        return "\n".join(lines)


class FrameTable(QTableView):
    """A sortable table whose rows can be selected.

    Signals
    -------
    picked : list of int
        Rows of the frame that the user selected, the one clicked last at the end.
    """

    picked: ClassVar[Any] = Signal(list)

    def __init__(self, *, rows: int = 8, several: bool = True) -> None:
        super().__init__()
        self.frame_model = FrameModel()
        self.setModel(self.frame_model)
        self._quiet = False
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        mode = QAbstractItemView.SelectionMode
        self.setSelectionMode(mode.ExtendedSelection if several else mode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        vertical = self.verticalHeader()
        vertical.setVisible(False)
        line = self.fontMetrics().height() + 6
        vertical.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)  # never measures all rows
        vertical.setDefaultSectionSize(line)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(36)
        header.setHighlightSections(False)  # bold heads would not fit
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setSortingEnabled(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setFixedHeight(line * (rows + 1) + 56)
        self.selectionModel().selectionChanged.connect(self._selected)
        self.hide()

    def show_frame(
        self,
        frame: DataFrame | None,
        title: Callable[[str], str] = str,
        tip: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Show another table; None hides it."""
        self._quiet = True
        self.frame_model.set_frame(frame, title, tip)
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self._fit()
        self._quiet = False
        self.setVisible(frame is not None)

    def choose(self, frame_rows: Iterable[int]) -> None:
        """Select rows of the frame and bring the last into view; `picked` is not emitted."""
        model = self.frame_model
        rows = model.rows_shown(frame_rows)
        marked = QItemSelection()
        last = model.columnCount() - 1
        for i in rows:
            marked.select(model.index(i, 0), model.index(i, last))
        self._quiet = True
        self.selectionModel().select(marked, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        if rows:
            across = self.horizontalScrollBar().value()
            self.scrollTo(model.index(rows[-1], 0))
            self.horizontalScrollBar().setValue(across)
        self._quiet = False

    def _selected(self, *_: Any) -> None:
        if self._quiet:
            return
        rows = [index.row() for index in self.selectionModel().selectedRows()]
        current = self.currentIndex().row()
        if current in rows:
            rows = [*(i for i in rows if i != current), current]
        self.picked.emit([self.frame_model.row_in_frame(i) for i in rows])

    def _fit(self) -> None:
        """Widths by the heads and the first rows: measuring thousands would take seconds."""
        model, metrics = self.frame_model, self.fontMetrics()
        for column in range(model.columnCount()):
            head = str(model.headerData(column, Qt.Orientation.Horizontal))
            texts = head.split("\n") + [
                model.data(model.index(i, column)) for i in range(min(_SAMPLE, model.rowCount()))
            ]
            width = max(metrics.horizontalAdvance(text) for text in texts)
            self.setColumnWidth(column, width + _MARGIN)

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Copy the whole table on Ctrl+C."""
        if event.matches(QKeySequence.StandardKey.Copy):
            QApplication.clipboard().setText(self.frame_model.text())
        else:
            super().keyPressEvent(event)
