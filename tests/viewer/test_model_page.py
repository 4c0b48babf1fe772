"""A user's own detectron2 model through the Model page, in a real window."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from PIL import Image
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from napari_fossiledit.widgets import model_page
from napari_fossiledit.widgets.session import ModelInfo

pytestmark = pytest.mark.viewer
DATA = Path(__file__).parents[1] / "data" / "detectron2"
R50, R101 = DATA / "r50_bgr_caffe2", DATA / "r101_rgb"


def drop(widget, *paths) -> None:
    """Drag files over a widget and let go, as the window system does."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    rest = (
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(widget, QDragEnterEvent(QPoint(5, 5), *rest))
    QApplication.sendEvent(widget, QDropEvent(QPointF(5, 5), *rest))


def said() -> str:
    return notification_manager.records[-1].message


@pytest.fixture
def page(hands):
    return hands.page("Model")


@pytest.fixture
def photo(hands):
    """The test model's own image, with something labelled."""
    image = np.asarray(Image.open(R50 / "image.png").convert("RGB"))
    labels = np.zeros(image.shape[:2], np.int32)
    labels[30:80, 30:90] = 1
    hands.viewer.add_image(image, rgb=True, name="photo")
    hands.viewer.add_labels(labels, name="fossils")
    hands.settle()
    return hands


def tick(page, at: int, on: bool) -> None:
    state = Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
    page.classes.tree.topLevelItem(at).setCheckState(0, state)


def ticked(page) -> list[int]:
    tree = page.classes.tree
    items = [tree.topLevelItem(i) for i in range(tree.topLevelItemCount())]
    return [i for i, x in enumerate(items) if x.checkState(0) == Qt.CheckState.Checked]


def nothing():
    """A task that does nothing."""
    return
    yield


def found(hands) -> list[str]:
    """Segment with every confidence; gives the classes found."""
    page = hands.page("Segment")
    page.score.setValue(0.0)
    hands.do(page.start)
    return list(hands.viewer.layers[-1].features["class"][1:])


def test_from_the_two_files_to_an_edit_and_back(photo, page) -> None:
    drop(page.weights.line, R50 / "model_final.pth", R50 / "config.yaml")
    page.names.setText("cup, clot")
    page.backend.setCurrentIndex(1)
    photo.do(page.load)
    for words in ("R-50", "config.yaml", "BGR", "torchvision", "cup, clot"):
        assert words in page.facts.text()
    assert page.classes.isVisibleTo(page)
    assert ticked(page) == [0, 1]
    assert set(found(photo)) == {"cup", "clot"}
    assert "limit of" in photo.page("Segment").caution.text()
    tick(page, 0, False)
    photo.wait()
    assert photo.session.segmenter.fossil_classes == (1,)
    assert set(found(photo)) == {"clot"}
    tick(page, 1, False)
    assert "At least one class" in said()
    photo.wait()
    assert ticked(page) == [1]
    assert photo.session.segmenter.fossil_classes == (1,)
    base = photo.session.segmenter.fingerprint()
    rewrite = photo.page("Rewrite")
    rewrite.auto.setChecked(False)
    photo.do(rewrite.mend)
    edit = photo.session.edits.entries[0].edit
    assert list(edit.deltas) == ["backbone.fpn_output2"]
    assert photo.session.segmenter.fingerprint() != base
    photo.press(rewrite.edits.remove)
    photo.wait()
    assert photo.session.segmenter.fingerprint() == base


def test_a_config_beside_the_weights_is_found_and_shown(hands, page) -> None:
    drop(page, R50 / "model_final.pkl")
    assert hands.page("Model").source.currentText() == "Model from a file"
    assert page.weights.path == str(R50 / "model_final.pkl")
    assert page.config.path == ""
    assert page.config.line.placeholderText() == "config.yaml, beside the weights"
    assert str(R50 / "config.yaml") in page.config.toolTip()
    hands.do(page.load)
    assert "config.yaml" in page.facts.text()
    page.weights.path = "/no/such/model.pth"
    hands.qtbot.waitUntil(lambda: "beside" not in page.config.line.placeholderText())


def test_a_folder_is_dropped(hands, page) -> None:
    page.config.path = "another.yaml"
    drop(page.names, R101)
    assert page.weights.path == str(R101 / "model_final.pth")
    assert page.config.path == ""
    assert "config.yaml" in page.config.line.placeholderText()
    assert page.names.text() == ""
    hands.do(page.load)
    assert not page.classes.isVisibleTo(page), "a single class leaves nothing to choose"


def test_another_file_is_refused_in_words(hands, page) -> None:
    drop(page, R50 / "model_final.pth")
    before = page.weights.path, page.config.path
    for paths, words in (
        ([R50 / "image.png"], "image.png is neither a model's weights"),
        ([R50 / "model_final.pth", R101 / "model_final.pth"], "are both weights"),
        ([DATA], "holds no weights"),
    ):
        drop(page, *paths)
        assert words in said()
        assert (page.weights.path, page.config.path) == before


