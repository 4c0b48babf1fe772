"""Opening the Workbench, and how long the event loop is blocked while a model works.

A timer in a real, shown viewer ticks every few milliseconds; the longest silence between two
ticks is how long a user's click would have waited: while the task runs, and then while napari
adds its result as a layer (beside which stands what napari takes for a layer of 8 x 8 x 8 voxels).
Needs a display or a virtual screen.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import Row

os.environ.setdefault("NAPARI_CONFIG", "")


class Ticker:
    """The longest gap between two ticks of a timer on the event loop."""

    def __init__(self, busy: Callable[[], bool]) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.timer = QTimer()
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.setInterval(2)
        self.timer.timeout.connect(self._tick)
        self.busy = busy
        self.running: list[float] = [0.0]
        self.after: list[float] = [0.0]
        self._last = 0.0

    def __enter__(self) -> Ticker:
        self._last = time.perf_counter()
        self.timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tick()
        self.timer.stop()

    def _tick(self) -> None:
        now = time.perf_counter()
        (self.running if self.busy() else self.after).append(1000 * (now - self._last))
        self._last = now


def wait(done: Any, seconds: float = 300) -> None:
    """Run the event loop until ``done()``."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    check = QTimer()
    check.setInterval(20)
    limit = time.monotonic() + seconds

    def look() -> None:
        if done() or time.monotonic() > limit:
            loop.quit()

    check.timeout.connect(look)
    check.start()
    loop.exec_() if hasattr(loop, "exec_") else loop.exec()
    check.stop()
    if not done():
        raise TimeoutError("the task did not end in time")


def _whole_stack(viewer: Any, workbench: Any) -> float:
    """Segment all slices to disk; the longest silence from a second after the layer was added."""
    page, runner = workbench.pages["Segment"], workbench.bench.runner
    page.scope.setCurrentIndex(2)
    layers, added = len(viewer.layers), [float("inf")]

    def note(event: Any) -> None:
        added[0] = min(added[0], time.monotonic())

    viewer.layers.events.inserted.connect(note)
    with tempfile.TemporaryDirectory() as folder:
        page.result.line.setText(str(Path(folder) / "reef.ome.zarr"))
        wait(page.start.isEnabled)
        with Ticker(lambda: runner.busy and time.monotonic() > added[0] + 1) as ticker:
            page.start.click()
            wait(lambda: not runner.busy)
        viewer.layers.events.inserted.disconnect(note)
        del viewer.layers[layers:]
    page.scope.setCurrentIndex(0)
    return max(ticker.running)


def measure() -> list[Row]:
    """Open the Workbench on the sample reef, segment a slice, solve an edit."""
    import torch  # noqa: F401 - before Qt on Windows
    from napari import Viewer

    from napari_fossiledit import sample
    from napari_fossiledit.widgets.workbench import Workbench

    viewer = Viewer()
    wait(lambda: True)
    reef = sample.reef(seed=0, shape=(8, 384, 384))
    place = {"scale": reef.voxel_size, "units": ("mm",) * 3, "axis_labels": ("z", "y", "x")}
    viewer.add_image(reef.image, rgb=True, name="reef", **place)
    viewer.add_labels(np.asarray(reef.labels), name="fossils", **place)

    started = time.perf_counter()
    workbench = Workbench(viewer)
    viewer.window.add_dock_widget(workbench, name="Workbench")
    wait(lambda: workbench.isVisible())
    opening = time.perf_counter() - started

    runner = workbench.bench.runner
    failures: list[str] = []
    runner.ended.connect(lambda end: end.state == "done" or failures.append(end.message))

    def worst(press: Any) -> tuple[float, float]:
        wait(press.isEnabled)
        with Ticker(lambda: runner.busy) as ticker:
            press.click()
            wait(lambda: not runner.busy)
            settle = time.monotonic() + 0.5
            wait(lambda: time.monotonic() > settle)
        if failures:
            raise RuntimeError(failures[-1])
        return max(ticker.running), max(ticker.after)

    pages = workbench.pages
    loading, _ = worst(pages["Model"].load)
    segmenting, adding = worst(pages["Segment"].start)
    arriving = _whole_stack(viewer, workbench)
    rewrite = pages["Rewrite"]
    rewrite.auto.setChecked(False)
    mending, listing = worst(rewrite.mend)
    # napari alone: a viewer of its own, with nothing of ours in it.
    alone_viewer = Viewer()
    alone_viewer.add_image(reef.image, rgb=True, **place)
    wait(lambda: True)
    with Ticker(lambda: False) as ticker:
        alone_viewer.add_labels(np.zeros((8, 8, 8), np.int32), **place)
        settle = time.monotonic() + 0.5
        wait(lambda: time.monotonic() > settle)
    alone = max(ticker.after)
    viewer.close()
    alone_viewer.close()
    how = "longest silence of a 2 ms timer in a shown window, software OpenGL"
    return [
        Row("opening the Workbench", opening, "s", 1.5, "to the first event after it is shown"),
        Row("event loop blocked while the model is loaded", loading, "ms", None, how),
        Row("event loop blocked while a slice is segmented", segmenting, "ms", 100, how),
        Row("event loop blocked while a whole stack's slices arrive", arriving, "ms", 100, how),
        Row("event loop blocked while an edit is solved", mending, "ms", 100, how),
        Row("event loop blocked as the edit is listed", listing, "ms", None, how),
        Row("event loop blocked as napari adds the labels", adding, "ms", None, how),
        Row("the same for an 8 x 8 x 8 Labels layer", alone, "ms", None, "napari alone"),
    ]


if __name__ == "__main__":
    print("\n".join(row.line() for row in measure()))
