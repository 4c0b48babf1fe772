"""The button that writes the edited model for other programs, and what it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.export_jobs import export_forms, export_task, target, written_words
from napari_fossiledit.widgets.page import note, say, set_ready

__all__ = ["ExportBox"]


class ExportBox(QWidget):
    """A button that asks for a file and a form, and what was written.

    The model is written as the edits make it at that moment.
    """

    def __init__(self, bench: Bench, button: Any) -> None:
        super().__init__()
        self._bench = bench
        self.button = button("Export the model…", self._ask)
        self.said = note()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button)
        layout.addWidget(self.said)
        self._model: Any = None

    def refresh(self) -> None:
        """Enable the button, or say why not."""
        session = self._bench.session
        if session.segmenter is not self._model:
            self._model = session.segmenter
            say(self.said, "")  # it was about the model before
        count = 0 if session.edits is None else len(session.edits.entries)
        now = f"edits: {session.active_edits} of {count} switched on" if count else "no edits"
        set_ready(
            self.button,
            self._bench.why_not(stack=False, model=True),
            f"Write the whole model as it is now ({now}) to a new file.",
        )

    def _ask(self) -> None:
        session = self._bench.session
        if session.segmenter is None or session.model is None:
            return
        forms = export_forms(session.segmenter)
        start = _start(session.model.source, forms[0].suffix)
        filters = ";;".join(form.filter for form in forms)
        path, picked = QFileDialog.getSaveFileName(self, "Export the model", start, filters)
        if path:
            self._bench.attempt(lambda: self.export_to(*target(path, picked, forms)))

    def export_to(self, path: Path, form: str) -> None:
        """Write the model in the background; the edit list is locked meanwhile."""
        segmenter, active = self._bench.session.segmenter, self._bench.session.active_edits

        def done(written: Any) -> None:
            words = written_words(segmenter, written, active)
            say(self.said, words)
            self._bench.tell(words)

        say(self.said, "")
        self._bench.start(
            lambda: export_task(segmenter, path, form),
            title="Export the model",
            on_done=done,
            holds_weights=True,
        )


def _start(source: str, suffix: str) -> str:
    """Where the dialog opens: beside the model's own file, under another name."""
    if source == "demo":
        return f"demo_edited{suffix}"
    file = Path(source)
    return str(file.with_name(f"{file.stem}_edited{suffix}"))
