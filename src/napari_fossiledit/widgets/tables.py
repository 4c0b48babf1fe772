"""A read-only table of figures that takes the room it needs and can be copied."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTableWidget
from qtpy.QtWidgets import QTableWidgetItem as Item

__all__ = ["FigureTable", "figure", "share", "signed"]

_DASH = "–"
_AIR = 4  # pixels


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def figure(value: float | None) -> str:
    """A score to three digits, a dash when there is none."""
    return f"{value:.3f}" if _known(value) else _DASH


def share(value: float | None) -> str:
    """A share in per cent."""
    return f"{value:.0%}" if _known(value) else _DASH


def signed(value: float | None, *, percent: bool = False, digits: int = 3) -> str:
    """A difference with its sign."""
    if not _known(value):
        return _DASH
    return f"{value:+.0%}" if percent else f"{value:+.{digits}f}"


class FigureTable(QTableWidget):
    """Rows of figures; Ctrl+C copies the whole table for a spreadsheet."""

    def __init__(self) -> None:
        super().__init__()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().setVisible(False)
        self.setWordWrap(True)
        self.setToolTip("Ctrl+C copies the table.")
        self.hide()

    def fill(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table; the first column names the figures."""
        self.clear()
        self.setRowCount(len(rows))
        self.setColumnCount(len(head))
        self.setHorizontalHeaderLabels(list(head))
        for i, cells in enumerate(rows):
            for j, text in enumerate(cells):
                item = Item(text)
                side = Qt.AlignmentFlag.AlignLeft if j == 0 else Qt.AlignmentFlag.AlignRight
                item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(i, j, item)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.resizeRowsToContents()
        for i in range(len(rows)):
            self.setRowHeight(i, self.rowHeight(i) + _AIR)
        height = header.sizeHint().height() + sum(self.rowHeight(i) for i in range(len(rows)))
        self.setFixedHeight(height + 2 * self.frameWidth() + _AIR)
        self.setVisible(bool(rows))

    def text(self) -> str:
        """The table as tab-separated text."""
        columns = range(self.columnCount())
        lines = ["\t".join(self.horizontalHeaderItem(j).text() for j in columns)]
        for i in range(self.rowCount()):
            lines.append("\t".join(self.item(i, j).text() for j in columns))
        return "\n".join(line.replace("\n", " ") for line in lines)

    def keyPressEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Copy on Ctrl+C."""
        if event.matches(QKeySequence.StandardKey.Copy):  # type: ignore[attr-defined]
            QApplication.clipboard().setText(self.text())
        else:
            super().keyPressEvent(event)
