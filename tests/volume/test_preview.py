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
