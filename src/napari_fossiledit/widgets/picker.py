"""Picking a colour by a click into the image, or a patch by a click or a drawn rectangle."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, ClassVar

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QLabel, QPushButton

from napari_fossiledit.errors import InputError
from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.layers import as_role, role, spatial
from napari_fossiledit.widgets.recipe import clicked_window, drawn_window

__all__ = ["ColourPicker", "PatchPicker", "Swatch"]

_RGB = 3
_STILL = 4  # px of the screen: a hand that moves less has clicked, not drawn
_TOOL = "draw the patch here"


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


class _Picker(QObject):
    """Waits for the mouse while its button is down, and leaves the viewer as it was.

    Meanwhile a layer of its own choice is active, so that a labels layer in painting mode is not
    painted on by the same click; the stack is shown, and results that cover it are not. Choosing
    another layer, or deleting one that is needed, lets the button up.

    Signals
    -------
    picked : tuple
    beginning
        Before anything is touched: whatever else waits for the mouse must stop now.
    """

    picked: ClassVar[Any] = Signal(tuple)
    beginning: ClassVar[Any] = Signal()

    def __init__(self, bench: Bench, button: QPushButton) -> None:
        super().__init__(button)
        self._bench, self.button = bench, button
        self._stack: Any = None
        self._active: Any = None
        self._before: list[Callable[[], None]] = []
        button.setCheckable(True)
        button.toggled.connect(self._toggle)
        bench.changed.connect(self._check)

    def cancel(self) -> None:
        """Let the button up."""
        self.button.setChecked(False)

    def take_up(self, stack: Any) -> Any:
        """Return the layer that the mouse works on, ready for it."""
        raise NotImplementedError

    def put_down(self, layer: Any) -> None:
        """Undo what `take_up` did to the layer."""
        raise NotImplementedError

    def _toggle(self, down: bool) -> None:
        if down:
            self._begin()
        else:
            self._end()

    def _begin(self) -> None:
        stack, layers = self._bench.stack_layer, self._bench.viewer.layers
        if stack is None:
            self.cancel()
            return
        if self._bench.viewer.dims.ndisplay != 2:
            self.cancel()
            self._bench.tell_error("In 3D nothing can be picked: switch to 2D first (Ctrl+Y).")
            return
        self.beginning.emit()
        self._stack = stack
        covers = list(layers)[layers.index(stack) + 1 :]
        hidden = [x for x in covers if x._type_string == "image" and role(x) == "result"]
        self._before = [
            self._reselecting(layers.selection.active),
            _restoring(stack, "mode"),
            *(_restoring(layer, "visible") for layer in (stack, *hidden)),
        ]
        stack.visible = True
        for layer in hidden:
            layer.visible = False
        self._active = self.take_up(stack)
        layers.selection.active = self._active

    def _end(self) -> None:
        layer, self._active = self._active, None
        if layer is None:
            return
        self.put_down(layer)
        for restore in reversed(self._before):
            restore()
        self._before.clear()
        self._stack = None

    def _reselecting(self, layer: Any) -> Callable[[], None]:
        layers = self._bench.viewer.layers

        def restore() -> None:
            layers.selection.active = layer if layer in layers else None

        return restore

    def _check(self) -> None:
        if self._active is None:
            return
        layers = self._bench.viewer.layers
        gone = self._stack is not self._bench.stack_layer or self._active not in layers
        if gone or layers.selection.active is not self._active:
            self.cancel()


class ColourPicker(_Picker):
    """Waits for one click on the stack.

    Signals
    -------
    picked : (r, g, b)
    """

    def take_up(self, stack: Any) -> Any:
        """Have the stack report a click."""
        stack.mode = "pan_zoom"
        stack.mouse_drag_callbacks.append(self._click)
        return stack

    def put_down(self, layer: Any) -> None:
        """Take the report back."""
        if self._click in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.remove(self._click)

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
        self.cancel()
        self.picked.emit(tuple(int(np.clip(round(c), 0, 255)) for c in (red, green, blue)))


class PatchPicker(_Picker):
    """Waits for one click, or one rectangle, on a layer of shapes laid over the stack.

    Signals
    -------
    picked : (y0, x0, y1, x1)
        Pixels of the slice.
    """

    def __init__(self, bench: Bench, button: QPushButton, kind: Callable[[], str]) -> None:
        super().__init__(bench, button)
        self._kind = kind  # of the fill: a click means a window as large as it needs

    def take_up(self, stack: Any) -> Any:
        """Lay an empty layer of shapes over the stack."""
        viewer = self._bench.viewer
        step = viewer.dims.current_step
        tool = viewer.add_shapes(
            ndim=stack.ndim,
            name=_TOOL,
            metadata=as_role("tool"),
            edge_color="#ffb000",
            face_color="transparent",
            edge_width=max(1.0, max(stack.data.shape[stack.ndim - 2 : stack.ndim]) / 300),
            **spatial(stack),
        )
        viewer.dims.current_step = step
        tool.mode = "add_rectangle"
        tool.mouse_drag_callbacks.append(self._drag)
        return tool

    def put_down(self, layer: Any) -> None:
        """Take the layer of shapes away."""
        if layer in self._bench.viewer.layers:
            self._bench.viewer.layers.remove(layer)

    def _drag(self, layer: Any, event: Any) -> Generator[None]:
        start, pressed = self._place(layer, event), np.array(event.pos, float)
        yield
        while event.type == "mouse_move":
            yield
        moved = float(np.abs(np.array(event.pos, float) - pressed).max())
        end = start if moved < _STILL else self._place(layer, event)
        # Not from within the mouse's event: napari still works on the layer.
        QTimer.singleShot(0, lambda: self._finish(layer, start, end))

    def _place(self, layer: Any, event: Any) -> tuple[float, float]:
        y, x = layer.world_to_data(event.position)[-2:]
        return float(y), float(x)

    def _finish(self, layer: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
        if layer is not self._active:
            return
        shape = self._bench.stack().shape[1:]
        try:
            if start == end:
                window = clicked_window(start, shape, self._kind())
            else:
                window = drawn_window(start, end, shape)
        except InputError as error:
            layer.data = []
            self._bench.tell_error(str(error))
            return
        self.cancel()
        self.picked.emit(window)


def _restoring(thing: Any, name: str) -> Callable[[], None]:
    """What gives an attribute back its value of now, unless it has it still."""
    value = getattr(thing, name)

    def restore() -> None:
        if getattr(thing, name) != value:
            setattr(thing, name, value)

    return restore


def _whole(dtype: Any) -> float:
    kind = np.dtype(dtype)
    return float(np.iinfo(kind).max) if kind.kind in "ui" else 1.0
