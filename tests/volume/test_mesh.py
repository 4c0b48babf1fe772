from __future__ import annotations

import sys

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from solids import Size, sphere, torus

from napari_fossiledit import sample, volume
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
    assert mesh.thin == (0 if smooth else 1)


@pytest.mark.parametrize("size", [REEF, (0.2, 0.1, 0.3), (0.1, 0.3, 0.3), (0.15, 0.15, 0.15)])
def test_volume_and_area_of_spheres_and_tori(size: Size) -> None:
    solids = {
        (4 / 3 * np.pi * 3.5**3, 4 * np.pi * 3.5**2): sphere(3.5, size, 1),
        (2 * np.pi**2 * 3.5 * 1.5**2, 4 * np.pi**2 * 3.5 * 1.5): torus(3.5, 1.5, size, 2),
        (2 * np.pi**2 * 4 * 2**2, 4 * np.pi**2 * 4 * 2): torus(4, 2, size, 0),
    }
    for (volume_mm3, area), solid in solids.items():
        mesh = volume.mesh(solid.astype(int), 1, size)
        _closed(mesh)
        assert mesh.volume == pytest.approx(volume_mm3, rel=0.01)
        assert mesh.area == pytest.approx(area, rel=0.02)
    table = volume.measure(solid.astype(int), size)
    assert table["surface_mm2"].tolist() == [mesh.area]


def test_bare_voxels_overstate_the_area_that_smoothing_finds() -> None:
    solid = sphere(3.5, REEF, 1).astype(int)
    bare = volume.mesh(solid, 1, REEF, smooth=False)
    _closed(bare)
    assert bare.area > 1.08 * 4 * np.pi * 3.5**2


@pytest.mark.parametrize("size", [REEF, (0.2, 0.1, 0.3), (0.1, 0.3, 0.3), (0.15, 0.15, 0.15)])
@pytest.mark.parametrize("width", [1, 2])
def test_thin_plates_and_rods_do_not_vanish(size: Size, width: int) -> None:
    long, wide = 14, 10
    for shape in ((width, wide, long), (wide, width, long), (wide, long, width)):
        plate = np.ones(shape, int)
        mesh = volume.mesh(plate, 1, size)
        made = _closed(mesh)
        assert mesh.volume == pytest.approx(plate.size * np.prod(size), rel=0.002)
        assert made.body_count == 1
        # It is as long and wide as its voxels, but for its rounded rim.
        assert np.all(np.ptp(mesh.vertices, axis=0) >= (np.array(shape) - 0.999) * size * 0.8)
    for shape in ((width, width, long), (long, width, width), (width, width, width)):
        _closed(volume.mesh(np.ones(shape, int), 1, size))


def test_a_thin_wall_and_a_thin_gap_of_a_stout_body_are_kept() -> None:
    body = np.zeros((12, 40, 60), bool)
    body[:, 5:35, 5:25] = True
    body[:, 20, 25:55] = True  # a wall of one pixel stands off
    body[2:10, 8:32, 14] = False  # a gap of one pixel lies within
    mesh = volume.mesh(body.astype(int), 1, REEF)
    made = _closed(mesh)
    assert 0 < mesh.thin < 0.5
    assert mesh.volume == pytest.approx(body.sum() * np.prod(REEF), rel=0.002)
    assert mesh.vertices[:, 2].max() > 53 * REEF[2]
    assert made.body_count == 2  # the outer surface, and that of the gap


def test_a_tilted_plate_has_no_steps() -> None:
    z, y, x = np.mgrid[:16, :60, :60]
    slope = (z >= 2) & (z < 14) & (abs(y - 12 - 2.5 * z) < 6) & (abs(x - 30) < 20)
    mesh = volume.mesh(slope.astype(int), 1, REEF)
    made = _closed(mesh)
    normals, middle = made.face_normals, made.triangles_center
    depth, row = middle[:, 2] / REEF[0], middle[:, 1] / REEF[1]
    side = (abs(row - 12 - 2.5 * depth) > 5) & (depth > 4) & (depth < 11)
    side &= abs(middle[:, 0] / REEF[2] - 30) < 14
    tilt = np.degrees(np.arctan2(abs(normals[side, 2]), abs(normals[side, 1])))
    true = np.degrees(np.arctan2(2.5 * REEF[1], REEF[0]))
    assert side.sum() > 500
    assert np.percentile(abs(tilt - true), 95) < 6  # steps are 0 and 90 degrees


