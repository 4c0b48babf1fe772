"""Stacks of every kind on the command line, with the voxel size that the user gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_fossiledit import io
from napari_fossiledit.cli import execute

Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def stack(reef: Path, tmp_path: Path) -> Path:
    """The reef as a plain zarr array, which tells no voxel size."""
    path = tmp_path / "réef 1.zarr"
    zarr.create_array(path, data=np.asarray(io.open_stack(reef / "images").images))
    return path


def test_a_zarr_is_segmented_with_the_size_that_is_given(
    stack: Path, tiny_model: Path, tmp_path: Path
) -> None:
    for name in ("found.tif", "found.ome.zarr"):
        out = tmp_path / name
        words = ["segment", str(stack), "--model", str(tiny_model), "--out", str(out)]
        assert execute([*words, "--voxel-size", "0.5,0.1,0.2"]) == 0
        found = io.open_labels(out)
        assert found.voxel_size == pytest.approx((0.5, 0.1, 0.2))
        assert found.shape == (3, 64, 96)


@pytest.mark.parametrize("size", ["0,1,1", "1,-1,1", "1,nan,1", "1,1", "a,b,c"])
def test_impossible_sizes_are_refused(
    stack: Path, tiny_model: Path, tmp_path: Path, size: str, capsys: Capsys
) -> None:
    words = ["segment", str(stack), "--model", str(tiny_model), "--out", str(tmp_path / "f.tif")]
    assert execute([*words, f"--voxel-size={size}"]) == 2
    said = capsys.readouterr().err
    assert "cannot be: give three lengths above 0" in said
    assert "Traceback" not in said
    assert not (tmp_path / "f.tif").exists()
