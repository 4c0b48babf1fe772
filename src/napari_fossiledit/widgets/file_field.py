"""A line for a file's path, with Browse, and files dropped on a widget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

__all__ = ["FileField", "dropped_files"]


class FileField(QWidget):
    """A path that is typed, or chosen in a dialog.

    Files dropped on it go to the page around it, which knows what they are.

    Parameters
    ----------
    title : str
        The dialog's title.
    suffixes : sequence of str
        What the dialog shows at first.
    hint : str
        Shown in grey while the field is empty.

    Signals
    -------
    changed : str
        The path, whenever it has changed.
    """

    changed: ClassVar[Any] = Signal(str)

    def __init__(self, *, title: str, suffixes: Sequence[str], hint: str) -> None:
        super().__init__()
        self._title = title
        self._filter = f"{title} ({' '.join(f'*{s}' for s in suffixes)});;All files (*)"
        self.start = ""
        self.line = QLineEdit()
        self.line.setAcceptDrops(False)
        self.line.textChanged.connect(self._changed)
        self.browse = QPushButton("Browse…")
        self.browse.clicked.connect(lambda: self._browse())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line, 1)
        layout.addWidget(self.browse)
        self.set_hint(hint)

    @property
    def path(self) -> str:
        """The path, or ''."""
        return str(self.line.text()).strip()

    @path.setter
    def path(self, path: str | Path) -> None:
        self.line.setText(str(path))

    def set_hint(self, hint: str) -> None:
        """Show a grey text while the field is empty."""
        self.line.setPlaceholderText(hint)

    def _changed(self) -> None:
        self.line.setToolTip(self.path)  # the line shows a part of a long path
        self.changed.emit(self.path)

    def _browse(self) -> None:
        start = self.path or self.start or str(Path.home())
        path, _ = QFileDialog.getOpenFileName(self, self._title, start, self._filter)
        if path:
            self.path = path


def dropped_files(event: Any) -> list[Path]:
    """The files and folders of this computer that a drag or drop event carries."""
    data = event.mimeData()
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
