"""Take the pictures of README and docs: `make screenshots`, on a screen or a virtual one.

A napari window opens, and the tutorial is walked through with the sample reef and the demo model;
the page Model is shown with a small detectron2 model of the tests too. With ``model`` or
``specimens`` as argument, only the pictures of that page are taken.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

os.environ.setdefault("NAPARI_CONFIG", "")  # nobody's settings are read or written

OUT = Path(__file__).with_name("images")
SIZE = (1500, 1000)
SLICE = 24
RANGE = (18, 33)
MOST_BYTES = 600_000
LIMIT_SECONDS = 600
TINY_MODEL = Path(__file__).parents[1] / "tests" / "data" / "detectron2" / "r50_bgr_caffe2"


def save(name: str, pixels: np.ndarray) -> None:
    """Write a picture with 256 colours, with fewer where it would be too large."""
    picture = Image.fromarray(pixels[..., :3])
    path = OUT / f"{name}.png"
    for colours in (256, 128, 64, 32):
        small = picture.quantize(colours, kmeans=2, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            break
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


class Tour:
    """A user who walks through the tutorial and takes pictures."""

    def __init__(self) -> None:
        import torch  # noqa: F401 - before Qt on Windows
        from napari import Viewer
        from qtpy.QtWidgets import QApplication

        from napari_fossiledit.widgets.workbench import Workbench

        self.app = QApplication.instance
        self.viewer = Viewer(title="napari")
        self.window = self.viewer.window._qt_window
        self.window.resize(*SIZE)
        self.window.move(0, 0)
        self.workbench = Workbench(self.viewer)
        self.viewer.window.add_dock_widget(self.workbench, name="FossilEdit Workbench")
        self.pages: dict[str, Any] = self.workbench.pages
        self.failures: list[str] = []
        self.runner = self.workbench.bench.runner
        self.runner.ended.connect(self._ended)
        self.pump(1)

    def _ended(self, outcome: Any) -> None:
        if outcome.state != "done":
            self.failures.append(outcome.message or outcome.state)

    def until(self, done: Callable[[], bool]) -> None:
        """Run the event loop until ``done()``."""
        limit = time.monotonic() + LIMIT_SECONDS
        while not done():
            if time.monotonic() > limit:
                raise TimeoutError("a step of the tour did not end in time")
            self.app().processEvents()
            time.sleep(0.005)

    def pump(self, seconds: float) -> None:
        """Run the event loop for a while."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def press(self, button: Any) -> None:
        """Press a button and wait until what it started has ended well."""
        self.pump(0.2)
        if not button.isEnabled():
            raise RuntimeError(f"'{button.text()}' is disabled: {button.toolTip()}")
        button.click()
        self.until(lambda: not self.runner.busy and not self.workbench.bench.latest.waiting)
        self.pump(0.4)
        if self.failures:
            raise RuntimeError(self.failures[0])

    def turn_to(self, *titles: str) -> Any:
        """Open these pages only; returns the last."""
        for title, section in self.workbench.sections.items():
            section.head.setChecked(title in titles)
        self.pump(0.2)
        self.workbench.scroll.verticalScrollBar().setValue(0)
        return self.pages[titles[-1]]

    def scroll_to(self, widget: Any) -> None:
        """Bring a widget of a page to the upper edge."""
        scroll = self.workbench.scroll
        top = widget.mapTo(scroll.widget(), widget.rect().topLeft()).y()
        scroll.verticalScrollBar().setValue(top - 6)

    def show(self, *names: str) -> None:
        """Show these layers, hide the others."""
        for layer in self.viewer.layers:
            layer.visible = layer.name in names

    def shot(self, name: str) -> None:
        """Take a picture of the whole window."""
        self.pump(0.5)
        save(name, self.viewer.screenshot(canvas_only=False, flash=False))

    def newest(self) -> str:
        """Name of the layer added last."""
        return str(self.viewer.layers[-1].name)


def open_reef(tour: Tour) -> Any:
    """The sample reef at the slice that is shown."""
    viewer = tour.viewer
    tour.press(tour.turn_to("Stack and labels").sample)
    reef = viewer.layers["sample reef"]
    viewer.dims.set_point(0, float(reef.data_to_world((SLICE, 0, 0))[0]))
    viewer.reset_view()
    tour.turn_to("Stack and labels")
    return reef


def detectron2_model(tour: Tour) -> None:
    """The page Model with a detectron2 model, from a folder as a training leaves it."""
    from qtpy.QtCore import Qt

    page = tour.turn_to("Model")
    with tempfile.TemporaryDirectory() as folder:
        training = Path(folder) / "reef_17" / "my_training"
        training.mkdir(parents=True)
        for name in ("model_final.pth", "config.yaml"):
            shutil.copy(TINY_MODEL / name, training)
        page.take_files([training])
        page.names.setText("cup, clot")
        tour.press(page.load)
        tour.pump(1)
        page.classes.tree.topLevelItem(1).setCheckState(0, Qt.CheckState.Unchecked)
        tour.workbench.scroll.verticalScrollBar().setValue(0)
        tour.shot("model-detectron2")


def demo_model(tour: Tour) -> None:
    """The page Model with the demo model."""
    tour.press(tour.turn_to("Stack and labels", "Model").load)
    tour.shot("02-model")