def test_what_cannot_be_loaded_is_said_and_the_model_before_stays(hands, page, tmp_path) -> None:
    hands.load_model()
    before = hands.session.segmenter
    shutil.copy(R50 / "model_final.pth", tmp_path / "alone.pth")
    shutil.copy(R50 / "model_final.pth", tmp_path / "model_final.pth")
    (tmp_path / "half.pkl").write_bytes((R50 / "model_final.pkl").read_bytes()[:9000])
    for weights, config, word in (
        (tmp_path / "alone.pth", "", "config"),
        (R50 / "model_final.pth", R101 / "config.yaml", "model_final.pth"),
        (R50 / "model_final.pth", tmp_path / "missing.yaml", "missing.yaml"),
        (R50 / "model_final.pth", R50 / "image.png", "image.png"),
        (R50 / "config.yaml", "", "config.yaml"),
        (tmp_path / "half.pkl", R50 / "config.yaml", "half.pkl"),
    ):
        page.weights.path, page.config.path = weights, config
        hands.press(page.load)
        hands.wait()
        assert hands.outcomes[-1].state == "failed"
        assert word in said()
        assert "please report" not in said()
        assert hands.session.segmenter is before
    page.weights.path, page.config.path = R50 / "model_final.pth", ""
    page.names.setText("cup,,clot")
    hands.press(page.load)
    assert "empty" in said()
    page.names.setText("cup")
    hands.press(page.load)
    hands.wait()
    assert hands.outcomes[-1].state == "failed"
    assert "please report" not in said()
    assert hands.session.segmenter is before


def test_detectron2_that_is_not_installed_cannot_be_chosen(hands, monkeypatch) -> None:
    monkeypatch.setattr(model_page, "find_spec", lambda name: None)
    page = model_page.ModelPage(hands.viewer, embedded=True)
    page.setParent(hands.viewer.window._qt_window)  # and so deleted with it
    item = page.backend.model().item(2)
    assert not item.isEnabled()
    assert "not installed" in item.text()
    assert "not installed" in item.toolTip()


def test_a_choice_of_classes_waits_for_a_prediction(photo, page) -> None:
    drop(page, R50)
    page.backend.setCurrentIndex(1)
    photo.do(page.load)
    segmenter = photo.session.segmenter
    held, go = threading.Event(), threading.Event()

    def predict() -> None:
        with segmenter.lock:
            held.set()
            go.wait(10)

    thread = threading.Thread(target=predict)
    thread.start()
    held.wait(5)
    tick(page, 1, False)
    photo.qtbot.wait(50)
    assert photo.session.model.fossil_classes == (0,)
    go.set()
    thread.join()
    photo.wait()
    assert segmenter.fossil_classes == (0,)
    assert ticked(page) == [0]


def test_many_classes_are_chosen_by_selecting(hands, page) -> None:
    segmenter = SimpleNamespace(lock=threading.RLock(), fossil_classes=(0, 1))
    info = ModelInfo("m.pth", "m", ("cup", "clot"), "cpu", fossil_classes=(0, 1))
    hands.session.set_model(segmenter, None, info)
    hands.settle()
    assert not page.classes.only.isVisibleTo(page), "two classes are ticked at once"
    names = tuple(f"kind {i}" for i in range(6))
    hands.session.set_model(segmenter, None, replace(info, classes=names, fossil_classes=(0, 2)))
    hands.settle()
    assert page.classes.only.isVisibleTo(page)
    assert not page.classes.only.isEnabled()
    for at in (5, 3):
        page.classes.tree.topLevelItem(at).setSelected(True)
    page.classes.only.click()
    assert ticked(page) == [0, 2], "the list is refreshed a moment later"
    hands.settle()
    assert ticked(page) == [3, 5]
    assert segmenter.fossil_classes == (3, 5)
    page.classes.every.click()
    assert segmenter.fossil_classes == (0, 1, 2, 3, 4, 5)
    hands.runner.start(nothing, title="Hold", holds_weights=True)
    tick(page, 0, False)
    assert segmenter.fossil_classes == (0, 1, 2, 3, 4, 5)
    hands.wait()
    assert ticked(page) == [0, 1, 2, 3, 4, 5]


def test_the_input_zoom_holds_from_the_next_prediction_on(hands) -> None:
    page = hands.page("Model")
    assert not page.zoom.isEnabled()
    assert page.zoom.toolTip() == "Load a model first."
    hands.open_discs()
    hands.load_model()
    hands.session.set_result("compare", object())
    page.zoom.setValue(1.5)
    hands.wait()
    assert hands.session.segmenter.input_zoom == 1.5
    assert hands.session.model.input_zoom == 1.5
    assert hands.session.result("compare") is None
    with hands.session.segmenter.lock:  # as while a prediction runs in another thread
        page.zoom.setValue(2.0)
    hands.wait()
    assert hands.session.segmenter.input_zoom == 2.0
    hands.load_model()  # a model loaded anew has its own size again
    assert page.zoom.value() == 1.0
