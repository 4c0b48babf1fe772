"""The live preview in a real viewer: it follows, the newest wins, slow fills can be cancelled."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_fossiledit.perturb import Quilt
from napari_fossiledit.progress import Progress, checkpoint
from napari_fossiledit.widgets.live_preview import LAYER, TITLE
from napari_fossiledit.widgets.recipe import FillChoice, Recipe

pytestmark = pytest.mark.viewer


class Watcher:
    """Counts the pictures of a page's live preview."""

    def __init__(self, hands) -> None:
        self.hands = hands
        self.page = hands.page("Find weaknesses")
        self.preview = self.page.live_preview
        self.shown = []
        self.preview.shown.connect(self.shown.append)

    def next(self, change, timeout: int = 20_000):
        """Do something and wait for a picture; returns the layer."""
        before = len(self.shown)
        change()
        self.hands.qtbot.waitUntil(lambda: len(self.shown) > before, timeout=timeout)
        return self.layer

    def choose(self, **changes) -> None:
        self.hands.session.recipe = Recipe(**changes)

    @property
    def layer(self):
        return self.hands.viewer.layers[LAYER]

    def truth(self, z: int = 1):
        layers = self.hands.viewer.layers
        reef, labels = layers["reef"].data[z], layers["fossils"].data[z]
        return self.hands.session.recipe.perturbation().apply(reef, labels).image

    def quiet(self) -> None:
        self.hands.qtbot.waitUntil(
            lambda: not self.preview._latest.waiting and not self.hands.runner.busy
        )
        self.hands.settle()


@pytest.fixture
def live(hands):
    hands.open_discs()
    watcher = Watcher(hands)
    yield watcher
    watcher.page.live.setChecked(False)
    watcher.quiet()


def test_it_shows_every_setting_in_one_new_layer_in_place(live) -> None:
    viewer = live.hands.viewer
    viewer.layers.selection.active = viewer.layers["fossils"]
    step = viewer.dims.current_step
    layer = live.next(lambda: live.page.live.setChecked(True))
    assert live.hands.names() == ["reef", LAYER, "fossils"]
    assert viewer.layers.selection.active is viewer.layers["fossils"]
    assert viewer.dims.current_step == step
    reef = viewer.layers["reef"]
    np.testing.assert_allclose(layer.scale, reef.scale)
    assert (layer.units, layer.axis_labels) == (reef.units, reef.axis_labels)
    np.testing.assert_allclose(layer.data_to_world((0, 3, 4)), reef.data_to_world((1, 3, 4)))
    crop = (0, 0, 20, 20)
    for recipe in (
        {"fill": "colour", "colour": (120, 70, 58)},
        {"fill": "tile", "window": crop, "mirrored": True},
        {"fill": "noise", "seed": 3},
        {"fill": "noise", "target": "fossils", "fraction": 0.5, "by": "instances"},
        {"target": "both", "texture": FillChoice("tile", window=crop), "feather": 2.0},
        {"fraction": 0.35, "by": "pixels"},
        {"fill": "quilt", "window": crop, "patch": 8},
        {"fill": "noise"},
    ):
        assert live.next(lambda recipe=recipe: live.choose(**recipe)) is layer
        np.testing.assert_array_equal(layer.data[0], live.truth())
    assert live.hands.names() == ["reef", LAYER, "fossils"]
    live.page.live.setChecked(False)
    assert live.hands.names() == ["reef", "fossils"]


def test_it_follows_the_slice_and_strokes_on_the_labels(live) -> None:
    viewer, layer = live.hands.viewer, live.next(lambda: live.page.live.setChecked(True))
    live.next(lambda: viewer.dims.set_point(0, 3.0))
    np.testing.assert_array_equal(layer.data[0], live.truth(2))
    assert layer.data_to_world((0, 0, 0))[0] == pytest.approx(3.0)
    fossils = viewer.layers["fossils"]
    fossils.selected_label = 7
    live.next(lambda: fossils.paint((2, 80, 80), 7))
    assert fossils.data[2, 80, 80] == 7
    live.quiet()
    np.testing.assert_array_equal(layer.data[0], live.truth(2))


