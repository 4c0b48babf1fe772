from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fossiledit.editing import (
    Adam,
    EditStack,
    choose_strength,
    choose_strength_task,
    load_edit,
    rewrite,
)
from napari_fossiledit.editing.strength import STRENGTHS_TRIED
from napari_fossiledit.errors import EditError, InputError
from napari_fossiledit.instances import Instances, LabelledSlice

STRENGTHS = (0.1, 0.5, 1.0)


@pytest.fixture
def edit(segmenter, scene):
    return rewrite(segmenter, *scene)


def act_as(monkeypatch, segmenter, edit, best):
    """Let the masks spill less over the fossil up to strength ``best``, then fall short of it."""
    base = segmenter.weight("fpn.0")

    def predict(image, **_):
        moved = float((segmenter.weight("fpn.0") - base).norm() / edit.deltas["fpn.0"].norm())
        mask = np.zeros(image.shape[:2], np.int32)
        mask[8 : 28 + round(20 * (best - moved)), 12:36] = 1
        return Instances.from_labels(mask)

    monkeypatch.setattr(segmenter, "predict", predict)


def test_the_best_strength_is_found(segmenter, edit, slices, monkeypatch):
    before = segmenter.fingerprint()
    act_as(monkeypatch, segmenter, edit, best=0.5)
    found = choose_strength(segmenter, edit, slices[:1], strengths=STRENGTHS)
    assert found.strength == 0.5
    assert found.worth_it
    assert [strength for strength, _ in found.points] == [0.0, *STRENGTHS]
    assert found.points[2][1].matched_mean.precision == 1.0
    assert found.gain == pytest.approx(1 / 3)
    assert "precision 0.667 -> 1.000, recall 1.000 -> 1.000" in found.sentence
    assert found.to_dict()["points"][2]["matched_mean"]["recall"] == 1.0
    assert segmenter.fingerprint() == before
    assert EditStack.of(segmenter).entries == ()


def test_an_edit_that_costs_recall_is_not_worth_it(segmenter, edit, slices, monkeypatch):
    act_as(monkeypatch, segmenter, edit, best=0.0)
    found = choose_strength(segmenter, edit, slices[:1], strengths=STRENGTHS)
    assert not found.worth_it
    assert found.strength == 0.1
    assert "costs more than 0.035 of mean recall" in found.sentence


def test_an_edit_that_gains_nothing_is_not_worth_it(segmenter, edit, slices, monkeypatch):
    act_as(monkeypatch, segmenter, edit, best=0.0)
    found = choose_strength(segmenter, edit, slices[:1], strengths=STRENGTHS, recall_loss=1.0)
    assert not found.worth_it
    assert "try another slice or fill" in found.sentence


def test_the_recall_budget_is_kept(segmenter, edit, slices, monkeypatch):
    act_as(monkeypatch, segmenter, edit, best=0.2)  # at 0.5 a fifth of the fossil is lost
    generous = choose_strength(segmenter, edit, slices[:1], strengths=(0.1, 0.5), recall_loss=0.5)
    strict = choose_strength(segmenter, edit, slices[:1], strengths=(0.1, 0.5))
    assert (generous.strength, strict.strength) == (0.5, 0.1)
    assert generous.worth_it
    assert strict.worth_it


def test_the_strengths_tried_are_the_solvers(segmenter, scene, slices):
    edit = rewrite(segmenter, *scene, solver=Adam(steps=2, lr=1e-4))
    found = choose_strength(segmenter, edit, slices[:1])
    assert [strength for strength, _ in found.points] == [0.0, *STRENGTHS_TRIED["adam"]]


def test_with_real_predictions(segmenter, edit, slices):
    found = choose_strength(segmenter, edit, slices, strengths=STRENGTHS)
    assert found.strength in STRENGTHS
    assert segmenter.predictions == 8
    with torch.device("meta"):
        again = choose_strength(segmenter, edit, slices, strengths=STRENGTHS)
    assert again.strength == found.strength


@pytest.mark.parametrize("applied", [False, True])
def test_weights_are_restored_whatever_happens(segmenter, edit, slices, monkeypatch, applied):
    if applied:
        edit.apply(segmenter, 0.2)
    before = segmenter.fingerprint()
    task = choose_strength_task(segmenter, edit, slices, strengths=STRENGTHS)
    for _ in task:  # between two predictions the weights are what the list of edits says
        assert segmenter.fingerprint() == before
    task = choose_strength_task(segmenter, edit, slices, strengths=STRENGTHS)
    for _ in range(5):
        next(task)
    task.close()
    assert segmenter.fingerprint() == before

    def fail(image, **_):
        raise RuntimeError("no memory")

    monkeypatch.setattr(segmenter, "predict", fail)
    with pytest.raises(RuntimeError, match="no memory"):
        choose_strength(segmenter, edit, slices, strengths=STRENGTHS)
    assert segmenter.fingerprint() == before
    assert len(EditStack.of(segmenter)) == int(applied)


