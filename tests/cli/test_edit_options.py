"""``fossiledit edit`` with every solver, several slices, recipes; ``fossiledit edits``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_fossiledit.cli import execute
from napari_fossiledit.editing import load_edit
from napari_fossiledit.io import read_labels, write_labels
from napari_fossiledit.progress import Progress

Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def words(reef: Path, tiny_model: Path, tmp_path: Path) -> list[str]:
    words = ["edit", str(reef / "images"), str(reef / "labels.tif"), "--model", str(tiny_model)]
    return [*words, "--out", str(tmp_path / "e.safetensors"), "--device", "cpu"]


def made(words: list[str], *more: str) -> Any:
    assert execute([*words, "--strength", "0.2", *more]) == 0
    return load_edit(words[words.index("--out") + 1])


def refused(words: list[str], capsys: Capsys) -> str:
    capsys.readouterr()
    assert execute(words) == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if not x.startswith("Note: ")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("solver", "more", "wanted"),
    [
        ("ridge", ["--damping", "0.2", "--keep-weight", "1"], {"damping": 0.2, "keep_weight": 1}),
        ("l1", ["--iterations", "7", "--damping", "0.3"], {"iterations": 7, "damping": 0.3}),
        ("low_rank", ["--rank", "3"], {"rank": 3}),
        ("low_rank", ["--rank", "3", "--context", "1"], {"rank": 3}),
        ("adam", ["--steps", "2", "--lr", "0.001", "--rank", "1"], {"steps": 2, "rank": 1}),
        ("distil", ["--steps", "1", "--lr", "1e-5"], {"steps": 1, "lr": 1e-5}),
        (
            "labels",
            ["--steps", "1", "--seed", "4", "--no-heads", "--biases"],
            {"steps": 1, "seed": 4, "heads": False, "biases": True},
        ),
    ],
)
def test_every_solver_with_its_settings(
    solver: str, more: list[str], wanted: dict[str, Any], words: list[str]
) -> None:
    edit = made(words, "--slice", "1", "--solver", solver, *more)
    assert edit.provenance["solver"]["name"] == solver
    assert edit.provenance["solver"].items() >= wanted.items()
    assert edit.name == f"{solver}, 0001"


def test_labels_are_used_whole_and_need_no_other_slice(words: list[str], capsys: Capsys) -> None:
    more = ["--slices", "0,1", "--trained-on", "1,2", "--solver", "labels", "--steps", "1"]
    assert execute([*words, *more]) == 0
    assert "The strength is 1." in capsys.readouterr().out
    edit = load_edit(words[words.index("--out") + 1])
    assert edit.strength == 1.0
    assert len(edit.made_from) == 3


def test_a_model_learns_from_a_slice_without_labels(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    from napari_fossiledit.editing import agreement

    def agreed(segmenter: Any, image: Any, settings: Any) -> Any:
        yield Progress(0, 1, "agreeing")  # what a random model agrees on is nothing
        labels = np.zeros(image.shape[:2], np.int32)
        labels[4:20, 4:20] = 1
        return labels, labels < 0

    monkeypatch.setattr(agreement, "agreed_labels_task", agreed)
    blank = Path(words[2]).parent / "blank.tif"
    stack = read_labels(words[2])
    stack[1] = 0
    write_labels(blank, stack)
    words[2] = str(blank)
    more = ["--trained-on", "0,2", "--solver", "agreement", "--steps", "1", "--seed", "3"]
    assert execute([*words, *more]) == 0
    assert "The strength is 1." in capsys.readouterr().out
    edit = load_edit(words[words.index("--out") + 1])
    assert edit.name == "agreement, 0001"
    assert edit.provenance["solver"]["seed"] == 3
    assert len(edit.made_from) == 3


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        (["--rank", "3"], ["ridge takes no --rank", "low_rank or adam"]),
        (["--context", "1"], ["--context has a say only", "adam with --rank"]),
        (["--solver", "low_rank", "--context", "1,1"], ["named twice in --context"]),
        (
            ["--solver", "adam", "--damping", "1"],
            ["adam takes no --damping", "only --rank, --steps"],
        ),
        (["--solver", "labels", "--fill", "median"], ["labels paints nothing", "--fill"]),
        (["--solver", "labels", "--slices", "0,1", "--how", "jointly"], ["--how", "together"]),
        (["--solver", "agreement", "--fill", "median"], ["agreement paints nothing", "--fill"]),
        (["--solver", "agreement", "--layers", "p2"], ["agreement", "--layers has no effect"]),
        (["--solver", "agreement", "--rank", "2"], ["agreement takes no --rank"]),
        (["--solver", "agreement", "--trained-on", "0,1,2"], ["trained on all these slices"]),
        (["--solver", "agreement", "--slices", "0,0000"], ["named twice in --slices"]),
        (["--solver", "agreement", "--slice", "nowhere"], ["nowhere"]),
        (["--trained-on", "0"], ["--trained-on", "labels"]),
        (["--how", "in-sequence"], ["--how", "--slices"]),
        (["--slice", "0", "--slices", "1,2"], ["--slice names one slice"]),
        (["--slices", "0,,1"], ["empty name"]),
        (["--slices", "0,0"], ["named twice"]),
        (["--slices", "0,9"], ["no labelled slice 9"]),
        (["--rule", "strongest"], ["--rule", "0.2 already"]),
        (["--target", "both"], ["texture"]),
        (["--texture", "tile"], ["texture"]),
        (["--solver", "low_rank", "--rank", "5000"], ["5000"]),
        (["--solver", "ridge", "--damping", "-1"], ["damping"]),
        (["--layers", "nowhere"], ["nowhere"]),
        (["--solver", "labels", "--layers", "nowhere"], ["nowhere"]),
    ],
)
def test_bad_options_are_refused(
    more: list[str], parts: list[str], words: list[str], tmp_path: Path, capsys: Capsys
) -> None:
    said = refused([*words, "--strength", "0.2", *more], capsys)
    for part in parts:
        assert part in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (["--recall-loss", "0.1", "--recall-floor", "0.8"], "give one of them"),
        (["--recall-floor", "8"], "--recall-floor must lie between 0 and 1"),
        (["--slices", "0,1,2"], "there are none"),
    ],
)
def test_bad_options_of_the_strength(
    more: list[str], part: str, words: list[str], capsys: Capsys
) -> None:
    assert part in refused([*words, *more], capsys)


@pytest.mark.parametrize("how", ["jointly", "in-sequence"])
def test_several_slices_and_the_curve(words: list[str], tmp_path: Path, how: str) -> None:
    figures = tmp_path / "f.json"
    more = ["--slices", "2,0001", "--how", how, "--rule", "strongest", "--recall-floor", "0.1"]
    assert execute([*words, *more, "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    assert found["provenance"]["slices_taken"] == how.replace("-", " ")
    assert found["provenance"]["slice"] == "0002, 0001"
    assert found["provenance"]["strength_chosen_on_names"] == ["0000"]
    assert (found["choice"]["rule"], found["choice"]["recall_floor"]) == ("strongest", 0.1)
    assert len(found["choice"]["threshold_points"]) == 9
    assert load_edit(tmp_path / "e.safetensors").name == "ridge, 0002 + 0001"


def test_both_targets_as_the_recipe_says(words: list[str], tmp_path: Path) -> None:
    more = ["--slice", "0", "--target", "both", "--texture", "tile:0,0,9,9", "--fill", "noise"]
    painted = made(words, *more, "--seed", "3").provenance["perturbation"]
    assert (painted["target"], painted["fill"]["kind"], painted["seed"]) == ("both", "noise", 3)
    recipe = tmp_path / "r.json"
    recipe.write_text(json.dumps(painted))
    again = made(words, "--slice", "0", "--recipe", str(recipe)).provenance
    assert again["perturbation"] == painted


def test_skipped_layers_are_said(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    from napari_fossiledit import editing

    real = editing.rewrite_several_task

    def skipping(*args: Any, **kwargs: Any) -> Any:
        edit = yield from real(*args, **kwargs)
        edit.provenance["skipped_layers"] = [{"name": "x", "level": "P5", "reason": "no cell"}]
        return edit

    monkeypatch.setattr(editing, "rewrite_several_task", skipping)
    made(words, "--slice", "0")
    assert "Note: P5 was skipped: no cell." in capsys.readouterr().err


def test_edit_files_are_told_and_merged(words: list[str], tmp_path: Path, capsys: Capsys) -> None:
    first = made(words, "--slice", "0")
    second_file = tmp_path / "second.safetensors"
    words[words.index("--out") + 1] = str(second_file)
    made(words, "--slice", "1", "--solver", "adam", "--steps", "2")
    files = [str(tmp_path / "e.safetensors"), str(second_file)]
    figures = tmp_path / "i.json"
    capsys.readouterr()
    assert execute(["edits", "info", files[1], "--json", str(figures)]) == 0
    shown = capsys.readouterr().out
    for part in ("adam, step by step; steps 2", "0001", "Base model", "median"):
        assert part in shown
    assert json.loads(figures.read_text())["strength"] == 0.2
    both = tmp_path / "both.safetensors"
    merge = ["edits", "merge", *files, "--out", str(both)]
    assert execute([*merge, "--strengths", "0.5,1", "--name", "both"]) == 0
    merged = load_edit(both)
    assert (merged.name, merged.strength) == ("both", 1.0)
    layer = next(iter(first.deltas))
    wanted = 0.5 * first.deltas[layer] + load_edit(second_file).deltas[layer]
    assert float((merged.deltas[layer] - wanted).abs().max()) < 1e-6
    assert execute([*merge[:-1], str(tmp_path / "own.safetensors")]) == 0
    assert [
        p["strength"] for p in load_edit(tmp_path / "own.safetensors").provenance["merged"]
    ] == [
        0.2,
        0.2,
    ]
    for more, part in (
        ([*merge, "--strengths", "1"], "1 numbers for 2 edits"),
        ([*merge, "--strengths", "1,auto"], "not auto"),
        ([*merge, "--strengths", "1,9"], "between 0 and"),
        (["edits", "merge", files[0], "--out", str(tmp_path / "x")], "at least two"),
        (["edits", "merge", *files, "--out", files[0]], "overwrite one of the originals"),
        (["edits", "info", str(tmp_path / "missing")], "cannot be read"),
    ):
        assert part in refused(more, capsys)
    assert not (tmp_path / "x").exists()
