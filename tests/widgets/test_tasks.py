from __future__ import annotations

import threading
import time

import pytest
from qtpy.QtCore import QThread
from qtpy.QtWidgets import QApplication

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, checkpoint
from napari_fossiledit.widgets.task_bar import TaskBar, time_left
from napari_fossiledit.widgets.tasks import LatestOnly


def until(qtbot, condition) -> None:
    qtbot.waitUntil(lambda: bool(condition()), timeout=10_000)


def counting(n: int):
    for i in range(n):
        yield Progress(i + 1, n, f"step {i}", i)
    return n


def endless(log: list[str]):
    try:
        while True:
            time.sleep(0.005)
            yield Progress(0, 0)
    finally:
        log.append("cleaned up")


def test_result_and_every_step_arrive_on_the_main_thread(runner, qtbot) -> None:
    seen, results, threads = [], [], []

    def done(result: int) -> None:
        threads.append(QThread.currentThread())
        results.append(result)

    def work():
        threads.append(threading.current_thread())
        return (yield from counting(200))

    runner.start(work, title="count", on_done=done, on_progress=lambda p: seen.append(p.data))
    until(qtbot, lambda: runner.said)
    assert results == [200]
    assert seen == list(range(200))
    assert threads[0] is not threading.main_thread()
    assert threads[1] == QApplication.instance().thread()
    assert runner.said[0].state == "done"
    assert not runner.busy


def test_cancel_cleans_up_within_a_second_and_is_no_error(runner, qtbot) -> None:
    log, results = [], []
    runner.start(lambda: endless(log), title="endless", on_done=results.append)
    qtbot.wait(50)
    began = time.monotonic()
    runner.cancel()
    assert runner.cancelling
    until(qtbot, lambda: runner.said)
    assert time.monotonic() - began < 1
    assert (runner.said[0].state, log, results) == ("cancelled", ["cleaned up"], [])


def test_cancel_reaches_into_a_single_long_step(runner, qtbot) -> None:
    def work():
        yield Progress(0, 1)
        while True:  # a forward pass that looks at the flag between its modules
            checkpoint()
            time.sleep(0.002)

    runner.start(work, title="long step")
    qtbot.wait(50)
    runner.cancel()
    until(qtbot, lambda: runner.said)
    assert runner.said[0].state == "cancelled"


def test_a_second_start_is_refused(runner, qtbot) -> None:
    started = []
    assert runner.start(lambda: endless([]), title="first")
    assert not runner.start(lambda: counting(started.append(1) or 1), title="second")
    assert runner.title == "first"
    runner.cancel()
    until(qtbot, lambda: runner.said)
    assert started == []
    assert runner.start(lambda: counting(1), title="third")
    until(qtbot, lambda: len(runner.said) == 2)


def failing(error: Exception):
    yield Progress(0, 1)
    raise error


def test_an_error_of_the_users_comes_as_its_own_sentence(runner, qtbot) -> None:
    runner.start(lambda: failing(InputError("The mask is empty.")), title="fail")
    until(qtbot, lambda: runner.said)
    assert (runner.said[0].state, runner.said[0].message) == ("failed", "The mask is empty.")


def test_an_error_of_ours_asks_for_a_report(runner, qtbot, caplog) -> None:
    runner.start(lambda: failing(ZeroDivisionError("division by zero")), title="fail")
    until(qtbot, lambda: runner.said)
    message = runner.said[0].message
    assert "please report" in message
    assert "ZeroDivisionError" in message
    assert "Traceback" in caplog.text


def test_too_little_memory_is_said(runner, qtbot) -> None:
    runner.start(lambda: failing(MemoryError()), title="Segment all")
    until(qtbot, lambda: runner.said)
    assert "memory is too small" in runner.said[0].message


def test_an_error_while_a_result_is_shown_is_told_too(runner, qtbot, caplog) -> None:
    def broken(_: int) -> None:
        raise ValueError("no such layer")

    runner.start(lambda: counting(1), title="show", on_done=broken)
    until(qtbot, lambda: runner.said)
    assert runner.said[0].state == "failed"


def test_a_deleted_layer_stops_the_task_with_a_message(runner, qtbot) -> None:
    class Layer:
        name = "reef"

    layer, other, results = Layer(), Layer(), []
    runner.start(lambda: endless([]), title="Segment", needs=(layer,), on_done=results.append)
    runner.layer_removed(other)
    assert not runner.cancelling
    runner.layer_removed(layer)
    until(qtbot, lambda: runner.said)
    assert "'reef' was deleted while 'Segment' ran" in runner.said[0].message
    assert results == []


def test_closing_cancels_waits_and_calls_nobody_back(runner, qtbot) -> None:
    log, results = [], []
    runner.start(lambda: endless(log), title="endless", on_done=results.append)
    qtbot.wait(30)
    runner.close()
    assert log == ["cleaned up"]
    qtbot.wait(50)
    assert (results, runner.said) == ([], [])


def test_only_the_last_of_many_values_counts(qtbot) -> None:
    latest, gate, values, settled = LatestOnly(), threading.Lock(), [], []
    latest.settled.connect(settled.append)

    def put(value: int) -> None:
        with gate:
            values.append(value)

    with gate:  # a prediction holds the lock
        began = time.monotonic()
        for value in range(100):
            latest.submit("strength", lambda value=value: put(value))
        assert time.monotonic() - began < 0.1
    qtbot.waitUntil(lambda: bool(settled) and not latest.waiting, timeout=5000)
    assert values[-1] == 99
    assert len(values) <= 2
    assert settled[-1] == ""
    latest.close()


def test_an_error_in_a_queued_change_is_told(qtbot) -> None:
    latest, settled = LatestOnly(), []
    latest.settled.connect(settled.append)

    def fail() -> None:
        raise InputError("Too strong.")

    latest.submit("strength", fail)
    qtbot.waitUntil(lambda: settled == ["Too strong."], timeout=5000)
    latest.close()


@pytest.mark.parametrize(
    ("done", "total", "seconds", "words"),
    [
        (0, 10, 5, ""),
        (3, 0, 5, ""),
        (1, 10, 0.5, ""),
        (5, 10, 20, "about 20 s left"),
        (1, 10, 60, "about 9 min left"),
        (1, 100, 3600, "about 99.0 h left"),
    ],
)
def test_time_left(done, total, seconds, words) -> None:
    assert time_left(done, total, seconds) == words


def test_task_bar_shows_progress_and_cancels(runner, qtbot) -> None:
    bar = TaskBar(runner)
    qtbot.addWidget(bar)
    bar.show()
    assert not bar.cancel.isVisible()
    runner.start(lambda: endless([]), title="Segment slice 3")
    assert bar.cancel.isVisible()
    assert "Segment slice 3" in bar.message.text()
    bar.cancel.click()
    until(qtbot, lambda: runner.said)
    assert not bar.cancel.isVisible()
    assert "Everything is as it was before" in bar.message.text()
