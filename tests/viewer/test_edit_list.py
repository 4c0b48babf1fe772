"""The list of edits: order, duplicates, merging, where an edit comes from, live prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fossiledit.errors import OutOfMemoryError
from napari_fossiledit.instances import Instances

pytestmark = pytest.mark.viewer


def mend(ready, strength: float = 0.5):
    page = ready.page("Rewrite")
    page.auto.setChecked(False)
    page.strength.setValue(strength)
    ready.do(page.mend)
    return page


@pytest.fixture
def two(ready):
    """Two edits, the second by the solver adam."""
    page = mend(ready, 0.5)
    page.solver.choose("adam")
    page.solver.fields["adam", "steps"].setValue(3)
    mend(ready, 0.75)
    return ready


def names(ready) -> list[str]:
    tree = ready.page("Rewrite").edits.tree
    return [tree.topLevelItem(i).text(0).split(",")[0] for i in range(tree.topLevelItemCount())]


def test_order_duplicate_and_merge(two) -> None:
    edits, segmenter = two.page("Rewrite").edits, two.session.segmenter
    assert names(two) == ["ridge", "adam"]
    assert not edits.down.isEnabled()
    two.press(edits.up)
    two.wait()
    assert names(two) == ["adam", "ridge"]
    assert edits.selected == 0
    assert not edits.up.isEnabled()
    two.press(edits.down)
    two.wait()
    before = segmenter.fingerprint()
    weights = {layer.name: segmenter.weight(layer.name) for layer in segmenter.editable_layers()}
    edits.select(0)
    two.press(edits.duplicate)
    two.wait()
    assert names(two) == ["ridge", "ridge", "adam"]
    assert [e.active for e in two.session.edits.entries] == [True, False, True]
    assert segmenter.fingerprint() == before
    two.press(edits.merge)
    two.wait()
    (merged, copy) = two.session.edits.entries
    assert (merged.strength, merged.active, copy.active) == (1.0, True, False)
    assert [p["strength"] for p in merged.edit.provenance["merged"]] == [0.5, 0.75]
    for name, weight in weights.items():
        torch.testing.assert_close(segmenter.weight(name), weight)
    assert "Merging needs at least two" in edits.merge.toolTip()
    two.press(edits.clear)
    two.wait()
    assert segmenter.fingerprint() == two.session.edits.base_fingerprint


def test_where_an_edit_comes_from_is_told(ready) -> None:
    page = mend(ready)
    ready.press(page.edits.origin.head)
    ready.settle()
    shown = page.edits.origin_text.text()
    for part in ("tiny", "the model that is loaded", "reef, slice 1", "ridge", "0.5 now", "P2: "):
        assert part in shown
    assert page.edits.origin_text.isVisibleTo(page)


def follows(monkeypatch, ready):
    """Let the model find one square whose size tells the edit's strength."""
    segmenter, entry = ready.session.segmenter, ready.session.edits.entries[0]
    ((name, delta),) = entry.edit.deltas.items()
    base = segmenter.weight(name) - entry.strength * delta
    seen = []

    def predict(image, **_):
        seen.append(float((segmenter.weight(name) - base).abs().sum()))
        labels = np.zeros(image.shape[:2], np.int32)
        side = 10 + int(20 * min(seen[-1] / max(seen[0], 1e-9), 2))
        labels[5 : 5 + side, 5 : 5 + side] = 1
        return Instances.from_labels(labels)

    monkeypatch.setattr(segmenter, "predict", predict)
    return seen


def test_the_live_layer_follows_the_slider_and_the_slice(ready, monkeypatch) -> None:
    page = mend(ready)
    edits = page.edits
    reef, count = ready.viewer.layers["reef"], len(ready.viewer.layers)
    seen = follows(monkeypatch, ready)
    chosen = ready.viewer.layers.selection.active
    edits.live.toggle.setChecked(True)
    ready.settle()
    ready.wait()
    layer = edits.live.layer
    assert len(ready.viewer.layers) == count + 1
    assert ready.viewer.layers.selection.active is chosen
    assert layer.data.shape == (1, 96, 96)
    assert layer.data_to_world((0, 0, 0))[0] == pytest.approx(2.5)
    np.testing.assert_allclose(layer.scale, reef.scale)
    assert "on slice 1" in edits.live.said.text()
    assert "flatter" in edits.live.said.text(), "the slice made the edit"
    before = int((layer.data > 0).sum())
    for strength in (0.1, 0.2, 0.25):
        edits.slider.setValue(strength)
    ready.settle()
    ready.wait()
    assert edits.live.layer is layer
    assert int((layer.data > 0).sum()) < before
    assert seen[-1] == pytest.approx(seen[0] / 2, rel=1e-3), "the last value counts"
    assert len(seen) <= 3
    ready.viewer.dims.set_point(0, 3.0)
    ready.settle()
    ready.wait()
    assert layer.data_to_world((0, 0, 0))[0] == pytest.approx(3.0)
    edits.live.toggle.setChecked(False)
    ready.settle()
    assert len(ready.viewer.layers) == count


