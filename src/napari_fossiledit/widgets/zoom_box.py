"""How much larger than usual the network sees the slices."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDoubleSpinBox

from napari_fossiledit.widgets.bench import Bench

__all__ = ["ZoomBox"]

_LEAST, _MOST = 0.25, 4.0
_TIP = (
    "Shows the network every slice so many times larger; 1 is the model's own size. Small fossils "
    "may be found then, large ones lost; time and memory grow with the square. 'Ask the advisor' "
    "(page 6) tells on your labelled slices which zoom is best."
)


class ZoomBox(QDoubleSpinBox):
    """The loaded model's input zoom; a change holds from the next prediction on."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench
        self.setRange(_LEAST, _MOST)
        self.setSingleStep(0.25)
        self.setValue(1.0)
        self.setSuffix(" x")
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.valueChanged.connect(self._choose)

    def refresh(self) -> None:
        """Show the loaded model's zoom; disabled, with the reason, where it cannot change."""
        info = self._bench.session.model
        why = ""
        if info is None:
            why = "Load a model first."
        elif self._bench.runner.holds_weights:
            why = "Wait until the running task has ended."
        self.setEnabled(not why)
        self.setToolTip(why or _TIP)
        if info is not None and not self.hasFocus() and self.value() != info.input_zoom:
            self.blockSignals(True)
            self.setValue(info.input_zoom)
            self.blockSignals(False)

    def _choose(self, zoom: float) -> None:
        session: Any = self._bench.session
        if session.model is None or self._bench.runner.holds_weights:
            self.refresh()
            return
        session.set_input_zoom(zoom)
        segmenter = session.segmenter

        def follow() -> None:
            segmenter.input_zoom = zoom

        self._bench.change_model("zoom", follow)
