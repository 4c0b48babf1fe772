"""A small line plot drawn by Qt: the loss of a solver, and curves of precision over recall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPainterPath, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["BLUE", "GREEN", "ORANGE", "LinePlot", "Series"]

# Okabe and Ito's colours: told apart by colour-blind readers, on light and dark ground.
ORANGE, BLUE, GREEN = "#e69f00", "#56b4e9", "#009e73"
_HEIGHT = 170
_TICKS = 4
_MARK = 5.0  # px, radius of a marked point
_LEAST_ROOM = 0.02  # of recall, where all points of a curve lie together


@dataclass(frozen=True)
class Series:
    """A line of the plot.

    Attributes
    ----------
    label : str
    x, y : sequence of float
    colour : str
    marked : int, optional
        Index of a point drawn large.
    names : sequence of str
        Written beside the points.
    beside : bool
        Whether it is only drawn as far as it lies beside the other lines.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    marked: int | None = None
    names: Sequence[str] = ()
    beside: bool = False


class LinePlot(QWidget):
    """Lines in a frame with few ticks and a legend."""

    def __init__(self, caption: str, *, height: int = _HEIGHT) -> None:
        super().__init__()
        self._caption = caption
        self._series: list[Series] = []
        self.setFixedHeight(height)
        self.setMinimumWidth(200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.hide()

    @property
    def series(self) -> list[Series]:
        """The lines shown."""
        return list(self._series)

    def show_series(self, series: Sequence[Series]) -> None:
        """Show other lines (drawn when Qt next paints)."""
        self._series = [s for s in map(_finite, series) if len(s.x)]
        self.setVisible(bool(self._series))
        self.update()

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw the plot."""
        points = _in_view(self._series)
        if not points:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPointSizeF(max(7.0, font.pointSizeF() - 1))
        painter.setFont(font)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        line = painter.fontMetrics().height()
        keys = self._keys(painter)
        legend = (line + 2) * (keys[-1][1] + 1)
        frame = QRectF(52, legend + 6, self.width() - 64, self.height() - legend - 2.4 * line - 8)
        scale = _Scale.of(points, frame)
        self._draw_frame(painter, frame, scale, ink, line)
        for series, (left, place) in zip(self._series, keys, strict=True):
            self._draw_key(painter, series, ink, QPointF(left, place * (line + 2)), line)
        painter.setClipRect(frame)
        for series in self._series:
            _draw_series(painter, series, scale)
        painter.setClipping(False)
        ground = self.palette().color(QPalette.ColorRole.Window)
        for series in self._series:
            _draw_names(painter, series, scale, ground)
        painter.end()

    def _draw_frame(
        self, painter: QPainter, frame: QRectF, scale: _Scale, ink: QColor, line: int
    ) -> None:
        faint = QColor(ink)
        faint.setAlpha(60)
        for value in _ticks(*scale.y):
            at = scale.point(scale.x[0], value).y()
            painter.setPen(QPen(faint, 1))
            painter.drawLine(QPointF(frame.left(), at), QPointF(frame.right(), at))
            painter.setPen(ink)
            box = QRectF(0, at - line / 2, frame.left() - 5, line)
            painter.drawText(box, Qt.AlignmentFlag.AlignRight, _short(value))
        for value in _ticks(*scale.x):
            at = scale.point(value, scale.y[0]).x()
            box = QRectF(at - 30, frame.bottom() + 2, 60, line)
            painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, _short(value))
        below = QRectF(frame.left(), frame.bottom() + line + 2, frame.width(), line + 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, self._caption)
        painter.setPen(QPen(faint, 1))
        painter.drawRect(frame)

    def _keys(self, painter: QPainter) -> list[tuple[int, int]]:
        """Left edge and line of every legend entry."""
        keys: list[tuple[int, int]] = []
        left, place = 54, 0
        for series in self._series:
            width = 44 + painter.fontMetrics().horizontalAdvance(series.label)
            if keys and left + width > self.width():
                left, place = 54, place + 1
            keys.append((left, place))
            left += width
        return keys

    @staticmethod
    def _draw_key(
        painter: QPainter, series: Series, ink: QColor, corner: QPointF, line: int
    ) -> None:
        middle = corner + QPointF(0, line / 2)
        painter.setPen(QPen(QColor(series.colour), 3))
        painter.drawLine(middle, middle + QPointF(18, 0))
        painter.setPen(ink)
        painter.drawText(corner + QPointF(24, 0.8 * line), series.label)


@dataclass(frozen=True)
class _Scale:
    x: tuple[float, float]
    y: tuple[float, float]
    frame: QRectF

    @classmethod
    def of(cls, points: Sequence[tuple[float, float]], frame: QRectF) -> _Scale:
        return cls(_span([p[0] for p in points]), _span([p[1] for p in points]), frame)

    def point(self, x: float, y: float) -> QPointF:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        frame = self.frame
        return QPointF(frame.left() + across * frame.width(), frame.bottom() - up * frame.height())


def _draw_series(painter: QPainter, series: Series, scale: _Scale) -> None:
    points = [scale.point(x, y) for x, y in zip(series.x, series.y, strict=True)]
    colour = QColor(series.colour)
    painter.setPen(QPen(colour, 2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if len(points) > 1:
        painter.drawPolyline(points)
    painter.setBrush(colour)
    for i, point in enumerate(points):
        if len(points) <= 30 or i == series.marked:
            radius = _MARK if i == series.marked else 2.0
            painter.drawEllipse(point, radius, radius)


def _draw_names(painter: QPainter, series: Series, scale: _Scale, ground: QColor) -> None:
    """Write the points' names with a rim in the ground's colour, readable over lines."""
    for x, y, name in zip(series.x, series.y, series.names, strict=False):
        point = scale.point(x, y)
        if name and scale.frame.contains(point):
            path = QPainterPath()
            width = painter.fontMetrics().horizontalAdvance(name)
            left = min(point.x() + 6, scale.frame.right() - width)
            path.addText(QPointF(left, point.y() - 5), painter.font(), name)
            painter.strokePath(path, QPen(ground, 4))
            painter.fillPath(path, QColor(series.colour))


def _in_view(series: Sequence[Series]) -> list[tuple[float, float]]:
    """The points that the frame must hold: of a line that lies beside others, those near them."""
    main = [s for s in series if not s.beside] or list(series)
    points = [(x, y) for s in main for x, y in zip(s.x, s.y, strict=True)]
    if not points or len(main) == len(series):
        return points
    low, high = min(p[0] for p in points), max(p[0] for p in points)
    room = max(0.25 * (high - low), _LEAST_ROOM)
    low, high = low - room, high + room
    for line in series:
        if line.beside:
            around = sorted(zip(line.x, line.y, strict=True))
            points += [point for point in around if low <= point[0] <= high]
            points += [(at, y) for at in (low, high) if (y := _level(around, at)) is not None]
    return points


def _level(line: Sequence[tuple[float, float]], at: float) -> float | None:
    """Height of a line (by rising x) at a place, or None beyond its ends."""
    for (x0, y0), (x1, y1) in pairwise(line):
        if x0 <= at <= x1:
            return y0 if x1 == x0 else y0 + (y1 - y0) * (at - x0) / (x1 - x0)
    return None


def _finite(series: Series) -> Series:
    keep = [
        i
        for i, (x, y) in enumerate(zip(series.x, series.y, strict=True))
        if math.isfinite(x) and math.isfinite(y)
    ]
    names = [series.names[i] for i in keep] if series.names else ()
    marked = keep.index(series.marked) if series.marked in keep else None
    return Series(
        series.label,
        [series.x[i] for i in keep],
        [series.y[i] for i in keep],
        series.colour,
        marked,
        names,
        series.beside,
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10((high - low) / _TICKS))
    step *= next(k for k in (1, 2, 5, 10) if (high - low) / (step * k) <= _TICKS)
    first = math.ceil(low / step)
    return [round(i * step, 12) for i in range(first, math.floor(high / step) + 1)]


def _short(value: float) -> str:
    return f"{value:.4g}"