def walk(tour: Tour) -> None:
    """The tutorial's pages 1 to 5."""
    reef = open_reef(tour)
    tour.shot("01-stack")
    plain = Image.fromarray(np.asarray(reef.data[SLICE]))
    double = plain.resize((2 * plain.width, 2 * plain.height), Image.Resampling.BICUBIC)
    save("sample-reef", np.asarray(double))

    demo_model(tour)
    tour.press(tour.turn_to("Segment").start)
    tour.show("sample reef", tour.newest())
    tour.shot("03-segment")

    tour.show("sample reef")
    probe = tour.turn_to("Find weaknesses")
    tour.press(probe.preview)
    tour.press(probe.probe)
    tour.shot("04-probe")
    weaknesses(tour, probe)
    viewer_to(tour, reef)

    tour.show("sample reef", "fossils")
    rewrite = tour.turn_to("Rewrite")
    tour.press(rewrite.mend)
    tour.scroll_to(rewrite.mend)
    tour.shot("05-rewrite")
    print(rewrite.said.text())


def weaknesses(tour: Tour, page: Any) -> None:
    """A probe of several slices, and the fossil that the surroundings harm most."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    tour.show("sample reef", "fossils")
    page.scope.setCurrentIndex(1)
    page.at_most.setValue(4)
    tour.press(page.probe)
    plot = page.results.plot
    tour.scroll_to(plot)
    spot = plot.spot(min(plot.dots, key=lambda dot: (dot.x, -dot.y))).toPoint()
    QTest.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(spot.x(), spot.y()))
    tour.scroll_to(page.results.table)
    tour.shot("find-weaknesses")
    page.scope.setCurrentIndex(0)


def viewer_to(tour: Tour, reef: Any) -> None:
    """Show the tour's slice again, the whole of it."""
    tour.viewer.dims.set_point(0, float(reef.data_to_world((SLICE, 0, 0))[0]))
    tour.viewer.reset_view()


def edit_list(tour: Tour) -> None:
    """The list of edits with the live prediction, and where an edit comes from."""
    edits = tour.pages["Rewrite"].edits
    edits.live.toggle.setChecked(True)
    tour.pump(0.3)
    tour.until(lambda: not tour.workbench.bench.latest.waiting)
    tour.pump(0.3)
    tour.show("sample reef", tour.newest())
    tour.scroll_to(edits)
    tour.shot("rewrite-live")
    edits.live.toggle.setChecked(False)
    edits.origin.open()
    tour.pump(0.3)
    tour.scroll_to(edits)
    tour.shot("rewrite-origin")
    edits.origin.head.setChecked(False)


def compare(tour: Tour) -> None:
    """Page 6, in two pictures."""
    page = tour.turn_to("Compare")
    tour.press(page.start)
    tour.show("sample reef", tour.newest())
    tour.shot("workbench")
    tour.scroll_to(page.table)
    tour.shot("06-compare")
    print(page.table.text(), page.sentence.text(), sep="\n")


def specimens(tour: Tour) -> None:
    """Page 7, with a range of slices segmented by the mended model."""
    segment = tour.turn_to("Segment")
    segment.scope.setCurrentIndex(1)
    tour.pump(0.2)
    segment.first.setValue(RANGE[0])
    segment.last.setValue(RANGE[1])
    tour.press(segment.start)
    tour.press(tour.turn_to("Specimens in 3D").start)
    tour.shot("07-specimens")


def specimens_by_hand(tour: Tour) -> None:
    """The how-to on specimens: the sample reef's own labels, linked and measured."""
    page = tour.turn_to("Specimens in 3D")
    page.link._choose("fossils")
    tour.press(page.start)
    page.sections["Measure"].open()
    page.measure.surface.setChecked(False)  # the slowest part, and not in the picture
    tour.press(page.measure.start)
    page.sections["Colours and section"].open()
    page.look.by.setCurrentIndex(page.look.by.findData("plunge_deg"))
    page.look.by.activated.emit(0)
    page.section.shown.setChecked(True)
    page.section.slider.setValue(12)
    page.section.cut.setChecked(True)
    tour.until(lambda: not tour.workbench.bench.latest.waiting)
    tour.pump(0.5)
    tour.scroll_to(page.sections["Colours and section"])
    tour.shot("specimens-in-3d")
    page.section.cut.setChecked(False)
    page.section.shown.setChecked(False)
    tour.press(page.back)
    page.measure.plot.setCurrentIndex(page.measure.plot.findData("rose"))
    page.measure.plot.activated.emit(0)
    page.measure.table.selectRow(2)
    page.sections["Colours and section"].head.setChecked(False)
    page.sections["Edit by hand"].open()
    tour.pump(0.3)
    tour.scroll_to(page.sections["Measure"])
    tour.shot("specimens-edit")


def main() -> None:
    """Take all pictures."""
    OUT.mkdir(exist_ok=True)
    tour = Tour()
    if sys.argv[1:] == ["specimens"]:
        open_reef(tour)
        specimens_by_hand(tour)
        tour.viewer.close()
        return
    if sys.argv[1:] == ["model"]:
        open_reef(tour)
        demo_model(tour)
    else:
        walk(tour)
        edit_list(tour)
        compare(tour)
        specimens(tour)
        tour.press(tour.pages["Specimens in 3D"].back)
        specimens_by_hand(tour)
    tour.viewer.close()

    tour = Tour()
    open_reef(tour)
    detectron2_model(tour)
    tour.viewer.close()


if __name__ == "__main__":
    main()
