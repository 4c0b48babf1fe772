"""The whole loop through the widgets, in a real viewer."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_fossiledit.editing import load_edit
from napari_fossiledit.editing.edit import image_sha256
from napari_fossiledit.editing.strength import STRENGTHS_TRIED
from napari_fossiledit.widgets.edit_jobs import Strengthened

pytestmark = pytest.mark.viewer


def same_place(layer, source) -> None:
    np.testing.assert_allclose(layer.scale, source.scale)
    np.testing.assert_allclose(layer.translate, source.translate)
    assert layer.units == source.units
    assert layer.axis_labels == source.axis_labels


def test_segmenting_makes_a_new_layer_in_place_and_spares_the_users(ready) -> None:
    before = ready.viewer.layers["fossils"].data.copy()
    page = ready.page("Segment")
    page.score.setValue(0.0)
    ready.do(page.start)
    ready.do(page.start)
    first, second = ready.viewer.layers[-2:]
    assert second.name == f"{first.name} 2"
    same_place(first, ready.viewer.layers["reef"])
    np.testing.assert_array_equal(ready.viewer.layers["fossils"].data, before)
    np.testing.assert_array_equal(first.data, second.data)
    assert first.data.shape == before.shape
    used = {0, *np.unique(first.data)}
    assert used <= set(first.features["index"])
    assert set(first.features["slice"][1:]) == {1}


def test_a_range_is_segmented_and_offered_in_3d(ready) -> None:
    page = ready.page("Segment")
    page.score.setValue(0.0)
    page.scope.setCurrentIndex(1)
    ready.settle()
    page.first.setValue(1)
    page.last.setValue(2)
    ready.do(page.start)
    made = ready.viewer.layers[-1]
    assert made.data[1].any()
    assert not made.data[[0, 3]].any()
    specimens = ready.page("Specimens in 3D")
    assert specimens.source.currentText() == made.name


def test_probe_and_preview(ready) -> None:
    page = ready.page("Find weaknesses")
    ready.do(page.preview)
    painted = ready.viewer.layers[-1]
    image, labels = (ready.viewer.layers[name].data[1] for name in ("reef", "fossils"))
    assert painted.data.shape == (1, *image.shape)
    np.testing.assert_array_equal(painted.data[0][labels > 0], image[labels > 0])
    assert len(np.unique(painted.data[0][labels == 0], axis=0)) == 1
    assert painted.data_to_world((0, 0, 0))[0] == pytest.approx(2.5)
    ready.do(page.probe)
    assert page.results.table.rowCount() >= 6
    assert page.results.diagnosis.text()
    ready.press(page.results.show_layers)
    assert sum("painted" in name for name in ready.names()) >= 4


def test_the_mud_colour_is_picked_by_a_click(ready) -> None:
    page = ready.page("Find weaknesses")
    box = page.recipe.fill
    reef = ready.viewer.layers["reef"]
    ready.viewer.layers.selection.active = ready.viewer.layers["fossils"]
    box.kind.setCurrentIndex(1)
    box.kind.activated.emit(1)
    ready.settle()
    assert "No mud colour was picked yet" in page.preview.toolTip()
    ready.press(box.pick_colour)
    assert ready.viewer.layers.selection.active is reef
    event = SimpleNamespace(
        position=tuple(reef.data_to_world((1, 50, 10))),
        view_direction=None,
        dims_displayed=[1, 2],
    )
    reef.mouse_drag_callbacks[-1](reef, event)
    assert ready.session.recipe.colour == tuple(int(c) for c in reef.data[1, 50, 10])
    assert not box.pick_colour.isChecked()
    assert len(reef.mouse_drag_callbacks) == 0
    assert ready.viewer.layers.selection.active is ready.viewer.layers["fossils"]
    ready.settle()
    assert page.preview.isEnabled()


def mend(ready, strength: float = 0.5):
    page = ready.page("Rewrite")
    page.auto.setChecked(False)
    page.strength.setValue(strength)
    ready.do(page.mend)
    return page


def test_mending_and_undoing_leaves_every_weight_bit_identical(ready) -> None:
    base = ready.session.segmenter.fingerprint()
    page = mend(ready)
    assert len(ready.session.edits) == 1
    assert ready.session.segmenter.fingerprint() != base
    assert page.loss.series
    ready.press(page.edits.remove)
    ready.wait()
    assert ready.session.segmenter.fingerprint() == base
    assert len(ready.session.edits) == 0


def test_strength_switch_name_and_file(ready, tmp_path) -> None:
    base = ready.session.segmenter.fingerprint()
    page = mend(ready)
    edits = ready.session.edits
    mended = ready.session.segmenter.fingerprint()
    page.edits.slider.setValue(0.25)
    ready.wait()
    assert edits.entries[0].strength == 0.25
    assert ready.session.segmenter.fingerprint() not in {base, mended}
    item = page.edits.tree.topLevelItem(0)
    item.setText(0, "less mud")
    ready.wait()
    assert edits.entries[0].name == "less mud"
    from qtpy.QtCore import Qt

    item.setCheckState(0, Qt.CheckState.Unchecked)
    ready.wait()
    assert ready.session.segmenter.fingerprint() == base
    page.edits.save_to(str(tmp_path / "edit.safetensors"))
    ready.wait()
    ready.press(page.edits.clear)
    page.edits.load_from(str(tmp_path / "edit.safetensors"))
    ready.wait()
    assert [(e.name, e.strength, e.active) for e in edits.entries] == [("less mud", 0.25, True)]


def test_the_strength_is_chosen_on_other_labelled_slices(ready) -> None:
    page = ready.page("Rewrite")
    page.at_most.setValue(2)
    ready.do(page.mend)
    assert page.said.text()
    assert ready.session.used_slices("reef") == {0, 1, 3}
    entry = ready.session.edits.entries[0]
    assert entry.strength in STRENGTHS_TRIED["ridge"]
    assert entry.edit.provenance["strength_chosen_on"] == hashes(ready, 0, 3)


def test_a_loaded_edit_that_is_not_worth_it_stays_off(ready, tmp_path) -> None:
    base = ready.session.segmenter.fingerprint()
    page = mend(ready)
    edit = ready.session.edits.entries[0].edit
    edit.provenance["worth_it"] = False
    edit.save(tmp_path / "edit.safetensors")
    ready.press(page.edits.clear)
    page.edits.load_from(str(tmp_path / "edit.safetensors"))
    ready.wait()
    assert [entry.active for entry in ready.session.edits.entries] == [False]
    assert ready.session.segmenter.fingerprint() == base


def hashes(ready, *slices: int) -> list[str]:
    return [image_sha256(ready.viewer.layers["reef"].data[z]) for z in slices]


def loaded(ready, path):
    """An edit made from slice 1, loaded in a session that knows nothing of it."""
    page = mend(ready)
    page.edits.save_to(str(path))
    ready.wait()
    ready.press(page.edits.clear)
    ready.load_model()
    page.edits.load_from(str(path))
    ready.wait()
    assert ready.session.used_slices("reef") == set()
    return page


def test_a_loaded_edits_strength_is_chosen_on_all_but_its_own_slice(ready, tmp_path) -> None:
    page = loaded(ready, tmp_path / "edit.safetensors")
    ready.viewer.dims.set_point(0, 3.0)  # slice 2: shown, but not the edit's
    page.at_most.setValue(10)
    for _ in range(2):  # slices that chose a strength may choose it again
        ready.do(page.rescan)
        (entry,) = ready.session.edits.entries
        assert entry.strength in STRENGTHS_TRIED["ridge"]
        assert entry.edit.provenance["strength_chosen_on"] == hashes(ready, 0, 2, 3)
    assert ready.session.used_slices("reef") == {0, 2, 3}
    page.edits.save_to(str(tmp_path / "chosen.safetensors"))
    ready.wait()
    saved = load_edit(tmp_path / "chosen.safetensors")
    assert saved.strength == entry.strength
    assert saved.worth_it == entry.active
    assert all(saved.has_seen(image) for image in ready.viewer.layers["reef"].data)
    base = ready.session.segmenter.fingerprint()
    ready.press(page.edits.clear)
    ready.wait()
    assert (ready.session.segmenter.fingerprint() != base) == entry.active


def test_a_loaded_edit_is_not_compared_on_what_it_has_seen(ready, tmp_path) -> None:
    loaded(ready, tmp_path / "edit.safetensors")
    page = ready.page("Compare")
    page.curves.setChecked(False)
    page.at_most.setValue(10)
    ready.do(page.start)
    assert ready.session.result("compare").slices == (0, 2, 3)
    ready.viewer.dims.set_point(0, 2.5)
    page.scope.setCurrentIndex(1)
    ready.do(page.start)
    assert ready.session.result("compare").slices == (1,)
    assert "flatter" in page.caution.text()
    ready.viewer.dims.set_point(0, 3.0)
    ready.do(page.start)
    assert not page.caution.text()


def means(precision: float, recall: float) -> SimpleNamespace:
    return SimpleNamespace(matched_mean=SimpleNamespace(precision=precision, recall=recall))


def choice(points, thresholds=(), **more) -> Strengthened:
    plain = {"strength": 0.1, "beside": "", "below_threshold_curve": False} | more
    return Strengthened(SimpleNamespace(points=points, threshold_points=list(thresholds), **plain))


def test_the_scan_is_drawn_beside_the_mask_threshold_with_the_chosen_strength(hands) -> None:
    page = hands.page("Rewrite")
    figures = {0.0: (0.8, 0.9), 0.1: (0.85, 0.88), 0.2: (0.9, 0.7)}
    points = [(strength, means(p, r)) for strength, (p, r) in figures.items()]
    rival = [(0.5, means(0.8, 0.9)), (0.7, means(0.9, 0.8))]
    words = "The edit lies below the mask threshold's curve: raise it instead."
    page._show_choice(choice(points, rival, beside=words, below_threshold_curve=True))
    threshold, strength = page.scan.series
    assert (threshold.label, strength.label) == (
        "mask threshold, no edit",
        "edit, over its strength",
    )
    assert list(zip(strength.y, strength.x, strict=True)) == list(figures.values())
    assert list(zip(threshold.x, threshold.y, strict=True)) == [(0.9, 0.8), (0.8, 0.9)]
    assert (strength.marked, threshold.marked) == (1, None)
    assert list(strength.names) == ["0", "0.1", "0.2"]
    assert page.beside.text() == words
    page._show_choice(choice([(0.0, means(np.nan, np.nan))]))
    assert page.scan.series == [], "a model that finds nothing has no curve"


def test_a_corrected_prediction_serves_as_fossils_at_once(ready) -> None:
    segment = ready.page("Segment")
    ready.do(segment.start)
    prediction = ready.viewer.layers[-1]
    prediction.data[1, 10:40, 10:40] = 1
    page = ready.page("Rewrite")
    page._choose_fossils(prediction.name)
    mend(ready)
    assert len(ready.session.edits) == 1


def test_a_slice_without_fossils_is_said_and_nothing_changes(ready) -> None:
    ready.viewer.layers["fossils"].data[1] = 0
    base = ready.session.segmenter.fingerprint()
    ready.press(ready.page("Rewrite").mend)
    ready.wait()
    assert ready.outcomes[-1].state == "failed"
    assert "fossil" in ready.outcomes[-1].message
    assert ready.session.segmenter.fingerprint() == base


def test_compare_adds_layers_table_and_sentence(ready) -> None:
    mend(ready)
    page = ready.page("Compare")
    page.curves.setChecked(False)
    page.at_most.setValue(2)
    mixed = ready.session.segmenter.fingerprint()
    ready.do(page.start)
    assert ready.session.segmenter.fingerprint() == mixed
    assert page.table.rowCount() >= 9
    assert page.sentence.text()
    assert [name.split(": ")[1] for name in ready.names()[-3:]] == ["before", "after", "difference"]
    same_place(ready.viewer.layers[-1], ready.viewer.layers["reef"])
    compared = ready.session.result("compare")
    assert 1 not in compared.slices, "the slice that made the edit must not judge it"
    page.scope.setCurrentIndex(1)
    ready.viewer.dims.set_point(0, 2.5)
    ready.settle()
    assert "flatter" in page.caution.text()


def test_compare_on_a_slice_without_labels_shows_layers_only(ready) -> None:
    mend(ready)
    ready.viewer.layers["fossils"].data[2] = 0
    ready.viewer.dims.set_point(0, 3.0)
    page = ready.page("Compare")
    page.scope.setCurrentIndex(1)
    ready.do(page.start)
    assert "no labels" in page.sentence.text()
    assert page.table.rowCount() == 0


def test_specimens_in_3d_and_back(ready) -> None:
    page = ready.page("Specimens in 3D")
    ready.do(page.start)
    assert ready.viewer.dims.ndisplay == 3
    preview = ready.viewer.layers[-1]
    assert [layer.name for layer in ready.viewer.layers if layer.visible] == [preview.name]
    np.testing.assert_allclose(preview.translate, ready.viewer.layers["fossils"].translate)
    assert "3 specimens" in page.said.text()
    ready.press(page.back)
    assert ready.viewer.dims.ndisplay == 2
    assert ready.viewer.layers["reef"].visible
    assert not preview.visible
