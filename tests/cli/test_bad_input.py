"""Bad input: exit code 2, one plain sentence on stderr, no traceback, nothing written."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fossiledit import io
from napari_fossiledit.cli import execute

Capsys = pytest.CaptureFixture[str]
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from napari_fossiledit.cli import main; main()"
)


def _refused(words: list[str], capsys: Capsys, *parts: str, code: int = 2) -> str:
    """Run a command that must fail, and give its sentence."""
    capsys.readouterr()
    assert execute(words) == code
    shown = capsys.readouterr()
    lines = [line for line in shown.err.splitlines() if not line.startswith("Note: ")]
    assert len(lines) == 1, shown.err
    assert "Traceback" not in shown.err
    for part in parts:
        assert part in lines[0]
    return lines[0]


@pytest.fixture
def model(tiny_model: Path) -> list[str]:
    return ["--model", str(tiny_model), "--device", "cpu"]


@pytest.fixture
def data(reef: Path) -> list[str]:
    return [str(reef / "images"), str(reef / "labels.tif")]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["frobnicate"], "frobnicate"),
        (["segment"], "IMAGES"),
        (["segment", "x", "--out", "y.tif", "--frob"], "--frob"),
        (["segment", "x", "--out", "y.tif", "--device", "abacus"], "abacus"),
        (["segment", "x", "--out", "y.tif", "--score", "2"], "--score"),
        (["segment", "missing", "--out", "y.tif"], "There is no stack missing"),
        (["probe", "missing", "labels.tif", "--fill", "mud"], "mud"),
        (["sample", "out", "--shape", "3,4"], "3,4"),
        (["sample", "out", "--seed", "-1"], "--seed"),
        (["model"], "ommand"),
        (["model", "info", "missing.pth"], "missing.pth"),
        (["edit", "x", "y", "--out", "e.safetensors", "--strength", "much"], "much"),
        (["edit", "x", "y", "--out", "e.safetensors", "--strength", "9"], "9"),
        (["edit", "x", "y", "--out", "e.safetensors", "--solver", "magic"], "magic"),
    ],
)
def test_bad_usage(words: list[str], part: str, capsys: Capsys) -> None:
    _refused(words, capsys, part)


def _grey16(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., 0].astype(np.uint16) * 16


def _alpha(rgb: np.ndarray) -> np.ndarray:
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


@pytest.mark.parametrize(
    ("convert", "said"),
    [
        (lambda rgb: rgb[..., 0], "grey"),
        (_grey16, "16-bit"),
        (lambda rgb: (rgb / 255).astype(np.float32), "floating point"),
        (_alpha, "alpha"),
    ],
    ids=["grey", "16-bit", "float", "rgba"],
)
def test_other_images_are_converted_and_said(
    convert: Callable[[np.ndarray], np.ndarray],
    said: str,
    data: list[str],
    model: list[str],
    tmp_path: Path,
    capsys: Capsys,
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, image in zip(("a", "b", "c"), io.open_stack(data[0]), strict=True):
        array = convert(image)
        kind = "rgb" if array.ndim == 3 else "minisblack"
        tifffile.imwrite(folder / f"{name}.tif", array, photometric=kind)
    out = tmp_path / "l.tif"
    assert execute(["segment", str(folder), *model, "--out", str(out)]) == 0
    assert said in capsys.readouterr().err
    assert execute(["evaluate", str(folder), data[1], *model]) == 0
    assert said in capsys.readouterr().err


def test_nan(data: list[str], model: list[str], tmp_path: Path, capsys: Capsys) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for z in range(3):
        image = np.full((64, 96), 0.5, np.float32)
        image[5, 5] = np.nan if z == 1 else 0.25
        tifffile.imwrite(folder / f"z{z}.tif", image)
    out = tmp_path / "l.tif"
    words = ["segment", str(folder), *model, "--out", str(out)]
    _refused(words, capsys, "z1", "1 values", "NaN")
    assert not out.exists()
    _refused(["evaluate", str(folder), data[1], *model], capsys, "z1", "NaN")


def test_labels_of_another_shape(
    data: list[str], model: list[str], tmp_path: Path, capsys: Capsys
) -> None:
    wrong = tmp_path / "wrong.tif"
    io.write_labels(wrong, io.read_labels(data[1])[:, :60])
    out = tmp_path / "e.safetensors"
    for words in (
        ["evaluate", data[0], str(wrong), *model],
        ["probe", data[0], str(wrong), *model],
        ["perturb", data[0], str(wrong), "--out", str(tmp_path / "painted")],
        ["edit", data[0], str(wrong), *model, "--out", str(out)],
    ):
        _refused(words, capsys, "wrong.tif", "3 x 60 x 96", "3 x 64 x 96")
    assert list(tmp_path.iterdir()) == [wrong]


def test_no_fossils(data: list[str], model: list[str], tmp_path: Path, capsys: Capsys) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    volume = io.read_labels(data[1])
    for z, name in enumerate(("0000", "0001", "0002")):
        io.write_labels(labels / f"{name}.tif", volume[z] * (z != 1))
    edit = ["edit", data[0], str(labels), *model, "--out", str(tmp_path / "e.safetensors")]
    _refused([*edit, "--slice", "1"], capsys, "0001", "no labelled fossil")
    _refused([*edit, "--slice", "7"], capsys, "no labelled slice 7", "0000")
    assert execute(["evaluate", data[0], str(labels), *model]) == 0
    io.write_labels(tmp_path / "none.tif", volume * 0)
    for command in ("evaluate", "probe"):
        _refused([command, data[0], str(tmp_path / "none.tif"), *model], capsys, "none.tif")
    io.write_labels(tmp_path / "all.tif", volume * 0 + 1)
    edit[2] = str(tmp_path / "all.tif")
    _refused([*edit, "--slice", "1", "--strength", "0.1"], capsys, "whole slice")
    io.write_labels(tmp_path / "one.tif", volume * (np.arange(3) == 0)[:, None, None])
    edit[2] = str(tmp_path / "one.tif")
    _refused(edit, capsys, "other labelled slices", "--strength")
    assert not (tmp_path / "e.safetensors").exists()


def test_edit_files_that_are_none(
    data: list[str],
    model: list[str],
    tiny_model: Path,
    other_model: Path,
    tmp_path: Path,
    capsys: Capsys,
) -> None:
    good = tmp_path / "good.safetensors"
    words = ["edit", *data, *model, "--slice", "0", "--strength", "0.1", "--out", str(good)]
    assert execute(words) == 0
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    text = tmp_path / "text.safetensors"
    text.write_text("no edit at all")
    segment = ["segment", data[0], "--out", str(tmp_path / "l.tif")]
    for path in (cut, text, tiny_model, tmp_path / "missing.safetensors"):
        for start in (["evaluate", *data, *model], [*segment, *model]):
            _refused([*start, "--edit", str(path)], capsys, path.name)
    other = ["--model", str(other_model), "--device", "cpu"]
    for start in (["evaluate", *data, *other], [*segment, *other]):
        _refused([*start, "--edit", str(good)], capsys, "another model")
    assert not (tmp_path / "l.tif").exists()


class _Hostile:
    def __init__(self, trap: Path) -> None:
        self.trap = trap

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.trap}",)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pkl", ".safetensors"])
def test_a_hostile_pickle_is_not_run(
    suffix: str, data: list[str], tmp_path: Path, capsys: Capsys
) -> None:
    import torch

    trap, evil = tmp_path / "trap", tmp_path / f"evil{suffix}"
    for write in (torch.save, lambda what, path: path.write_bytes(pickle.dumps(what))):
        write({"model": _Hostile(trap)}, evil)
        words = ["segment", data[0], "--out", str(tmp_path / "l.tif"), "--model", str(evil)]
        _refused(words, capsys, f"evil{suffix}")
        assert not trap.exists()


def test_read_only_output(
    data: list[str], model: list[str], read_only: Path, tmp_path: Path, capsys: Capsys
) -> None:
    for words in (
        ["segment", data[0], *model, "--out", str(read_only / "l.tif")],
        ["segment", data[0], *model, "--out", str(read_only / "folder")],
        ["segment", data[0], *model, "--out", str(tmp_path / "l.tif"), "--json",
         str(read_only / "j.json")],
        ["perturb", *data, "--out", str(read_only)],
        ["probe", *data, *model, "--json", str(read_only / "j.json")],
        ["edit", *data, *model, "--out", str(read_only / "e.safetensors")],
        ["evaluate", *data, *model, "--json", str(read_only / "j.json")],
        ["sample", str(read_only / "reef")],
        ["demo", "--out", str(read_only / "demo")],
        ["model", "info", model[1], "--json", str(read_only / "j.json")],
    ):  # fmt: skip
        _refused(words, capsys, "read-only")
    assert list(tmp_path.glob("l.tif")) == []


def test_missing_output_folder(data: list[str], model: list[str], capsys: Capsys) -> None:
    words = ["segment", data[0], *model, "--out", "/no/such/folder/l.tif"]
    _refused(words, capsys, "there is no folder")


def test_full_disk(
    data: list[str], model: list[str], full_disk: Path, tmp_path: Path, capsys: Capsys
) -> None:
    large = tmp_path / "large.png"
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    io.write_image(large, noise)
    labels = np.zeros((256, 256), np.int32)
    labels[50:200, 50:200] = 1
    io.write_labels(tmp_path / "large_labels.tif", labels)
    label_file = str(tmp_path / "large_labels.tif")
    for words in (
        ["perturb", str(large), label_file, "--target", "fossils", "--out", str(full_disk)],
        ["edit", str(large), label_file, *model, "--strength", "0.1", "--out",
         str(full_disk / "e.safetensors")],
        ["sample", str(full_disk / "reef"), "--shape", "4,128,128"],
        ["segment", str(large), *model, "--out", str(full_disk / "l.tif")],
        ["segment", str(large), *model, "--out", str(full_disk)],
        ["evaluate", str(large), label_file, *model, "--json", str(full_disk / "j.json")],
    ):  # fmt: skip
        if words[0] == "edit":
            # Half a disk is taken, so that nothing of the edit's size fits.
            (full_disk / "rest").write_bytes(b"x" * 60_000)
        elif words[0] != "sample" and words[0] != "perturb":
            # Labels and figures are small: the whole disk is taken.
            (full_disk / "rest").write_bytes(b"x" * 65_536)
        message = _refused(words, capsys, str(full_disk))
        assert "full" in message or "No space" in message
        (full_disk / "rest").unlink(missing_ok=True)
        assert list(full_disk.iterdir()) == []


def test_originals_are_not_painted_over(data: list[str], tmp_path: Path, capsys: Capsys) -> None:
    images = tmp_path / "images"
    shutil.copytree(data[0], images)
    before = {f.name: f.read_bytes() for f in images.iterdir()}
    _refused(["perturb", str(images), data[1], "--out", str(images)], capsys, "originals")
    assert {f.name: f.read_bytes() for f in images.iterdir()} == before


def test_slices_of_other_sizes_and_png_for_many(
    data: list[str], model: list[str], tmp_path: Path, capsys: Capsys
) -> None:
    images = tmp_path / "images"
    shutil.copytree(data[0], images)
    Image.fromarray(np.zeros((60, 96, 3), np.uint8)).save(images / "0001.png")
    words = ["segment", str(images), *model, "--out", str(tmp_path / "l.tif")]
    _refused(words, capsys, "0001.png", "60 x 96")
    words = ["segment", data[0], *model, "--out", str(tmp_path / "l.png")]
    _refused(words, capsys, "a PNG holds one slice")
    words = ["segment", data[0], *model, "--out", str(tmp_path / "l.xyz")]
    _refused(words, capsys, "l.xyz")


def test_a_fault_of_ours_is_owned(
    data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    from napari_fossiledit import models

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("line one\nline two")

    monkeypatch.setattr(models, "load", broken)
    words = ["segment", data[0], "--out", str(tmp_path / "l.tif")]
    _refused(words, capsys, "RuntimeError: line one line two", "--debug", code=1)
    assert execute([*words, "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_inside_a_task_closes_it(
    data: list[str], model: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: Capsys,
) -> None:  # fmt: skip
    from napari_fossiledit.models import TorchvisionRCNN

    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TorchvisionRCNN, "predict", stop)
    words = ["segment", data[0], *model, "--out", str(tmp_path / "l.tif")]
    _refused(words, capsys, "Stopped", code=130)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_ctrl_c_leaves_nothing_half_written(tmp_path: Path) -> None:
    out = tmp_path / "reef"
    command = [sys.executable, "-c", START, "sample", str(out), "--shape", "400,256,256"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        started = time.monotonic()
        while not list(tmp_path.rglob("0001.png")) and time.monotonic() - started < 60:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert error.strip() == "Stopped: nothing was left half-written."
    assert list(tmp_path.iterdir()) == []


def test_help_is_quick_and_without_torch_or_numpy() -> None:
    code = (
        "import sys; from napari_fossiledit.cli import execute; execute(['segment', '--help']); "
        "print([m for m in ('torch', 'numpy', 'qtpy', 'napari', 'dask') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_exit_code_of_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, "segment", "missing", "--out", "x.tif"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "There is no stack missing: check the name."
    assert done.stdout == ""
