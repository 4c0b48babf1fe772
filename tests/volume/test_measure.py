from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.transform import Rotation
from solids import Size, ellipsoid, sphere, torus

from napari_fossiledit import io, volume
from napari_fossiledit.errors import InputError
from napari_fossiledit.volume.sections import runs

REEF: Size = (0.5, 0.145, 0.145)
volumes = arrays.arrays(np.int32, (3, 4, 5), elements=st.integers(0, 4))


def _plain(labels: object, size: Size = (1, 1, 1), **more: object) -> pd.DataFrame:
    return volume.measure(labels, size, surface=False, **more)  # type: ignore[arg-type]


def test_the_columns_are_those_that_are_documented() -> None:
    table = _plain(np.ones((1, 1, 1), int))
    words = "id voxels volume_mm3 surface_mm2 equivalent_diameter_mm z_first z_last slices"
    for axis in "zyx":
        words += f" bbox_{axis}_min_mm bbox_{axis}_max_mm"
    words += " centroid_z_mm centroid_y_mm centroid_x_mm length_mm width_mm height_mm elongation"
    words += " flatness axis_z axis_y axis_x plunge_deg azimuth_deg mean_section_mm2"
    assert list(table) == [*words.split(), "max_section_mm2", "mean_score"]
    assert table.notna().sum().sum() == len(table.columns) - 7  # no surface, axis, score
    assert set(_plain(np.ones((1, 1, 1), int), unit="um")) >= {"volume_um3", "bbox_z_min_um"}


def test_a_box_and_a_gap_in_every_kind_of_array() -> None:
    labels = np.zeros((6, 10, 10), np.int32)
    labels[1:4, 2:6, 3:8] = 4
    labels[0, 0, 0] = labels[5, 0, 0] = 9
    on_disk = zarr.create_array(store={}, shape=labels.shape, chunks=(4, 5, 5), dtype="int32")
    on_disk[:] = labels
    sources = [labels, da.from_array(labels, chunks=(1, 10, 10)), on_disk]
    sources += [da.from_array(labels, chunks=((4, 2), 5, 5)), labels.astype(np.uint64)]
    tables = [volume.measure(source, (0.5, 0.1, 0.2)) for source in sources]
    for table in tables:
        pd.testing.assert_frame_equal(table, tables[0])
    box = tables[0].iloc[0]
    assert tables[0]["id"].tolist() == [4, 9]
    assert tables[0]["voxels"].tolist() == [60, 2]
    assert tables[0]["slices"].tolist() == [3, 2]
    assert box["volume_mm3"] == pytest.approx(1.5 * 0.4 * 1.0)
    assert box["equivalent_diameter_mm"] == pytest.approx((6 * 0.6 / np.pi) ** (1 / 3))
    assert (box["z_first"], box["z_last"]) == (1, 3)
    assert (box["bbox_z_min_mm"], box["bbox_z_max_mm"]) == pytest.approx((0.25, 1.75))
    assert (box["bbox_y_min_mm"], box["bbox_y_max_mm"]) == pytest.approx((0.15, 0.55))
    assert (box["bbox_x_min_mm"], box["bbox_x_max_mm"]) == pytest.approx((0.5, 1.5))
    assert (box["centroid_z_mm"], box["centroid_y_mm"]) == pytest.approx((1.0, 0.35))
    assert box["centroid_x_mm"] == pytest.approx(1.0)
    # A box's variance along a side is s²/12, an ellipsoid's L²/20.
    lengths = np.array([1.5, 1.0, 0.4]) * np.sqrt(20 / 12)
    assert box[["length_mm", "width_mm", "height_mm"]].tolist() == pytest.approx(lengths)
    assert (box["elongation"], box["flatness"]) == pytest.approx((1.5, 2.5))
    assert box[["axis_z", "axis_y", "axis_x"]].tolist() == pytest.approx([1, 0, 0])
    assert box["plunge_deg"] == pytest.approx(90)
    assert np.isnan(box["azimuth_deg"])
    assert box["mean_section_mm2"] == box["max_section_mm2"] == pytest.approx(0.4)
    assert tables[0]["surface_mm2"].gt(0).all()


