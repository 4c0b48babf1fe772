"""The live preview: from a setting's change to the layer's new data, slice of 1500 x 1500 pixels.

In a real, shown viewer; one setting at a time is changed in its widget, with the picture of the
setting before on the screen. Needs a display or a virtual screen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from common import Row

from viewer import Ticker, wait

os.environ.setdefault("NAPARI_CONFIG", "")

LIMIT = 200.0
RUNS = 3


class Hand:
    """Changes a setting as a user does, and waits for the picture."""

    def __init__(self, page: Any) -> None:
        self.box, self.preview = page.recipe, page.live_preview
        self.seen = 0
        self.at = 0.0
        self.preview.shown.connect(self._shown)
        self.blocked: list[float] = []

    def _shown(self, _: Any) -> None:
        self.seen += 1
        self.at = time.perf_counter()

    def latency(self, change: Callable[[], object]) -> float:
        """Milliseconds from the change to the new picture."""
        before = self.seen
        with Ticker(lambda: True) as ticker:
            started = time.perf_counter()
            change()
            wait(lambda: self.seen > before, 60)
        self.blocked.append(max(ticker.running))
        milliseconds = 1000 * (self.at - started)
        rest = time.monotonic() + 0.15  # until it is drawn, and noise for the slice is prepared
        wait(lambda: time.monotonic() > rest and not self.preview.busy)
        return milliseconds

    def fill(self, kind: str) -> None:
        """Choose a fill in the combo box."""
        combo = self.box.fill.kind
        combo.setCurrentIndex(combo.findData(kind))
        combo.activated.emit(combo.currentIndex())

    def choose(self, combo: Any, index: int) -> None:
        """Choose in a combo box."""
        combo.setCurrentIndex(index)
        combo.activated.emit(index)


def measure() -> list[Row]:
    """Each cheap fill chosen anew, then each setting changed with that fill."""
    from napari import Viewer

    from napari_fossiledit import sample
    from napari_fossiledit.widgets.workbench import Workbench

    reef = sample.lazy_reef(seed=0, shape=(4, 1500, 1500))
    viewer = Viewer()
    viewer.add_image(np.asarray(reef.image[2:3]), rgb=True, name="reef")
    viewer.add_labels(np.asarray(reef.labels[2:3]), name="fossils")
    workbench = Workbench(viewer)
    viewer.window.add_dock_widget(workbench, name="Workbench")
    for title, section in workbench.sections.items():
        section.head.setChecked(title == "Find weaknesses")
    wait(lambda: workbench.isVisible())
    page = workbench.pages["Find weaknesses"]
    hand = Hand(page)
    hand.latency(lambda: page.live.setChecked(True))
    hand.box.fill.colour_picker.picked.emit((120, 70, 58))
    wait(lambda: hand.seen > 1)
    rows = []
    how = f"median of {RUNS} changes"
    hand.blocked.clear()
    for kind in ("colour", "median", "tile", "noise"):
        for what, times in _changes(hand, kind).items():
            name = f"live preview, `{kind}`: {what}"
            rows.append(
                Row(name, median(times), "ms", LIMIT, f"{how}; slowest {max(times):.0f} ms")
            )
    words = "longest silence of a 2 ms timer while the preview followed"
    rows.append(Row("event loop blocked by the preview", max(hand.blocked), "ms", None, words))
    viewer.close()
    return rows


def _changes(hand: Hand, kind: str) -> dict[str, list[float]]:
    box = hand.box
    other = "median" if kind == "colour" else "colour"
    found: dict[str, list[float]] = {}

    def several(what: str, change: Callable[[int], object]) -> None:
        found[what] = [hand.latency(lambda i=i: change(i)) for i in range(RUNS)]

    chosen = []
    for _ in range(RUNS):
        if box.fill.kind.currentData() != other:
            hand.latency(lambda: hand.fill(other))
        chosen.append(hand.latency(lambda: hand.fill(kind)))
    found["fill chosen"] = chosen
    several("target", lambda i: hand.choose(box.target, 1 - i % 2))
    hand.latency(lambda: hand.choose(box.target, 0))
    several("share, by patches", lambda i: box.fraction.setValue(35 + i))
    several("edge, at that share", lambda i: box.feather.setValue(0.5 * (1 + i)))
    box.feather.setValue(0)
    several("seed, one up", lambda i: box.seed.setValue(box.seed.value() + 1))
    if kind == "noise":  # none that was made ahead
        several("seed, any other", lambda i: box.seed.setValue(100 + 10 * i))
    hand.latency(lambda: hand.choose(box.by, 2))
    several("share, by pixels", lambda i: box.fraction.setValue(45 + i))
    hand.latency(lambda: hand.choose(box.by, 0))
    hand.latency(lambda: box.fraction.setValue(100))
    if kind != "colour":
        several("patch", lambda i: box.fill.patch_picker.picked.emit((100 + i, 100, 164 + i, 164)))
        hand.latency(lambda: box.fill.forget.click())
    return found


if __name__ == "__main__":
    print("\n".join(row.line() for row in measure()))
