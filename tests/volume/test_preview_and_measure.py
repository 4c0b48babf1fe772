from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_fossiledit import volume
from napari_fossiledit.errors import InputError


def test_small_and_isotropic_volumes_stay_as_they_are() -> None:
    labels = np.random.default_rng(0).integers(0, 5, (6, 7, 8), np.int32)
    small, scale = volume.preview(labels, (1, 1, 1))
    assert np.array_equal(small, labels)
    assert scale == (1, 1, 1)


def test_axes_and_aspect_are_bounded() -> None:
    small, scale = volume.preview(da.zeros((300, 1500, 1500), dtype=np.int32), (0.5, 0.145, 0.145))
    assert max(small.shape) <= 512
    assert max(scale) / min(scale) <= 2
    assert scale == pytest.approx((0.5, 0.435, 0.435))
    small, scale = volume.preview(np.zeros((48, 384, 384), int), (0.5, 0.145, 0.145))
    assert small.shape == (48, 192, 192)
    assert scale == pytest.approx((0.5, 0.29, 0.29))


def test_voxels_keep_their_place_and_their_labels() -> None:
    labels = np.random.default_rng(0).integers(0, 99, (4, 33, 64), np.int32)
    small, scale = volume.preview(labels, (3, 1, 1), 32)
    fy, fx = round(scale[1]), round(scale[2])
    assert np.array_equal(small, labels[:, ::fy, ::fx])
    assert scale[0] == 3


def test_a_flat_volume_is_not_reduced_to_nothing() -> None:
    small, _ = volume.preview(np.ones((1, 4, 4), int), (0.01, 1, 1))
    assert small.shape == (1, 4, 4)


@pytest.mark.parametrize("scale", [(1, 1), (0, 1, 1)])
def test_bad_scales_are_refused(scale: tuple[float, ...]) -> None:
    with pytest.raises(InputError):
        volume.preview(np.zeros((2, 2, 2), int), scale)
    with pytest.raises(InputError):
        volume.measure(np.zeros((2, 2, 2), int), scale)


def test_a_box_and_a_gap_are_measured() -> None:
    labels = np.zeros((6, 10, 10), np.int32)
    labels[1:4, 2:6, 3:8] = 4
    labels[0, 0, 0] = labels[5, 0, 0] = 9
    for source in (labels, da.from_array(labels, chunks=(1, 10, 10))):
        table = volume.measure(source, (0.5, 0.1, 0.2))
        assert table["id"].tolist() == [4, 9]
        assert table["voxels"].tolist() == [60, 2]
        assert table["volume_mm3"] == pytest.approx([0.6, 0.02])
        assert table["z_first"].tolist() == [1, 0]
        assert table["z_last"].tolist() == [3, 5]
        assert table["slices"].tolist() == [3, 2]
        assert table["equivalent_diameter_mm"][0] == pytest.approx((6 * 0.6 / np.pi) ** (1 / 3))


def test_a_ball_has_its_diameter() -> None:
    z, y, x = np.mgrid[-20:21, -40:41, -40:41]
    ball = ((z * 0.5) ** 2 + (y * 0.25) ** 2 + (x * 0.25) ** 2 < 8**2).astype(int)
    table = volume.measure(ball, (0.5, 0.25, 0.25))
    assert table["equivalent_diameter_mm"][0] == pytest.approx(16, rel=0.01)


def test_nothing_to_measure_and_negative_labels() -> None:
    assert len(volume.measure(np.zeros((2, 2, 2), int), (1, 1, 1))["id"]) == 0
    with pytest.raises(InputError, match="negative"):
        volume.measure(np.full((2, 2, 2), -1), (1, 1, 1))