@pytest.mark.parametrize("size", [REEF, (0.2, 0.1, 0.3), (0.1, 0.25, 0.25), (0.2, 0.2, 0.2)])
def test_volume_of_spheres_and_tori(size: Size) -> None:
    for seed in range(3):
        ball = _plain(sphere(4, size, seed), size).iloc[0]
        assert ball["volume_mm3"] == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.01)
        assert ball["equivalent_diameter_mm"] == pytest.approx(8, rel=0.0034)
        assert ball["length_mm"] == pytest.approx(8, rel=0.01)
        assert ball["elongation"] == pytest.approx(1, abs=0.01)
        ring = _plain(torus(4, 1.5, size, seed + 1), size).iloc[0]
        assert ring["volume_mm3"] == pytest.approx(2 * np.pi**2 * 4 * 1.5**2, rel=0.01)


@pytest.mark.parametrize(("plunge", "azimuth"), [(30, 40), (0, 135), (75, 0), (10, 100)])
def test_a_tilted_ellipsoid_has_its_axes_plunge_and_azimuth(plunge: float, azimuth: float) -> None:
    p, a = np.radians([plunge, azimuth])
    # Down by the plunge, towards the azimuth: clockwise from the upper edge (-y) to the right (x).
    long = np.array([np.sin(p), -np.cos(p) * np.cos(a), np.cos(p) * np.sin(a)])
    flat = np.array([0, np.sin(a), np.cos(a)])
    rotation = np.stack([long, flat, np.cross(long, flat)], axis=1)
    table = _plain(ellipsoid((18.0, 10.0, 6.0), REEF, rotation), REEF)
    row = table.iloc[0]
    # Solid voxels stick out by half a voxel, which tells in the shortest axis: s²/12.
    moments = rotation @ np.diag([324, 100, 36]) @ rotation.T / 20 + np.diag(np.square(REEF)) / 12
    lengths = np.sqrt(20 * np.linalg.eigvalsh(moments)[::-1])
    assert lengths == pytest.approx([18, 10, 6], rel=0.02)
    assert row[["length_mm", "width_mm", "height_mm"]].tolist() == pytest.approx(lengths, rel=0.01)
    assert row["elongation"] == pytest.approx(lengths[0] / lengths[1], rel=0.01)
    assert row["flatness"] == pytest.approx(lengths[1] / lengths[2], rel=0.01)
    assert row["plunge_deg"] == pytest.approx(plunge, abs=0.5)
    off = (row["azimuth_deg"] - azimuth) % 180
    assert min(off, 180 - off) < 1
    axis = row[["axis_z", "axis_y", "axis_x"]].to_numpy(float)
    assert abs(axis @ long) == pytest.approx(1, abs=1e-3)
    assert axis[0] >= 0
    assert np.linalg.norm(axis) == pytest.approx(1)


def test_the_axis_of_a_spindle_to_the_right_and_of_one_upward() -> None:
    for step, azimuth in (((0, 1, 0), 0), ((0, 0, 1), 90), ((0, -1, 1), 45), ((0, 1, 1), 135)):
        labels = np.zeros((3, 21, 21), int)
        for n in range(-8, 9):
            labels[1, 10 + n * step[1], 10 + n * step[2]] = 1
        row = _plain(labels).iloc[0]
        assert row["azimuth_deg"] == pytest.approx(azimuth)
        assert row["plunge_deg"] == 0


