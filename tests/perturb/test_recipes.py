"""Targets, fractions, soft edges and recipes, with every fill."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fossiledit.errors import InputError, OutputError
from napari_fossiledit.perturb import Colour, Median, Perturbation, apply, choose, parse_fill
from napari_fossiledit.perturb.feather import feather_edge
from napari_fossiledit.progress import run

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(60, 140, (48, 56, 3), np.uint8)
LABELS = np.zeros((48, 56), np.int32)
LABELS[4:10, 4:12] = 3
LABELS[4:10, 12:20] = 900_000  # touches the last
LABELS[20:30, 40:50] = 5
FOSSILS = LABELS > 0
TEXTS = ["median", "noise", "noise:2,2,20,30", "tile", "tile:1,2,9,20", "tile-mirrored:1,2,9,20"]
TEXTS += ["tile-mirrored", "quilt", "quilt@5", "quilt:30,0,48,30", "quilt:30,0,48,30@6"]
TEXTS += ["colour:1,2,3"]

fills = st.sampled_from(TEXTS)
ordinary = {
    "fill": fills,
    "fraction": st.sampled_from([1.0, 0.6, 0.2]),
    "seed": st.integers(0, 2**40),
    "by": st.sampled_from(["components", "instances", "pixels"]),
    "feather": st.sampled_from([0.0, 1.0, 2.5]),
}
recipes = st.one_of(
    st.builds(Perturbation, target=st.sampled_from(["others", "fossils"]), **ordinary),
    st.builds(Perturbation, target=st.just("both"), texture=fills, **ordinary),
)


@settings(deadline=None, max_examples=60)
@given(recipes)
def test_replayed_bit_for_bit_and_nothing_else_touched(recipe: Perturbation) -> None:
    image = IMAGE.copy()
    made = recipe.apply(image, LABELS)
    assert (image == IMAGE).all()
    assert (made.image[~made.changed] == IMAGE[~made.changed]).all()
    area = {"others": ~FOSSILS, "fossils": FOSSILS, "both": np.ones_like(FOSSILS)}[recipe.target]
    assert not (made.changed & ~area).any()
    assert made.fraction_reached == pytest.approx(made.changed.sum() / area.sum())
    again = Perturbation.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert again == recipe
    assert (again.apply(IMAGE, LABELS).image == made.image).all()


@pytest.mark.parametrize("text", [*TEXTS, "inpaint"])
def test_short_texts_come_back(text: str) -> None:
    fill = parse_fill(text)
    assert str(fill) == text
    assert parse_fill(str(fill)) == fill
    assert fill.describe()


def test_seeds_matter_where_chance_does() -> None:
    for fill in ("noise", "quilt"):
        one, same, other = (apply(IMAGE, FOSSILS, fill, seed=s).image for s in (1, 1, 2))
        assert (one == same).all()
        assert (one != other).any()


def test_both_paints_each_with_its_own() -> None:
    made = apply(IMAGE, FOSSILS, Colour((1, 2, 3)), target="both", texture="colour:9,8,7")
    assert (made.image[~FOSSILS] == (1, 2, 3)).all()
    assert (made.image[FOSSILS] == (9, 8, 7)).all()
    assert made.changed.all()
    assert made.fraction_reached == 1
    assert made.perturbation.describe() == (
        "everything but the fossils painted with the colour 1, 2, 3 and the fossils painted with "
        "the colour 9, 8, 7"
    )


def test_both_is_one_after_the_other() -> None:
    """The texture comes from the slice as it was, not as painted."""
    made = apply(IMAGE, FOSSILS, "median", target="both", texture="tile:30,0,40,10").image
    alone = apply(IMAGE, FOSSILS, "tile:30,0,40,10", target="fossils").image
    assert (made[FOSSILS] == alone[FOSSILS]).all()


def test_progress_runs_through_both() -> None:
    steps = []
    recipe = Perturbation("quilt", target="both", texture="noise")  # type: ignore[arg-type]
    run(recipe.apply_task(IMAGE, FOSSILS), steps.append)
    assert len(steps) > 5
    assert all(0 <= step.done <= max(step.total, 0) for step in steps)


def test_instances_that_touch_are_told_apart_by_their_labels() -> None:
    seen = set()
    for seed in range(20):
        one = apply(
            IMAGE, LABELS, "median", target="fossils", fraction=0.2, by="instances", seed=seed
        )
        hit = np.unique(LABELS[one.changed])
        seen |= set(hit.tolist())
        for label in hit:
            assert one.changed[label == LABELS].all()
        assert len(hit) == 1
    assert seen == {3, 5, 900_000}
    whole = apply(IMAGE, LABELS, "median", target="fossils", fraction=0.2)
    assert len(np.unique(LABELS[whole.changed])) in {1, 2}


def test_instances_without_labels_are_components() -> None:
    by = {by: choose(FOSSILS, 0.3, by=by)[0] for by in ("components", "instances")}
    assert (by["components"] == by["instances"]).all()


def test_a_fraction_that_no_set_of_pieces_reaches_is_said() -> None:
    made = apply(IMAGE, FOSSILS, "median", fraction=0.1)
    assert made.notes == (
        "10 % of everything but the fossils was asked for, but whole pieces reach 100 %: choose by "
        "pixels to come closer",
    )
    assert apply(IMAGE, FOSSILS, "median", fraction=0.1, by="pixels").notes == ()
    assert apply(IMAGE, FOSSILS, "median").notes == ()


def test_a_window_of_mud_in_fossils_is_said_and_taken() -> None:
    for fill in ("median:4,4,10,24", "noise:4,4,10,24", "tile:4,4,10,24", "quilt:4,4,12,24"):
        made = apply(IMAGE, FOSSILS, fill)
        assert "% of the window" in made.notes[0]
        assert fill in made.notes[0]
        assert made.changed.any()
    assert apply(IMAGE, FOSSILS, "tile:4,4,10,24", target="fossils").notes == ()
    assert apply(IMAGE, FOSSILS, "median:4,4,10,24", target="fossils").notes
    for texture in ("tile:4,4,10,24", "noise:4,4,10,24"):
        assert apply(IMAGE, FOSSILS, "median", target="both", texture=texture).notes == ()


def test_feathering_fades_inwards() -> None:
    image = np.full((21, 31, 3), 100, np.uint8)
    where = np.zeros((21, 31), bool)
    where[5:16, 5:26] = True
    out = image.copy()
    out[where] = 190
    feather_edge(out, where, image, 2)
    row = out[10, 3:11, 0].tolist()
    assert row == [100, 100, 130, 160, 190, 190, 190, 190]
    assert (out[~where] == 100).all()
    assert out[5, 5, 0] == 130


@pytest.mark.parametrize("width", [0.5, 1, 2, 3.5, 16])
def test_feathering_is_that_of_the_distance(width: float) -> None:
    from scipy.ndimage import distance_transform_edt

    where = RNG.random((40, 50)) < 0.9
    where[10:35, 10:45] = True
    where[20, 30] = False
    image, paint = np.zeros((40, 50, 3), np.uint8), np.full((40, 50, 3), 200, np.uint8)
    out = np.where(where[..., None], paint, image)
    feather_edge(out, where, image, width)
    share = np.minimum(distance_transform_edt(where) / (width + 1), 1)
    assert (out[..., 0] == np.rint(200 * share)).all()


def test_the_slices_border_is_no_edge() -> None:
    image, where = np.zeros((9, 9, 3), np.uint8), np.ones((9, 9), bool)
    out = np.full_like(image, 200)
    feather_edge(out, where, image, 3)
    assert (out == 200).all()


@pytest.mark.parametrize("width", [-1, 17, np.nan, np.inf, "2", None, True])
def test_widths_that_cannot_be_feathered(width: object) -> None:
    with pytest.raises(InputError, match="cannot be feathered"):
        apply(IMAGE, FOSSILS, "median", feather=width)  # type: ignore[arg-type]


def test_both_needs_a_texture_and_only_both() -> None:
    with pytest.raises(InputError, match="need a texture"):
        apply(IMAGE, FOSSILS, "median", target="both")
    with pytest.raises(InputError, match="is for painting both"):
        apply(IMAGE, FOSSILS, "median", texture="tile")
    with pytest.raises(InputError, match="not a fill"):
        apply(IMAGE, FOSSILS, "median", target="both", texture=Median)  # type: ignore[arg-type]


def test_recipes_in_files(tmp_path: Path) -> None:
    recipe = Perturbation("quilt@6", "both", 0.4, 7, "instances", 1.5, "noise")  # type: ignore[arg-type]
    recipe.save(tmp_path / "r.json")
    again = Perturbation.load(tmp_path / "r.json")
    assert again == recipe
    assert (again.apply(IMAGE, LABELS).image == recipe.apply(IMAGE, LABELS).image).all()
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]
    figures = {"perturbation": recipe.to_dict(), "slices": []}
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    assert Perturbation.load(tmp_path / "figures.json") == recipe


def test_recipes_of_older_versions_are_read() -> None:
    old = {"fill": {"kind": "median", "window": None}, "target": "fossils", "fraction": 0.5}
    assert Perturbation.from_dict(old) == Perturbation(Median(), "fossils", 0.5)


BAD_FILES = [
    ("no json", "no JSON"),
    ("[" * 100_000, "no JSON"),
    ("[1, 2]", "fill is missing"),
    ('{"format": "fossiledit perturbation", "version": 2, "fill": "median"}', "does not know"),
    ('{"format": "other", "fill": "median"}', "does not know"),
    ('{"fill": {"kind": ["tile"]}}', "not known"),
    ('{"fill": {"kind": "tile", "window": [0, 0, 1e999, 4]}}', "four whole numbers"),
    ('{"fill": {"kind": "tile", "mirrored": "no"}}', "True or False"),
    ('{"fill": "median", "fraction": 1' + "0" * 400 + "}", "fraction"),
    ('{"fill": "median", "target": "both"}', "need a texture"),
    ('{"fill": "median", "texture": 3, "target": "both"}', "not known"),
]


@pytest.mark.parametrize(("text", "message"), BAD_FILES)
def test_files_that_are_no_recipes(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match=message):
        Perturbation.load(tmp_path / "r.json")


def test_recipes_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Perturbation.load(tmp_path / "missing.json")
    with pytest.raises(OutputError, match="cannot be written"):
        Perturbation().save(tmp_path / "missing" / "r.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        Perturbation().save(tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
