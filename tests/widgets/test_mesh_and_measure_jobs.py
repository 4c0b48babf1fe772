from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_fossiledit.errors import InputError, OutputError
from napari_fossiledit.progress import run
from napari_fossiledit.widgets.measure_jobs import save_table, specimen_table_task
from napari_fossiledit.widgets.mesh_jobs import mesh_scene_task, save_meshes_task

SIZE = (0.5, 0.2, 0.2)


def helix(turns: float = 1.5, *, left: bool = False) -> np.ndarray:
    """A tube that winds into the rock: clockwise as one looks into it (a right-handed screw)."""
    labels = np.zeros((24, 40, 40), np.int32)
    y, x = np.mgrid[:40, :40]
    for z in range(2, 22):
        angle = 2 * np.pi * turns * (z - 2) / 20 * (-1 if left else 1)
        # x to the right and y down: a growing angle turns clockwise.
        cy, cx = 20 + 11 * np.sin(angle), 20 + 11 * np.cos(angle)
        labels[z][(y - cy) ** 2 + (x - cx) ** 2 < 25] = 3
    return labels


def winding(points: np.ndarray) -> float:
    """Total turn (radians) of (z, y, x) points around the middle, clockwise with growing z."""
    order = np.argsort(points[:, 0], kind="stable")
    z = np.round(points[order, 0], 6)
    levels = [points[order][z == level][:, 1:].mean(0) for level in np.unique(z)]
    centred = np.array(levels) - [20, 20]
    return float(np.unwrap(np.arctan2(centred[:, 0], centred[:, 1]))[[0, -1]] @ [-1, 1])


def test_the_scene_lies_on_the_labels_and_is_not_mirrored() -> None:
    labels = helix()
    scene = run(mesh_scene_task(labels, SIZE, [3], smooth=False))
    inside = np.argwhere(labels == 3)
    for axis in range(3):
        low, high = scene.vertices[:, axis].min(), scene.vertices[:, axis].max()
        assert low == pytest.approx(inside[:, axis].min() - 0.5, abs=0.51)
        assert high == pytest.approx(inside[:, axis].max() + 0.5, abs=0.51)
    layers = scene.vertices.copy()
    layers[:, 0] = np.round(layers[:, 0])
    middle = layers[(layers[:, 0] > 3) & (layers[:, 0] < 20)]
    assert winding(inside.astype(float)) > 6  # more than a turn, clockwise
    assert winding(middle) > 5
    mirrored = run(mesh_scene_task(helix(left=True), SIZE, [3], smooth=False))
    assert winding(np.c_[np.round(mirrored.vertices[:, 0]), mirrored.vertices[:, 1:]]) < -5


def test_written_meshes_are_the_same_screw(tmp_path) -> None:
    """x, y and z of a file are columns, rows and slices: right-handed, and so is the screw."""
    import trimesh

    path = tmp_path / "helix.stl"
    written = run(save_meshes_task(helix(), SIZE, [3], path, smooth=True, unit="mm"))
    assert written == [path]
    mesh = trimesh.load(path)
    assert mesh.is_watertight
    assert mesh.volume > 0  # normals outward
    points = mesh.vertices[:, ::-1] / np.array(SIZE)
    points = points[(points[:, 0] > 3) & (points[:, 0] < 20)]
    points[:, 0] = np.round(points[:, 0])
    assert winding(points) > 5


def test_a_folder_gets_a_file_for_each(tmp_path) -> None:
    labels = helix()
    labels[:5, :6, :6] = 8
    written = run(save_meshes_task(labels, SIZE, None, tmp_path / "all", smooth=False, unit="mm"))
    assert len(written) == 2
    assert all(p.exists() and p.suffix == ".stl" for p in written)


def test_slices_before_the_first_are_no_part_of_the_layer() -> None:
    labels = np.ones((4, 6, 6), np.int32)
    scene = run(mesh_scene_task(labels, SIZE, [1], smooth=False))
    assert scene.vertices[:, 0].min() == 0
    assert scene.vertices[:, 0].max() == 3
    assert scene.light.min() > 0.2
    assert scene.light.max() <= 1
    assert set(scene.face_ids) == set(scene.vertex_ids) == {1}


def test_faces_are_outward_in_z_y_x_as_napari_takes_them() -> None:
    labels = np.zeros((6, 8, 8), np.int32)
    labels[2:4, 2:6, 2:6] = 1
    scene = run(mesh_scene_task(labels, SIZE, [1], smooth=False))
    corners = scene.vertices[scene.faces]
    volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert volume > 0


def test_a_table_in_the_layers_unit() -> None:
    table = run(specimen_table_task(helix(), "found", SIZE, "um", surface=False))
    assert table["volume_um3"].iloc[0] == pytest.approx((helix() > 0).sum() * 0.02)
    assert "mean_score" not in table  # of which nothing is known
    with pytest.raises(InputError, match="different units"):
        run(specimen_table_task(helix(), "found", SIZE, "", surface=False))
    with pytest.raises(InputError, match="empty"):
        run(specimen_table_task(helix() * 0, "found", SIZE, "mm", surface=False))


def test_tables_come_back_as_they_were(tmp_path) -> None:
    table = pd.DataFrame({"id": [1, 20], "volume_mm3": [0.1234567891, np.nan]})
    csv = save_table(table, tmp_path / "a")
    assert csv.name == "a.csv"
    pd.testing.assert_frame_equal(pd.read_csv(csv), table)
    parquet = save_table(table, tmp_path / "ä b.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), table)
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        save_table(table, tmp_path / "a.xlsx")
    with pytest.raises(OutputError):
        save_table(table, tmp_path / "nowhere" / "a.csv")