def test_single_voxels_and_the_volumes_edge() -> None:
    table = _plain(np.arange(8).reshape(2, 2, 2), (0.5, 0.1, 0.2))
    assert len(table) == 7
    assert table["length_mm"].tolist() == pytest.approx([0.5 * np.sqrt(20 / 12)] * 7)
    assert table["height_mm"].tolist() == pytest.approx([0.1 * np.sqrt(20 / 12)] * 7)
    assert table["plunge_deg"].tolist() == pytest.approx([90] * 7)
    full = _plain(np.ones((4, 5, 6), int), (1, 2, 3)).iloc[0]
    assert (full["bbox_x_min_mm"], full["bbox_x_max_mm"]) == (-1.5, 16.5)
    cube = _plain(np.ones((3, 3, 3), int)).iloc[0]
    assert np.isnan(cube[["axis_z", "axis_y", "axis_x", "plunge_deg", "azimuth_deg"]]).all()


def test_sections_and_their_areas() -> None:
    labels = np.zeros((5, 4, 4), int)
    labels[1, :2, :2], labels[3, :, :2], labels[3, :, 2:] = 7, 7, 2
    areas = volume.section_areas(labels, (9, 0.5, 0.1))
    assert areas["id"].tolist() == [2, 7, 7]
    assert areas["slice"].tolist() == [3, 1, 3]
    assert areas["area_mm2"].tolist() == pytest.approx([0.4, 0.2, 0.4])
    row = _plain(labels, (9, 0.5, 0.1)).iloc[1]
    assert row["mean_section_mm2"] == pytest.approx(0.3)
    assert row["max_section_mm2"] == pytest.approx(0.4)


def test_nothing_to_measure() -> None:
    for labels in (np.zeros((2, 2, 2), int), np.zeros((0, 2, 2), int), np.zeros((2, 0, 0), int)):
        assert len(volume.measure(labels, (1, 1, 1))) == 0
        assert len(volume.section_areas(labels, (1, 1, 1))) == 0


@pytest.mark.parametrize(
    "size", [(1, 1), (0, 1, 1), (1, -1, 1), (1, 1, np.nan), (1, np.inf, 1), ("a", 1, 1), None]
)
def test_voxel_sizes_that_are_none(size: object) -> None:
    for call in (volume.measure, volume.section_areas, volume.meshes):
        with pytest.raises(InputError, match="size of a voxel"):
            call(np.ones((2, 2, 2), int), size)  # type: ignore[operator]


def test_labels_that_are_none() -> None:
    with pytest.raises(InputError, match="Slice 1 has negative"):
        _plain(np.array([[[1]], [[-1]]]))
    with pytest.raises(InputError, match="Slice 0 has labels above 2147483647"):
        _plain(np.full((1, 2, 2), 2**31))
    with pytest.raises(InputError, match="whole numbers"):
        _plain(np.zeros((2, 2, 2)))
    with pytest.raises(InputError, match="three axes"):
        _plain(np.zeros((2, 2), int))
    assert _plain(np.full((1, 2, 2), 2**31 - 1))["id"].tolist() == [2**31 - 1]


def test_a_store_is_read_by_slice_and_never_taken_for_whole_before_it_is(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 4, (3, 5, 6), np.int32)
    store = io.LabelStore.create(tmp_path / "s", shape=(3, 5, 6), voxel_size=REEF, about={})
    for z in (0, 1):
        store.write(z, labels[z])
    for call in (volume.measure, volume.section_areas, volume.meshes):
        with pytest.raises(InputError, match="unfinished, 2 of 3 slices are done"):
            call(store, REEF)
    store.write(2, labels[2])
    store.finish()
    table = volume.measure(store, REEF)
    pd.testing.assert_frame_equal(table, volume.measure(labels, REEF))


def test_closing_the_task_ends_it_and_progress_reaches_its_total() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (3, 5, 5))
    task = volume.measure_task(labels, (1, 1, 1))
    assert next(task).message == "Measuring slice 1"
    task.close()
    steps = list(volume.measure_task(labels, (1, 1, 1)))
    assert [s.done for s in steps] == [1, 2, 3, 1, 2, 3]
    assert all(s.total == 3 for s in steps)


