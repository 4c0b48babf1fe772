from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from solids import Size, sphere, torus

from napari_fossiledit import volume
from napari_fossiledit.errors import InputError, OutputError

REEF: Size = (0.5, 0.145, 0.145)
FORMATS = ("stl", "ply", "obj", "glb")


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    ball, ring = sphere(2, REEF), torus(3, 1, REEF, 1)
    out = np.zeros((30, 90, 150), np.int32)
    out[2:, 3:, 4:][tuple(map(slice, ball.shape))][ball] = 7
    out[5:, 10:, 60:][tuple(map(slice, ring.shape))][ring] = 40
    return out


@pytest.fixture(scope="module")
def meshes(labels: np.ndarray) -> dict[int, volume.Mesh]:
    return volume.meshes(labels, REEF)


def _read(path: Path) -> trimesh.Trimesh:
    made = trimesh.load(path, force="mesh")
    if path.suffix == ".glb":
        made.apply_scale(1000)
    return made


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_read_back_is_closed_and_lies_where_the_voxels_lie(
    kind: str, meshes: dict[int, volume.Mesh], labels: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / f"Schädel 7.{kind}"
    volume.write_mesh(path, meshes[7])
    made = _read(path)
    assert made.is_watertight
    assert made.is_winding_consistent
    assert made.volume == pytest.approx((labels == 7).sum() * np.prod(REEF), rel=0.01)
    z, y, x = np.argwhere(labels == 7).mean(0) * REEF
    assert made.center_mass == pytest.approx([x, y, z], abs=0.03)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", FORMATS)
def test_several_specimens_in_one_scene(
    kind: str, meshes: dict[int, volume.Mesh], tmp_path: Path
) -> None:
    path = tmp_path / f"scene.{kind}"
    volume.write_mesh(path, meshes)
    made = _read(path)
    assert made.is_watertight
    assert made.body_count == 2
    assert made.volume == pytest.approx(sum(m.volume for m in meshes.values()), rel=1e-3)
    low, high = (
        f([f(m.vertices, axis=0) for m in meshes.values()], axis=0) for f in (np.min, np.max)
    )
    assert made.bounds == pytest.approx(np.array([low, high])[:, ::-1], abs=1e-4)


def test_objects_have_names_and_colours(meshes: dict[int, volume.Mesh], tmp_path: Path) -> None:
    for kind in ("obj", "glb"):
        volume.write_mesh(tmp_path / f"scene.{kind}", meshes)
    obj = trimesh.load_scene(tmp_path / "scene.obj", split_objects=True, group_material=False)
    glb = trimesh.load(tmp_path / "scene.glb")
    for scene in (obj, glb):
        assert set(scene.geometry) == {"specimen_0007", "specimen_0040"}
        for i, mesh in meshes.items():
            made = scene.geometry[volume.mesh_files.mesh_name(i)]
            assert len(made.faces) == len(mesh.faces)
            assert np.all(made.visual.vertex_colors[:, :3] == volume.mesh_files.color_of(i))


def test_a_ply_tells_the_specimen_of_every_vertex(
    meshes: dict[int, volume.Mesh], tmp_path: Path
) -> None:
    volume.write_mesh(tmp_path / "s.ply", meshes, colors={7: np.array([1, 2, 3], np.uint8)})
    made = trimesh.load(tmp_path / "s.ply", process=False)
    specimen = made.metadata["_ply_raw"]["vertex"]["data"]["specimen"].ravel()
    assert np.bincount(specimen)[[7, 40]].tolist() == [len(m.vertices) for m in meshes.values()]
    colors = made.visual.vertex_colors[:, :3]
    assert np.all(colors[specimen == 7] == (1, 2, 3))
    assert np.all(colors[specimen == 40] == volume.mesh_files.color_of(40))


def test_units_become_millimetres(meshes: dict[int, volume.Mesh], tmp_path: Path) -> None:
    for unit, factor in (("um", 1e-3), ("cm", 10), ("pixel", 1)):
        volume.write_mesh(tmp_path / "s.stl", meshes[7], unit=unit)
        assert _read(tmp_path / "s.stl").extents == pytest.approx(
            np.ptp(meshes[7].vertices, axis=0)[::-1] * factor, rel=1e-4
        )
    with pytest.raises(InputError, match="no unit of length"):
        volume.write_mesh(tmp_path / "s.stl", meshes[7], unit="parsec")


@pytest.mark.parametrize("kind", FORMATS)
def test_one_file_a_specimen(kind: str, meshes: dict[int, volume.Mesh], tmp_path: Path) -> None:
    folder = tmp_path / "Höhle 1"
    written = volume.write_meshes(folder, iter(meshes.items()), format=kind)
    assert [p.name for p in written] == [f"specimen_0007.{kind}", f"specimen_0040.{kind}"]
    assert sorted(folder.iterdir()) == written
    assert all(_read(p).is_watertight for p in written)
    assert volume.write_meshes(folder, meshes, format="." + kind) == written


def test_far_from_the_origin_a_file_of_single_precision_stays_closed(tmp_path: Path) -> None:
    ball = sphere(1.5, REEF)
    labels = np.zeros((ball.shape[0], ball.shape[1] + 2900, ball.shape[2] + 2900), np.uint8)
    labels[:, 2900:, 2900:] = ball
    volume.write_mesh(tmp_path / "far.stl", volume.mesh(labels, 1, REEF))
    made = _read(tmp_path / "far.stl")
    assert made.is_watertight
    assert made.bounds[0, 0] > 420


def test_what_cannot_be_written(meshes: dict[int, volume.Mesh], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.stl, \.ply, \.obj, \.glb"):
        volume.write_mesh(tmp_path / "s.fbx", meshes)
    with pytest.raises(InputError, match="no mesh"):
        volume.write_mesh(tmp_path / "s.stl", {})
    with pytest.raises(InputError, match=r"\.stl, \.ply"):
        volume.write_meshes(tmp_path / "no", meshes, format="dwg")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="no folder"):
        volume.write_mesh(tmp_path / "no" / "s.stl", meshes)


def test_a_full_disk_leaves_what_was_there(meshes: dict[int, volume.Mesh], full_disk: Path) -> None:
    with pytest.raises(OutputError, match="disk is full"):
        volume.write_mesh(full_disk / "s.obj", meshes)
    assert list(full_disk.iterdir()) == []
