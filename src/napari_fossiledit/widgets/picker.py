"""Picking the mud's colour by a click into the image."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QLabel, QPushButton

from napari_fossiledit.widgets.bench import Bench

__all__ = ["ColourPicker", "Swatch"]

_RGB = 3


class Swatch(QLabel):
    """A small field of one colour, with its numbers beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(46, 22)
        self.show_colour(None)

    def show_colour(self, colour: tuple[int, int, int] | None) -> None:
        """Show a colour; None shows an empty field."""
        if colour is None:
            self.setStyleSheet("QLabel { border: 1px dashed gray; background: transparent; }")
            self.setToolTip("No colour picked yet.")
        else:
            red, green, blue = colour
            self.setStyleSheet(
                f"QLabel {{ border: 1px solid gray; background: rgb({red}, {green}, {blue}); }}"
            )
            self.setToolTip(f"Red {red}, green {green}, blue {blue}")


class ColourPicker(QObject):
    """Waits for one click on the stack while its button is down.

    The stack's layer is made active meanwhile, so that a labels layer in painting mode is not
    painted on by the same click.

    Signals
    -------
    picked : (r, g, b)
    """

    picked: ClassVar[Any] = Signal(tuple)

    def __init__(self, bench: Bench, button: QPushButton) -> None:
        super().__init__(button)
        self._bench, self._button = bench, button
        self._layer: Any = None
        self._before: Any = None
        button.setCheckable(True)
        button.toggled.connect(self._toggle)
        bench.changed.connect(self._check)

    def _toggle(self, down: bool) -> None:
        if down:
            self._begin()
        else:
            self._end()

    def _begin(self) -> None:
        layer = self._bench.stack_layer
        if layer is None:
            self._button.setChecked(False)
            return
        selection = self._bench.viewer.layers.selection
        self._layer, self._before = layer, selection.active
        selection.active = layer
        layer.mode = "pan_zoom"
        layer.visible = True
        layer.mouse_drag_callbacks.append(self._click)

    def _end(self) -> None:
        layer, self._layer = self._layer, None
        if layer is None:
            return
        if self._click in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.remove(self._click)
        layers = self._bench.viewer.layers
        if self._before is not None and self._before in layers:
            layers.selection.active = self._before
        self._before = None

    def _check(self) -> None:
        """Let the button up when the stack was deleted or exchanged."""
        if self._layer is not None and self._layer is not self._bench.stack_layer:
            self._button.setChecked(False)

    def _click(self, layer: Any, event: Any) -> None:
        # The drawn slice is asked, not the data: no lazy stack is read here.
        value = layer.get_value(
            event.position,
            view_direction=event.view_direction,
            dims_displayed=list(event.dims_displayed),
            world=True,
        )
        if value is None:
            return
        colour = np.atleast_1d(np.asarray(value, float))
        if np.dtype(layer.dtype) != np.uint8:
            low, high = layer.contrast_limits if not layer.rgb else (0, _whole(layer.dtype))
            colour = (colour - low) / max(high - low, 1e-12) * 255
        red, green, blue = (colour if colour.size >= _RGB else np.repeat(colour, _RGB))[:_RGB]
        self._button.setChecked(False)
        self.picked.emit(tuple(int(np.clip(round(c), 0, 255)) for c in (red, green, blue)))


def _whole(dtype: Any) -> float:
    kind = np.dtype(dtype)
    return float(np.iinfo(kind).max) if kind.kind in "ui" else 1.0
