"""Tasks: results, cancelling, clean-up, nested scopes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from napari_fossiledit.errors import Cancelled
from napari_fossiledit.progress import (
    CancelToken,
    Progress,
    Task,
    cancel_scope,
    checkpoint,
    driven,
    mapped,
    part_of,
    run,
)


def counting(n: int, log: list[str], inside: Callable[[int], None] = lambda i: None) -> Task[int]:
    try:
        for i in range(n):
            inside(i)
            checkpoint()
            yield Progress(i + 1, n, f"step {i + 1}")
        return n
    finally:
        log.append("cleaned")


def test_run_returns_the_result_and_reports() -> None:
    seen: list[Progress] = []
    log: list[str] = []
    assert run(counting(3, log), seen.append) == 3
    assert [p.done for p in seen] == [1, 2, 3]
    assert log == ["cleaned"]


def test_run_closes_the_task_when_the_listener_raises() -> None:
    log: list[str] = []
    task = counting(3, log)  # held here: it must not take the garbage collector

    def listener(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(task, listener)
    assert log == ["cleaned"]


def test_driven_returns_the_result() -> None:
    log: list[str] = []
    assert run(driven(counting(3, log), CancelToken())) == 3


def test_cancelled_inside_a_step() -> None:
    token, log = CancelToken(), []
    task = driven(counting(5, log, lambda i: token.cancel() if i == 2 else None), token)
    assert [next(task).done, next(task).done] == [1, 2]
    with pytest.raises(Cancelled):
        next(task)
    assert log == ["cleaned"]


def test_cancelled_between_steps() -> None:
    token, log = CancelToken(), []
    task = driven(counting(5, log), token)
    next(task)
    token.cancel()
    with pytest.raises(Cancelled):
        next(task)
    assert log == ["cleaned"]


def test_cancelled_from_another_thread_within_a_step() -> None:
    token, log = CancelToken(), []
    waiting = threading.Event()

    def long_step(i: int) -> None:
        waiting.set()
        token._event.wait(5)

    threading.Thread(target=lambda: (waiting.wait(5), token.cancel())).start()
    with pytest.raises(Cancelled):
        run(driven(counting(1, log, long_step), token))
    assert log == ["cleaned"]


def test_closing_driven_closes_the_task() -> None:
    log: list[str] = []
    task = driven(counting(5, log), CancelToken())
    next(task)
    task.close()
    assert log == ["cleaned"]


def test_an_error_in_a_step_passes_through() -> None:
    log: list[str] = []

    def fail(i: int) -> None:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        run(driven(counting(2, log, fail), CancelToken()))
    assert log == ["cleaned"]


def test_the_scope_does_not_leak_between_steps() -> None:
    token = CancelToken()
    task = driven(counting(2, []), token)
    next(task)
    token.cancel()
    checkpoint()  # outside the task: nothing to cancel
    with pytest.raises(Cancelled):
        next(task)
    checkpoint()


def test_checkpoint_without_a_scope_does_nothing() -> None:
    checkpoint()


def test_nested_scopes_both_cancel() -> None:
    outer, inner = CancelToken(), CancelToken()
    with cancel_scope(outer):
        with cancel_scope(inner):
            checkpoint()
            outer.cancel()
            with pytest.raises(Cancelled):
                checkpoint()
        with pytest.raises(Cancelled):
            checkpoint()
    checkpoint()


def test_an_inner_token_does_not_cancel_the_outer_scope() -> None:
    inner = CancelToken()
    with cancel_scope(CancelToken()):
        with cancel_scope(inner):
            inner.cancel()
        checkpoint()


def test_cancelling_an_outer_task_stops_the_inner_one_within_its_step() -> None:
    outer, log = CancelToken(), []

    def whole() -> Task[int]:
        inner = counting(5, log, lambda i: outer.cancel() if i == 1 else None)
        return (yield from driven(inner, CancelToken()))

    task = driven(whole(), outer)
    next(task)
    with pytest.raises(Cancelled):
        next(task)
    assert log == ["cleaned"]


def test_another_thread_is_not_in_the_scope() -> None:
    token = CancelToken()
    token.cancel()
    failures: list[BaseException] = []

    def other() -> None:
        try:
            checkpoint()
        except Cancelled as error:
            failures.append(error)

    with cancel_scope(token):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert failures == []


def test_a_mapped_task_returns_the_result_and_closes_the_inner_one() -> None:
    closed = []

    def inner() -> Task[str]:
        try:
            yield Progress(1, 4, "reading", 7)
            yield Progress(2, 4, "writing")
        finally:
            closed.append(True)
        return "made"

    seen: list[Progress] = []
    assert run(part_of(inner(), 1, 2, "labels"), seen.append) == "made"
    assert seen[0] == Progress(5, 8, "labels: reading", 7)
    assert seen[1] == Progress(6, 8, "labels: writing")
    stopped = mapped(inner(), lambda step: step)
    next(stopped)
    stopped.close()
    assert closed == [True, True]
