"""Running the library's long tasks off the main thread, one at a time for each viewer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, ClassVar

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from napari_fossiledit.errors import Cancelled, FossilEditError
from napari_fossiledit.progress import CancelToken, Progress, Task, cancel_scope, driven

__all__ = ["LatestOnly", "Outcome", "TaskRunner"]

_log = logging.getLogger("napari_fossiledit")
# Any repaint makes Qt compose the whole window with its canvas anew: slow without a graphics card.
_BATCH_SECONDS = 0.2
_REPORT = (
    "FossilEdit failed at '{title}' in a way it should not ({kind}: {text}). Nothing was changed; "
    "please report this with the steps that led here."
)


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes
    ----------
    state : {"done", "cancelled", "failed"}
    value : object
        The task's result when done.
    message : str
        One plain sentence when failed; what stays when cancelled, '' for nothing.
    steps : tuple of Progress
        Steps not yet shown when the task ended.
    """

    state: str
    value: Any = None
    message: str = ""
    steps: tuple[Progress, ...] = ()


def _failure(title: str, error: BaseException) -> Outcome:
    if isinstance(error, FossilEditError):
        return Outcome("failed", message=str(error))
    if isinstance(error, MemoryError):
        text = f"The computer's memory is too small for '{title}': try fewer or smaller slices."
        return Outcome("failed", message=text)
    _log.error("%s failed", title, exc_info=error)
    lines = str(error).strip().splitlines()
    message = _REPORT.format(
        title=title, kind=type(error).__name__, text=lines[0][:200] if lines else "no message"
    )
    return Outcome("failed", message=message)


def _steps(
    make: Callable[[], Task[Any]], token: CancelToken, title: str, ended: threading.Event
) -> Generator[tuple[Progress, ...], None, Outcome]:
    """Drive a task; yields its steps in batches so that fast tasks do not flood the event loop.

    Errors become an `Outcome` here: napari would show its own traceback for them.
    """
    batch: list[Progress] = []
    last = 0.0
    try:
        task = driven(make(), token)
        while True:
            try:
                batch.append(next(task))
            except StopIteration as stop:
                return Outcome("done", stop.value, steps=tuple(batch))
            if time.monotonic() - last > _BATCH_SECONDS:
                yield tuple(batch)
                batch.clear()
                last = time.monotonic()
    except Cancelled:
        return Outcome("cancelled")
    except Exception as error:
        return _failure(title, error)
    finally:
        ended.set()


class _Worker(GeneratorWorker):
    """A worker whose `quit` sets the cancel token.

    napari's own `quit` would leave the generator suspended, its clean-up to the garbage collector.
    """

    token: CancelToken

    def quit(self) -> None:
        self.token.cancel()


@dataclass
class _Running:
    title: str
    token: CancelToken
    ended: threading.Event
    on_done: Callable[[Any], None] | None
    on_progress: Callable[[Progress], None] | None
    holds_weights: bool
    needs: tuple[Any, ...]
    stays: str = ""
    worker: Any = None
    since: float = 0.0
    reason: str = ""


def _alive(callback: Callable[..., Any] | None) -> bool:
    receiver = getattr(callback, "__self__", None)
    return not isinstance(receiver, QObject) or bool(isalive(receiver))


