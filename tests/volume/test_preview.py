from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_fossiledit import io, volume
from napari_fossiledit.errors import InputError


def test_small_and_isotropic_volumes_stay_as_they_are() -> None:
    labels = np.random.default_rng(0).integers(0, 5, (6, 7, 8), np.int32)
    small, scale = volume.preview(labels, (1, 1, 1))
    assert np.array_equal(small, labels)
    assert scale == (1, 1, 1)


def test_axes_and_aspect_are_bounded() -> None:
    small, scale = volume.preview(da.zeros((100, 1200, 1200), dtype=np.int32), (0.5, 0.145, 0.145))
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


def test_every_kind_of_source_gives_the_same(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 9, (6, 20, 30), np.int32)
    store = io.LabelStore.create(tmp_path / "s", shape=labels.shape, about={})
    for z, plane in enumerate(labels):
        store.write(z, plane)
    store.finish()
    wanted, scale = volume.preview(labels, (1, 1, 1), 10)
    for source in (da.from_array(labels, chunks=(4, 7, 30)), store, labels.astype(np.uint16)):
        small, same = volume.preview(source, (1, 1, 1), 10)
        assert np.array_equal(small, wanted)
        assert same == scale


def test_small_specimens_do_not_vanish() -> None:
    labels = np.zeros((40, 100, 100), np.int32)
    labels[:, 50:, :] = 1
    labels[3, 5, 7] = 2  # one voxel in the open
    labels[7, 61, 83] = 3  # one voxel within another specimen
    labels[21, 5:9, 33] = 4  # a thread
    labels[0, 0, 0] = 5  # hit anyway
    small, scale = volume.preview(labels, (1, 1, 1), 20)
    assert set(np.unique(small)) == {0, 1, 2, 3, 4, 5}
    for i in (2, 3, 4):
        (place,) = np.argwhere(small == i)
        assert np.all(np.abs(place * scale - np.argwhere(labels == i).mean(0)) <= np.array(scale))
    strided = labels[:: round(scale[0]), :: round(scale[1]), :: round(scale[2])]
    assert np.count_nonzero(small != strided) == 3


def test_crowded_specimens_take_turns_and_none_pushes_out_the_last_of_another() -> None:
    labels = np.arange(1, 3 * 4 * 4 + 1).reshape(3, 4, 4)
    small, _ = volume.preview(np.repeat(labels, 2, axis=0), (1, 1, 1), 3)
    found = np.unique(small[small > 0])
    assert len(found) == small.size
    one = np.zeros((1, 9, 9), int)
    one[0, 1, 1], one[0, 2, 1] = 1, 2
    small, _ = volume.preview(one, (1, 1, 1), 3)
    assert set(np.unique(small)) == {0, 1, 2}


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.int32, (5, 7, 9), elements=st.integers(0, 6)),
    st.integers(2, 9),
    st.sampled_from([(1, 1, 1), (3, 1, 1), (0.5, 1, 2)]),
)
def test_labels_of_the_preview_are_those_of_the_volume(
    labels: np.ndarray, longest: int, size: tuple[float, float, float]
) -> None:
    small, _ = volume.preview(labels, size, longest)
    assert max(small.shape) <= longest
    assert set(np.unique(small)) <= set(np.unique(labels)) | {0}
    if small.size > 30:  # room for all
        assert set(np.unique(small[small > 0])) == set(np.unique(labels[labels > 0]))


def test_no_axis_is_longer_than_graphics_cards_take() -> None:
    small, _ = volume.preview(np.ones((1, 1, 5000), np.uint8), (1, 1, 1), 4000)
    assert small.shape == (1, 1, 1667)


def test_unfinished_stores_and_wrong_lengths_are_refused(tmp_path: Path) -> None:
    store = io.LabelStore.create(tmp_path / "s", shape=(2, 3, 3), about={})
    with pytest.raises(InputError, match="0 of 2 slices are done"):
        volume.preview(store, (1, 1, 1))
    with pytest.raises(InputError, match="longest axis"):
        volume.preview(np.zeros((2, 2, 2), int), (1, 1, 1), 0)
