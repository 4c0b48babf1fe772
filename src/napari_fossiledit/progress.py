"""Long work as generators: progress, cancelling, and a driver for scripts.

A long task yields `Progress` and *returns* its result. Whoever drives it may stop it: by closing
the generator, or (while a single step still computes) by setting a `CancelToken` in whose scope
the step runs. `checkpoint` is called often from inside such steps, e.g. between the modules of a
network, and raises `Cancelled` once the token is set.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from napari_fossiledit.errors import Cancelled

__all__ = [
    "CancelToken",
    "Progress",
    "Task",
    "cancel_scope",
    "checkpoint",
    "driven",
    "mapped",
    "part_of",
    "run",
]

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How far a task is.

    Attributes
    ----------
    done, total : int
        Finished and planned steps; ``total`` 0 when it is not known.
    message : str
        What is being done now, in plain words.
    data : object
        Something to show meanwhile (e.g. a loss), or None.
    """

    done: int
    total: int
    message: str = ""
    data: object = None


Task: TypeAlias = Generator[Progress, None, T]
"""A generator that yields `Progress` and returns a ``T``."""


class CancelToken:
    """A flag that one thread sets and another reads between steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the task to stop at its next checkpoint."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()


_current: ContextVar[tuple[CancelToken, ...]] = ContextVar("fossiledit_cancel_tokens", default=())


@contextmanager
def cancel_scope(token: CancelToken) -> Generator[None]:
    """Make `checkpoint` look at ``token`` in this thread, beside those of enclosing scopes."""
    previous = _current.get()
    _current.set((*previous, token))
    try:
        yield
    finally:
        _current.set(previous)


def checkpoint() -> None:
    """Raise `Cancelled` if the task that this thread runs was cancelled."""
    if any(token.cancelled for token in _current.get()):
        raise Cancelled


def driven(task: Task[T], token: CancelToken) -> Task[T]:
    """Run ``task`` with every one of its steps inside ``token``'s scope.

    Raises
    ------
    Cancelled
        When the token is set; the task was closed, so its clean-up has run.
    """
    try:
        while True:
            with cancel_scope(token):
                checkpoint()
                try:
                    progress = next(task)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
            yield progress
    finally:
        task.close()


def mapped(task: Task[T], change: Callable[[Progress], Progress]) -> Task[T]:
    """Run ``task`` with every one of its steps changed, e.g. into a part of a longer task."""
    try:
        while True:
            try:
                progress = next(task)
            except StopIteration as stop:
                result: T = stop.value
                return result
            yield change(progress)
    finally:
        task.close()


def part_of(task: Task[T], part: int, parts: int, title: str = "") -> Task[T]:
    """Run ``task`` as the ``part``-th (from 0) of several equally long parts of a longer task."""

    def change(step: Progress) -> Progress:
        message = f"{title}: {step.message}" if title else step.message
        done = part * step.total + step.done
        return Progress(done, step.total * parts, message, step.data)

    return mapped(task, change)


def run(task: Task[T], on_progress: Callable[[Progress], None] | None = None) -> T:
    """Drive a task to its end and return its result.

    Parameters
    ----------
    task : generator of Progress
    on_progress : callable, optional
        Called with every `Progress`; when it raises, the task is closed.
    """
    try:
        while True:
            try:
                progress = next(task)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if on_progress is not None:
                on_progress(progress)
    finally:
        task.close()