class TaskRunner(QObject):
    """Runs one task at a time.

    Signals
    -------
    started : str
        Title of the task that began.
    progressed : Progress
        Newest step, at most 5 a second.
    ended : Outcome
    """

    started: ClassVar[Any] = Signal(str)
    progressed: ClassVar[Any] = Signal(object)
    ended: ClassVar[Any] = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._running: _Running | None = None

    @property
    def busy(self) -> bool:
        """Whether a task runs."""
        return self._running is not None

    @property
    def holds_weights(self) -> bool:
        """Whether the running task needs the model's weights to stay as they are."""
        return self._running is not None and self._running.holds_weights

    @property
    def title(self) -> str:
        """Title of the running task, or ''."""
        return "" if self._running is None else self._running.title

    @property
    def cancelling(self) -> bool:
        """Whether Cancel was pressed and the task has not ended yet."""
        return self._running is not None and self._running.token.cancelled

    @property
    def seconds(self) -> float:
        """How long the task has been running."""
        return 0.0 if self._running is None else time.monotonic() - self._running.since

    def start(
        self,
        make: Callable[[], Task[Any]],
        *,
        title: str,
        on_done: Callable[[Any], None] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        holds_weights: bool = False,
        needs: tuple[Any, ...] = (),
        stays: str = "",
    ) -> bool:
        """Start a task unless one runs already.

        Parameters
        ----------
        make : callable
            Makes the generator; called in the worker, so it may import torch.
        title : str
            What is done, e.g. "Segment slice 3".
        on_done, on_progress : callable, optional
            Called on the main thread with the result, and with every step.
        holds_weights : bool
            The edit list stays locked while this task runs.
        needs : tuple
            Layers without which the result is of no use.
        stays : str
            What stays of it when it is cancelled, in a sentence.

        Returns
        -------
        bool
            False if another task runs; then nothing happens.
        """
        if self._running is not None:
            return False
        run = _Running(
            title,
            CancelToken(),
            threading.Event(),
            on_done,
            on_progress,
            holds_weights,
            needs,
            stays,
        )
        worker = create_worker(
            _steps, make, run.token, title, run.ended, _start_thread=False, _worker_class=_Worker
        )
        worker.token = run.token
        run.worker, run.since = worker, time.monotonic()
        self._running = run
        worker.yielded.connect(self._on_steps)
        worker.returned.connect(self._on_returned)
        self.started.emit(title)
        worker.start()
        return True

    def cancel(self, reason: str = "") -> None:
        """Ask the running task to stop; ``reason`` is told to the user when it has."""
        if self._running is not None:
            self._running.reason = self._running.reason or reason
            self._running.token.cancel()

    def layer_removed(self, layer: Any) -> None:
        """Stop a task whose layer was deleted."""
        if self._running is not None and any(layer is needed for needed in self._running.needs):
            self.cancel(
                f"The layer '{layer.name}' was deleted while '{self._running.title}' ran, "
                "so the task was stopped and its result dropped."
            )

    def close(self, seconds: float = 10.0) -> None:
        """Cancel and wait; nothing is called back afterwards."""
        run, self._running = self._running, None
        if run is not None:
            run.token.cancel()
            run.on_done = run.on_progress = None
            run.ended.wait(seconds)

    def _on_steps(self, steps: tuple[Progress, ...]) -> None:
        run = self._running
        if run is None or not steps:
            return
        if run.on_progress is not None and _alive(run.on_progress):
            for step in steps:
                run.on_progress(step)
        self.progressed.emit(steps[-1])

    def _on_returned(self, outcome: Outcome) -> None:
        run = self._running
        if run is None:
            return
        if outcome.state == "done" and not run.token.cancelled:
            self._on_steps(outcome.steps)
        self._running = None
        if run.reason:
            outcome = Outcome("failed", message=run.reason)
        elif outcome.state == "cancelled":
            outcome = Outcome("cancelled", message=run.stays)
        try:
            if outcome.state == "done" and run.on_done is not None and _alive(run.on_done):
                run.on_done(outcome.value)
        except Exception as error:
            outcome = _failure(run.title, error)
        self.ended.emit(outcome)


class LatestOnly(QObject):
    """Runs small jobs one after another in a thread; of jobs with one key only the last counts.

    For the strength slider: setting a strength waits for the segmenter's lock, the slider must not.

    Signals
    -------
    settled : str
        '' or an error's sentence, when nothing is waiting any more.
    """

    settled: ClassVar[Any] = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._guard = threading.Lock()
        self._pending: dict[object, Callable[[], Any]] = {}
        self._running: tuple[object, CancelToken] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, key: object, job: Callable[[], Any], *, instead: bool = False) -> None:
        """Queue ``job`` in place of a waiting one of the same key.

        With ``instead``, a job of that key that runs is cancelled at its next `checkpoint`.
        """
        with self._guard:
            if self._closed:
                return
            if instead and self._running is not None and self._running[0] == key:
                self._running[1].cancel()
            self._pending.pop(key, None)
            self._pending[key] = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()

    @property
    def waiting(self) -> bool:
        """Whether a job waits or runs."""
        with self._guard:
            return self._thread is not None

    def close(self, seconds: float = 10.0) -> None:
        """Drop waiting jobs, cancel the running one and wait for it."""
        with self._guard:
            self._closed = True
            self._pending.clear()
            if self._running is not None:
                self._running[1].cancel()
            thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _work(self) -> None:
        message = ""
        while True:
            with self._guard:
                self._running = None
                if not self._pending:
                    self._thread = None
                    break
                key = next(iter(self._pending))
                job, token = self._pending.pop(key), CancelToken()
                self._running = (key, token)
            try:
                with cancel_scope(token):
                    job()
            except Cancelled:
                continue
            except Exception as error:
                message = _failure("Change the model", error).message
        if not self._closed:
            self.settled.emit(message)
