"""``fossiledit perturb``: every fill and target, soft edges, and recipes replayed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_fossiledit import io, perturb
from napari_fossiledit.cli import execute

Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def words(reef: Path, tmp_path: Path) -> list[str]:
    return ["perturb", str(reef / "images"), str(reef / "labels.tif"), "--out", str(tmp_path / "p")]


def refused(words: list[str], capsys: Capsys) -> str:
    capsys.readouterr()
    assert execute(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_both_with_a_soft_edge_as_in_the_library(words: list[str], tmp_path: Path) -> None:
    more = ["--fill", "noise", "--target", "both", "--texture", "tile-mirrored:0,0,9,9"]
    more += ["--feather", "1.5", "--by", "instances", "--fraction", "0.5", "--seed", "4"]
    assert execute([*words, *more]) == 0
    wanted = perturb.apply(
        io.open_stack(words[1])[1],
        io.read_labels(words[2])[1],
        "noise",
        target="both",
        texture="tile-mirrored:0,0,9,9",
        feather=1.5,
        by="instances",
        fraction=0.5,
        seed=4,
    )
    assert np.array_equal(io.open_stack(tmp_path / "p")[1], wanted.image)


def test_a_recipe_is_replayed(words: list[str], tmp_path: Path) -> None:
    saved, figures = tmp_path / "r.json", tmp_path / "f.json"
    more = ["--fill", "quilt@8", "--target", "fossils", "--seed", "3"]
    assert execute([*words, *more, "--save-recipe", str(saved), "--json", str(figures)]) == 0
    first = [path.read_bytes() for path in sorted((tmp_path / "p").iterdir())]
    assert len(first) == 3
    for recipe in (saved, figures):
        again = tmp_path / f"again_{recipe.stem}"
        assert execute([*words[:-1], str(again), "--recipe", str(recipe)]) == 0
        assert [path.read_bytes() for path in sorted(again.iterdir())] == first
    kept = perturb.Perturbation.load(saved)
    assert kept.to_dict() == json.loads(figures.read_text())["perturbation"]


def test_what_is_noticed_is_said(words: list[str], capsys: Capsys) -> None:
    assert execute([*words, "--fraction", "0.1"]) == 0
    assert "whole pieces reach" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (["--target", "both"], "need a texture"),
        (["--texture", "tile"], "is for painting both"),
        (["--fill", "tile:0,0,65,9"], "larger than the image of 64 x 96"),
        (["--fill", "quilt:60,90,70,99"], "outside the image"),
        (["--fill", "noise:5,5,5,9"], "no area"),
        (["--fill", "inpaint"], "only holes of up to"),
        (["--feather", "40"], "cannot be feathered"),
        (["--recipe", "missing.json"], "missing.json cannot be read"),
    ],
)
def test_what_cannot_be_painted(
    words: list[str], more: list[str], part: str, capsys: Capsys, tmp_path: Path
) -> None:
    assert part in refused([*words, *more], capsys)
    assert not list(tmp_path.glob("p/*.png"))


def test_a_recipe_and_its_settings_do_not_mix(
    words: list[str], capsys: Capsys, tmp_path: Path
) -> None:
    recipe = tmp_path / "r.json"
    perturb.Perturbation().save(recipe)
    line = refused([*words, "--recipe", str(recipe), "--seed", "1", "--fill", "noise"], capsys)
    assert "leave out --fill and --seed" in line
    line = refused([*words, "--recipe", str(recipe), "--json", str(recipe)], capsys)
    assert "originals" in line
