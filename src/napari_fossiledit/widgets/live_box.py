"""The toggle 'Live': the current slice is predicted again whenever the edits change."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_fossiledit.errors import FossilEditError
from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.layers import placed
from napari_fossiledit.widgets.live_jobs import LiveFound, LiveJob, predict_live
from napari_fossiledit.widgets.page import note, say, set_ready
from napari_fossiledit.widgets.tables import figure

__all__ = ["LiveBox"]

NAME = "live prediction"
# A slower model is stopped midway for a newer value; a quick one shows what it was asked.
_QUICK_SECONDS = 1.0
_OUTLINE = 2  # px


class LiveBox(QWidget):
    """Follows model, edits and slice with one layer of its own, updated in place.

    Predictions run one at a time in the bench's thread; of the values that come meanwhile only the
    last counts.
    """

    found: ClassVar[Any] = Signal(object)

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench
        self.toggle = QCheckBox("Live")
        self.said = note()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.said)
        self._layer: Any = None
        self._asked: Any = None
        self._slow = False
        self.toggle.toggled.connect(self._toggled)
        self.found.connect(self._show)

    @property
    def layer(self) -> Any:
        """The layer that follows, or None."""
        return self._layer

    def refresh(self) -> None:
        """Predict again if anything changed that the prediction depends on."""
        bench = self._bench
        if self._layer is not None and self._layer not in bench.viewer.layers:
            self._layer = None  # the user deleted it
            self.toggle.setChecked(False)
        why = bench.why_not(model=True) if not bench.runner.busy else ""
        tip = "Predict the slice shown again whenever an edit, its strength or the slice changes."
        set_ready(self.toggle, why, tip)
        if not self.toggle.isChecked() or bench.runner.holds_weights:
            return
        if why:
            self.toggle.setChecked(False)
            return
        asked = self._state()
        if asked != self._asked:
            self._asked = asked
            self._submit()

    def _state(self) -> Any:
        session = self._bench.session
        acting = [(id(e.edit), e.strength) for e in session.edits.entries if e.active]
        info = session.model
        view = None if info is None else (info.fossil_classes, info.input_zoom)
        labels = self._bench.layer(session.labels)
        layers = (id(self._bench.stack_layer), id(labels))
        return id(session.segmenter), view, layers, self._bench.current_z(), tuple(acting)

    def _submit(self) -> None:
        bench, session = self._bench, self._bench.session
        try:
            stack = bench.stack()
            try:
                labels = bench.labels(session.labels)
            except FossilEditError:
                labels = None  # labels that do not fit are told where they are needed
        except FossilEditError as error:
            self._stop(str(error))
            return
        job = LiveJob(
            segmenter=session.segmenter,
            edits=session.edits,
            stack=stack,
            labels=labels,
            z=bench.current_z(),
            before=self._shown(stack.name),
            paused=lambda: bench.runner.holds_weights,
        )
        bench.latest.submit("live", partial(self._work, job), instead=self._slow)

    def _work(self, job: LiveJob) -> None:
        """In the thread: whatever comes of it is told by a signal."""
        try:
            self.found.emit(predict_live(job))
        except FossilEditError as error:
            self.found.emit(str(error))

    def _shown(self, stack: str) -> Any:
        layer = self._layer
        if layer is None or layer.metadata.get("stack") != stack:
            return None
        return np.array(layer.data if layer.ndim == 2 else layer.data[0])

    def _toggled(self, on: bool) -> None:
        self._asked = None
        if not on:
            say(self.said, "")
            self._remove()
        self._bench.touch()

    def _stop(self, message: str) -> None:
        self.toggle.setChecked(False)
        self._bench.tell_error(message)

    def _remove(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._bench.viewer.layers:
            self._bench.viewer.layers.remove(layer)

    def _show(self, found: LiveFound | str | None) -> None:
        if not self.toggle.isChecked():
            return
        if found is None:  # a task held the weights: ask again when it has ended
            self._asked = None
            return
        if isinstance(found, str):
            self._stop(found)
            return
        if found.job.segmenter is not self._bench.session.segmenter:
            return
        self._slow = found.seconds > _QUICK_SECONDS
        self._paint(found)
        say(self.said, self._words(found))

    def _paint(self, found: LiveFound) -> None:
        stack, z = found.job.stack, found.job.z
        data = found.labels if stack.flat else found.labels[None]
        place = placed(stack.place, z)
        layer = self._layer
        fits = layer is not None and layer.data.shape == data.shape
        if fits and layer.metadata.get("stack") == stack.name:
            # In place, without an undo history: nothing can be painted on this layer.
            layer.data[...] = data
            layer.translate = place["translate"]
            layer.features = found.features
            layer.refresh()
            return
        self._remove()
        chosen = list(self._bench.viewer.layers.selection)
        layer = self._bench.add_labels(
            np.array(data), NAME, place, features=found.features, opacity=0.9
        )
        layer.contour = _OUTLINE
        layer.metadata["stack"] = stack.name
        layer.editable = False
        self._layer = layer
        # The layer that the user works on stays the chosen one.
        self._bench.viewer.layers.selection = set(chosen)

    def _words(self, found: LiveFound) -> str:
        z = found.job.z
        count = f"{found.count} fossil{'' if found.count == 1 else 's'}"
        words = f"Live: {count} on slice {z} ({found.seconds:.1f} s)."
        if found.precision is not None:
            words += (
                f" Against its labels: precision {figure(found.precision)}, "
                f"recall {figure(found.recall)}."
            )
            if z in self._bench.session.used_slices(found.job.stack.name):
                words += " The slice made an edit or chose its strength: these figures flatter it."
        return words
