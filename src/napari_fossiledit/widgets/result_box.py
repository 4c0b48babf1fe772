"""Where the result of a whole stack is kept, and what is there already."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_fossiledit.widgets.page import note, say
from napari_fossiledit.widgets.whole_jobs import default_result, state_of

__all__ = ["ResultBox"]


class ResultBox(QWidget):
    """A line for the result's folder, its default in grey, and what lies there.

    Signals
    -------
    changed
        Another place was chosen.
    """

    changed: ClassVar[Any] = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._default, self._lasts = Path(), True
        self.line = QLineEdit()
        self.line.textChanged.connect(self._changed)
        self.browse = QPushButton("Browse…")
        self.browse.setToolTip(
            "Choose the folder in which the result is kept, or a result (.ome.zarr) to go on with."
        )
        self.browse.clicked.connect(lambda: self._browse())
        self.said = note()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.browse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.said)

    @property
    def path(self) -> Path:
        """Where the result goes; a name without the suffix gets it."""
        text = self.line.text().strip()
        if not text:
            return self._default
        path = Path(text).expanduser()
        return path if path.suffix.lower() == ".zarr" else path.with_name(path.name + ".ome.zarr")

    @property
    def chosen(self) -> bool:
        """Whether the user chose the place."""
        return bool(self.line.text().strip())

    def set_stack(self, name: str, source: str | None) -> None:
        """Fit the default to a stack: its layer's name and the file it came from."""
        default, lasts = default_result(name, source)
        if (default, lasts) != (self._default, self._lasts):
            self._default, self._lasts = default, lasts
            self.line.setPlaceholderText(str(default))
            self.show_state()

    def show_state(self) -> None:
        """Say what is at the place now."""
        state = state_of(self.path)
        if "unfinished" in state:
            state += " The button goes on with it, if model, edits and confidence are the same."
        if not self.chosen and not self._lasts:
            state = (
                "The stack has no file, so its result goes to the temporary folder: choose another "
                f"place to keep it. {state}"
            )
        self.line.setToolTip(str(self.path))
        say(self.said, state.strip())

    def _changed(self) -> None:
        self.show_state()
        self.changed.emit()

    def _browse(self) -> None:
        start = self.path if self.path.parent.is_dir() else Path.home()
        folder = QFileDialog.getExistingDirectory(self, "Keep the result in", str(start.parent))
        if folder:
            chosen = Path(folder)
            inside = chosen / self._default.name
            self.line.setText(str(chosen if chosen.suffix.lower() == ".zarr" else inside))
