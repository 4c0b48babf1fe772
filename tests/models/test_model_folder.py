from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models.model_folder import weights_in


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_the_end_of_the_training_counts_more_than_its_steps(tmp_path: Path) -> None:
    fill(tmp_path, "config.yaml", "model_0004999.pth", "mud.safetensors", "model_final.pkl")
    assert weights_in(tmp_path) == tmp_path / "model_final.pkl"
    fill(tmp_path, "model_final.pth")
    assert weights_in(tmp_path) == tmp_path / "model_final.pth"


def test_the_only_weights_are_meant(tmp_path: Path) -> None:
    fill(tmp_path, "config.yaml", "metrics.json", "coral.PT")
    (tmp_path / "older.pth").mkdir()
    assert weights_in(tmp_path) == tmp_path / "coral.PT"


def test_what_is_unclear_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no weights"):
        weights_in(tmp_path)
    fill(tmp_path, "a.pth", "b.pth", "c.pkl", "d.pt")
    with pytest.raises(ModelError, match=r"4 files of weights \(a.pth, b.pth, c.pkl, ...\): cho"):
        weights_in(tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        weights_in(tmp_path / "a.pth")


def test_looking_brings_no_torch() -> None:
    code = "import sys, napari_fossiledit.models.model_folder; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
