from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_fossiledit import volume
from napari_fossiledit.errors import InputError


def _discs(z: int, centres: dict[int, tuple[float, float]], radius: float = 6) -> np.ndarray:
    labels = np.zeros((48, 64), np.int32)
    rows, columns = np.mgrid[:48, :64]
    for label, (y, x) in centres.items():
        labels[(rows - y - z * 0.5) ** 2 + (columns - x) ** 2 < radius**2] = label
    return labels


def test_drifting_discs_keep_their_ids_whatever_their_labels() -> None:
    slices = [_discs(z, {1 + z % 2: (12, 12), 2 - z % 2: (12, 40)}) for z in range(10)]
    linked = volume.link(slices)
    assert linked.dtype == np.int32
    assert np.unique(linked).tolist() == [0, 1, 2]
    for z, labels in enumerate(linked):
        assert np.array_equal(labels == 1, slices[z] == 1 + z % 2)


def test_a_gap_is_bridged_only_when_asked_for() -> None:
    slices = [_discs(0, {7: (12, 12)}), np.zeros((48, 64), int), _discs(0, {3: (12, 12)})]
    assert np.unique(volume.link(slices)).tolist() == [0, 1, 2]
    assert np.unique(volume.link(slices, gap=2)).tolist() == [0, 1]


def test_neighbours_come_before_the_gap_and_an_id_is_given_once_a_slice() -> None:
    one = _discs(0, {1: (12, 12)})
    two = _discs(0, {1: (12, 12), 2: (30, 40)})
    linked = volume.link([two, one, two], gap=2)
    assert linked[2][12, 12] == linked[0][12, 12]
    assert linked[2][30, 40] == linked[0][30, 40] != linked[0][12, 12]


def test_best_total_overlap_wins_and_the_rest_start_anew() -> None:
    before = np.zeros((1, 30), int)
    before[0, 0:20] = 1
    after = np.zeros((1, 30), int)
    after[0, 0:12], after[0, 12:20] = 1, 2
    linked = volume.link([before, after])
    assert linked[1, 0, 0] == linked[0, 0, 0]
    assert linked[1, 0, 15] not in (0, linked[0, 0, 0])


def test_little_overlap_is_no_link() -> None:
    before, after = np.zeros((1, 40), int), np.zeros((1, 40), int)
    before[0, 0:20] = 1
    after[0, 17:37] = 1
    assert np.unique(volume.link([before, after])).tolist() == [0, 1, 2]
    assert np.unique(volume.link([before, after], minimum_iou=0.05)).tolist() == [0, 1]


def test_empty_slices_large_values_and_streams() -> None:
    empty = np.zeros((4, 4), np.int64)
    assert volume.link([empty, empty]).max() == 0
    big = empty.copy()
    big[:2] = 2**40
    assert volume.link(iter([big, empty, big])).max() == 2
    full = np.ones((4, 4), int)
    assert np.unique(volume.link([full, full])).tolist() == [1]


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="no slices"):
        volume.link([])
    with pytest.raises(InputError, match="Slice 1"):
        volume.link([np.zeros((2, 2), int), np.zeros((2, 3), int)])
    with pytest.raises(InputError, match="negative"):
        volume.link([np.full((2, 2), -1)])
    with pytest.raises(InputError, match="gap"):
        volume.link([np.zeros((2, 2), int)], gap=0)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.int32, (4, 5, 6), elements=st.integers(0, 3)),
    st.integers(1, 3),
)
def test_links_join_overlapping_masks_only(labels: np.ndarray, gap: int) -> None:
    linked = volume.link(labels, gap=gap)
    for z in range(4):
        # The masks of a slice stay what they were: ids map one to one.
        pairs = set(zip(labels[z].ravel().tolist(), linked[z].ravel().tolist(), strict=True))
        assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    for i in np.unique(linked[linked > 0]):
        where = [z for z in range(4) if (linked[z] == i).any()]
        for a, b in pairwise(where):
            assert b - a <= gap
            both = (linked[a] == i) & (linked[b] == i)
            either = (linked[a] == i) | (linked[b] == i)
            assert both.sum() / either.sum() >= 0.2
