"""``fossiledit model export``: only what an edit rewrote differs, and no input is touched."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from napari_fossiledit.cli import execute
from napari_fossiledit.models.weights_file import read_weights

Capsys = pytest.CaptureFixture[str]
R50 = Path(__file__).parents[1] / "data" / "detectron2" / "r50_bgr_caffe2"
FAST = ["--device", "cpu", "--backend", "torchvision"]
MODEL = ["--model", str(R50 / "model_final.pth"), *FAST]


def refused(words: list[str], capsys: Capsys, *parts: str) -> None:
    capsys.readouterr()
    assert execute(words) == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if not x.startswith("Note: ")]
    assert len(lines) == 1, lines
    for part in parts:
        assert part in lines[0]


@pytest.fixture(scope="module")
def edits(reef: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two edits of the detectron2 model: of the finest level, and of two others."""
    folder = tmp_path_factory.mktemp("edits")
    start = ["edit", str(reef / "images"), str(reef / "labels.tif"), *MODEL, "--strength", "0.1"]
    files = [str(folder / name) for name in ("one.safetensors", "two.safetensors")]
    assert execute([*start, "--slice", "0", "--out", files[0]]) == 0
    layers = "backbone.fpn_output3,backbone.fpn_output4"
    assert execute([*start, "--slice", "1", "--layers", layers, "--out", files[1]]) == 0
    return files


def different(one: Path, other: Path) -> list[str]:
    before, after = read_weights(one).tensors, read_weights(other).tensors
    assert list(before) == list(after)
    assert all(before[n].dtype == after[n].dtype for n in before)
    return [n for n in before if not bool((before[n] == after[n]).all())]


@pytest.mark.parametrize("suffix", [".pth", ".pkl"])
def test_only_the_edited_tensors_differ(
    suffix: str, edits: list[str], tmp_path: Path, capsys: Capsys
) -> None:
    original, out = R50 / f"model_final{suffix}", tmp_path / f"edited{suffix}"
    digest = hashlib.sha256(original.read_bytes()).digest()
    words = ["model", "export", str(original), *FAST, "--edits", *edits, "--to", str(out)]
    figures = tmp_path / "figures.json"
    assert execute([*words, "--json", str(figures)]) == 0
    said = capsys.readouterr().out
    assert "as a detectron2 checkpoint" in said
    assert f"(--config {R50 / 'config.yaml'})" in said
    assert "3 of its" in said
    assert "tensors differ from the original's: backbone.fpn_output2.weight" in said
    names = [f"backbone.fpn_output{n}.weight" for n in (2, 3, 4)]
    assert sorted(different(original, out)) == names
    told = json.loads(figures.read_text())
    assert sorted(told["tensors_changed"]) == names
    assert [edit["strength"] for edit in told["edits"]] == [0.1, 0.1]
    assert told["fingerprint"] != told["fingerprint_before"]
    assert hashlib.sha256(original.read_bytes()).digest() == digest
    # The written model is a model again: that of the fingerprint told.
    shutil.copy(R50 / "config.yaml", tmp_path)
    assert execute(["model", "info", str(out), *FAST, "--json", str(figures)]) == 0
    assert json.loads(figures.read_text())["fingerprint"] == told["fingerprint"]


def test_edits_in_a_row_or_one_by_one(edits: list[str], tmp_path: Path) -> None:
    row, each = tmp_path / "row.pth", tmp_path / "each.pth"
    start = ["model", "export", *MODEL]
    assert execute([*start, "--edits", *edits, "--to", str(row)]) == 0
    apart = ["--edit", edits[0], "--to", str(each), f"--edits={edits[1]}"]
    assert execute([*start, *apart]) == 0
    assert different(row, each) == []


def test_strength_and_no_edit(edits: list[str], tmp_path: Path, capsys: Capsys) -> None:
    start = ["model", "export", *MODEL]
    plain, zero, half = (tmp_path / f"{name}.pth" for name in ("plain", "zero", "half"))
    assert execute([*start, "--to", str(plain)]) == 0
    assert "None of its" in capsys.readouterr().out
    assert different(R50 / "model_final.pth", plain) == []
    assert execute([*start, "--edits", edits[0], "--strength", "0", "--to", str(zero)]) == 0
    assert different(plain, zero) == []
    assert execute([*start, "--edits", edits[0], "--strength", "0.5", "--to", str(half)]) == 0
    assert "1 of its" in capsys.readouterr().out
    assert different(plain, half) == ["backbone.fpn_output2.weight"]