def test_a_deleted_live_layer_switches_live_off(ready, monkeypatch) -> None:
    live = mend(ready).edits.live
    follows(monkeypatch, ready)
    live.toggle.setChecked(True)
    ready.settle()
    ready.wait()
    ready.viewer.layers.remove(live.layer)
    ready.settle()
    assert not live.toggle.isChecked()


def test_a_live_prediction_that_fails_is_told_and_stops(ready, monkeypatch) -> None:
    live = mend(ready).edits.live

    def fail(image, **_):
        raise OutOfMemoryError("The graphics card has too little memory: choose the device cpu.")

    monkeypatch.setattr(ready.session.segmenter, "predict", fail)
    told = []
    monkeypatch.setattr(ready.bench, "tell_error", told.append)
    live.toggle.setChecked(True)
    ready.settle()
    ready.wait()
    assert told == ["The graphics card has too little memory: choose the device cpu."]
    assert not live.toggle.isChecked()
    assert live.layer is None


def test_live_waits_for_a_task_that_holds_the_weights(ready, monkeypatch) -> None:
    page = mend(ready)
    seen = follows(monkeypatch, ready)
    page.edits.live.toggle.setChecked(True)
    ready.settle()
    ready.wait()
    count = len(seen)
    ready.slow_model()
    ready.press(page.mend)
    ready.qtbot.waitUntil(lambda: ready.runner.holds_weights)
    ready.viewer.dims.set_point(0, 3.0)
    ready.settle()
    assert len(seen) == count, "nothing is predicted while a task holds the weights"
    ready.session.segmenter.predict = lambda image, **_: Instances.from_labels(
        np.zeros(image.shape[:2], np.int32)
    )
    ready.runner.cancel()
    ready.wait()
    ready.settle()
    ready.wait()
    assert "0 fossils on slice 2" in page.edits.live.said.text()


def test_every_solver_is_offered_with_its_settings_and_a_line(hands) -> None:
    from napari_fossiledit import editing

    page = hands.page("Rewrite")
    box = page.solver
    defaults = {"ridge": editing.Ridge, "l1": editing.L1, "low_rank": editing.LowRank}
    defaults |= {"adam": editing.Adam, "distil": editing.Distil, "labels": editing.Labels}
    defaults |= {"agreement": editing.Agreement}
    assert [spec.kind for spec in box._specs.values()] == list(defaults)
    for kind, settings in defaults.items():
        box.choose(kind)
        assert box.choice().settings() == settings(), kind
        assert box.words.text()
        shown = {name for (owner, name), w in box.fields.items() if w.isVisibleTo(page)}
        assert shown == {name for owner, name in box.fields if owner == kind}
    box.choose("adam")
    box.fields["adam", "rank"].setValue(2)
    assert box.choice().settings().rank == 2
    assert page.mend.text() == "Mend this weakness"
    box.choose("labels")
    hands.settle()
    assert page.mend.text() == "Correct the model with this slice's labels"
    assert "Nothing is painted" in page.recipe.text()
    assert not page.auto.isChecked(), "slices of the training cannot tell what labels gain"
    box.choose("ridge")
    assert page.auto.isChecked()


def test_the_solvers_usual_layers_are_ticked_unless_the_user_chose(ready) -> None:
    from qtpy.QtCore import Qt

    page = ready.page("Rewrite")
    (finest,) = page.checklist.chosen()
    page.solver.choose("distil")
    ready.settle()
    assert len(page.checklist.chosen()) == 4
    page.solver.choose("labels")
    ready.settle()
    assert page.checklist.chosen() == (), "the heads alone"
    assert page.mend.isEnabled()
    page.solver.fields["labels", "heads"].setChecked(False)
    ready.bench.touch()
    ready.settle()
    assert "Tick at least one layer" in page.mend.toolTip()
    page.solver.choose("ridge")
    ready.settle()
    assert page.checklist.chosen() == (finest,)
    page.checklist.topLevelItem(1).setCheckState(0, Qt.CheckState.Checked)
    page.solver.choose("distil")
    ready.settle()
    assert len(page.checklist.chosen()) == 2


