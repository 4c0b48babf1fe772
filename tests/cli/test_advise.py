"""``fossiledit advise``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_fossiledit.cli import execute
from napari_fossiledit.pipeline.remedies import default_remedies


def test_all_remedies_are_tried_and_one_sentence_says_what_to_do(
    reef: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, picture = tmp_path / "advice.json", tmp_path / "advice.png"
    command = ["advise", str(reef / "images"), str(reef / "labels.tif"), "--model", str(tiny_model)]
    options = ["--made-from", "1", "--json", str(figures), "--figure", str(picture)]
    before = tiny_model.read_bytes()
    assert execute([*command, *options]) == 0
    shown = capsys.readouterr().out
    for title in ("Mask threshold", "Edit: ridge", "Edit: distil", "Fine-tuning everything"):
        assert title in shown
    found = json.loads(figures.read_text())
    assert found["sentence"] == shown.strip().splitlines()[-1]
    assert [each["key"] for each in found["remedies"]] == [r.key for r in default_remedies()]
    assert len(found["slices"]) == 3
    assert len(found["made_from"]) == 1
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert tiny_model.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--trained-on", "0,1"], "at least two labelled slices"),
        (["--trained-on", "0,,1"], "--trained-on has an empty name"),
        (["--trained-on", "0,0"], "named twice in --trained-on"),
        (["--trained-on", "nowhere"], "nowhere"),
        (["--made-from", "0"], "--made-from"),
    ],
)
def test_bad_input_is_one_sentence(
    reef: Path,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    says: str,
) -> None:
    command = ["advise", str(reef / "images"), str(reef / "labels.tif"), "--model", str(tiny_model)]
    assert execute([*command, *options]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_a_figure_never_overwrites_the_input(reef: Path, tiny_model: Path, capsys) -> None:
    image = next((reef / "images").iterdir())
    before = image.read_bytes()
    command = ["advise", str(image), str(reef / "labels.tif"), "--model", str(tiny_model)]
    assert execute([*command, "--figure", str(image)]) == 2
    assert image.read_bytes() == before
