"""A bar that tells which colour stands for which value."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_fossiledit.widgets.specimen_colours import Scale

__all__ = ["ColourLegend"]

_BAR = 12  # px
_MARGIN = 6


class ColourLegend(QWidget):
    """The colours from the lowest to the highest value, with what they stand for."""

    def __init__(self) -> None:
        super().__init__()
        self._scale: Scale | None = None
        self._title = ""
        line = self.fontMetrics().height()
        self.setFixedHeight(_BAR + 2 * line + 10)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.hide()

    @property
    def words(self) -> tuple[str, str, str]:
        """What is written at the low end, the middle and the high end."""
        scale = self._scale
        if scale is None:
            return "", "", ""
        below, above = "≤ " if scale.below else "", "≥ " if scale.above else ""
        middle = (scale.low + scale.high) / 2
        return f"{below}{scale.low:.4g}", f"{middle:.4g}", f"{above}{scale.high:.4g}"

    def show_scale(self, scale: Scale | None, title: str) -> None:
        """Show another scale; None hides the bar."""
        self._scale, self._title = scale, title
        self.setVisible(scale is not None)
        self.update()

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw the bar."""
        if self._scale is None:
            return
        painter = QPainter(self)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        line = self.fontMetrics().height()
        bar = QRectF(_MARGIN, line + 4, self.width() - 2 * _MARGIN, _BAR)
        painter.setPen(ink)
        painter.drawText(
            QRectF(0, 0, self.width(), line + 2), Qt.AlignmentFlag.AlignHCenter, self._title
        )
        table = self._scale.table
        step = bar.width() / len(table)
        for i, (red, green, blue, _) in enumerate(table.tolist()):
            colour = QColor.fromRgbF(red, green, blue)
            painter.fillRect(QRectF(bar.left() + i * step, bar.top(), step + 1, _BAR), colour)
        painter.setPen(QPen(ink, 1))
        painter.drawRect(bar)
        below = QRectF(bar.left(), bar.bottom() + 2, bar.width(), line + 2)
        sides = (
            Qt.AlignmentFlag.AlignLeft,
            Qt.AlignmentFlag.AlignHCenter,
            Qt.AlignmentFlag.AlignRight,
        )
        for words, side in zip(self.words, sides, strict=True):
            painter.drawText(below, side, words)
        painter.end()