def test_bad_input_is_named(segmenter, other_segmenter, edit, slices):
    with pytest.raises(InputError, match="at least one labelled slice"):
        choose_strength(segmenter, edit, [])
    with pytest.raises(InputError, match="strength above 0"):
        choose_strength(segmenter, edit, slices, strengths=[0])
    with pytest.raises(InputError, match=r"between 0 and 1\.5"):
        choose_strength(segmenter, edit, slices, strengths=[2])
    empty = LabelledSlice(slices[0].image, np.zeros_like(slices[0].labels))
    with pytest.raises(InputError, match="no fossil"):
        choose_strength(segmenter, edit, [empty])
    with pytest.raises(EditError, match="another model"):
        choose_strength(other_segmenter, edit, slices)


def test_an_edit_knows_which_slices_it_has_seen(segmenter, scene, edit, slices, tmp_path):
    image, *_ = scene
    fresh = np.zeros_like(image)
    assert edit.has_seen(image)
    assert not edit.has_seen(fresh)
    choice = choose_strength(segmenter, edit, slices[:1], strengths=STRENGTHS)
    chosen = edit.with_choice(choice, [fresh])
    assert chosen.has_seen(fresh)
    assert (chosen.strength, chosen.worth_it) == (choice.strength, choice.worth_it)
    again = load_edit(chosen.save(tmp_path / "e.safetensors"))
    assert again.has_seen(fresh)
    assert again.worth_it == choice.worth_it
    assert edit.worth_it


def nothing_from(monkeypatch, segmenter, edit, strength):
    """Let the model find the fossil below a strength, and nothing from there on."""
    base = segmenter.weight("fpn.0")

    def predict(image, **_):
        moved = float((segmenter.weight("fpn.0") - base).norm() / edit.deltas["fpn.0"].norm())
        mask = np.zeros(image.shape[:2], np.int32)
        if moved < strength:
            mask[8:28, 12:36] = 1
        return Instances.from_labels(mask)

    monkeypatch.setattr(segmenter, "predict", predict)


def test_a_model_that_finds_nothing_is_told_so(segmenter, edit, slices, monkeypatch):
    nothing_from(monkeypatch, segmenter, edit, 0.0)
    found = choose_strength(segmenter, edit, slices[:1], strengths=STRENGTHS)
    assert not found.worth_it
    assert found.sentence.startswith("The model finds no fossil on the labelled slice even without")
    assert "SCORE_THRESH_TEST" in found.sentence
    assert "nan" not in found.sentence


def test_an_edit_that_loses_every_fossil_is_told(segmenter, edit, slices, monkeypatch):
    nothing_from(monkeypatch, segmenter, edit, 0.05)
    found = choose_strength(segmenter, edit, slices[:1], strengths=STRENGTHS)
    assert not found.worth_it
    assert "even at strength 0.1 the model finds no fossil any more" in found.sentence
    assert "nan" not in found.sentence


def rows(monkeypatch, segmenter, edit, found):
    """Let the masks cover (fossil rows, rows beside) as ``found`` says for each strength.

    ``found`` also maps mask thresholds (as text) to what the model without the edit gives there.
    """
    base = segmenter.weight("fpn.0")

    def instances(inside, beside, shape):
        mask = np.zeros(shape, np.int32)
        mask[28 - inside : 28 + beside, 12:36] = 1
        return Instances.from_labels(mask)

    def predict(image, **_):
        moved = float((segmenter.weight("fpn.0") - base).norm() / edit.deltas["fpn.0"].norm())
        return instances(*found[round(moved, 2)], image.shape[:2])

    def cut(image, mask_thresholds, **_):
        known = {0.5: found[0.0]} | {float(k): v for k, v in found.items() if isinstance(k, str)}
        return [instances(*known[c], image.shape[:2]) for c in mask_thresholds]

    monkeypatch.setattr(segmenter, "predict", predict)
    monkeypatch.setattr(segmenter, "predict_mask_thresholds", cut)


# Fossil rows found (of 20), rows found beside it: precision 20/30, 20/24, 18/20, 18/21.
SCAN = {0.0: (20, 10), 0.1: (20, 4), 0.5: (18, 2), 1.0: (18, 3)}


