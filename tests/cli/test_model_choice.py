"""The options that say which model: on every command, and what becomes of bad ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_fossiledit import io, models
from napari_fossiledit.cli import execute
from napari_fossiledit.cli.model_choice import ModelChoice
from napari_fossiledit.errors import ModelError

Capsys = pytest.CaptureFixture[str]
DATA = Path(__file__).parents[1] / "data" / "detectron2"
R50, R101 = DATA / "r50_bgr_caffe2", DATA / "r101_rgb"
WEIGHTS = str(R50 / "model_final.pth")
FAST = ["--device", "cpu", "--backend", "torchvision"]


def refused(words: list[str], capsys: Capsys, *parts: str) -> str:
    """Run a command that must fail, and give its sentence."""
    capsys.readouterr()
    assert execute(words) == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if not x.startswith("Note: ")]
    assert len(lines) == 1, lines
    for part in parts:
        assert part in lines[0]
    return lines[0]


@pytest.fixture
def commands(reef: Path, tmp_path: Path) -> dict[str, list[str]]:
    """Every command that takes a model."""
    data = [str(reef / "images"), str(reef / "labels.tif")]
    return {
        "segment": ["segment", data[0], "--out", str(tmp_path / "l.tif")],
        "probe": ["probe", *data],
        "edit": ["edit", *data, "--strength", "0.1", "--out", str(tmp_path / "e.safetensors")],
        "evaluate": ["evaluate", *data],
        "info": ["model", "info"],
        "layers": ["model", "layers"],
        "export": ["model", "export", "--to", str(tmp_path / "m.pth")],
    }


@pytest.mark.parametrize(
    "command", ["segment", "probe", "edit", "evaluate", "info", "layers", "export"]
)
def test_every_command_hands_the_choice_to_the_library(
    command: str,
    commands: dict[str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capsys,
) -> None:
    asked = []

    def load(source: str, **options: object) -> None:
        asked.append((source, options))
        raise ModelError("That is enough: stop here.")

    monkeypatch.setattr(models, "load", load)
    weights, config = tmp_path / "w.pkl", tmp_path / "c.yaml"
    words = ["--model", str(weights), "--config", str(config), "--backend", "detectron2"]
    words += ["--class-names", "cup, clot", "--fossil-classes", "cup,1", "--device", "cpu"]
    words += ["--zoom", "1.5"]
    refused([*commands[command], *words], capsys, "stop here")
    refused(commands[command], capsys, "stop here")
    chosen = {
        "config": config,
        "backend": "detectron2",
        "class_names": ("cup", "clot"),
        "fossil_classes": ("cup", "1"),
        "device": "cpu",
        "input_zoom": 1.5,
    }
    plain = {"config": None, "class_names": None, "fossil_classes": None}
    plain |= {"backend": "auto", "device": "auto", "input_zoom": 1.0}
    assert asked == [(str(weights), chosen), ("demo", plain)]


def test_the_words_for_another_command_name_the_same_model() -> None:
    assert ModelChoice().words() == []
    made = ModelChoice("m.pth", Path("c.yaml"), "torchvision", ("a", "b"), ("a", "1"), "cpu", 1.5)
    assert made.words() == [
        "--model", "m.pth", "--config", "c.yaml", "--backend", "torchvision",
        "--zoom", "1.5", "--class-names", "a,b", "--fossil-classes", "a,1",
    ]  # fmt: skip


def test_the_config_is_an_original_too(
    commands: dict[str, list[str]], tmp_path: Path, capsys: Capsys
) -> None:
    for name in ("model_final.pth", "config.yaml"):
        shutil.copy(R50 / name, tmp_path)
    config = tmp_path / "config.yaml"
    before = config.read_bytes()
    model = ["--model", str(tmp_path / "model_final.pth"), "--json", str(config)]
    for more in ([], ["--config", str(config)]):  # found, or given
        for words in commands.values():
            refused([*words, *model, *more], capsys, "originals")
    assert config.read_bytes() == before


def test_usage_that_cannot_be_meant(capsys: Capsys, tmp_path: Path) -> None:
    info = ["model", "info"]
    refused([*info, WEIGHTS, "--class-names", "a,,b"], capsys, "--class-names", "a,,b")
    refused([*info, WEIGHTS, "--fossil-classes", ""], capsys, "--fossil-classes")
    refused([*info, WEIGHTS, "--zoom", "9"], capsys, "between 0.25 and 4, not 9")
    refused([*info, WEIGHTS, "--backend", "jax"], capsys, "--backend", "jax")
    refused([*info, WEIGHTS, "--model", "other.pth"], capsys, "other.pth", "one of them")


@pytest.mark.parametrize("weights", ["model_final.pth", "model_final.pkl"])
def test_a_detectron2_model_says_what_it_is(weights: str, tmp_path: Path, capsys: Capsys) -> None:
    out = tmp_path / "info.json"
    words = ["model", "info", str(R50 / weights), *FAST, "--class-names", "cup,clot"]
    assert execute([*words, "--fossil-classes", "cup", "--json", str(out)]) == 0
    said = capsys.readouterr().out
    for part in ("R-50", "config.yaml", "BGR", "0 = cup, 1 = clot", "torchvision"):
        assert part in said
    figures = json.loads(out.read_text())
    assert figures["classes"] == ["cup", "clot"]
    assert figures["fossil_classes"] == [0]
    assert figures["limits"] == {"score_threshold": 0.05, "max_detections": 50}
    assert figures["editable_layers"][0] == "backbone.fpn_output2"
    assert execute(["model", "layers", str(R50 / weights), *FAST]) == 0
    assert "proposal_generator.rpn_head.conv" in capsys.readouterr().out


def _classes(words: list[str], out: Path) -> set[str]:
    assert execute([*words, "--json", str(out)]) == 0
    return {kind for piece in json.loads(out.read_text())["slices"] for kind in piece["classes"]}


def test_only_the_fossils_classes_are_segmented(tmp_path: Path, capsys: Capsys) -> None:
    image, out = str(R50 / "image.png"), tmp_path / "l.json"
    words = ["segment", image, "--model", WEIGHTS, *FAST, "--score", "0"]
    words += ["--class-names", "cup,clot", "--out", str(tmp_path / "l.tif")]
    assert _classes(words, out) == {"cup", "clot"}
    assert "All 2 classes count as the fossil (cup, clot)" in capsys.readouterr().err
    for chosen in ("clot", "1"):
        assert _classes([*words, "--fossil-classes", chosen], out) == {"clot"}
        assert "count as the fossil" not in capsys.readouterr().err
    assert len(np.unique(io.read_labels(tmp_path / "l.tif"))) > 1


def test_the_models_own_limit_is_said(tmp_path: Path, capsys: Capsys) -> None:
    image = str(R50 / "image.png")
    words = ["--model", WEIGHTS, *FAST, "--out", str(tmp_path / "l.tif"), "--score", "0"]
    assert execute(["segment", image, *words]) == 0
    said = capsys.readouterr().err
    assert "limit of" in said
    assert "1 slice: raise TEST.DETECTIONS_PER_IMAGE in config.yaml." in said
    assert execute(["segment", image, *words, "--score", "1"]) == 0
    assert "limit of" not in capsys.readouterr().err


def test_evaluate_says_the_limit_too(tmp_path: Path, capsys: Capsys) -> None:
    labels = tmp_path / "labels.tif"
    image = io.read_image(R50 / "image.png").image
    drawn = np.zeros(image.shape[:2], np.int32)
    drawn[20:60, 20:60] = 1
    io.write_labels(labels, drawn)
    words = ["evaluate", str(R50 / "image.png"), str(labels), "--model", WEIGHTS, *FAST]
    assert execute(words) == 0
    assert "limit of" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["segment", "evaluate", "info", "export"])
def test_files_that_do_not_go_together(
    command: str, commands: dict[str, list[str]], tmp_path: Path, capsys: Capsys
) -> None:
    start = [*commands[command], *FAST]
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(WEIGHTS, alone)
    lonely = str(alone / "model_final.pth")
    config, other = str(R50 / "config.yaml"), str(R101 / "config.yaml")
    refused([*start, "--config", config], capsys, "config.yaml", "demo", "with --model")
    refused([*start, "--backend", "detectron2"], capsys, "--backend detectron2", "with --model")
    refused([*start, "--model", WEIGHTS, "--config", "missing.yaml"], capsys, "missing.yaml")
    refused([*start, "--model", config], capsys, "config.yaml")
    refused([*start, "--model", WEIGHTS, "--config", WEIGHTS], capsys, "model_final.pth")
    refused([*start, "--model", lonely], capsys, "model_final.pth", "config")
    refused([*start, "--model", WEIGHTS, "--config", other], capsys, "model_final.pth")
    refused([*start, "--model", str(DATA)], capsys, "The folder detectron2 holds no weights")
    refused([*start, "--model", WEIGHTS, "--class-names", "one"], capsys, "2", "1")
    refused([*start, "--model", WEIGHTS, "--fossil-classes", "ammonite"], capsys, "ammonite")
    refused([*start, "--model", WEIGHTS, "--fossil-classes", "7"], capsys, "7")
    assert {p.name for p in tmp_path.iterdir()} == {"alone"}


def test_a_folder_is_named_as_the_model(tmp_path: Path, capsys: Capsys) -> None:
    folder = tmp_path / "training"
    shutil.copytree(R50, folder)
    for words in (["--model", str(folder)], [str(folder)], [str(folder), "--model", str(folder)]):
        assert execute(["model", "info", *words, *FAST]) == 0
        assert "training/model_final" in capsys.readouterr().out
    # What lies in it is the original, though only the folder was named.
    for name in ("model_final.pth", "config.yaml"):
        words = ["model", "export", str(folder), *FAST, "--to", str(folder / name)]
        refused(words, capsys, "originals")
    (folder / "model_final.pth").rename(folder / "a.pth")
    (folder / "model_final.pkl").rename(folder / "b.pkl")
    said = refused(["model", "info", str(folder), *FAST], capsys)
    assert said.startswith("The folder training holds 2 files of weights (a.pth, b.pkl): choose")


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("segment", "segment [OPTIONS] IMAGES"),
        ("evaluate", "evaluate [OPTIONS] IMAGES LABELS"),
        ("edit", "edit [OPTIONS] IMAGES LABELS"),
        ("probe", "probe [OPTIONS] IMAGES LABELS"),
        ("perturb", "perturb [OPTIONS] IMAGES LABELS"),
        ("demo", "demo [OPTIONS]"),
        ("model info", "model info [OPTIONS] [MODEL]"),
        ("model layers", "model layers [OPTIONS] [MODEL]"),
        ("model export", "model export [OPTIONS] [MODEL]"),
        ("sample write", "sample write [OPTIONS] OUT"),
    ],
)
def test_usage_lines_read_as_usual(command: str, usage: str, capsys: Capsys) -> None:
    assert execute([*command.split(), "--help"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"Usage: fossiledit {usage}"


def test_a_setting_that_is_not_supported_is_named(tmp_path: Path, capsys: Capsys) -> None:
    for name in ("model_final.pth", "config.yaml"):
        shutil.copy(R50 / name, tmp_path)
    config = tmp_path / "config.yaml"
    text = config.read_text()
    assert "DEFORM_MODULATED: false" in text
    lines = text.replace("KEYPOINT_ON: false", "KEYPOINT_ON: true")
    config.write_text(lines)
    words = ["model", "info", str(tmp_path / "model_final.pth"), *FAST]
    refused(words, capsys, "MODEL.KEYPOINT_ON")
    trap = tmp_path / "trap"
    config.write_text(f"{text}\nEVIL: !!python/object/apply:os.system ['touch {trap}']\n")
    execute(words)
    assert not trap.exists()


def test_what_a_config_builds_on_is_an_original_too(
    commands: dict[str, list[str]], tmp_path: Path, capsys: Capsys
) -> None:
    folder = tmp_path / "model"
    (folder / "bases").mkdir(parents=True)
    shutil.copy(R50 / "model_final.pth", folder)
    deepest = folder / "bases" / "deepest.yaml"
    shutil.copy(R50 / "config.yaml", deepest)
    middle = folder / "bases" / "middle.yaml"
    middle.write_text("_BASE_: deepest.yaml\n")
    config = folder / "config.yaml"
    config.write_text("_BASE_: bases/middle.yaml\n")
    before = {p: p.read_bytes() for p in (config, middle, deepest)}
    model = ["--model", str(folder / "model_final.pth")]
    for target in before:
        for more in ([], ["--config", str(config)]):  # found, or given
            words = [*commands["info"], *model, *more, "--json", str(target)]
            refused(words, capsys, "originals")
    for words in commands.values():
        refused([*words, *model, "--json", str(deepest)], capsys, "originals")
    assert {p: p.read_bytes() for p in before} == before


def test_the_home_folder_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    for name in ("model_final.pth", "config.yaml"):
        shutil.copy(R50 / name, tmp_path)
    weights, config = "~/model_final.pth", "~/config.yaml"
    assert execute(["model", "info", "--model", weights, "--config", config, *FAST]) == 0
    assert execute(["model", "info", weights, *FAST]) == 0
    assert execute(["model", "info", "~", "--model", weights, *FAST]) == 0  # the folder: the same
    given = ["--model", weights, "--config", config]
    refused(["model", "info", *given, "--json", str(tmp_path / "config.yaml")], capsys, "originals")
    words = ["model", "info", "~nobody-of-this-name/m.pth"]
    refused(words, capsys, "The home folder in ~nobody-of-this-name", "whole path")


@pytest.mark.parametrize("number", ["²", "٣²", "--1", "1" * 5000, "1.0"])
def test_numbers_that_are_none(number: str, capsys: Capsys) -> None:
    words = ["model", "info", WEIGHTS, *FAST, f"--fossil-classes={number}"]
    refused(words, capsys, "has no class", "choose among 0 = ")


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["segment", "--out"], "segment"),
        (["evaluate", "images", "labels", "--json"], "evaluate"),
        (["model", "export", "--edits"], "model export"),
        (["model", "info", "--config"], "model info"),
        (["model", "info", "--no-such-option"], "model info"),
    ],
)
def test_errors_of_usage_name_the_command(words: list[str], command: str, capsys: Capsys) -> None:
    assert refused(words, capsys, words[-1]).endswith(f": see fossiledit {command} --help.")


def test_a_model_that_finds_nothing_is_told(reef: Path, tmp_path: Path, capsys: Capsys) -> None:
    shutil.copy(R50 / "model_final.pth", tmp_path)
    text = (R50 / "config.yaml").read_text()
    assert "SCORE_THRESH_TEST: 0.05" in text
    config = text.replace("SCORE_THRESH_TEST: 0.05", "SCORE_THRESH_TEST: 0.999")
    (tmp_path / "config.yaml").write_text(config)
    data = [str(reef / "images"), str(reef / "labels.tif")]
    model = ["--model", str(tmp_path / "model_final.pth"), *FAST]
    capsys.readouterr()
    assert execute(["probe", *data, *model]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("The model finds no fossil on these slices, ")
    assert "SCORE_THRESH_TEST" in said
    assert execute(["edit", *data, *model, "--out", str(tmp_path / "e.safetensors")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("The model finds no fossil on 2 labelled slices even without the edit")
    assert "nan" not in said
