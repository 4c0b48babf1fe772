"""Opening a stack or labels from the page itself, and saying how large a voxel is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QDoubleSpinBox, QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from napari_fossiledit.progress import Progress, Task
from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.page import note, row, say, set_ready
from napari_fossiledit.widgets.voxel_size import in_mm, set_voxel_size

__all__ = ["OpenBox", "VoxelBox"]

_FILES = "Stacks and labels (*.tif *.tiff *.png);;All files (*)"
_MOST = 1e4  # mm


def read_task(path: Path) -> Task[list[Any]]:
    """Open a stack or labels without reading the pixels; headers of 3000 files take a second."""
    from napari_fossiledit._reader import read_layers

    yield Progress(0, 1, f"looking through {path.name}")
    return read_layers(path)


class OpenBox(QWidget):
    """Two buttons: a folder (of slices, or a zarr), and a file."""

    def __init__(self, bench: Bench, button: Any) -> None:
        super().__init__()
        self._bench = bench
        self.folder = button("Open a folder or zarr…", self._ask_folder)
        self.file = button("Open a TIFF…", self._ask_file)
        self.said = note()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.folder, self.file))
        layout.addWidget(self.said)

    def refresh(self) -> None:
        """Enable the buttons, or say why not."""
        why = self._bench.why_not(stack=False)
        tip = "numbered PNG, JPEG or TIFF slices, an OME-Zarr or plain zarr, or labels"
        set_ready(self.folder, why, f"A folder: {tip}. Slices are read when they are looked at.")
        set_ready(self.file, why, "A TIFF of many pages, or labels as TIFF.")

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a stack or labels", str(Path.home()))
        if path:
            self.open_path(Path(path))

    def _ask_file(self) -> None:
        title = "Open a stack or labels"
        path, _ = QFileDialog.getOpenFileName(self, title, str(Path.home()), _FILES)
        if path:
            self.open_path(Path(path))

    def open_path(self, path: Path) -> None:
        """Open a stack or labels in the background, as layers of their own."""
        say(self.said, "")
        self._bench.start(lambda: read_task(path), title=f"Open {path.name}", on_done=self._opened)

    def _opened(self, layers: list[Any]) -> None:
        notes: list[str] = []
        session = self._bench.session
        for data, options, kind in layers:
            layer = getattr(self._bench.viewer, f"add_{kind}")(data, **options)
            notes += options["metadata"]["fossiledit_notes"]
            if kind == "image":
                session.choose(stack=layer.name)
            elif layer.metadata.get("fossiledit") != "result":
                session.choose(labels=layer.name)
        say(self.said, "\n".join(f"{text}." for text in notes))


class VoxelBox(QWidget):
    """Three lengths in mm and a button that gives them to the stack and all that lies on it."""

    def __init__(self, bench: Bench, button: Any) -> None:
        super().__init__()
        self._bench = bench
        self.lengths = [self._length(axis) for axis in "zyx"]
        self.set = button("Set", lambda: bench.attempt(self._set))
        self._shown: tuple[Any, ...] = ()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for length in self.lengths:
            layout.addWidget(length, 1)
        layout.addWidget(self.set)

    def refresh(self) -> None:
        """Show the stack's voxel size."""
        layer = self._bench.stack_layer
        self.setEnabled(layer is not None)
        if layer is None:
            return
        set_ready(
            self.set,
            self._bench.why_not(),
            "Give this size to the stack, its labels and all results: measurements rest on it.",
        )
        self.lengths[0].setVisible(layer.ndim == 3)
        size = in_mm(layer)
        shown = (layer.name, size)
        if shown != self._shown:  # not while the user types
            self._shown = shown
            for box, value in zip(self.lengths, size or (0.0, 0.0, 0.0), strict=True):
                box.setValue(value)

    def _set(self) -> None:
        layer = self._bench.stack_layer
        size = [box.value() for box in self.lengths]
        if layer.ndim == 2:
            size[0] = size[1]
        set_voxel_size(self._bench.viewer.layers, layer, size)
        self._bench.touch()

    def _length(self, axis: str) -> QDoubleSpinBox:
        box = _Length()
        box.setDecimals(6)
        box.setRange(0, _MOST)
        box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        box.setPrefix(f"{axis} ")
        box.setSuffix(" mm")
        box.setSpecialValueText(f"{axis} ?")
        box.setMinimumWidth(60)
        what = "from one slice to the next" if axis == "z" else f"of a pixel along {axis}"
        box.setToolTip(f"Millimetres {what}.")
        return box


class _Length(QDoubleSpinBox):
    """A length without the zeros at its end, so that it fits into a third of the dock."""

    def textFromValue(self, value: float) -> str:  # noqa: N802 - Qt's name
        """Six digits at most."""
        return str(self.locale().toString(value, "g", 6))
