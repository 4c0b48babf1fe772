from __future__ import annotations

from pathlib import Path

import dask.array as da
import nrrd
import numpy as np
import pytest

from napari_fossiledit import io, volume
from napari_fossiledit.errors import InputError, OutputError

REEF = (0.5, 0.145, 0.2)


@pytest.fixture
def labels() -> np.ndarray:
    out = np.zeros((4, 5, 7), np.int32)
    out[1, 2, 3], out[3, 4, 6], out[0, 0, 1] = 9, 40_000, 3
    return out


def test_nrrd_has_size_orientation_and_labels(labels: np.ndarray, tmp_path: Path) -> None:
    for source in (labels, da.from_array(labels, chunks=(2, 5, 7))):
        volume.write_volume(tmp_path / "v.nrrd", source, REEF)
        data, header = nrrd.read(str(tmp_path / "v.nrrd"))
        assert data.shape == (7, 5, 4)  # x, y, z
        assert np.array_equal(data.T, labels)
        assert data.dtype == np.uint16
        assert header["sizes"].tolist() == [7, 5, 4]
        assert np.array_equal(header["space directions"], np.diag([0.2, 0.145, 0.5]))
        assert header["space origin"].tolist() == [0, 0, 0]
        assert header["space units"] == ["mm", "mm", "mm"]
        # The meshes lie in it: a vertex in mm, over the spacing, is a place in the array.
        vertices = volume.mesh(labels, 9, REEF).vertices[:, ::-1]
        place = np.linalg.inv(header["space directions"]) @ vertices.mean(0)
        assert data[tuple(np.round(place).astype(int))] == 9


def test_many_ids_take_more_bits_and_the_bytes_repeat(labels: np.ndarray, tmp_path: Path) -> None:
    labels[2, 2, 2] = 2**31 - 1
    for name in ("a.nrrd", "b.nrrd"):
        volume.write_volume(tmp_path / name, labels, REEF)
    data, _ = nrrd.read(str(tmp_path / "a.nrrd"))
    assert data.dtype == np.int32
    assert np.array_equal(data.T, labels)
    assert (tmp_path / "a.nrrd").read_bytes() == (tmp_path / "b.nrrd").read_bytes()


def test_tiff_keeps_its_voxel_size(labels: np.ndarray, tmp_path: Path) -> None:
    volume.write_volume(tmp_path / "v.tif", labels, REEF)
    assert np.array_equal(io.read_labels(tmp_path / "v.tif"), labels)
    assert io.open_stack(tmp_path / "v.tif").voxel_size == REEF


def test_what_cannot_be_written(labels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.nrrd or \.tif"):
        volume.write_volume(tmp_path / "v.mha", labels, REEF)
    with pytest.raises(InputError, match="size of a voxel"):
        volume.write_volume(tmp_path / "v.nrrd", labels, (0, 1, 1))
    bad = labels.copy()
    bad[3, 0, 0] = -1
    with pytest.raises(InputError, match="Slice 3 has negative"):
        volume.write_volume(tmp_path / "v.nrrd", bad, REEF)
    with pytest.raises(InputError, match="Slice 3 has negative"):
        volume.write_volume(tmp_path / "v.tif", bad, REEF)
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_is_closed_leaves_nothing(labels: np.ndarray, tmp_path: Path) -> None:
    task = volume.write_volume_task(tmp_path / "v.nrrd", labels, REEF)
    for _ in range(6):
        next(task)
    task.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said(full_disk: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 60_000, (20, 60, 60))
    with pytest.raises(OutputError, match="disk is full"):
        volume.write_volume(full_disk / "v.nrrd", noise, REEF)
    assert list(full_disk.iterdir()) == []