def test_a_single_slice_without_z_is_followed_too(hands) -> None:
    rng = np.random.default_rng(0)
    hands.viewer.add_image(rng.integers(0, 255, (40, 50, 3), np.uint8), rgb=True, name="reef")
    labels = np.zeros((40, 50), int)
    labels[5:15, 5:15] = 1
    hands.viewer.add_labels(labels, name="fossils")
    hands.settle()
    live = Watcher(hands)
    assert live.next(lambda: live.page.live.setChecked(True)).data.shape == (40, 50, 3)
    live.next(lambda: live.choose(target="fossils"))
    np.testing.assert_array_equal(
        live.layer.data,
        hands.session.recipe.perturbation().apply(hands.viewer.layers["reef"].data, labels).image,
    )


def test_the_newest_setting_wins_and_the_event_loop_is_free(live, monkeypatch) -> None:
    live.next(lambda: live.page.live.setChecked(True))
    live.quiet()
    painter, go, painted = live.preview._painter, threading.Event(), []
    paint = painter.paint_task

    def slowly(wanted):
        go.wait(10)
        painted.append(wanted.recipe.seed)
        return (yield from paint(wanted))

    monkeypatch.setattr(painter, "paint_task", slowly)
    before, began = len(live.shown), time.monotonic()
    for seed in range(1, 21):
        live.choose(fraction=0.5, seed=seed)
        live.hands.qtbot.wait(5)
        live.preview.follow()
    assert time.monotonic() - began < 5, "the painting blocked the event loop"
    go.set()
    live.hands.qtbot.waitUntil(lambda: len(live.shown) > before)
    live.quiet()
    np.testing.assert_array_equal(live.layer.data[0], live.truth())
    assert painted[-1] == 20
    assert len(painted) <= 3, "settings that came and went are skipped"


def test_a_late_picture_never_replaces_a_newer_one(live) -> None:
    live.next(lambda: live.page.live.setChecked(True))
    live.next(lambda: live.choose(target="fossils"))
    now, last = live.layer.data.copy(), live.shown[-1]
    live.preview._take(live.preview._newest_shown - 1, live.shown[0])
    np.testing.assert_array_equal(live.layer.data, now)
    live.page.live.setChecked(False)
    live.preview._take(10_000, last)
    assert live.hands.names() == ["reef", "fossils"]


def never(self, out, where, image, fossils, *, seed=0):
    """A quilt that takes for ever."""
    while True:
        checkpoint()
        yield Progress(1, 3, "quilting")


def test_a_slow_fill_shows_progress_and_is_cancelled(live, monkeypatch) -> None:
    monkeypatch.setattr(Quilt, "paint_task", never)
    live.next(lambda: live.page.live.setChecked(True))
    before = live.layer.data.copy()
    live.choose(fill="quilt")
    live.hands.qtbot.waitUntil(lambda: live.hands.runner.title == TITLE)
    assert not live.page.probe.isEnabled()
    live.hands.runner.cancel()
    live.hands.wait()
    assert live.hands.outcomes[-1].state == "cancelled"
    assert "Cancelled" in live.page.said.text()
    np.testing.assert_array_equal(live.layer.data, before)
    live.hands.qtbot.wait(400)
    assert not live.hands.runner.busy, "cancelled is cancelled, until a setting changes"


def test_a_slow_fill_gives_way_to_newer_settings(live, monkeypatch) -> None:
    real = Quilt.paint_task
    monkeypatch.setattr(Quilt, "paint_task", never)
    live.next(lambda: live.page.live.setChecked(True))
    live.choose(fill="quilt")
    live.hands.qtbot.waitUntil(lambda: live.hands.runner.title == TITLE)
    live.next(lambda: live.choose(fill="colour", colour=(1, 2, 3)))
    np.testing.assert_array_equal(live.layer.data[0], live.truth())
    live.quiet()
    live.choose(fill="quilt")
    live.hands.qtbot.waitUntil(lambda: live.hands.runner.title == TITLE)
    monkeypatch.setattr(Quilt, "paint_task", real)
    live.next(lambda: live.choose(fill="quilt", window=(0, 0, 20, 20)))
    np.testing.assert_array_equal(live.layer.data[0], live.truth())


