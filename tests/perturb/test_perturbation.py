"""Perturbations paint what they should, nothing else, and refuse bad input in plain words."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_fossiledit.errors import InputError
from napari_fossiledit.perturb import Colour, Median, Perturbation, apply, choose, parse_fill

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (30, 40, 3), np.uint8)
FOSSILS = np.zeros((30, 40), bool)
FOSSILS[2:8, 3:9] = True
FOSSILS[15:25, 20:35] = True

colours = st.tuples(*[st.integers(0, 255)] * 3).map(Colour)
windows = st.tuples(*[st.integers(0, 10)] * 2, *[st.integers(11, 30)] * 2)
fills = st.one_of(colours, st.just(Median()), windows.map(Median))
recipes = st.builds(
    Perturbation,
    fills,
    st.sampled_from(["others", "fossils"]),
    st.floats(0.01, 1.0),
    st.integers(0, 2**40),
    st.sampled_from(["components", "pixels"]),
)


def test_colour_over_the_others() -> None:
    before = IMAGE.copy()
    result = apply(IMAGE, FOSSILS, Colour((120, 70, 58)))
    assert (result.image[~FOSSILS] == (120, 70, 58)).all()
    assert (result.image[FOSSILS] == IMAGE[FOSSILS]).all()
    assert (result.changed == ~FOSSILS).all()
    assert result.fraction_reached == 1
    assert (before == IMAGE).all()


def test_median_over_the_fossils() -> None:
    result = apply(IMAGE, FOSSILS, "median", target="fossils")
    expected = np.floor(np.median(IMAGE[~FOSSILS], axis=0) + 0.5)
    assert (result.image[FOSSILS] == expected).all()
    assert (result.image[~FOSSILS] == IMAGE[~FOSSILS]).all()


def test_median_of_a_window() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    image[:4, :4] = (9, 8, 7)
    fossils = np.zeros((10, 10), bool)
    fossils[8, 8] = True
    result = apply(image, fossils, Median((0, 0, 4, 4)))
    assert (result.image[0, 0] == (9, 8, 7)).all()
    assert (result.image[9, 9] == (9, 8, 7)).all()


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_median_is_the_median(image: np.ndarray) -> None:
    window = (0, 0, *image.shape[:2])
    colour = Median(window).colour(image, np.zeros(image.shape[:2], bool))
    assert colour == tuple(np.floor(np.median(image.reshape(-1, 3), axis=0) + 0.5))


@settings(deadline=None, max_examples=50)
@given(
    recipes,
    hnp.arrays(bool, (30, 40), elements=st.booleans()).filter(lambda m: m.any() and not m.all()),
)
def test_pixels_outside_the_target_stay_as_they_are(recipe: Perturbation, mask: np.ndarray) -> None:
    result = recipe.apply(IMAGE, mask)
    target = mask if recipe.target == "fossils" else ~mask
    assert not (result.changed & ~target).any()
    assert (result.image[~result.changed] == IMAGE[~result.changed]).all()
    assert recipe.fraction <= result.fraction_reached + 1e-6
    assert result.fraction_reached == result.changed.sum() / target.sum()
    again = recipe.apply(IMAGE, mask)
    assert (again.image == result.image).all()


@settings(deadline=None, max_examples=50)
@given(recipes)
def test_a_recipe_survives_json(recipe: Perturbation) -> None:
    assert Perturbation.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert parse_fill(str(recipe.fill)) == recipe.fill
    assert recipe.describe()


def test_labels_and_their_mask_do_the_same() -> None:
    labels = FOSSILS.astype(np.uint16) * 7
    assert (apply(IMAGE, labels, "median").image == apply(IMAGE, FOSSILS, "median").image).all()


def test_fraction_takes_whole_components_by_seed() -> None:
    mask = np.zeros((50, 50), bool)
    mask[::5, ::5] = True
    mask[1::5, 1::5] = True  # touch by a corner: one component of two pixels
    chosen, reached = choose(mask, 0.35, seed=1)
    assert (chosen[::5, ::5] == chosen[1::5, 1::5]).all()
    assert reached == pytest.approx(0.35, abs=0.01)
    assert (choose(mask, 0.35, seed=1)[0] == chosen).all()
    assert (choose(mask, 0.35, seed=2)[0] != chosen).any()
    assert choose(mask, 1.0)[1] == 1


def test_random_pixels_reach_the_fraction_exactly() -> None:
    chosen, reached = choose(np.ones((10, 10), bool), 0.35, by="pixels")
    assert (chosen.sum(), reached) == (35, 0.35)


def test_fraction_of_the_rest_is_reported_when_it_is_one_piece() -> None:
    assert apply(IMAGE, FOSSILS, "median", fraction=0.1).fraction_reached == 1


BAD_IMAGES = [
    (IMAGE.astype(np.uint16), "8 bits"),
    (IMAGE[..., 0], "RGB"),
    (np.zeros((30, 40, 4), np.uint8), "RGB"),
    (np.full((30, 40, 3), np.nan), "NaN"),
    (IMAGE / 255, "8 bits"),
    ([[1, 2], [3, 4]], "numpy"),
]


@pytest.mark.parametrize(("image", "message"), BAD_IMAGES)
def test_images_that_cannot_be_painted(image: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        apply(image, FOSSILS, "median")


BAD_MASKS = [
    (FOSSILS[:-1], "29 x 40 pixels, the image 30 x 40"),
    (np.zeros((30, 40), bool), "no fossil"),
    (np.ones((30, 40), bool), "whole slice"),
    (np.full((30, 40), np.nan), "NaN"),
    (np.zeros((30, 40)), "whole-number labels"),
]


@pytest.mark.parametrize("target", ["others", "fossils"])
@pytest.mark.parametrize(("mask", "message"), BAD_MASKS)
def test_masks_that_cannot_be_used(mask: np.ndarray, message: str, target: str) -> None:
    with pytest.raises(InputError, match=message):
        apply(IMAGE, mask, "median", target=target)


BAD_SETTINGS = [
    ({"target": "mud"}, "others"),
    ({"fraction": 0}, "above 0"),
    ({"fraction": 1.1}, "above 0"),
    ({"fraction": float("nan")}, "above 0"),
    ({"fraction": "half"}, "above 0"),
    ({"seed": -1}, "seed"),
    ({"seed": 0.5}, "seed"),
    ({"by": "rows"}, "components"),
]


@pytest.mark.parametrize(("setting", "message"), BAD_SETTINGS)
def test_settings_that_cannot_be_used(setting: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        apply(IMAGE, FOSSILS, "median", **setting)


BAD_FILLS = [
    ("colour:1,2,256", "outside 0 to 255"),
    ("colour:-1,2,3", "outside 0 to 255"),
    ("colour:1,2", "three"),
    ("colour", "numbers"),
    ("colour:red", "numbers"),
    ("median:", "numbers"),
    ("median:5,5,5,9", "no area"),
    ("median:9,0,2,5", "no area"),
    ("median:0,0,31,5", "31 x 5 pixels, larger than the image of 30 x 40"),
    ("median:5,0,31,5", "outside the image of 30 x 40"),
    ("median:-1,0,3,5", "outside the image"),
    ("median:0,0,3", "four"),
    ("mud", 'The fill "mud" is not known'),
    ("", "not known"),
    (Median, "not a fill"),
    (None, "not a fill"),
    ((1, 2, 3), "not a fill"),
]


@pytest.mark.parametrize(("fill", "message"), BAD_FILLS)
def test_fills_that_cannot_be_used(fill: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        apply(IMAGE, FOSSILS, fill)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rgb", [(1, 2, 3.5), (1, 2, np.nan), (1, 2, "3"), "abc", None, (True, 1, 2)]
)
def test_colours_that_are_no_colours(rgb: object) -> None:
    with pytest.raises(InputError, match="three whole numbers"):
        Colour(rgb)  # type: ignore[arg-type]


def test_colours_from_numpy() -> None:
    assert Colour(np.array([1, 2, 3], np.uint8)) == Colour((1, 2, 3)) == Colour([1.0, 2, 3])  # type: ignore[arg-type]


BAD_RECIPES = [
    ({}, "fill is missing"),
    ({"fill": {"kind": "mud"}}, '"mud" is not known'),
    ({"fill": {"kind": "colour"}}, "three"),
    ({"fill": 3}, "not known"),
    ({"fill": "median", "blur": 2}, '"blur"'),
    ("median", "fill is missing"),
]


@pytest.mark.parametrize(("data", "message"), BAD_RECIPES)
def test_recipes_that_cannot_be_read(data: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Perturbation.from_dict(data)
