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