def test_a_slow_fill_waits_for_another_task(live) -> None:
    live.next(lambda: live.page.live.setChecked(True))
    go = threading.Event()

    def other():
        yield Progress(0, 1)
        go.wait(10)

    live.hands.bench.start(other, title="Other work", on_done=lambda _: None)
    live.choose(fill="quilt", window=(0, 0, 20, 20))
    live.hands.qtbot.wait(400)
    assert live.hands.runner.title == "Other work"
    live.next(go.set)
    np.testing.assert_array_equal(live.layer.data[0], live.truth())


def test_what_is_wrong_or_missing_is_said_on_the_page(live) -> None:
    said, page = live.page.said, live.page
    notification_manager.records.clear()
    live.next(lambda: page.live.setChecked(True))
    assert not said.text()
    live.choose(fill="colour")
    live.hands.settle()
    assert "No mud colour" in said.text()
    live.choose(target="both")
    live.hands.settle()
    assert "fossils need a texture" in said.text()
    for window, words in (((0, 0, 500, 9), "larger than the image"), ((90, 0, 99, 9), "outside")):
        live.choose(fill="tile", window=window)
        live.hands.qtbot.waitUntil(lambda words=words: words in said.text())
    live.next(lambda: live.choose(window=(0, 0, 60, 60)))
    assert "lies in fossils" in said.text()
    live.next(lambda: live.choose(target="fossils", fraction=0.1))
    assert "choose by pixels" in said.text()
    live.hands.viewer.layers["fossils"].data[2] = 0
    live.hands.viewer.dims.set_point(0, 3.0)
    live.hands.qtbot.waitUntil(lambda: "no fossil" in said.text())
    assert not [r for r in notification_manager.records if "no fossil" in r.message]


def test_without_a_stack_it_says_what_to_choose(hands) -> None:
    page = hands.page("Find weaknesses")
    page.live.setChecked(True)
    hands.settle()
    assert "choose a stack and labels" in page.said.text()
    hands.open_discs()
    hands.qtbot.waitUntil(lambda: LAYER in hands.names())


def test_deleting_its_layer_ends_it(live) -> None:
    live.next(lambda: live.page.live.setChecked(True))
    live.hands.viewer.layers.remove(LAYER)
    live.hands.settle()
    assert not live.page.live.isChecked()
    live.choose(target="fossils")
    live.quiet()
    assert live.hands.names() == ["reef", "fossils"]


def test_it_gives_way_while_something_is_picked(live) -> None:
    layer = live.next(lambda: live.page.live.setChecked(True))
    button = live.page.recipe.fill.pick_patch
    live.hands.press(button)
    assert not layer.visible
    button.click()
    assert layer.visible


@pytest.mark.parametrize("how", ["unticked", "closed"])
def test_what_it_paints_is_given_up(hands, monkeypatch, how) -> None:
    hands.open_discs()
    live = Watcher(hands)
    live.next(lambda: live.page.live.setChecked(True))
    live.quiet()
    begun = threading.Event()

    def forever(wanted):
        begun.set()
        while True:
            checkpoint()
            yield Progress(0, 0)

    monkeypatch.setattr(live.preview._painter, "paint_task", forever)
    latest = live.preview._latest
    live.choose(target="fossils")
    hands.qtbot.waitUntil(begun.is_set)
    if how == "closed":
        hands.viewer.close()
    else:
        live.page.live.setChecked(False)
    hands.qtbot.waitUntil(lambda: not latest.waiting, timeout=5000)
