from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit.errors import InputError, OutputError
from napari_fossiledit.perturb import Inpaint, Median, Noise, Perturbation, Quilt, Tile
from napari_fossiledit.widgets.recipe import (
    FILLS,
    FillChoice,
    Recipe,
    clicked_window,
    drawn_window,
)

WINDOW = (1, 2, 11, 22)


@pytest.mark.parametrize(
    ("recipe", "fill"),
    [
        (Recipe(window=WINDOW), Median(WINDOW)),
        (Recipe(fill="noise"), Noise()),
        (Recipe(fill="noise", window=WINDOW), Noise(WINDOW)),
        (Recipe(fill="tile", window=WINDOW, mirrored=True), Tile(WINDOW, True)),
        (Recipe(fill="quilt", window=WINDOW, patch=6), Quilt(WINDOW, 6)),
        (Recipe(fill="inpaint", window=WINDOW, colour=(1, 2, 3), patch=6), Inpaint()),
    ],
)
def test_only_the_settings_of_the_chosen_fill_count(recipe, fill) -> None:
    assert recipe.perturbation().fill == fill


@pytest.mark.parametrize(
    "made",
    [
        Perturbation("colour:1,2,3", target="fossils", fraction=0.3333, seed=2**40, by="pixels"),
        Perturbation("median:1,2,11,22", feather=7.25),
        Perturbation("quilt:1,2,31,32@7", by="instances", fraction=0.001),
        Perturbation("noise", target="both", texture="tile-mirrored"),
        Perturbation("inpaint", target="both", texture="colour:9,8,7", seed=3),
    ],
    ids=str,
)
def test_any_recipe_of_the_library_goes_there_and_back(made, tmp_path) -> None:
    recipe = Recipe.of(made)
    assert recipe.perturbation() == made
    recipe.save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == recipe


def test_a_loaded_recipe_paints_the_same_bytes(tmp_path) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (50, 60, 3), dtype=np.uint8)
    labels = np.zeros((50, 60), int)
    labels[10:20, 10:20], labels[30:44, 30:50] = 1, 2
    texture = FillChoice("quilt", window=(0, 0, 16, 16), needs_window=True)
    recipe = Recipe("both", "noise", fraction=0.5, seed=4, by="pixels", feather=1, texture=texture)
    recipe.save(tmp_path / "recipe.json")
    one = recipe.perturbation().apply(image, labels)
    other = Recipe.load(tmp_path / "recipe.json").perturbation().apply(image, labels)
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.changed, other.changed)


def test_both_needs_a_texture_crop_and_says_so_in_one_sentence() -> None:
    recipe = Recipe(target="both")
    assert recipe.missing.endswith(".")
    assert "Pick patch" in recipe.missing
    assert "texture for the fossils still to be picked" in recipe.words
    with pytest.raises(InputError, match="fossils need a texture"):
        recipe.perturbation()
    with pytest.raises(InputError, match="fossils need a texture"):
        recipe.save("anywhere.json")
    colour = Recipe(target="both", texture=FillChoice("colour", needs_window=True))
    assert "Pick in image" in colour.missing
    done = Recipe(target="both", texture=FillChoice("tile", window=WINDOW, needs_window=True))
    assert not done.missing
    assert "the fossils painted with the copies of rows 1 to 11" in done.words


def test_what_matters_is_known() -> None:
    assert not Recipe().random
    assert Recipe(fraction=0.5).random
    assert Recipe(fill="noise").random
    slow = FillChoice("quilt", window=WINDOW)
    assert Recipe(target="both", texture=slow).slow
    assert not Recipe(target="others", texture=slow).slow
    assert {kind for kind in FILLS if Recipe(fill=kind).slow} == {"quilt", "inpaint"}


def test_a_recipe_that_cannot_be_read_or_written_is_said(tmp_path) -> None:
    odd = tmp_path / "odd.json"
    odd.write_text("{}")
    with pytest.raises(InputError, match="no recipe"):
        Recipe.load(odd)
    with pytest.raises(InputError, match="cannot be read"):
        Recipe.load(tmp_path / "none.json")
    with pytest.raises(OutputError, match="cannot be written"):
        Recipe().save(tmp_path / "no folder" / "recipe.json")


@pytest.mark.parametrize(
    ("at", "shape", "window"),
    [
        ((100, 200), (300, 400), (68, 168, 132, 232)),
        ((0, 399), (300, 400), (0, 336, 64, 400)),
        ((10.4, 20.4), (30, 40), (0, 0, 30, 40)),
        ((-0.5, 0), (300, 400), (0, 0, 64, 64)),
    ],
)
def test_a_click_means_a_small_window_inside_the_slice(at, shape, window) -> None:
    assert clicked_window(at, shape, "tile") == window


def test_a_median_needs_a_smaller_window() -> None:
    assert clicked_window((100, 100), (300, 400), "median") == (92, 92, 108, 108)


@pytest.mark.parametrize("at", [(-0.6, 5), (5, 39.5), (300, 5)])
def test_a_click_beside_the_slice_is_said(at) -> None:
    with pytest.raises(InputError, match="outside the slice"):
        clicked_window(at, (30, 40), "noise")


def test_a_rectangle_means_its_whole_pixels_however_drawn() -> None:
    assert drawn_window((4.6, 9.4), (1.4, 20.6), (30, 40)) == (1, 9, 5, 21)
    assert drawn_window((-0.5, -0.5), (29.5, 39.5), (30, 40)) == (0, 0, 30, 40)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ((5, 5), (5.2, 20), "no area"),
        ((-9, -9), (39, 49), "larger than the slice"),
        ((-2, 5), (9, 9), "reaches outside"),
        ((5, 50), (9, 60), "reaches outside"),
    ],
)
def test_a_bad_rectangle_is_one_plain_sentence(start, end, words) -> None:
    with pytest.raises(InputError, match=words) as caught:
        drawn_window(start, end, (30, 40))
    assert str(caught.value).count(".") == 1