def test_the_model_is_corrected_with_a_slices_labels(ready) -> None:
    base = ready.session.segmenter.fingerprint()
    page = ready.page("Rewrite")
    page.solver.choose("labels")
    page.solver.fields["labels", "steps"].setValue(2)
    page.solver.fields["labels", "proposal_steps"].setValue(2)
    page.slices.rehearse.setText("3")
    ready.session.recipe = type(ready.session.recipe)(fill="colour")  # nothing picked: no matter
    mend(ready, 1.0)
    (entry,) = ready.session.edits.entries
    assert entry.name.startswith("labels, reef, slice 1")
    assert entry.edit.provenance["solver"]["steps"] == 2
    assert ready.session.used_slices("reef") == {1, 3}
    assert ready.session.segmenter.fingerprint() != base
    ready.press(page.edits.remove)
    ready.wait()
    assert ready.session.segmenter.fingerprint() == base


def test_the_model_learns_from_a_slice_that_nobody_labelled(ready) -> None:
    base = ready.session.segmenter.fingerprint()
    fossils = ready.viewer.layers["fossils"].data
    fossils[1] = 0
    page = ready.page("Rewrite")
    page.solver.choose("agreement")
    for name, value in {"sure": 0.02, "doubtful": 0.01, "steps": 2, "proposal_steps": 2}.items():
        page.solver.fields["agreement", name].setValue(value)
    page.slices.rehearse.setText("3")
    ready.settle()
    assert page.mend.text() == "Let the model learn from this slice"
    assert not page.checklist.isEnabled()
    mend(ready, 1.0)
    (entry,) = ready.session.edits.entries
    assert entry.name == "agreement, reef, slice 1"
    assert entry.edit.provenance["solver"]["sure"] == 0.02
    assert ready.session.used_slices("reef") == {1, 3}
    assert ready.session.segmenter.fingerprint() != base


def test_without_labels_nothing_can_be_rehearsed(ready) -> None:
    ready.viewer.layers.remove("fossils")
    page = ready.page("Rewrite")
    page.solver.choose("agreement")
    page.slices.rehearse.setText("3")
    ready.press(page.mend)
    ready.wait()
    assert ready.outcomes[-1].state == "failed"
    assert "Choose a labels layer" in ready.outcomes[-1].message


@pytest.mark.parametrize("how", ["jointly", "in sequence"])
def test_an_edit_from_several_slices(ready, how) -> None:
    page = ready.page("Rewrite")
    page.slices.scope.setCurrentIndex(1)
    page.slices.numbers.setText("3, 0")
    page.slices.how.setCurrentIndex(page.slices.how.findData(how))
    page.at_most.setValue(1)
    ready.do(page.mend)
    (entry,) = ready.session.edits.entries
    assert entry.edit.provenance["slices_taken"] == how
    assert entry.edit.provenance["slice"] == "reef, slice 3, slice 0"
    used = ready.session.used_slices("reef")
    assert {0, 3} < used
    assert len(used) == 3
    assert entry.name == "ridge, reef, 2 slices"


def test_all_labelled_slices_leave_none_for_the_strength(ready) -> None:
    page = ready.page("Rewrite")
    page.slices.scope.setCurrentIndex(2)
    ready.settle()
    assert "none is left" in page.recipe.text()
    ready.do(page.mend)
    assert "could not be chosen" in page.said.text()
    assert ready.session.used_slices("reef") == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("text", "part"), [("", "Write the numbers"), ("2, x", "'x' is no slice"), ("9", "0 to 3")]
)
def test_slices_that_cannot_be_read_are_refused(ready, monkeypatch, text, part) -> None:
    told = []
    monkeypatch.setattr(ready.bench, "tell_error", told.append)
    page = ready.page("Rewrite")
    page.slices.scope.setCurrentIndex(1)
    page.slices.numbers.setText(text)
    ready.press(page.mend)
    assert part in told[0]
    assert not ready.runner.busy


def test_skipped_layers_are_said(ready, monkeypatch) -> None:
    from napari_fossiledit import editing

    real = editing.rewrite_several_task

    def skipping(*args, **kwargs):
        edit = yield from real(*args, **kwargs)
        edit.provenance["skipped_layers"] = [{"name": "x", "level": "P5", "reason": "no cell"}]
        return edit

    monkeypatch.setattr(editing, "rewrite_several_task", skipping)
    assert mend(ready).caution.text() == "P5 was skipped: no cell."


def test_a_rank_above_the_channels_is_said(ready) -> None:
    base = ready.session.segmenter.fingerprint()
    page = ready.page("Rewrite")
    page.solver.choose("low_rank")
    page.solver.fields["low_rank", "rank"].setValue(4000)
    ready.press(page.mend)
    ready.wait()
    assert ready.outcomes[-1].state == "failed"
    assert "4000" in ready.outcomes[-1].message
    assert ready.session.segmenter.fingerprint() == base
