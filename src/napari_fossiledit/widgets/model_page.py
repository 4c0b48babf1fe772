"""Page 2: load a model, and what is known about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QComboBox, QFileDialog, QLineEdit

from napari_fossiledit.widgets.jobs import Loaded, load_model_task
from napari_fossiledit.widgets.page import Page, note, quiet_combo, row, say, set_ready
from napari_fossiledit.widgets.preferences import device

__all__ = ["ModelPage"]

_DEVICES = {
    "Automatic (best there is)": "auto",
    "CPU": "cpu",
    "NVIDIA graphics card (CUDA)": "cuda",
    "Apple graphics (MPS)": "mps",
}
_MODELS = {"Demo model (sample reef)": "demo", "Model from a file": "file"}
_FILTER = "Models (*.safetensors *.pth *.pt *.pkl);;All files (*)"


class ModelPage(Page):
    """Choose a model and the device that it runs on."""

    title = "Model"

    def build(self) -> None:
        """Make the page's widgets."""
        self.source = quiet_combo(QComboBox())
        self.source.addItems(list(_MODELS))
        self.path = QLineEdit()
        self.path.setPlaceholderText("A Mask R-CNN checkpoint")
        self.browse = self.button("Browse…", self._browse)
        self.device = quiet_combo(QComboBox())
        self.device.addItems(list(_DEVICES))
        self.device.setCurrentIndex([*_DEVICES.values()].index(device()))
        self.device.setToolTip("Where the model computes. Press 'Load' again after a change.")
        form = self.form()
        form.addRow("Model", self.source)
        self.file_row = row(self.path, self.browse, stretch=0)
        form.addRow("File", self.file_row)
        form.addRow("Device", self.device)
        self._form = form
        self.load = self.button("Load the model", self._load, main=True)
        self.body.addWidget(self.load)
        self.facts = note()
        self.body.addWidget(self.facts)
        self.source.currentTextChanged.connect(self.refresh)
        self.path.textChanged.connect(self.refresh)
        self._memory = QTimer(self)
        self._memory.setInterval(3000)
        self._memory.timeout.connect(self._tick)
        self._memory.start()

    def refresh(self) -> None:
        """Show the model's facts and whether one can be loaded."""
        from_file = _MODELS[self.source.currentText()] == "file"
        self._form.setRowVisible(self.file_row, from_file)
        why = self.bench.why_not(stack=False)
        if not why and from_file and not self.path.text().strip():
            why = "Choose the model's file first."
        edits = self.session.edits
        tip = "Load the model; it may take some seconds."
        if edits is not None and len(edits.entries):
            tip += " The edits of the model loaded now are dropped: save those you want to keep."
        set_ready(self.load, why, tip)
        say(self.facts, self._facts())

    def _facts(self) -> str:
        info = self.session.model
        if info is None:
            return "No model is loaded."
        lines = [f"Loaded: {info.name}, on {info.device}."]
        lines.append(f"Classes: {', '.join(info.classes)}.")
        if info.weights is not None:
            size = (info.weight_bytes or 0) / 1e6
            lines.append(f"Weights: {info.weights / 1e6:.1f} million ({size:.0f} MB).")
        count = len(self.session.edits.entries) if self.session.edits is not None else 0
        active = self.session.active_edits
        lines.append(f"Edits: {active} of {count} switched on." if count else "Edits: none.")
        lines.append(f"Memory: {_memory(info.device)}.")
        return "\n".join(lines)

    def _tick(self) -> None:
        if self.isVisible() and self.session.model is not None:
            say(self.facts, self._facts())

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Open a model", self.path.text() or str(Path.home()), _FILTER
        )
        if path:
            self.path.setText(path)

    def _load(self) -> None:
        kind = _MODELS[self.source.currentText()]
        source = self.path.text().strip() if kind == "file" else "demo"
        chosen = _DEVICES[self.device.currentText()]
        name = Path(source).name if kind == "file" else "the demo model"
        self.bench.start(
            lambda: load_model_task(source, chosen),
            title=f"Load {name}",
            on_done=self._loaded,
            holds_weights=True,
        )

    def _loaded(self, loaded: Loaded) -> None:
        self.session.set_model(loaded.segmenter, loaded.edits, loaded.info)


def _memory(device: Any) -> str:
    from napari_fossiledit.models.device import memory_summary

    return memory_summary(device) or "not known"
