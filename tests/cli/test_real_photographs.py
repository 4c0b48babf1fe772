"""Real photographs go through segment, probe, edit and evaluate with the demo model.

Six images to edit with and one to test on, of river gravel (`tests/data/gravel_imagegrains`, Mair
et al. 2023, BSD-3-Clause). The demo model has never seen gravel: the figures may be poor, the
commands must not be.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_fossiledit import io
from napari_fossiledit.cli import execute

GRAVEL = Path(__file__).parents[1] / "data" / "gravel_imagegrains"
TRAIN, TEST = GRAVEL / "train", GRAVEL / "test"
DEMO = ["--model", "demo", "--device", "cpu"]


@pytest.fixture(scope="module")
def edit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An edit made with one training image, its strength chosen on another."""
    two = tmp_path_factory.mktemp("two")
    for name in ("2_P1060338_0", "1_P1060330_1"):
        shutil.copy(TRAIN / f"{name}.jpg", two)
        shutil.copy(TRAIN / f"{name}_mask.png", two)
    out = tmp_path_factory.mktemp("edit") / "gravel.safetensors"
    words = ["edit", str(two), str(two), *DEMO, "--slice", "2_P1060338_0", "--out", str(out)]
    assert execute([*words, "--json", str(out.with_suffix(".json"))]) == 0
    return out


def test_images_and_masks_are_paired() -> None:
    train, test = io.open_labelled(TRAIN, TRAIN), io.open_labelled(TEST, TEST)
    assert (len(train), len(test)) == (6, 1)
    assert sum(len(np.unique(piece.labels)) - 1 for piece in train + test) == 948


def test_segment(tmp_path: Path) -> None:
    for folder, count in ((TRAIN, 6), (TEST, 1)):
        out, figures = tmp_path / f"{count}.tif", tmp_path / f"{count}.json"
        words = ["segment", str(folder), *DEMO, "--out", str(out), "--json", str(figures)]
        assert execute(words) == 0
        labels = io.read_labels(out).reshape(count, 512, 512)
        found = json.loads(figures.read_text())["slices"]
        for row, image in zip(found, labels, strict=True):
            # An instance that lies wholly under others of higher confidence has no pixel left.
            assert 0 < image.max() <= row["instances"]


def test_probe(tmp_path: Path) -> None:
    figures = tmp_path / "probe.json"
    assert execute(["probe", str(TRAIN), str(TRAIN), *DEMO, "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    assert {version["total"] for version in found["versions"].values()} == {948 - 152}
    assert found["diagnosis"]


def test_edit(edit_file: Path) -> None:
    found = json.loads(edit_file.with_suffix(".json").read_text())
    assert 0 < found["strength"] <= 1.5
    assert found["provenance"]["slice"] == "2_P1060338_0"
    # The solution is better than no edit on the very features that it was made from.
    assert all(curve[-1] < curve[0] for curve in found["losses"].values())


def test_evaluate(edit_file: Path, tmp_path: Path) -> None:
    figures = tmp_path / "evaluation.json"
    words = ["evaluate", str(TEST), str(TEST), *DEMO, "--edit", str(edit_file)]
    assert execute([*words, "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    for scores in (found, found["before"]):
        assert scores["total"] == 152
        assert 0 < scores["matched"] <= 152
        assert scores["confuser_share"] is None
        for name in ("precision", "recall", "iou"):
            assert 0 <= scores["all_mean"][name] <= scores["matched_mean"][name] <= 1
