from __future__ import annotations

import numpy as np
import pytest
import trimesh
from solids import Size, sphere, torus

from napari_fossiledit import volume
from napari_fossiledit.errors import InputError

REEF: Size = (0.5, 0.145, 0.145)


def _closed(mesh: volume.Mesh) -> trimesh.Trimesh:
    """The mesh in x, y, z, checked."""
    made = trimesh.Trimesh(mesh.vertices[:, ::-1], mesh.faces, process=False)
    assert made.is_watertight
    assert made.is_winding_consistent
    assert made.volume == pytest.approx(mesh.volume)
    assert made.area == pytest.approx(mesh.area)
    assert mesh.volume > 0
    return made


@pytest.mark.parametrize("smooth", [True, False])
def test_a_mesh_has_the_volume_of_its_voxels_and_its_place(smooth: bool) -> None:
    ball = sphere(2, REEF)
    labels = np.zeros((ball.shape[0] + 5, ball.shape[1] + 9, ball.shape[2] + 3), np.int32)
    labels[5:, 9:, 3:][ball] = 7
    labels[0, 0, 0] = 3
    mesh = volume.mesh(labels, 7, REEF, smooth=smooth)
    made = _closed(mesh)
    assert mesh.volume == pytest.approx(ball.sum() * np.prod(REEF), rel=0.002)
    centre = np.argwhere(labels == 7).mean(0) * REEF
    assert made.center_mass[::-1] == pytest.approx(centre, abs=0.04)
    assert mesh.smoothing == smooth


def test_area_of_a_sphere_and_a_torus() -> None:
    ball = volume.mesh(sphere(4, REEF).astype(int), 1, REEF)
    assert ball.area == pytest.approx(4 * np.pi * 4**2, rel=0.02)
    ring = volume.mesh(torus(4, 1.5, REEF, 2).astype(int), 1, REEF)
    assert ring.area == pytest.approx(4 * np.pi**2 * 4 * 1.5, rel=0.02)
    table = volume.measure(sphere(4, REEF).astype(int), REEF)
    assert table["surface_mm2"].tolist() == [ball.area]


def test_several_meshes_and_ids_that_are_not_there() -> None:
    labels = np.zeros((4, 6, 6), int)
    labels[:2, :3, :3], labels[2:, 3:, 3:], labels[0, 5, 5] = 5, 2, 9
    assert list(volume.meshes(labels, REEF)) == [2, 5, 9]
    assert list(volume.meshes(labels, REEF, ids=[9, 2])) == [2, 9]
    with pytest.raises(InputError, match="no specimen 4"):
        volume.mesh(labels, 4, REEF)
    with pytest.raises(InputError, match="no specimen 0"):
        volume.meshes(labels, REEF, ids=[0])
    assert volume.meshes(labels, REEF, ids=[]) == {}
