"""``fossiledit experiment``."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from napari_fossiledit.cli import execute

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "reef"
    assert execute(["sample", str(folder), "--seed", "3", "--shape", "4,96,96"]) == 0
    return folder


@pytest.fixture(scope="module")
def words(stack: Path, tiny_model: Path) -> list[str]:
    data = ["--images", str(stack / "images"), "--labels", str(stack / "labels.tif")]
    model = ["--model", str(tiny_model), "--device", "cpu"]
    return ["experiment", "--suite", "paper", "--quick", *data, *model]


def refused(words: list[str], capsys: Capsys) -> str:
    capsys.readouterr()
    assert execute(words) == 2
    lines = capsys.readouterr().err.splitlines()
    return [line for line in lines if not line.startswith("Note:")][-1]


def test_own_slices_from_end_to_end(
    words: list[str], stack: Path, tmp_path: Path, capsys: Capsys
) -> None:
    out, figures = tmp_path / "out", tmp_path / "figures.json"
    more = ["--confusers", str(stack / "confusers.tif"), "--edit-slices", "1,0003"]
    capsys.readouterr()
    assert execute([*words, *more, "--out", str(out), "--json", str(figures)]) == 0
    shown = capsys.readouterr().out
    assert "report.html" in shown
    assert "unedited" in shown
    told = json.loads(figures.read_text(encoding="utf-8"))
    assert [piece["name"] for piece in told["slices"]["edit"]] == ["0001", "0003"]
    assert [piece["name"] for piece in told["slices"]["unseen"]] == ["0000", "0002"]
    assert set(told["findings"]) == {*"2345678", "A", "all"}
    with (out / "tables.csv").open(encoding="utf-8") as file:
        assert {row["table"] for row in csv.DictReader(file)} == {"unedited", *"2345678"}
    before = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    for more in (["--json", str(out / "results.json")], ["--quick"], ["--fill", "noise"]):
        assert execute(["experiment", "--redraw", str(out), *more]) == 2
    assert execute(["experiment", "--redraw", str(out)]) == 0
    assert (out / "report.html").read_bytes() == before


def test_the_edit_slices_are_chosen_and_said(
    words: list[str], tmp_path: Path, capsys: Capsys
) -> None:
    # A crop that fits nowhere stops it before any work.
    more = ["--texture", "0,0,200,200", "--out", str(tmp_path / "out")]
    capsys.readouterr()
    assert execute([*words, *more]) == 2
    assert "The edit slices are 0000, 0001" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--texture", "0,0,200,200"], "larger than the image"),
        (["--texture", "here"], "four whole numbers"),
        (["--edit-slices", "nowhere"], "no labelled slice nowhere"),
        (["--edit-slices", "0,1,2,3"], "none is left to evaluate on"),
        (["--edit-slices", "0", "--evaluate-slices", "0,1"], "both an edit slice"),
        (["--reefs", "2000"], "for the sample reef"),
        (["--fill", "chocolate"], "not known"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], tmp_path: Path, capsys: Capsys, more: list[str], said: str
) -> None:
    assert said in refused([*words, *more, "--out", str(tmp_path / "out")], capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "--out"),
        (["--out", "x", "--redraw", "y"], "leave out --out"),
        (["--redraw", "nowhere"], "holds no experiment"),
        (["--out", "x", "--labels", "l.tif"], "no images"),
        (["--out", "x", "--edit-slices", "1"], "no images"),
        (["--out", "x", "--images", "i"], "no labels"),
        (["--out", "x", "--reefs", "first"], "2000-2009"),
        (["--out", "x", "--reefs", "9-2"], "smaller number first"),
        (["--out", "x", "--suite", "brew"], "paper"),
    ],
)
def test_bad_options_are_one_sentence(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, more: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused(["experiment", *more], capsys)
    assert not list(tmp_path.iterdir())


def test_the_json_file_never_goes_over_an_original(
    words: list[str], stack: Path, tmp_path: Path, capsys: Capsys
) -> None:
    before = (stack / "labels.tif").read_bytes()
    more = ["--json", str(stack / "labels.tif"), "--out", str(tmp_path / "out")]
    assert "overwrite" in refused([*words, *more], capsys)
    assert (stack / "labels.tif").read_bytes() == before
