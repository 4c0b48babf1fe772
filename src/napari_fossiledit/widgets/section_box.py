"""A section in true colour through the specimens in 3D, and a slider for its depth."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QLabel, QSlider, QVBoxLayout, QWidget

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.layers import StackSource, placed
from napari_fossiledit.widgets.page import row, set_ready
from napari_fossiledit.widgets.specimens import Specimens

__all__ = ["SectionBox", "section_of"]

_LONGEST = 1024  # px along a side of the section


def section_of(
    stack: StackSource, z: int, longest: int = _LONGEST
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """A slice as a volume of one slice, with few enough pixels, and where it lies.

    Returns
    -------
    pixels : (1, y, x, 3) uint8
    place : dict
        As for layers; pixel (0, 0) keeps its centre.
    """
    pixels = stack.read(z)
    step = max(1, -(-max(pixels.shape[:2]) // longest))
    place = placed(stack.place, z)
    scale = np.array(place["scale"], float)
    scale[-2:] *= step
    return pixels[None, ::step, ::step], {**place, "scale": scale}


class SectionBox(QWidget):
    """Shows one slice of the stack in 3D, at its own depth.

    Only that slice is read, in the background; of many moves of the slider the last counts.
    """

    _read: ClassVar[Any] = Signal(object, int, object, object)

    def __init__(self, bench: Bench, specimens: Specimens) -> None:
        super().__init__()
        self._bench, self._specimens = bench, specimens
        self._layer: Any = None
        self.shown = QCheckBox("Section of the stack through them, at slice")
        self.number = QLabel("0")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.slider.wheelEvent = lambda event: event.ignore()
        self.cut = QCheckBox("Cut away what lies before the section")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.shown, self.number, stretch=1))
        layout.addWidget(self.slider)
        layout.addWidget(self.cut)
        self.shown.toggled.connect(self._toggled)
        self.slider.valueChanged.connect(self._moved)
        self.cut.toggled.connect(lambda _: self._clip())
        self._read.connect(self._arrived)
        specimens.changed.connect(self._clip)

    @property
    def layer(self) -> Any:
        """The section's Image layer, or None."""
        return self._layer if self._layer in self._bench.viewer.layers else None

    def refresh(self) -> None:
        """Fit the slider to the stack, and tell why there is no section."""
        stack = self._bench.stack_layer
        why = self._why(stack)
        set_ready(self.shown, why, "The slice in its true colours, standing in the volume.")
        for widget in (self.slider, self.cut):
            set_ready(widget, why or self._off(), "Which slice the section shows.")
        if not why:
            self.cut.setToolTip("Specimens are shown from the section on into the rock only.")
            last = self._bench.stack().shape[0] - 1
            if self.slider.maximum() != last:
                self.slider.setMaximum(last)
                self.slider.setValue(last // 2)
        if self._layer is not None and self.layer is None:  # the user deleted it
            self._layer = None
            self.shown.setChecked(False)

    def _why(self, stack: Any) -> str:
        if stack is None:
            return "Choose a stack first (page 1)."
        if stack.ndim < 3:
            return "The stack is a single slice."
        if self._bench.viewer.dims.ndisplay != 3:
            return "Show the specimens in 3D first."
        return ""

    def _off(self) -> str:
        return "" if self.shown.isChecked() else "Tick the section first."

    def _toggled(self, on: bool) -> None:
        if self.layer is not None:
            self.layer.visible = on
        if on:
            self._ask()
        self._clip()
        self.refresh()

    def _moved(self, z: int) -> None:
        self.number.setText(str(z))
        if self.shown.isChecked():
            self._ask()
            self._clip()

    def _ask(self) -> None:
        """Read the slice in the background."""
        if self._why(self._bench.stack_layer):
            return
        stack, z = self._bench.stack(), self.slider.value()

        def read() -> None:
            self._read.emit(stack.name, z, *section_of(stack, z))

        self._bench.latest.submit(("section", id(self)), read, instead=True)

    def _arrived(self, name: str, z: int, pixels: Any, place: dict[str, Any]) -> None:
        if not self.shown.isChecked() or self._bench.viewer.dims.ndisplay != 3:
            return
        if self.layer is None:
            self._layer = self._bench.add_image(
                pixels,
                f"{name}: section",
                place,
                rgb=True,
                depiction="plane",
                plane=_plane(pixels),
                blending="opaque",  # else it would not hide what lies behind it
            )
            # Out of the way of the layers that are worked with.
            layers = self._bench.viewer.layers
            layers.move(layers.index(self._layer), 0)
            self._specimens.add_companion(self._layer)
            layers.selection.active = self._specimens.preview
            return
        self.layer.data = pixels
        self.layer.plane.position = _plane(pixels)["position"]
        for name_, value in place.items():
            if name_ in {"scale", "translate"}:
                setattr(self.layer, name_, value)

    def _clip(self) -> None:
        """Cut the preview and the meshes at the section, or show them whole."""
        stack = self._bench.stack_layer
        for layer in (self._specimens.preview, *self._specimens.companions):
            if layer is None or layer is self.layer or stack is None:
                continue
            planes: list[dict[str, Any]] = []
            if self.cut.isChecked() and self.shown.isChecked() and stack.ndim == 3:
                world = stack.data_to_world((self.slider.value(), 0, 0))
                position = layer.world_to_data(world)
                planes = [{"position": tuple(position), "normal": (1, 0, 0), "enabled": True}]
            layer.experimental_clipping_planes = planes


def _plane(pixels: Any) -> dict[str, Any]:
    _, height, width = pixels.shape[:3]
    return {"position": (0, height / 2, width / 2), "normal": (1, 0, 0), "thickness": 1}
