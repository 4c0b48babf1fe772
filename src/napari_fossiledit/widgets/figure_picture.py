"""A matplotlib figure inside a dock, drawn for the width and theme it is shown in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QRectF, QSize, QTimer
from qtpy.QtGui import QImage, QPainter, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FigurePicture"]

_WAIT = 120  # ms without a change of size, before the picture is drawn anew
Draw = Callable[[int, int, str, float], "Figure"]


class FigurePicture(QWidget):
    """A picture of a figure.

    Parameters
    ----------
    height : int
        In pixels of the screen; the width is the dock's.
    """

    def __init__(self, height: int) -> None:
        super().__init__()
        self._make: Draw | None = None
        self._drawn: QImage | None = None
        self._look: tuple[Any, ...] = ()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WAIT)
        self._timer.timeout.connect(self._draw)
        self.setFixedHeight(height)
        self.setMinimumWidth(220)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.hide()

    @property
    def drawn(self) -> QImage | None:
        """What was last drawn."""
        return self._drawn

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Wide enough for the dock."""
        return QSize(380, self.height())

    def show_figure(self, make: Draw | None) -> None:
        """Show what ``make(width, height, ink, pixel ratio)`` draws; None hides the picture."""
        self._make, self._drawn, self._look = make, None, ()
        self.setVisible(make is not None)
        self.update()

    def _wanted(self) -> tuple[Any, ...]:
        ink = self.palette().color(QPalette.ColorRole.WindowText).name()
        return self.width(), self.height(), self.devicePixelRatioF(), ink

    def _draw(self) -> None:
        if self._make is None:
            return
        self._look = self._wanted()
        width, height, ratio, ink = self._look
        self._drawn = _image(self._make(width, height, ink, ratio))
        self._drawn.setDevicePixelRatio(ratio)
        self.update()

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Show the picture; while the size changes, the last one is stretched."""
        if self._make is None:
            return
        if self._drawn is None:
            self._draw()
        elif self._look != self._wanted():
            self._timer.start()
        if self._drawn is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRectF(self.rect()), self._drawn)
        painter.end()


def _image(figure: Figure) -> QImage:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height(physical=True)
    pixels = bytes(canvas.buffer_rgba())
    image = QImage(pixels, width, height, 4 * width, QImage.Format.Format_RGBA8888)
    return image.copy()  # the copy owns its pixels
