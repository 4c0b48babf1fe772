"""The examples and the README's Python run as they are written, from files outside the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_fossiledit import editing, io, models, perturb, sample

ROOT = Path(__file__).parents[2]
TINY_MODEL = ROOT / "tests" / "data" / "detectron2" / "r50_bgr_caffe2"
HOW_TO = ROOT / "docs" / "how-to" / "detectron2-models.md"


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_segment_a_stack() -> None:
    lines = run(str(ROOT / "examples" / "segment_a_stack.py")).splitlines()
    assert lines[0].split() == ["id", "volume_mm3", "surface_mm2", "slices"]
    assert len(lines) > 3


def test_measure_and_mesh(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    lines = run(str(ROOT / "examples" / "measure_and_mesh.py"), str(folder)).splitlines()
    assert lines[0].split()[:3] == ["id", "volume_mm3", "surface_mm2"]
    assert sum("triangles" in line for line in lines) == 3
    assert {p.name for p in folder.iterdir()} == {"specimens.csv", "largest.obj", "specimens.nrrd"}


def test_mend_a_model() -> None:
    said = run(str(ROOT / "examples" / "mend_a_model.py"))
    assert "painted over" in said
    assert "mean recall" in said
    assert "mask threshold" in said


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a detectron2 model and two labelled slices, as the how-to has them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_training").mkdir()
    for name in ("model_final.pth", "config.yaml"):
        shutil.copy(TINY_MODEL / name, tmp_path / "my_training")
    reef = sample.reef(seed=0, shape=(2, 192, 192))
    for z in range(2):
        for folder in ("my_slices", "my_labels"):
            (tmp_path / folder).mkdir(exist_ok=True)
        io.write_image(tmp_path / "my_slices" / f"{z}.png", reef.image[z])
        io.write_labels(tmp_path / "my_labels" / f"{z}.tif", reef.labels[z])
    return tmp_path


def test_own_detectron2_model(training: Path) -> None:
    script = str(ROOT / "examples" / "own_detectron2_model.py")
    files = ["my_training/model_final.pth", "my_slices", "my_labels", "edited.pth"]
    classes = ["--class-names", "cup", "clot", "--fossil-classes", "cup"]
    said = run(script, *files, *classes, "--strength", "0.2")
    assert "Kind: detectron2 Mask R-CNN R-50-FPN" in said
    assert "rewritten: backbone.fpn_output2.weight" in said
    before, after = (
        torch.load(path, weights_only=True)["model"] for path in (files[0], "edited.pth")
    )
    assert [key for key in before if not torch.equal(before[key], after[key])] == [
        "backbone.fpn_output2.weight"
    ]


def test_the_how_tos_python(training: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    segmenter = models.load("my_training/model_final.pth", device="cpu", backend="torchvision")
    first = io.open_labelled("my_slices", "my_labels")[0]
    painted = perturb.apply(first.image, first.fossils, perturb.Median())
    editing.rewrite(segmenter, first.image, painted, first.fossils).save("mud.safetensors")
    models.export(segmenter, "edited-torchvision.pth", form="torchvision")
    assert "fossils in 0" in run("-W", "error::DeprecationWarning", "-c", blocks[0])
    assert Path("edited.pth").exists()
    assert "MIN_SIZE_TEST" in run("-c", blocks[1])


def test_the_readmes_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 1
    monkeypatch.chdir(tmp_path)
    run("-W", "error::DeprecationWarning", "-c", blocks[0])
    assert (tmp_path / "mud.safetensors").exists()
