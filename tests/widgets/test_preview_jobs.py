from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_fossiledit.errors import InputError
from napari_fossiledit.perturb import noise
from napari_fossiledit.progress import run
from napari_fossiledit.widgets.layers import LabelSource, StackSource
from napari_fossiledit.widgets.preview_jobs import Painter, Wanted, preview_task
from napari_fossiledit.widgets.recipe import FillChoice, Recipe

PLACE = {"scale": np.ones(3), "translate": np.zeros(3)}
CROP = (0, 0, 16, 16)


def wanted(recipe: Recipe, z: int = 1, data=None) -> Wanted:
    rng = np.random.default_rng(1)
    images = rng.integers(30, 90, (3, 60, 70, 3), dtype=np.uint8) if data is None else data
    labels = np.zeros((3, 60, 70), np.int32)
    labels[:, 10:25, 10:25], labels[:, 40:50, 20:60] = 5, 9
    labels[:, 30:34, 2:6] = 5  # of the same instance, but not touching
    stack = StackSource("reef", images, (3, 60, 70), False, PLACE)
    return Wanted(stack, LabelSource("fossils", labels, 0, stack), z, recipe)


RECIPES = [
    Recipe(),
    Recipe(fill="colour", colour=(9, 8, 7), feather=2),
    Recipe(fill="tile", window=CROP, mirrored=True, fraction=0.5, by="pixels"),
    Recipe(fill="tile", mirrored=True, feather=1),
    Recipe("fossils", "median", window=CROP),
    Recipe("fossils", "noise", fraction=0.4, by="instances", seed=3),
    Recipe("both", "noise", texture=FillChoice("noise", window=CROP), seed=2),
    Recipe("both", "quilt", texture=FillChoice("tile", window=CROP), window=CROP, patch=8),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: f"{r.target}-{r.fill}")
def test_the_live_painter_paints_what_the_library_paints(recipe) -> None:
    job = wanted(recipe)
    image, labels = job.stack.read(1), job.labels.read(1)
    truth = recipe.perturbation().apply(image, labels)
    painter = Painter()
    run(painter.warm_task(job))
    for task in (preview_task(job), painter.paint_task(job), painter.paint_task(job)):
        made = run(task)
        np.testing.assert_array_equal(made.image, truth.image)
        assert made.z == 1


def test_instances_are_chosen_by_their_labels() -> None:
    job = wanted(Recipe("fossils", "colour", colour=(0, 0, 0), fraction=0.3, by="instances"))
    for seed in range(6):
        made = run(preview_task(replace(job, recipe=replace(job.recipe, seed=seed))))
        painted = (made.image == 0).all(axis=-1)
        labels = job.labels.read(1)
        shares = {n: painted[labels == n].mean() for n in (5, 9)}
        assert set(shares.values()) <= {0.0, 1.0}, "an instance is painted whole or not at all"


def test_noise_is_measured_once_and_made_again_only_for_another_seed(monkeypatch) -> None:
    measured, made = [], []
    measure, synthesise = noise.measure, noise.synthesise_task
    monkeypatch.setattr(noise, "measure", lambda *a: measured.append(1) or measure(*a))
    monkeypatch.setattr(
        noise, "synthesise_task", lambda *a, **k: made.append(1) or synthesise(*a, **k)
    )
    painter, job = Painter(), wanted(Recipe(fill="noise"))
    for changes in ({}, {"target": "fossils"}, {"feather": 1.0}, {"fraction": 0.5}):
        run(painter.paint_task(replace(job, recipe=replace(job.recipe, **changes))))
    assert (len(measured), len(made)) == (1, 1)
    run(painter.paint_task(replace(job, recipe=replace(job.recipe, seed=1))))
    assert (len(measured), len(made)) == (1, 2)
    run(painter.paint_task(replace(job, recipe=replace(job.recipe, window=CROP))))
    assert (len(measured), len(made)) == (2, 3)


@pytest.mark.parametrize("change", ["image", "labels", "slice"])
def test_nothing_stale_is_remembered(change) -> None:
    painter, job = Painter(), wanted(Recipe(fill="noise"))
    before = run(painter.paint_task(job)).image
    if change == "image":
        job.stack.data[1] += 100
    elif change == "labels":
        job.labels.data[1, :, 30:] = 3
    else:
        job = replace(job, z=2)
    after = run(painter.paint_task(job)).image
    np.testing.assert_array_equal(after, run(preview_task(job)).image)
    assert not np.array_equal(before, after)


def test_the_noise_of_the_next_seed_is_made_ahead(monkeypatch) -> None:
    painter, job = Painter(), wanted(Recipe(fill="noise", window=CROP))
    run(painter.paint_task(job))
    run(painter.warm_task(job))
    monkeypatch.setattr(noise, "synthesise_task", None)
    job = replace(job, recipe=replace(job.recipe, seed=1))
    made = run(painter.paint_task(job)).image
    monkeypatch.undo()
    np.testing.assert_array_equal(made, run(preview_task(job)).image)


def test_a_lazy_slice_is_read_once() -> None:
    class Lazy:
        def __init__(self) -> None:
            self.reads = 0

        def __getitem__(self, z):
            self.reads += 1
            return np.full((60, 70, 3), 40 + z, np.uint8)

    lazy = Lazy()
    painter, job = Painter(), wanted(Recipe(), data=lazy)
    for seed in range(3):
        run(painter.paint_task(replace(job, recipe=Recipe(seed=seed))))
    assert lazy.reads == 1
    run(painter.paint_task(replace(job, z=0)))
    assert lazy.reads == 2


def test_what_the_user_should_know_is_said() -> None:
    said = run(preview_task(wanted(Recipe("fossils", fraction=0.2)))).said
    assert "of the fossils is painted" in said[0]
    assert "choose by pixels to come closer" in said[1]
    assert all(line.endswith(".") for line in said)
    window = run(preview_task(wanted(Recipe(window=(10, 10, 20, 20))))).said
    assert "lies in fossils" in window[0]
    assert run(preview_task(wanted(Recipe()))).said == ()


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe(fill="tile", window=(0, 0, 600, 7)), "larger than the image"),
        (Recipe(fill="quilt", window=(50, 50, 66, 90)), "reaches outside"),
        (Recipe(fill="noise", window=(5, 5, 5, 9)), "no area"),
        (Recipe(fill="quilt", window=CROP, patch=17), "larger than its crop"),
        (Recipe(target="both"), "fossils need a texture"),
        (Recipe(fill="inpaint"), "hole"),
    ],
)
def test_bad_settings_are_one_plain_sentence(recipe, words) -> None:
    for task in (preview_task(wanted(recipe)), Painter().paint_task(wanted(recipe))):
        with pytest.raises(InputError, match=words):
            run(task)


def test_labels_without_a_fossil_do_not_trouble_the_warming() -> None:
    job = wanted(Recipe())
    job.labels.data[:] = 0
    painter = Painter()
    run(painter.warm_task(job))
    with pytest.raises(InputError, match="no fossil"):
        run(painter.paint_task(job))
