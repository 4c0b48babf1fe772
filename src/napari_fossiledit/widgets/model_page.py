"""Page 2: load a model, and what is known about it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QLineEdit, QWidget

from napari_fossiledit.errors import InputError
from napari_fossiledit.widgets.class_list import ClassList
from napari_fossiledit.widgets.file_field import FileField, dropped_files
from napari_fossiledit.widgets.jobs import Loaded, ModelRequest, load_model_task
from napari_fossiledit.widgets.model_files import CONFIGS, WEIGHTS, config_beside, sort_files
from napari_fossiledit.widgets.page import Page, Section, note, quiet_combo, row, say, set_ready
from napari_fossiledit.widgets.preferences import device
from napari_fossiledit.widgets.zoom_box import ZoomBox

__all__ = ["ModelPage"]

_DEVICES = {
    "Automatic (best there is)": "auto",
    "CPU": "cpu",
    "NVIDIA graphics card (CUDA)": "cuda",
    "Apple graphics (MPS)": "mps",
}
_MODELS = {"Demo model (sample reef)": "demo", "Model from a file": "file"}
_BACKENDS = ("auto", "torchvision", "detectron2")
_PAUSE = 150  # ms without typing after which a config is looked for
_SHOWN_CLASSES = 6
_NO_CONFIG = "for detectron2 models"


class ModelPage(Page):
    """Choose a model and the device that it runs on; a model's files can be dropped here."""

    title = "Model"

    def build(self) -> None:
        """Make the page's widgets."""
        self.source = quiet_combo(QComboBox())
        self.source.addItems(list(_MODELS))
        self.weights = FileField(title="Weights", suffixes=WEIGHTS, hint="a Mask R-CNN, or drop it")
        self.config = FileField(title="Configs", suffixes=CONFIGS, hint=_NO_CONFIG)
        self.names = QLineEdit()
        self.names.setAcceptDrops(False)
        self.names.setPlaceholderText("as the model has them")
        self.names.setToolTip("One name for each class, with commas between them.")
        self.device = quiet_combo(QComboBox())
        self.device.addItems(list(_DEVICES))
        self.device.setCurrentIndex([*_DEVICES.values()].index(device()))
        self.device.setToolTip("Where the model computes. Press 'Load' again after a change.")
        self._form = self.form()
        for label, field in (
            ("Model", self.source),
            ("Weights", self.weights),
            ("Config", self.config),
            ("Class names", self.names),
            ("Device", self.device),
        ):
            self._form.addRow(label, field)
        self._build_advanced()
        self.load = self.button("Load the model", self._load, main=True)
        self.facts = note()
        self.zoom = ZoomBox(self.bench)
        self.classes = ClassList(self.bench, self.button)
        self.body.addWidget(self.load)
        self.body.addWidget(self.facts)
        self.body.addLayout(row(QLabel("Input zoom"), self.zoom, stretch=1))
        self.body.addWidget(self.classes)
        self.setAcceptDrops(True)
        self._connect()

    def _build_advanced(self) -> None:
        self.backend = quiet_combo(QComboBox())
        self.backend.addItems(["Automatic", "torchvision", "detectron2"])
        self.backend.setToolTip(
            "What runs a detectron2 model: torchvision, which came with this plugin, or detectron2 "
            "itself. Automatic takes detectron2 where it is installed."
        )
        if find_spec("detectron2") is None:
            last = len(_BACKENDS) - 1
            self.backend.model().item(last).setEnabled(False)
            self.backend.setItemText(last, "detectron2 (not installed)")
            why = "The package detectron2 is not installed: torchvision gives the same detections."
            self.backend.setItemData(last, why, Qt.ItemDataRole.ToolTipRole)
        inner = QWidget()
        form = QFormLayout(inner)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._backend_label = QLabel("Backend")
        form.addRow(self._backend_label, self.backend)
        self.advanced = Section("Advanced", inner)
        self.body.addWidget(self.advanced)

    def _connect(self) -> None:
        self.source.currentTextChanged.connect(self.refresh)
        self.weights.changed.connect(self.refresh)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE)
        self._pause.timeout.connect(self._look_for_config)
        self._look_for_config()
        self.weights.changed.connect(lambda _: self._pause.start())
        self._memory = QTimer(self)
        self._memory.setInterval(3000)
        self._memory.timeout.connect(self._tick)
        self._memory.start()

    @property
    def _from_file(self) -> bool:
        return _MODELS[self.source.currentText()] == "file"

    def refresh(self) -> None:
        """Show the model's facts and whether one can be loaded."""
        for field in (self.weights, self.config, self.names):
            self._form.setRowVisible(field, self._from_file)
        self.advanced.setVisible(self._from_file)
        widest = self._form.labelForField(self.names).sizeHint().width()
        self._backend_label.setMinimumWidth(widest)  # the fields stand below one another
        why = self.bench.why_not(stack=False)
        if not why and self._from_file and not self.weights.path:
            why = "Choose the model's weights first, or drop them here."
        edits = self.session.edits
        tip = "Load the model; it may take some seconds."
        if edits is not None and len(edits.entries):
            tip += " The edits of the model loaded now are dropped: save those you want to keep."
        set_ready(self.load, why, tip)
        say(self.facts, self._facts())
        self.zoom.refresh()
        self.classes.refresh()

    def _facts(self) -> str:
        info = self.session.model
        if info is None:
            return "No model is loaded."
        lines = [f"Loaded: {info.name}, on {info.device}."]
        lines += [f"{what}: {fact}." for what, fact in info.facts]
        more = len(info.classes) - _SHOWN_CLASSES
        names = ", ".join(info.classes[:_SHOWN_CLASSES])
        lines.append(f"Classes: {names}{f' and {more} more' if more > 0 else ''}.")
        if info.weights is not None:
            size = (info.weight_bytes or 0) / 1e6
            lines.append(f"Size: {info.weights / 1e6:.1f} million weights ({size:.0f} MB).")
        count = len(self.session.edits.entries) if self.session.edits is not None else 0
        active = self.session.active_edits
        lines.append(f"Edits: {active} of {count} switched on." if count else "Edits: none.")
        lines.append(f"Memory: {_memory(info.device)}.")
        return "\n".join(lines)

    def _tick(self) -> None:
        if self.isVisible() and self.session.model is not None:
            say(self.facts, self._facts())

    def _look_for_config(self) -> None:
        """Show which config will be used while none is chosen."""
        weights = self.weights.path
        self.config.start = str(Path(weights).parent) if weights else ""
        found = config_beside(weights)
        self.config.set_hint(_NO_CONFIG if found is None else f"{found.name}, beside the weights")
        self.config.setToolTip(
            "A detectron2 model's config.yaml. Other models need none."
            if found is None
            else f"Found beside the weights, and used while this field is empty: {found}"
        )

    # ---- files dropped onto the page ------------------------------------------------------

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Take files, whatever they are: a wrong one is told when it is dropped."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Put weights and config into their fields."""
        event.acceptProposedAction()
        self.bench.attempt(lambda: self.take_files(dropped_files(event)))

    def take_files(self, paths: list[Path]) -> None:
        """Put weights and config, or the folder that holds them, into the fields.

        Raises
        ------
        InputError
            For a file that is neither; the fields are as they were.
        """
        files = sort_files(paths)
        self.source.setCurrentText(next(k for k, v in _MODELS.items() if v == "file"))
        if files.weights is not None:
            self.weights.path = files.weights
            self.config.path = ""  # the one of the model before
        if files.config is not None:
            self.config.path = files.config
        self._look_for_config()

    # ---- loading --------------------------------------------------------------------------

    def _asked(self) -> ModelRequest:
        where = _DEVICES[self.device.currentText()]
        if not self._from_file:
            return ModelRequest(device=where)
        text = self.names.text().strip()
        names = tuple(name.strip() for name in text.split(",")) if text else None
        if names is not None and not all(names):
            raise InputError(f"A class name is empty in '{text}': put one comma between two names.")
        backend = _BACKENDS[self.backend.currentIndex()]
        return ModelRequest(self.weights.path, self.config.path or None, where, backend, names)

    def _load(self) -> None:
        self.bench.attempt(self._begin)

    def _begin(self) -> None:
        asked = self._asked()
        name = Path(asked.source).name if self._from_file else "the demo model"
        self.bench.start(
            lambda: load_model_task(asked),
            title=f"Load {name}",
            on_done=self._loaded,
            holds_weights=True,
        )

    def _loaded(self, loaded: Loaded) -> None:
        self.session.set_model(loaded.segmenter, loaded.edits, loaded.info)


def _memory(device: Any) -> str:
    from napari_fossiledit.models.device import memory_summary

    return memory_summary(device) or "not known"
