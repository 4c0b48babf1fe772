from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_fossiledit import __version__, io
from napari_fossiledit.cli import execute
from napari_fossiledit.editing.edit import image_sha256

KEYS = {
    "matched_mean",
    "all_mean",
    "matched",
    "total",
    "spurious_fraction",
    "confuser_share",
    "intervals",
}


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.fixture
def model(tiny_model: Path) -> list[str]:
    return ["--model", str(tiny_model), "--device", "cpu"]


@pytest.fixture
def data(reef: Path) -> list[str]:
    return [str(reef / "images"), str(reef / "labels.tif")]


@pytest.fixture(scope="session")
def edit_file(reef: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("edits") / "edit.safetensors"
    words = ["edit", str(reef / "images"), str(reef / "labels.tif"), "--out", str(path)]
    words += ["--slice", "0001", "--strength", "0.2", "--model", str(tiny_model)]
    assert execute(words) == 0
    return path


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in ("demo", "segment", "perturb", "probe", "edit", "evaluate", "model", "sample"):
        assert f"\n  {command}" in shown
        assert execute([command, "--help"]) == 0
        capsys.readouterr()
    assert execute([]) == 0
    assert execute(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_sample_is_written_and_repeatable(reef: Path, tmp_path: Path) -> None:
    from napari_fossiledit.sample.reef import ReefModel

    wanted = ReefModel(3, (3, 64, 96)).slice(1)
    stack = io.open_stack(reef / "images")
    assert np.array_equal(stack[1], wanted.image)
    assert stack.voxel_size == (0.5, 0.145, 0.145)
    assert np.array_equal(io.read_labels(reef / "labels.tif")[1], wanted.labels)
    assert np.array_equal(io.read_labels(reef / "confusers.tif")[1], wanted.confusers)
    labels = io.read_labels(reef / "labels.tif")
    assert set(_json(reef / "textures.json")) == {str(i) for i in np.unique(labels) if i}
    again = tmp_path / "again"
    figures = tmp_path / "figures.json"
    words = ["sample", "write", str(again), "--seed", "3", "--shape", "3,64,96"]
    assert execute([*words, "--json", str(figures)]) == 0
    assert _json(figures)["shape"] == [3, 64, 96]
    assert (again / "labels.tif").read_bytes() == (reef / "labels.tif").read_bytes()


def test_model_info_and_layers(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "info.json"
    assert execute(["model", "info", str(tiny_model), "--json", str(path)]) == 0
    info = _json(path)
    assert len(info["fingerprint"]) == 64
    assert execute(["model", "layers", "--model", str(tiny_model), "--json", str(path)]) == 0
    layers = _json(path)["layers"]
    assert [layer["name"] for layer in layers] == info["editable_layers"]
    assert all(layer["shape"][2:] == [3, 3] for layer in layers)
    assert [layer["default"] for layer in layers] == [True] + [False] * (len(layers) - 1)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows if row[-1] == "yes"] == [layers[0]["name"]]


def test_every_command_takes_device_and_seed(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [[c] for c in ("demo", "segment", "perturb", "probe", "edit", "evaluate")]
    commands += [["link"], ["model", "info"], ["model", "layers"]]
    for command in [*commands, ["sample", "write"], ["sample", "train-demo"]]:
        assert execute([*command, "--help"]) == 0
        shown = capsys.readouterr().out
        assert "--device" in shown, command
        assert "--seed" in shown, command


def test_segment_to_a_tiff_a_png_and_a_folder(
    data: list[str], model: list[str], tmp_path: Path
) -> None:
    out, figures = tmp_path / "l.tif", tmp_path / "l.json"
    words = ["segment", data[0], *model, "--score", "0", "--out"]
    assert execute([*words, str(out), "--json", str(figures)]) == 0
    labels = io.read_labels(out)
    assert labels.shape == (3, 64, 96)
    assert io.open_stack(out).voxel_size == (0.5, 0.145, 0.145)
    counted = _json(figures)
    assert counted["instances"] == sum(row["instances"] for row in counted["slices"])
    assert [row["name"] for row in counted["slices"]] == ["0000", "0001", "0002"]
    assert execute([*words, str(tmp_path / "linked.tif"), "--link"]) == 0
    assert np.array_equal(io.read_labels(tmp_path / "linked.tif") > 0, labels > 0)
    assert execute([*words, str(tmp_path / "each")]) == 0
    assert np.array_equal(io.read_labels(tmp_path / "each"), labels)
    single = ["segment", str(Path(data[0]) / "0001.png"), *model, "--score", "0"]
    assert execute([*single, "--out", str(tmp_path / "l.png")]) == 0
    assert np.array_equal(io.read_labels(tmp_path / "l.png"), labels[1])


def test_perturb(data: list[str], tmp_path: Path) -> None:
    out, figures = tmp_path / "painted", tmp_path / "p.json"
    words = ["perturb", *data, "--out", str(out), "--fill", "colour:10,20,30"]
    assert execute([*words, "--json", str(figures)]) == 0
    labels, images = io.read_labels(data[1]), io.open_stack(data[0])
    painted = io.open_stack(out)
    for z in range(3):
        fossils = labels[z] > 0
        assert np.array_equal(painted[z][fossils], images[z][fossils])
        assert np.all(painted[z][~fossils] == (10, 20, 30))
    assert _json(figures)["perturbation"]["target"] == "others"
    assert execute([*words, "--target", "fossils"]) == 0
    assert np.all(io.open_stack(out)[0][labels[0] > 0] == (10, 20, 30))


def test_probe(data: list[str], model: list[str], reef: Path, tmp_path: Path) -> None:
    figures = tmp_path / "p.json"
    words = ["probe", *data, *model, "--confusers", str(reef / "confusers.tif")]
    assert execute([*words, "--json", str(figures)]) == 0
    found = _json(figures)
    assert set(found["versions"]) == {"original", "others painted", "fossils painted"}
    assert all(set(v) >= KEYS for v in found["versions"].values())
    assert found["diagnosis"].endswith(".")


def test_edit_and_what_others_do_with_it(
    data: list[str],
    model: list[str],
    edit_file: Path,
    reef: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = tmp_path / "e.json"
    words = ["evaluate", *data, *model, "--edit", str(edit_file), "--json", str(figures)]
    assert execute([*words, "--confusers", str(reef / "confusers.tif")]) == 0
    found = _json(figures)
    assert "Left out, as the edit was made from it" in capsys.readouterr().err
    assert (found["seen_by_edit"], found["left_out"]) == (False, ["0001"])
    labels = io.read_labels(data[1])
    assert found["total"] == sum(len(np.unique(labels[z][labels[z] > 0])) for z in (0, 2))
    assert set(found) >= KEYS | {"before", "differences", "beside_mask_threshold"}
    assert set(found["before"]) >= KEYS
    assert found["edit"]["strength"] == 0.2
    assert set(found["matched_mean"]) == {"precision", "recall", "iou"}
    plain, edited = tmp_path / "plain.tif", tmp_path / "edited.tif"
    segment = ["segment", data[0], *model, "--score", "0", "--out"]
    assert execute([*segment, str(plain)]) == 0
    assert execute([*segment, str(edited), "--edit", str(edit_file), "--strength", "0"]) == 0
    assert np.array_equal(io.read_labels(plain), io.read_labels(edited))


def test_edit_chooses_its_strength_on_the_other_slices(
    data: list[str], model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, figures = tmp_path / "e.safetensors", tmp_path / "e.json"
    words = ["edit", *data, *model, "--slice", "1", "--out", str(out), "--json", str(figures)]
    layer = "backbone.fpn.layer_blocks.0.0"
    assert execute([*words, "--solver", "adam", "--layers", layer]) == 0
    found = _json(figures)
    assert found["layers"] == [layer]
    assert found["provenance"]["slice"] == "0001"
    images = io.open_stack(data[0])
    chosen_on = [image_sha256(images[z]) for z in (0, 2)]
    assert found["provenance"]["strength_chosen_on"] == chosen_on
    assert found["strength"] in {point["strength"] for point in found["choice"]["points"]}
    shown = capsys.readouterr().out
    assert found["choice"]["sentence"] in shown
    assert found["provenance"]["worth_it"] is found["choice"]["worth_it"]
    assert ("not worth applying" in shown) is not found["choice"]["worth_it"]


@pytest.mark.parametrize("worth_it", [True, False])
def test_what_an_edit_was_worth_is_said(
    worth_it: bool,
    data: list[str],
    model: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from napari_fossiledit import editing
    from napari_fossiledit.editing import StrengthChoice
    from napari_fossiledit.progress import Progress, Task

    def choose(*args: object, **kwargs: object) -> Task[StrengthChoice]:
        yield Progress(0, 1, "Choosing")
        return StrengthChoice(
            strength=0.1, worth_it=worth_it, points=[], sentence="Chosen.", gain=0.0
        )

    monkeypatch.setattr(editing, "choose_strength_task", choose)
    out = tmp_path / "an edit.safetensors"
    assert execute(["edit", *data, *model, "--slice", "1", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert ("not worth applying" in shown) is not worth_it
    assert ("fossiledit evaluate" in shown) is worth_it
    figures = tmp_path / "e.json"
    if worth_it:
        # The command that was printed runs as it stands.
        command = shlex.split(shown.splitlines()[-1])[1:]
    else:
        command = ["evaluate", *data, *model, "--edit", str(out)]
    assert execute([*command, "--json", str(figures)]) == 0
    said = capsys.readouterr().err
    assert ("not worth applying" in said) is not worth_it
    assert "figures are on slices that chose the edit" in said
    found = _json(figures)
    assert (found["seen_by_edit"], found["left_out"]) == (True, [])
    segment = ["segment", data[0], *model, "--out", str(tmp_path / "l.tif"), "--edit", str(out)]
    assert execute(segment) == 0
    assert ("not worth applying" in capsys.readouterr().err) is not worth_it


def test_evaluate(data: list[str], model: list[str], tmp_path: Path) -> None:
    figures = tmp_path / "e.json"
    words = ["evaluate", *data, *model, "--json", str(figures)]
    assert execute(words) == 0
    first = figures.read_bytes()
    found = _json(figures)
    assert set(found) >= KEYS | {"average_precision"}
    assert found["confuser_share"] is None
    assert found["total"] == sum(
        len(np.unique(labels)) - 1 for labels in io.read_labels(data[1]) if labels.any()
    )
    assert execute(words) == 0
    assert figures.read_bytes() == first