def test_the_most_precise_within_the_floor_is_taken(segmenter, edit, slices, monkeypatch):
    rows(monkeypatch, segmenter, edit, SCAN | {"0.7": (17, 0)})
    choose = dict(strengths=STRENGTHS, mask_thresholds=(0.7,))
    within = choose_strength(segmenter, edit, slices[:1], recall_loss=0.1, **choose)
    assert (within.strength, within.rule) == (0.5, "most precise")
    assert within.recall_floor == pytest.approx(0.9)
    assert "0.5 is the most precise that costs at most 0.1 of mean recall" in within.sentence
    strong = choose_strength(
        segmenter, edit, slices[:1], recall_loss=0.1, rule="strongest", **choose
    )
    assert strong.strength == 1.0
    assert "1 is the highest that costs" in strong.sentence
    floor = choose_strength(segmenter, edit, slices[:1], recall_floor=0.95, **choose)
    assert floor.strength == 0.1
    assert "keeps a mean recall of 0.95" in floor.sentence
    high = choose_strength(
        segmenter, edit, slices[:1], recall_floor=0.99, strengths=(0.5,), mask_thresholds=()
    )
    assert not high.worth_it
    assert "does not keep a mean recall of 0.99" in high.sentence
    assert high.threshold_points == []
    assert (high.excess, high.beside) == (None, "")


def test_the_mask_thresholds_curve_is_kept_beside(segmenter, edit, slices, monkeypatch):
    # At recall .9 the curve from (1, 2/3) to (.8, 1) has 5/6; the edit at .5 has 18/20.
    rows(monkeypatch, segmenter, edit, SCAN | {"0.7": (16, 0)})
    found = choose_strength(
        segmenter,
        edit,
        [slices[0]] * 3,
        strengths=STRENGTHS,
        recall_loss=0.1,
        mask_thresholds=(0.7,),
    )
    assert [cut for cut, _ in found.threshold_points] == [0.5, 0.7]
    assert found.threshold_points[1][1].matched_mean.recall == pytest.approx(0.8)
    assert found.excess.value == pytest.approx(18 / 20 - 5 / 6)
    assert "above the mask threshold's curve" in found.beside
    assert not found.below_threshold_curve
    kept = found.to_dict()
    assert [p["mask_threshold"] for p in kept["threshold_points"]] == [0.5, 0.7]
    assert kept["beside_mask_threshold"]["sentence"] == found.beside
    assert found.record()["points"][0] == [0.0, pytest.approx(2 / 3), pytest.approx(1.0)]


def test_an_edit_below_the_curve_is_told_plainly(segmenter, edit, slices, monkeypatch):
    rows(monkeypatch, segmenter, edit, SCAN | {"0.7": (18, 0)})
    choose = dict(strengths=STRENGTHS, recall_loss=0.1, mask_thresholds=(0.7,))
    found = choose_strength(segmenter, edit, [slices[0]] * 3, **choose)
    assert found.below_threshold_curve
    assert found.beside.startswith("The edit lies below the mask threshold's curve")
    assert "Raise the threshold instead" in found.beside
    one = choose_strength(segmenter, edit, slices[:1], **choose)
    assert "the labelled slice cannot tell how sure that is" in one.beside
    assert "below its curve" in one.beside


def test_the_curve_costs_no_prediction(segmenter, edit, slices):
    choose_strength(segmenter, edit, slices, strengths=STRENGTHS, mask_thresholds=())
    plain = segmenter.predictions
    segmenter.predictions = 0
    choose_strength(segmenter, edit, slices, strengths=STRENGTHS)
    assert segmenter.predictions == plain


def test_settings_out_of_range_are_named(segmenter, edit, slices):
    for wrong, part in (
        ({"rule": "boldest"}, "no rule 'boldest'"),
        ({"recall_loss": 2.0}, "recall loss must lie"),
        ({"recall_floor": -0.1}, "recall floor must lie"),
        ({"mask_thresholds": (0.5, 1.0)}, "mask threshold must lie"),
    ):
        with pytest.raises(InputError, match=part):
            choose_strength(segmenter, edit, slices, **wrong)
    assert segmenter.predictions == 0


def test_the_thresholds_are_those_of_the_evaluation():
    from napari_fossiledit.editing import strength
    from napari_fossiledit.pipeline.evaluate import MASK_THRESHOLDS

    assert strength.MASK_THRESHOLDS == MASK_THRESHOLDS
