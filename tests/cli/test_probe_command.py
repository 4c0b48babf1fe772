"""``fossiledit probe``: recipes, textures, tables, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from napari_fossiledit.cli import execute

Capsys = pytest.CaptureFixture[str]
PNG = b"\x89PNG"


@pytest.fixture
def words(reef: Path, tiny_model: Path) -> list[str]:
    data = [str(reef / "images"), str(reef / "labels.tif")]
    return ["probe", *data, "--model", str(tiny_model), "--device", "cpu"]


def refused(words: list[str], capsys: Capsys) -> str:
    capsys.readouterr()
    assert execute(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_everything_at_once(words: list[str], reef: Path, tmp_path: Path, capsys: Capsys) -> None:
    files = {name: tmp_path / f"p.{name}" for name in ("json", "csv", "plot.png")}
    more = ["--confusers", str(reef / "confusers.tif"), "--textures", str(reef / "textures.csv")]
    more += ["--json", str(files["json"]), "--csv", str(files["csv"])]
    assert execute([*words, *more, "--plot", str(files["plot.png"])]) == 0
    told = capsys.readouterr().out
    assert "precision (matched)" in told
    assert "worst instances" in told
    assert "IoU, fossils painted" in told
    found = json.loads(files["json"].read_text())
    assert told.rstrip().endswith(found["diagnosis"])
    assert files["plot.png"].read_bytes().startswith(PNG)
    table = list(csv.DictReader(files["csv"].read_text().splitlines()))
    total = found["versions"]["original"]["total"]
    assert len(table) == len(found["instances"]) == total
    ious = [float(row["iou_original"]) for row in table]
    assert ious == sorted(ious), "the worst come first"
    assert {row["texture"] for row in table} <= {"porous", "mud-filled"}
    assert {row["slice"] for row in table} == {"0000", "0001", "0002"}
    assert found["perturbation"]["target"] == "others"


def test_a_whole_recipe_by_options_or_by_file(words: list[str], tmp_path: Path) -> None:
    one, other, recipe = (tmp_path / name for name in ("one.json", "other.json", "r.json"))
    paint = [
        "--fill",
        "noise",
        "--target",
        "both",
        "--texture",
        "tile:0,0,9,9",
        "--fraction",
        "0.5",
    ]
    paint += ["--by", "pixels", "--feather", "1"]
    assert execute([*words, *paint, "--json", str(one), "--seed", "4"]) == 0
    found = json.loads(one.read_text())
    assert list(found["versions"]) == ["original", "others painted", "both painted"]
    assert (found["painted"], found["seed"]) == ("both painted", 4)
    recipe.write_text(json.dumps(found["perturbation"]))
    assert execute([*words, "--recipe", str(recipe), "--json", str(other), "--seed", "4"]) == 0
    assert one.read_text() == other.read_text()


def test_bad_recipes_are_refused(words: list[str], tmp_path: Path, capsys: Capsys) -> None:
    recipe = tmp_path / "r.json"
    recipe.write_text('{"fill": "median"}')
    said = refused([*words, "--recipe", str(recipe), "--fill", "noise"], capsys)
    assert "already says what to paint: leave out --fill" in said
    assert "texture of their own" in refused([*words, "--target", "both"], capsys)
    assert "fraction" in refused([*words, "--fraction", "0"], capsys)
    assert "mud" in refused([*words, "--fill", "mud"], capsys)
    said = refused([*words, "--fill", "tile:0,0,900,900"], capsys)
    assert "900" in said
    assert "missing.json" in refused([*words, "--recipe", "missing.json"], capsys)


def test_bad_textures_and_outputs_are_refused(
    words: list[str], reef: Path, tmp_path: Path, capsys: Capsys
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,texture\n99999,porous\n")
    said = refused([*words, "--textures", str(table)], capsys)
    assert "None of the 1 ids of t.csv is a label of these slices" in said
    table.write_text("number,kind\n1,porous\n")
    assert "does not name its columns" in refused([*words, "--textures", str(table)], capsys)
    said = refused([*words, "--plot", str(tmp_path / "p.pdf")], capsys)
    assert "let it end in .png" in said
    said = refused([*words, "--csv", str(reef / "labels.tif")], capsys)
    assert "overwrite one of the originals" in said
    said = refused([*words, "--textures", str(table), "--csv", str(table)], capsys)
    assert "overwrite one of the originals" in said
    said = refused([*words, "--csv", str(tmp_path / "x"), "--json", str(tmp_path / "x")], capsys)
    assert "Two results" in said
    said = refused([*words, "--csv", str(tmp_path / "none" / "x.csv")], capsys)
    assert "no folder" in said


def test_ids_that_no_slice_has_are_said(
    words: list[str], reef: Path, tmp_path: Path, capsys: Capsys
) -> None:
    table = tmp_path / "t.csv"
    table.write_text((reef / "textures.csv").read_text() + "88888,porous\n")
    assert execute([*words, "--textures", str(table)]) == 0
    assert "1 of the ids of t.csv are in none of these slices" in capsys.readouterr().err
