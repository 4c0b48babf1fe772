"""A scatter plot of pairs of scores whose points can be clicked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

__all__ = ["Dot", "ScatterPlot"]

_HEIGHT = 330
_NEAR = 9.0  # pixels within which a click means a point
_RADIUS, _CHOSEN = 4.0, 7.0
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Dot:
    """A point of the plot: two scores in [0, 1], its class' name and colour, and what it is."""

    x: float
    y: float
    group: str
    colour: str
    words: str


class ScatterPlot(QWidget):
    """Points in a square from 0 to 1, with the diagonal and a legend.

    Signals
    -------
    picked : int
        Place of the point that was clicked; further clicks at one spot go through those that
        lie on one another there.
    """

    picked: ClassVar[Any] = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._dots: list[Dot] = []
        self._across = self._up = ""
        self._chosen: int | None = None
        self.setFixedHeight(_HEIGHT)
        self.setMinimumWidth(220)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.hide()

    @property
    def dots(self) -> list[Dot]:
        """The points shown."""
        return list(self._dots)

    @property
    def chosen(self) -> int | None:
        """Place of the marked point, or None."""
        return self._chosen

    def show_dots(self, dots: Sequence[Dot], across: str, up: str) -> None:
        """Show other points and captions; no point is marked then."""
        self._dots, self._across, self._up = list(dots), across, up
        self._chosen = None
        self.setVisible(bool(self._dots))
        self.update()

    def choose(self, at: int | None) -> None:
        """Mark a point."""
        self._chosen = at
        self.update()

    # ---- mouse ----------------------------------------------------------------------------

    def near(self, spot: QPointF) -> list[int]:
        """Places of the points at a spot of the widget, the nearest first."""
        found = []
        for i, dot in enumerate(self._dots):
            at = self.spot(dot)
            away = math.hypot(at.x() - spot.x(), at.y() - spot.y())
            if away <= _NEAR:
                found.append((away, i))
        return [i for _, i in sorted(found)]

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Pick the point under the mouse."""
        found = self.near(event.position())
        if not found or event.button() != Qt.MouseButton.LeftButton:
            return
        here = self._dots[found[0]]
        # Only points that lie on one another take turns; else a neighbour could be picked.
        same = [i for i in found if self._apart(self._dots[i], here) < _RADIUS]
        turn = same.index(self._chosen) + 1 if self._chosen in same else 0
        self.choose(same[turn % len(same)])
        self.picked.emit(self._chosen)

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Say what lies under the mouse."""
        found = self.near(event.position())
        shape = Qt.CursorShape.PointingHandCursor if found else Qt.CursorShape.ArrowCursor
        self.setCursor(shape)
        if not found:
            QToolTip.hideText()
            return
        words = [self._dots[i].words for i in found[:4]]
        if len(found) > len(words):
            words.append(f"and {len(found) - len(words)} more here")
        QToolTip.showText(event.globalPosition().toPoint(), "\n".join(words), self)

    def _apart(self, one: Dot, other: Dot) -> float:
        a, b = self.spot(one), self.spot(other)
        return math.hypot(a.x() - b.x(), a.y() - b.y())

    # ---- drawing --------------------------------------------------------------------------

    def spot(self, dot: Dot) -> QPointF:
        """Where a point is drawn, in the widget's pixels."""
        return _at(self._frame(), dot.x, dot.y)

    def _frame(self) -> QRectF:
        """The square of the scores; the legend above, captions left and below."""
        line = self.fontMetrics().height()
        top = (line + 3) * self._legend_lines() + 8.0
        left, below = line + 36.0, 2.3 * line + 6
        side = max(40.0, min(self.width() - left - 10, self.height() - top - below))
        return QRectF(left + (self.width() - left - 10 - side) / 2, top, side, side)

    def _groups(self) -> dict[str, str]:
        return {dot.group: dot.colour for dot in self._dots}

    def _key_width(self, name: str) -> int:
        return 34 + int(self.fontMetrics().horizontalAdvance(name))

    def _keys(self) -> list[tuple[str, int, int]]:
        """Name, left edge and line of every legend entry."""
        keys: list[tuple[str, int, int]] = []
        left, line = 12, 0
        for name in self._groups():
            if left > 12 and left + self._key_width(name) > self.width():
                left, line = 12, line + 1
            keys.append((name, left, line))
            left += self._key_width(name)
        return keys

    def _legend_lines(self) -> int:
        keys = self._keys() if len(self._groups()) > 1 else []
        return keys[-1][2] + 1 if keys else 0

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw the plot."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        frame = self._frame()
        self._draw_axes(painter, frame, ink)
        self._draw_legend(painter, ink)
        edge = QColor(self.palette().color(QPalette.ColorRole.Window))
        for dot in self._dots:
            colour = QColor(dot.colour)
            colour.setAlpha(205)
            painter.setPen(QPen(edge, 0.7))
            painter.setBrush(colour)
            painter.drawEllipse(_at(frame, dot.x, dot.y), _RADIUS, _RADIUS)
        if self._chosen is not None and self._chosen < len(self._dots):
            dot = self._dots[self._chosen]
            painter.setPen(QPen(ink, 2))
            painter.setBrush(QColor(dot.colour))
            painter.drawEllipse(_at(frame, dot.x, dot.y), _CHOSEN, _CHOSEN)
        painter.end()

    def _draw_axes(self, painter: QPainter, frame: QRectF, ink: QColor) -> None:
        faint, line = QColor(ink), self.fontMetrics().height()
        faint.setAlpha(55)
        painter.setPen(QPen(faint, 1))
        painter.drawRect(frame)
        for value in _TICKS[1:-1]:
            painter.drawLine(_at(frame, value, 0), _at(frame, value, 1))
            painter.drawLine(_at(frame, 0, value), _at(frame, 1, value))
        faint.setAlpha(150)
        painter.setPen(QPen(faint, 1, Qt.PenStyle.DashLine))
        painter.drawLine(_at(frame, 0, 0), _at(frame, 1, 1))
        painter.setPen(ink)
        middle = Qt.AlignmentFlag.AlignHCenter
        for value in _TICKS[::2]:
            x, y = _at(frame, value, 0).x(), _at(frame, 0, value).y()
            painter.drawText(QRectF(x - 20, frame.bottom() + 4, 40, line), middle, f"{value:g}")
            box = QRectF(frame.left() - 36, y - line / 2, 30, line)
            painter.drawText(box, Qt.AlignmentFlag.AlignRight, f"{value:g}")
        below = QRectF(0, frame.bottom() + line + 5, self.width(), line + 3)
        below.moveLeft(frame.center().x() - self.width() / 2)
        painter.drawText(below, middle, self._across)
        painter.save()
        painter.translate(frame.left() - 32 - line / 2, frame.center().y())
        painter.rotate(-90)
        painter.drawText(
            QRectF(-self.height() / 2, -line / 2, self.height(), line + 2), middle, self._up
        )
        painter.restore()

    def _draw_legend(self, painter: QPainter, ink: QColor) -> None:
        colours, line = self._groups(), self.fontMetrics().height()
        if len(colours) < 2:
            return
        for name, left, place in self._keys():
            top = place * (line + 3)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours[name]))
            painter.drawEllipse(QPointF(left + 5.0, top + line / 2 + 1), 4.5, 4.5)
            painter.setPen(ink)
            painter.drawText(QPointF(left + 15.0, top + 0.82 * line), name)


def _at(frame: QRectF, x: float, y: float) -> QPointF:
    return QPointF(frame.left() + x * frame.width(), frame.bottom() - y * frame.height())