def test_meshes_of_the_reef_keep_their_volume_within_one_percent() -> None:
    reef = sample.reef(seed=3, shape=(12, 96, 96))
    table = volume.measure(reef.labels, reef.voxel_size).set_index("id")
    found = volume.meshes(reef.labels, reef.voxel_size)
    assert len(found) == len(table) >= 3
    for i, mesh in found.items():
        _closed(mesh)
        assert mesh.volume == pytest.approx(table["volume_mm3"][i], rel=0.01)
        assert mesh.area == table["surface_mm2"][i]


@pytest.mark.parametrize("smooth", [True, False])
def test_a_helix_is_not_mirrored(smooth: bool) -> None:
    """Clockwise with depth in the photographs: right-handed in x, y, z."""
    turn = np.linspace(0, 4 * np.pi, 600)
    labels = np.zeros((24, 50, 50), int)
    for angle in turn:
        # Seen with rows downward, x to y is clockwise.
        x, y = 25 + 16 * np.cos(angle), 25 + 16 * np.sin(angle)
        z = 2 + angle / (4 * np.pi) * 20
        labels[round(z), round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3] = 1
    made = _closed(volume.mesh(labels, 1, REEF, smooth=smooth))
    assert made.volume > 0
    x, y, z = (made.vertices - np.array([25 * 0.145, 25 * 0.145, 0])).T
    bins = np.digitize(z, np.arange(1.75, 11, 0.5))
    angles = [np.arctan2(y[bins == b].mean(), x[bins == b].mean()) for b in np.unique(bins)]
    steps = np.diff(np.unwrap(angles))
    assert np.all(steps[1:-1] > 0)  # with growing z from x towards y: a right-handed screw
    assert np.sum(steps) == pytest.approx(4 * np.pi, rel=0.2)


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(np.bool_, (4, 5, 6), fill=st.nothing()),
    st.sampled_from([REEF, (0.2, 0.1, 0.3), (0.01, 1, 1), (3, 0.1, 1), (1, 0.01, 0.01)]),
    st.booleans(),
)
def test_whatever_the_voxels_the_mesh_is_closed_and_has_their_volume(
    mask: np.ndarray, size: Size, smooth: bool
) -> None:
    if mask.any():
        mesh = volume.mesh(mask.astype(int), 1, size, smooth=smooth)
        _closed(mesh)
        assert mesh.volume == pytest.approx(mask.sum() * np.prod(size), rel=0.002)


def test_a_huge_specimen_is_meshed_from_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    solid = sphere(4, REEF).astype(int)
    fine = volume.mesh(solid, 1, REEF)
    monkeypatch.setattr(sys.modules["napari_fossiledit.volume.mesh"], "_LARGEST", 40_000)
    coarse = volume.mesh(solid, 1, REEF)
    _closed(coarse)
    assert len(coarse.faces) < len(fine.faces) / 3
    assert coarse.volume == pytest.approx(fine.volume, rel=0.002)
    assert coarse.area == pytest.approx(fine.area, rel=0.02)
    assert coarse.vertices.mean(0) == pytest.approx(fine.vertices.mean(0), abs=0.1)
    comb = np.zeros((40, 120, 120), int)
    comb[:, :, ::6] = comb[:, 60] = 1
    with pytest.raises(InputError, match="Specimen 1 is too large"):
        volume.mesh(comb, 1, REEF)
    assert np.isnan(volume.measure(comb, REEF)["surface_mm2"]).tolist() == [True]


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
