"""What goes wrong in a viewer: cancelling, closing, deleting, pressing twice, bad files."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest
import torch
from napari.utils.notifications import notification_manager

from napari_fossiledit.editing import EditStack
from napari_fossiledit.errors import OutOfMemoryError
from napari_fossiledit.models.lite import new_lite, save
from napari_fossiledit.progress import checkpoint

pytestmark = pytest.mark.viewer


def started(ready, title: str, button: str):
    ready.slow_model()
    made = getattr(ready.page(title), button)
    ready.press(made)
    ready.qtbot.waitUntil(lambda: ready.runner.busy and ready.runner.seconds > 0.2, timeout=5000)
    return made


@pytest.mark.parametrize(
    ("title", "button"),
    [("Segment", "start"), ("Find weaknesses", "probe"), ("Rewrite", "mend")],
)
def test_cancel_leaves_model_and_layers_as_they_were(ready, title, button) -> None:
    names, base = ready.names(), ready.session.segmenter.fingerprint()
    started(ready, title, button)
    began = time.monotonic()
    ready.runner.cancel()
    ready.wait()
    assert time.monotonic() - began < 1.5
    assert ready.outcomes[-1].state == "cancelled"
    assert ready.names() == names
    assert ready.session.segmenter.fingerprint() == base
    assert len(ready.session.edits) == 0


def test_a_button_pressed_twice_starts_one_task(ready) -> None:
    button = started(ready, "Segment", "start")
    ready.settle()
    assert not button.isEnabled()
    assert "is running" in button.toolTip()
    ready.page("Segment")._start()  # even if the press got through
    ready.runner.cancel()
    ready.wait()
    assert [o.state for o in ready.outcomes[1:]] == ["cancelled"]


def test_a_layer_deleted_while_a_task_runs_stops_it_in_words(ready) -> None:
    started(ready, "Segment", "start")
    ready.viewer.layers.remove("reef")
    ready.wait()
    assert "'reef' was deleted" in ready.outcomes[-1].message
    assert "'reef' was deleted" in notification_manager.records[-1].message
    assert ready.names() == ["fossils"]
    assert "Choose a stack" in ready.page("Segment").start.toolTip()


def test_a_layer_renamed_while_a_task_runs_does_no_harm(ready) -> None:
    page = ready.page("Segment")
    ready.press(page.start)
    ready.viewer.layers["reef"].name = "other"
    ready.wait()
    assert ready.outcomes[-1].state == "done"
    assert ready.session.stack == "other"


def test_the_viewer_closed_mid_task_cancels_and_waits(ready, qtbot) -> None:
    started(ready, "Segment", "start")
    ended = ready.runner._running.ended
    ready.viewer.close()
    qtbot.waitUntil(ended.is_set, timeout=5000)


@pytest.mark.parametrize("during", ["features", "strength"])
def test_the_viewer_closed_while_mending_leaves_every_weight(ready, qtbot, during) -> None:
    segmenter = ready.session.segmenter
    base, predict = segmenter.fingerprint(), segmenter.predict
    if during == "features":
        started(ready, "Rewrite", "mend")
    else:
        tried = threading.Event()

        def never(image, **_):
            """Stop at the first prediction with the edit at work."""
            if segmenter.fingerprint() == base:
                return predict(image)
            tried.set()
            while True:
                checkpoint()

        segmenter.predict = never
        ready.press(ready.page("Rewrite").mend)
        qtbot.waitUntil(tried.is_set, timeout=30_000)
    ended = ready.runner._running.ended
    ready.viewer.close()
    qtbot.waitUntil(ended.is_set, timeout=5000)
    assert segmenter.fingerprint() == base
    assert EditStack.of(segmenter).entries == ()


def test_the_strength_slider_never_waits_for_a_prediction(ready) -> None:
    page = ready.page("Rewrite")
    page.auto.setChecked(False)
    ready.do(page.mend)
    edits, segmenter = ready.session.edits, ready.session.segmenter
    before = segmenter.weight(edits.entries[0].edit.layers[0])
    held, go = threading.Event(), threading.Event()

    def predict() -> None:
        with segmenter.lock:
            held.set()
            go.wait(10)

    thread = threading.Thread(target=predict)
    thread.start()
    held.wait(5)
    began = time.monotonic()
    for value in (0.2, 0.4, 0.8):
        page.edits.slider.setValue(value)
        ready.qtbot.wait(30)
    assert time.monotonic() - began < 0.6
    assert edits.entries[0].strength == 0.8
    assert edits.pending
    go.set()
    thread.join()
    ready.wait()
    assert not edits.pending
    assert not (segmenter.weight(edits.entries[0].edit.layers[0]) == before).all()


@pytest.mark.parametrize(
    "content", [b"", b"not an edit", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "]
)
def test_a_file_that_is_no_edit_is_refused_in_words(ready, tmp_path, content) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(content)
    ready.page("Rewrite").edits.load_from(str(path))
    ready.wait()
    assert ready.outcomes[-1].state == "failed"
    assert "odd.safetensors" in notification_manager.records[-1].message
    assert "please report" not in notification_manager.records[-1].message
    assert len(ready.session.edits) == 0


def saved_edit(ready, path):
    page = ready.page("Rewrite")
    page.auto.setChecked(False)
    ready.do(page.mend)
    page.edits.save_to(str(path))
    ready.wait()
    return page


def refused(ready, path) -> str:
    """Load an edit file that must change nothing; gives the sentence told."""
    edits, weights = ready.session.edits.entries, ready.session.segmenter.fingerprint()
    ready.page("Rewrite").edits.load_from(str(path))
    ready.wait()
    assert ready.outcomes[-1].state == "failed"
    said = notification_manager.records[-1].message
    assert said == ready.outcomes[-1].message
    assert "please report" not in said
    assert "\n" not in said
    assert ready.session.edits.entries == edits
    assert ready.page("Rewrite").edits.tree.topLevelItemCount() == len(edits)
    assert ready.session.segmenter.fingerprint() == weights
    return said


def test_an_edit_file_cut_in_half_is_refused_in_words(ready, tmp_path) -> None:
    path = tmp_path / "half.safetensors"
    saved_edit(ready, path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "half.safetensors is incomplete or damaged" in refused(ready, path)


def test_an_edit_of_another_model_is_refused_in_words(hands, tiny_config, tmp_path) -> None:
    whole, hands.model_file = hands.model_file, tmp_path / "other.safetensors"
    save(new_lite(tiny_config, name="other", class_names=("cup",), seed=1), hands.model_file)
    hands.open_discs()
    hands.load_model()
    saved_edit(hands, tmp_path / "edit.safetensors")
    hands.model_file = whole
    hands.load_model()
    assert len(hands.session.edits) == 0
    said = refused(hands, tmp_path / "edit.safetensors")
    assert "was made for another model (other) than the one loaded (tiny)" in said


def test_a_missing_or_hostile_model_file_is_refused_in_words(hands, tmp_path) -> None:
    import pickle

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    page = hands.page("Model")
    page.source.setCurrentIndex(1)
    for name in ("evil.pth", "missing.pth"):
        page.weights.path = tmp_path / name
        hands.press(page.load)
        hands.wait()
        assert hands.outcomes[-1].state == "failed"
        assert "please report" not in hands.outcomes[-1].message
    assert not (tmp_path / "owned").exists()
    assert hands.session.segmenter is None


def test_too_little_memory_on_the_device_is_said_and_nothing_changes(ready) -> None:
    names, base = ready.names(), ready.session.segmenter.fingerprint()
    whole = ready.session.segmenter.predict

    def predict(*_, **__):
        raise OutOfMemoryError(
            "The device cuda:0 has too little memory for the slice: choose the device cpu."
        )

    ready.session.segmenter.predict = predict
    button = ready.page("Segment").start
    ready.press(button)
    ready.wait()
    assert ready.outcomes[-1].state == "failed"
    said = notification_manager.records[-1].message
    assert said == "The device cuda:0 has too little memory for the slice: choose the device cpu."
    assert ready.names() == names
    assert ready.session.segmenter.fingerprint() == base
    ready.session.segmenter.predict = whole
    ready.do(button)
    assert len(ready.names()) == len(names) + 1


def test_torchs_own_memory_error_becomes_a_plain_sentence(ready, monkeypatch) -> None:
    names, base = ready.names(), ready.session.segmenter.fingerprint()

    def forward(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7.81 GiB.")

    monkeypatch.setattr(torch.nn.functional, "conv2d", forward)
    ready.press(ready.page("Segment").start)
    ready.wait()
    said = notification_manager.records[-1].message
    assert "too little memory" in said
    assert "please report" not in said
    assert "GiB" not in said
    monkeypatch.undo()
    assert ready.names() == names
    assert ready.session.segmenter.fingerprint() == base


@pytest.mark.parametrize("place", ["read-only", "full"])
def test_an_edit_that_cannot_be_saved_is_said_and_stays(
    ready, tmp_path, monkeypatch, place
) -> None:
    page = ready.page("Rewrite")
    page.auto.setChecked(False)
    ready.do(page.mend)
    weights = ready.session.segmenter.fingerprint()
    path = tmp_path / "edit.safetensors"
    if place == "full":

        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
    else:  # root may write everywhere but here
        path = Path("/proc/nowhere/edit.safetensors")
    page.edits.save_to(str(path))
    ready.wait()
    assert ready.outcomes[-1].state == "failed"
    said = notification_manager.records[-1].message
    assert str(path) in said
    assert "choose a folder" in said
    assert "please report" not in said
    assert list(tmp_path.iterdir()) == []
    assert len(ready.session.edits) == 1
    assert page.edits.tree.topLevelItemCount() == 1
    assert ready.session.segmenter.fingerprint() == weights
