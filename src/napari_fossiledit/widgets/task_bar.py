"""The strip below the pages: what runs, how far it is, the time left, and Cancel."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_fossiledit.progress import Progress
from napari_fossiledit.widgets.tasks import Outcome, TaskRunner

__all__ = ["TaskBar", "time_left"]

_MINUTE, _HOUR = 60, 3600


def time_left(done: int, total: int, seconds: float) -> str:
    """How long a task still needs, in words; '' when nobody can know yet."""
    if done <= 0 or total <= 0 or done > total or seconds < 1:
        return ""
    left = seconds / done * (total - done)
    if left < _MINUTE:
        return f"about {max(1, round(left))} s left"
    if left < _HOUR:
        return f"about {round(left / _MINUTE)} min left"
    return f"about {left / _HOUR:.1f} h left"


class TaskBar(QWidget):
    """Progress of one `TaskRunner`."""

    def __init__(self, runner: TaskRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._last, self._title = Progress(0, 0), runner.title
        self._before: int | None = None
        self.message = QLabel("Nothing is running.")
        self.message.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop; model, layers and files stay as they were.")
        self.cancel.clicked.connect(lambda: runner.cancel())
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 6)
        layout.addWidget(self.message)
        layout.addLayout(row)
        self._clock = QTimer(self)
        self._clock.setInterval(500)
        self._clock.timeout.connect(self._show)
        runner.started.connect(self._started)
        runner.progressed.connect(self._progressed)
        runner.ended.connect(self._ended)
        self._busy(runner.busy)

    def _busy(self, busy: bool) -> None:
        self.bar.setVisible(busy)
        self.cancel.setVisible(busy)
        if busy:
            self._clock.start()
            self._show()
        else:
            self._clock.stop()

    def _started(self, title: str) -> None:
        self._last, self._title = Progress(0, 0, title), title
        self._before = None
        self._busy(True)

    def _progressed(self, progress: Progress) -> None:
        if self._before is None and progress.total:
            self._before = progress.done  # what an earlier run did took none of this one's time
        self._last = progress
        self._show()

    def _ended(self, outcome: Outcome) -> None:
        self._busy(False)
        stays = outcome.message or "Everything is as it was before."
        words = {
            "done": f"Done: {self._title}.",
            "cancelled": f"Cancelled: {self._title}. {stays}",
            "failed": outcome.message,
        }
        self.message.setText(words[outcome.state])

    def _show(self) -> None:
        runner, last = self._runner, self._last
        self.cancel.setEnabled(not runner.cancelling)
        if runner.cancelling:
            self.message.setText(f"Stopping: {runner.title}")
            return
        # An empty bar, not Qt's moving one: that would repaint the whole window all the time.
        self.bar.setRange(0, max(1, last.total))
        self.bar.setValue(last.done if last.total else 0)
        step = last.message if last.message and last.message != runner.title else ""
        before = self._before or 0
        left = time_left(last.done - before, last.total - before, runner.seconds)
        left = left or f"{runner.seconds:.0f} s"
        text = " · ".join(part for part in (runner.title, step, left) if part)
        if text != self.message.text():
            self.message.setText(text)
