"""The edited model written from the Rewrite page, in a real window."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_fossiledit import models
from napari_fossiledit.models import exporting

pytestmark = pytest.mark.viewer
R50 = Path(__file__).parents[1] / "data" / "detectron2" / "r50_bgr_caffe2"


def said() -> str:
    return notification_manager.records[-1].message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(R50, tmp_path / "model"))


@pytest.fixture
def answer(monkeypatch):
    """Answers the file dialog; gives what it was asked with."""
    asked: list[tuple[str, str]] = []

    def prepare(path, filter_word: str = "") -> list[tuple[str, str]]:
        def dialog(parent, title, start, filters):
            asked.append((start, filters))
            picked = next((f for f in filters.split(";;") if filter_word in f), "")
            return str(path), picked if path else ""

        monkeypatch.setattr(QFileDialog, "getSaveFileName", dialog)
        return asked

    return prepare


@pytest.fixture
def edited(hands, folder):
    """The detectron2 test model with one edit, its own image behind it."""
    image = np.asarray(Image.open(R50 / "image.png").convert("RGB"))
    labels = np.zeros(image.shape[:2], np.int32)
    labels[30:80, 30:90] = 1
    hands.viewer.add_image(image, rgb=True, name="photo")
    hands.viewer.add_labels(labels, name="fossils")
    page = hands.page("Model")
    page.take_files([folder])
    page.backend.setCurrentIndex(1)
    hands.do(page.load)
    rewrite = hands.page("Rewrite")
    rewrite.auto.setChecked(False)
    hands.do(rewrite.mend)
    return hands


def again(path: Path, folder: Path) -> str:
    config = None if path.suffix == ".safetensors" else folder / "config.yaml"
    loaded = models.load(path, config=config, device="cpu", backend="torchvision")
    return loaded.fingerprint()


@pytest.mark.parametrize(
    ("typed", "word", "made"),
    [
        ("edited", "checkpoint", "edited.pth"),
        ("edited.pkl", "zoo", "edited.pkl"),
        ("edited", "safetensors", "edited.safetensors"),
    ],
)
def test_the_edited_model_is_written_and_loads_again(
    edited, folder, tmp_path, answer, typed, word, made
) -> None:
    button = edited.page("Rewrite").export.button
    asked = answer(tmp_path / typed, word)
    fingerprint = edited.session.segmenter.fingerprint()
    edited.do(button)
    start, filters = asked[0]
    assert start == str(folder / "model_final_edited.pth")
    assert filters.count("(*.") == 4
    assert again(tmp_path / made, folder) == fingerprint
    assert "with 1 edit switched on" in said()
    assert ": 1 of its " in said()
    assert "tensors differs from the original's" in said()
    assert made in said()
    shown = edited.page("Rewrite").export.said
    assert shown.text() == said()
    edited.load_model()
    assert shown.text() == "", "it was about the model before"


def test_edits_that_are_switched_off_are_not_in_it(edited, folder, tmp_path, answer) -> None:
    rewrite = edited.page("Rewrite")
    rewrite.edits.tree.topLevelItem(0).setCheckState(0, Qt.CheckState.Unchecked)
    edited.settle()
    assert "edits: 0 of 1 switched on" in rewrite.export.button.toolTip()
    answer(tmp_path / "plain.pth", "checkpoint")
    edited.do(rewrite.export.button)
    assert "none of its" in said()
    assert again(tmp_path / "plain.pth", folder) == again(folder / "model_final.pth", folder)


def test_a_strength_just_moved_is_in_it(edited, folder, tmp_path, answer) -> None:
    rewrite = edited.page("Rewrite")
    answer(tmp_path / "moved.pth", "checkpoint")
    edited.settle()
    rewrite.edits.slider.setValue(0.6)
    rewrite.export.button.click()
    edited.wait()
    assert edited.outcomes[-1].state == "done"
    assert not edited.session.edits.pending
    assert again(tmp_path / "moved.pth", folder) == edited.session.segmenter.fingerprint()


def test_what_is_refused_is_said_in_words(edited, folder, answer) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    button = edited.page("Rewrite").export.button
    for path, word, part in (
        (folder / "model_final.pth", "checkpoint", "the file of the model itself"),
        (folder / "m.txt", "checkpoint", "m.txt"),
        (folder / "m.pth", "safetensors", "m.pth"),
        (folder / "missing" / "m.pth", "checkpoint", "m.pth"),
    ):
        answer(path, word)
        edited.press(button)
        edited.wait()
        assert edited.outcomes[-1].state == "failed"
        assert part in said()
        assert "please report" not in said()
    answer(folder / "model_final", "checkpoint")
    edited.press(button)
    assert "model_final.pth exists already" in said()
    tasks = len(edited.outcomes)
    answer("")  # the dialog was closed
    edited.press(button)
    edited.wait()
    assert len(edited.outcomes) == tasks
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_cancelling_leaves_no_part_of_a_file(edited, tmp_path, answer, monkeypatch) -> None:
    reading, go = threading.Event(), threading.Event()
    read = exporting.read_weights

    def slow(path):
        reading.set()
        go.wait(10)
        return read(path)

    monkeypatch.setattr(exporting, "read_weights", slow)
    out = tmp_path / "out"
    out.mkdir()
    answer(out / "m.pth", "checkpoint")
    fingerprint = edited.session.segmenter.fingerprint()
    page = edited.page("Rewrite")
    edited.press(page.export.button)
    edited.qtbot.waitUntil(reading.is_set, timeout=5000)
    edited.settle()
    assert not page.edits.tree.isEnabled(), "the edits stay as they are while they are written"
    assert not page.export.button.isEnabled()
    assert "is running" in page.export.button.toolTip()
    edited.runner.cancel()
    go.set()
    edited.wait()
    # Whole, if the writing had gone too far to be stopped; never a part, nor a temporary file.
    assert {path.name for path in out.iterdir()} <= {"m.pth"}
    assert (edited.outcomes[-1].state == "done") == (out / "m.pth").exists()
    assert edited.session.segmenter.fingerprint() == fingerprint


def test_no_model_is_a_reason(hands) -> None:
    hands.settle()
    button = hands.page("Rewrite").export.button
    assert not button.isEnabled()
    assert button.toolTip() == "Load a model first (page 2)."


def test_this_programs_own_kind(ready, tmp_path, answer) -> None:
    asked = answer(tmp_path / "mine", "")
    ready.do(ready.page("Rewrite").export.button)
    assert asked[0][1] == "safetensors (*.safetensors)"
    loaded = models.load(tmp_path / "mine.safetensors", device="cpu")
    assert loaded.fingerprint() == ready.session.segmenter.fingerprint()
    assert "no edit switched on" in said()