@pytest.mark.parametrize("form", ["torchvision", "safetensors"])
def test_other_forms(form: str, edits: list[str], tmp_path: Path, capsys: Capsys) -> None:
    out = tmp_path / ("m.pth" if form == "torchvision" else "m.safetensors")
    words = ["model", "export", *MODEL, "--edits", edits[0], "--to", str(out), "--form", form]
    assert execute(words) == 0
    assert read_weights(out).tensors
    said = capsys.readouterr().out
    torchvision = "image_mean, image_std, config); fossiledit does not read this file back"
    assert (torchvision if form == "torchvision" else "without --config") in said
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def test_back_to_detectron2_from_safetensors(tmp_path: Path, capsys: Capsys) -> None:
    ours, back = tmp_path / "m.safetensors", tmp_path / "m.pth"
    assert execute(["model", "export", *MODEL, "--to", str(ours)]) == 0
    capsys.readouterr()
    assert execute(["model", "export", str(ours), *FAST, "--to", str(back)]) == 0
    assert "with the original's config (--config PATH)" in capsys.readouterr().out
    before, after = read_weights(R50 / "model_final.pth").tensors, read_weights(back).tensors
    assert all(bool((before[name] == tensor).all()) for name, tensor in after.items())


def test_a_kind_that_needs_no_config(tiny_model: Path, tmp_path: Path, capsys: Capsys) -> None:
    words = ["model", "export", str(tiny_model), "--device", "cpu"]
    assert execute([*words, "--to", str(tmp_path / "m.safetensors")]) == 0
    assert "config" not in capsys.readouterr().out


def test_an_edit_of_another_model_is_refused_before_its_slices_are_told(
    edits: list[str], reef: Path, tiny_model: Path, capsys: Capsys
) -> None:
    words = ["evaluate", str(reef / "images"), str(reef / "labels.tif"), "--edit", edits[0]]
    assert execute([*words, "--model", str(tiny_model), "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert "another model" in said
    assert "Left out" not in said


def test_no_input_is_written_over(edits: list[str], tmp_path: Path, capsys: Capsys) -> None:
    folder = tmp_path / "model"
    shutil.copytree(R50, folder)
    copy = tmp_path / "copy.safetensors"
    shutil.copy(edits[0], copy)
    weights, config = folder / "model_final.pth", folder / "config.yaml"
    before = {p: p.read_bytes() for p in (weights, config, copy)}
    words = ["model", "export", str(weights), *FAST, "--edits", str(copy)]
    for target in before:
        refused([*words, "--to", str(target)], capsys, "originals")
        refused([*words, "--to", str(tmp_path / "m.pth"), "--json", str(target)], capsys, "origin")
    assert {p: p.read_bytes() for p in before} == before
    assert not (tmp_path / "m.pth").exists()


def test_what_cannot_be_exported(
    edits: list[str], tiny_model: Path, tmp_path: Path, capsys: Capsys
) -> None:
    out = tmp_path / "m.pth"
    start = ["model", "export", "--to", str(out)]
    tiny = ["--model", str(tiny_model), "--device", "cpu"]
    refused([*start, *tiny, "--edits", edits[0]], capsys, "another model")
    refused([*start, *MODEL, "--edits", str(tiny_model)], capsys, tiny_model.name)
    refused([*start, *MODEL, "--edits", "missing.safetensors"], capsys, "missing.safetensors")
    refused([*start, *MODEL, "--edits", *edits, "--strength", "9"], capsys, "9")
    refused([*start, *tiny, "--form", "detectron2"], capsys, "detectron2")
    refused(["model", "export", *MODEL, "--to", str(tmp_path / "m.txt")], capsys, "m.txt")
    refused(["model", "export", *MODEL], capsys, "--to")
    assert list(tmp_path.iterdir()) == []


def test_places_that_refuse(
    edits: list[str], read_only: Path, tmp_path: Path, capsys: Capsys
) -> None:
    words = ["model", "export", *MODEL, "--edits", edits[0]]
    refused([*words, "--to", str(read_only / "m.pth")], capsys, "read-only")
    refused([*words, "--to", "/no/such/folder/m.pth"], capsys, "there is no folder")


def test_full_disk(edits: list[str], full_disk: Path, capsys: Capsys) -> None:
    out = full_disk / "m.pth"
    out.write_bytes(b"older")
    words = ["model", "export", *MODEL, "--edits", edits[0], "--to", str(out)]
    refused(words, capsys, "m.pth")
    assert [p.name for p in full_disk.iterdir()] == ["m.pth"]
    assert out.read_bytes() == b"older"


def test_a_model_named_behind_the_edits_is_told(
    edits: list[str], tmp_path: Path, capsys: Capsys
) -> None:
    words = ["model", "export", "--edits", edits[0], str(R50 / "model_final.pth")]
    refused([*words, "--to", str(tmp_path / "m.pth")], capsys, "model_final.pth is not an edit")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("strength", ["0.5", "nan", "-1"])
def test_a_strength_of_no_edit_is_refused(strength: str, tmp_path: Path, capsys: Capsys) -> None:
    words = ["model", "export", *MODEL, f"--strength={strength}", "--to", str(tmp_path / "m.pth")]
    refused(words, capsys, "--strength is the strength of edits, but none is given", "--edits")
    assert list(tmp_path.iterdir()) == []


def test_a_strength_that_is_no_number_is_refused(
    edits: list[str], tmp_path: Path, capsys: Capsys
) -> None:
    words = ["model", "export", *MODEL, "--edits", edits[0], "--strength", "nan"]
    refused([*words, "--to", str(tmp_path / "m.pth")], capsys, "nan")
    assert list(tmp_path.iterdir()) == []