@settings(max_examples=60, deadline=None)
@given(volumes)
def test_runs_put_together_are_the_slice(labels: np.ndarray) -> None:
    plane = np.zeros(labels[0].shape, labels.dtype)
    for value, row, start, stop in zip(*runs(labels[0]), strict=True):
        assert not plane[row, start:stop].any()
        plane[row, start:stop] = value
    assert np.array_equal(plane, labels[0])


@settings(max_examples=60, deadline=None)
@given(volumes, st.permutations([1, 2, 3, 4]))
def test_ids_change_nothing_but_their_order(labels: np.ndarray, ids: list[int]) -> None:
    table = _plain(labels, (0.5, 0.2, 0.3)).set_index("id")
    other = _plain(np.array([0, *ids])[labels], (0.5, 0.2, 0.3)).set_index("id")
    back = other.rename(index={new: old for old, new in enumerate(ids, start=1)}).sort_index()
    pd.testing.assert_frame_equal(table, back, check_exact=True)


@settings(max_examples=60, deadline=None)
@given(volumes, st.tuples(*[st.integers(0, 900)] * 3))
def test_a_specimen_may_lie_anywhere(labels: np.ndarray, by: tuple[int, int, int]) -> None:
    size = (0.5, 0.2, 0.3)
    moved = np.zeros([n + b for n, b in zip(labels.shape, (by[0] % 4, *by[1:]), strict=True)], int)
    moved[by[0] % 4 :, by[1] :, by[2] :] = labels
    table, other = _plain(labels, size), _plain(moved, size)
    shift = dict(zip("zyx", np.multiply((by[0] % 4, *by[1:]), size), strict=True))
    for axis, step in shift.items():
        for name in (f"bbox_{axis}_min_mm", f"bbox_{axis}_max_mm", f"centroid_{axis}_mm"):
            other[name] -= step
    other[["z_first", "z_last"]] -= by[0] % 4
    pd.testing.assert_frame_equal(table, other, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(volumes, st.floats(0.01, 100))
def test_lengths_areas_and_volumes_scale(labels: np.ndarray, by: float) -> None:
    table = _plain(labels, (0.5, 0.2, 0.3))
    scaled = _plain(labels, (0.5 * by, 0.2 * by, 0.3 * by))
    for name in table:
        power = 3 if name.endswith("mm3") else 2 if name.endswith("mm2") else name.endswith("mm")
        if not name.startswith(("axis", "plunge", "azimuth")):
            np.testing.assert_allclose(scaled[name], table[name] * by**power, rtol=1e-9, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(volumes)
def test_axes_agree_with_the_sum_over_voxels(labels: np.ndarray) -> None:
    size = np.array([0.5, 0.2, 0.3])
    for _, row in _plain(labels, (0.5, 0.2, 0.3)).iterrows():
        places = np.argwhere(labels == row["id"]) * size
        moments = np.cov(places.T, bias=True).reshape(3, 3) + np.diag(size**2 / 12)
        lengths = np.sqrt(20 * np.linalg.eigvalsh(moments)[::-1])
        assert row[["length_mm", "width_mm", "height_mm"]].tolist() == pytest.approx(lengths)
        longest = row[["axis_z", "axis_y", "axis_x"]].to_numpy(float)
        if not np.isnan(longest).any():
            assert longest @ moments @ longest == pytest.approx(lengths[0] ** 2 / 20)


def test_turning_an_ellipsoid_about_the_depth_turns_its_azimuth_alone() -> None:
    size: Size = (0.2, 0.2, 0.2)
    base = Rotation.from_euler("zyx", [20, 30, 10], degrees=True).as_matrix()
    rows = []
    for angle in (0, 50):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        # Clockwise seen with rows downward: from the upper edge (-y) to the right (x).
        clockwise = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
        rows.append(_plain(ellipsoid((8.0, 4.0, 3.0), size, clockwise @ base), size).iloc[0])
    assert rows[1]["plunge_deg"] == pytest.approx(rows[0]["plunge_deg"], abs=0.3)
    turned_by = (rows[1]["azimuth_deg"] - rows[0]["azimuth_deg"]) % 180
    assert turned_by == pytest.approx(50, abs=1)
