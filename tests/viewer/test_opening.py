from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_fossiledit import _sample_data
from napari_fossiledit.errors import InputError
from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.workbench import PAGES

pytestmark = pytest.mark.viewer

OPENING = """
import sys, time
import napari
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=False)
began = time.process_time()
from napari_fossiledit.widgets.workbench import Workbench
viewer.window.add_dock_widget(Workbench(viewer))
QApplication.processEvents()
took = time.process_time() - began
viewer.close()
assert "torch" not in sys.modules, "torch was imported"
assert took < 1.5, took
"""


def test_the_workbench_opens_quickly_and_without_torch() -> None:
    subprocess.run([sys.executable, "-c", OPENING], check=True, timeout=120)


def test_every_page_is_also_a_widget_of_its_own(hands) -> None:
    for kind in PAGES:
        page = kind(hands.viewer)
        hands.viewer.window.add_dock_widget(page)
        assert page.session is hands.session


def test_an_empty_viewer_says_what_is_missing(hands) -> None:
    hands.settle()
    for title, button, words in (
        ("Segment", "start", "Choose a stack"),
        ("Find weaknesses", "probe", "Choose a stack"),
        ("Rewrite", "mend", "Choose a stack"),
        ("Compare", "start", "Choose a stack"),
        ("Specimens in 3D", "start", "Segment several slices"),
    ):
        made = getattr(hands.page(title), button)
        assert not made.isEnabled()
        assert words in made.toolTip()
    hands.open_discs()
    assert "Load a model" in hands.page("Segment").start.toolTip()


@pytest.mark.parametrize("labels", [True, False])
def test_the_sample_opens_and_fills(hands, monkeypatch, labels) -> None:
    monkeypatch.setattr(_sample_data, "SHAPE", (4, 64, 64))
    make = _sample_data.reef_with_labels if labels else _sample_data.reef_without_labels
    for data, options, kind in make():
        getattr(hands.viewer, f"add_{kind}")(data, **options)
    hands.wait()
    assert hands.names() == (["sample reef", "fossils", "confusers"] if labels else ["sample reef"])
    image = hands.viewer.layers["sample reef"]
    assert image.data.reshape(4, -1).any(axis=1).all()
    np.testing.assert_allclose(image.scale, (0.5, 0.145, 0.145))
    assert hands.session.stack == "sample reef"
    assert hands.session.confusers == ("confusers" if labels else "")
    assert "0.5 × 0.145 × 0.145 mm" in hands.page("Stack and labels").facts.text()


@pytest.mark.parametrize("wait", [0, 100, 700])
def test_a_sample_that_is_cancelled_is_closed_again_at_once(hands, monkeypatch, wait) -> None:
    monkeypatch.setattr(_sample_data, "SHAPE", (48, 384, 384))
    for data, options, kind in _sample_data.reef_with_labels():
        getattr(hands.viewer, f"add_{kind}")(data, **options)
    hands.qtbot.wait(wait)
    ended = hands.runner._running.ended
    hands.runner.cancel()
    assert ended.wait(1), "the drawing goes on"
    hands.wait()
    assert hands.names() == []


@pytest.mark.parametrize("labels", [True, False])
def test_a_sample_asked_for_while_a_task_runs_is_refused_at_once(ready, labels) -> None:
    names = ready.names()
    ready.slow_model()
    ready.press(ready.page("Segment").start)
    title = ready.runner.title
    make = _sample_data.reef_with_labels if labels else _sample_data.reef_without_labels
    began = time.monotonic()
    with pytest.raises(InputError) as said:
        make()
    assert time.monotonic() - began < 0.5
    assert str(said.value) == f"Wait until '{title}' has ended, then open the sample again."
    assert ready.runner.title == title
    ready.runner.cancel()
    ready.wait()
    assert ready.names() == names


def test_labels_of_another_shape_are_said_and_nothing_starts(hands) -> None:
    hands.open_discs()
    hands.load_model()
    hands.viewer.add_labels(np.ones((4, 10, 10), int), name="small")
    hands.session.choose(labels="small")
    hands.settle()
    page = hands.page("Stack and labels")
    assert "10 x 10" in page.problem.text()
    hands.press(hands.page("Find weaknesses").probe)
    assert not hands.runner.busy
    assert "choose labels made on this very stack" in notification_manager.records[-1].message


def test_grey_16_bit_is_said(hands) -> None:
    hands.viewer.add_image(np.zeros((4, 30, 30), np.uint16), name="grey")
    hands.settle()
    text = hands.page("Stack and labels").facts.text()
    assert "grey" in text
    assert "uint16" in text
    assert "voxel size is unknown" in hands.page("Stack and labels").problem.text()


def test_one_bench_for_each_viewer(hands, make_napari_viewer) -> None:
    other = make_napari_viewer()
    assert Bench.of(other) is not hands.bench
    assert Bench.of(hands.viewer) is hands.bench


def test_the_dock_may_be_closed_and_opened_again(ready) -> None:
    from napari_fossiledit.widgets.workbench import Workbench

    ready.viewer.window.remove_dock_widget(ready.workbench)
    ready.workbench.deleteLater()
    ready.qtbot.wait(50)
    ready.session.choose(labels="")
    ready.settle()
    ready.workbench = Workbench(ready.viewer)
    ready.viewer.window.add_dock_widget(ready.workbench, name="again")
    ready.settle()
    assert "tiny" in ready.page("Model").facts.text()
