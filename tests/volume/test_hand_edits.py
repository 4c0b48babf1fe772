from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_fossiledit.errors import InputError
from napari_fossiledit.volume import hand_edits


def disc(size: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2


def pillars() -> np.ndarray:
    """Specimens 1 (slices 0 to 3), 2 (slices 2 to 5) and 7 (slice 4)."""
    labels = np.zeros((6, 8, 8), np.int32)
    labels[:4, 1:3, 1:3] = 1
    labels[2:, 5:7, 5:7] = 2
    labels[4, 1:3, 1:3] = 7
    return labels


volumes = arrays(np.int32, st.tuples(*[st.integers(2, 5)] * 3), elements=st.integers(0, 4))


def edited(labels: np.ndarray, edit: hand_edits.HandEdit) -> np.ndarray:
    copy = labels.copy()
    edit.apply(copy)
    return copy


def test_merge_gives_all_the_smallest_id() -> None:
    labels = pillars()
    edit = hand_edits.merge(labels, [7, 1])
    after = edited(labels, edit)
    assert edit.words == "Merged specimens 1 and 7 into 1"
    assert edit.ids == (1,)
    np.testing.assert_array_equal(after == 1, (labels == 1) | (labels == 7))
    np.testing.assert_array_equal(after == 2, labels == 2)
    assert len(edit.values) == 4  # the one that keeps its id is not touched


def test_split_after_merge_gives_the_two_again() -> None:
    labels = pillars()
    merged = edited(labels, hand_edits.merge(labels, [1, 7]))
    split = hand_edits.split_at(merged, 1, 4)
    assert split.ids == (1, 3)
    after = edited(merged, split)
    np.testing.assert_array_equal(after == 1, labels == 1)
    np.testing.assert_array_equal(after == 3, labels == 7)


@pytest.mark.parametrize("z", [0, 4, 9, -1])
def test_split_outside_the_specimen_is_refused_with_where_it_can_be(z: int) -> None:
    with pytest.raises(InputError, match=r"slices 0 to 3.* split it at slice 1 to 3"):
        hand_edits.split_at(pillars(), 1, z)


def test_split_of_a_single_slice_is_refused() -> None:
    with pytest.raises(InputError, match="lies in slice 4 only"):
        hand_edits.split_at(pillars(), 7, 4)


def test_no_id_above_int32() -> None:
    labels = pillars()
    labels[labels == 7] = np.iinfo(np.int32).max
    with pytest.raises(InputError, match="no number left"):
        hand_edits.split_at(labels, 1, 2)


def test_delete_one_or_several() -> None:
    labels = pillars()
    assert set(np.unique(edited(labels, hand_edits.delete(labels, 2)))) == {0, 1, 7}
    edit = hand_edits.delete(labels, [1, 7])
    assert set(np.unique(edited(labels, edit))) == {0, 2}
    assert edit.words == "Deleted specimens 1 and 7"


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (lambda x: hand_edits.merge(x, [1]), "two or more"),
        (lambda x: hand_edits.merge(x, [1, 1]), "two or more"),
        (lambda x: hand_edits.merge(x, [1, 99]), "no specimen 99"),
        (lambda x: hand_edits.merge(x, [0, 1]), "0 is the background"),
        (lambda x: hand_edits.delete(x, []), "Select the specimens"),
        (lambda x: hand_edits.delete(x, 99), "no specimen 99"),
        (lambda x: hand_edits.split_at(x, 99, 2), "no specimen 99"),
        (lambda x: hand_edits.fill_slice(x, 99, 2), "no specimen 99"),
        (lambda x: hand_edits.fill_slice(x, 1, 2), "has specimen 1 already"),
        (lambda x: hand_edits.fill_slice(x, 1, 5), "ends in slice 3"),
        (lambda x: hand_edits.fill_slice(x, 2, 0), "begins in slice 2"),
        (lambda x: hand_edits.fill_slice(x, 2, 6), "no slice 6"),
        (lambda x: hand_edits.delete(x[0], 1), "three axes"),
        (lambda x: hand_edits.delete(x.astype(float), 1), "three axes"),
    ],
)
def test_what_cannot_be_done_is_said(job, words: str) -> None:
    with pytest.raises(InputError, match=words):
        job(pillars())


@pytest.mark.parametrize(("z", "radius"), [(1, 10), (2, 12), (3, 14)])
def test_between_two_discs_lies_the_disc_between(z: int, radius: float) -> None:
    labels = np.zeros((5, 48, 48), np.int32)
    labels[0][disc(48, (24, 24), 8)] = 5
    labels[4][disc(48, (24, 24), 16)] = 5
    filled = edited(labels, hand_edits.fill_slice(labels, 5, z))[z] == 5
    wanted = disc(48, (24, 24), radius)
    assert (filled & wanted).sum() / (filled | wanted).sum() > 0.96
    assert filled.sum() == pytest.approx(wanted.sum(), rel=0.03)


def test_an_oblique_branch_is_filled_halfway() -> None:
    """The two outlines hardly overlap: without moving them there would be a sliver."""
    labels = np.zeros((3, 40, 60), np.int32)
    y, x = np.mgrid[:40, :60]
    for z, centre in ((0, 15), (2, 33)):
        labels[z][(y - 20) ** 2 + (x - centre) ** 2 < 10**2] = 3
    filled = edited(labels, hand_edits.fill_slice(labels, 3, 1))[1] == 3
    wanted = (y - 20) ** 2 + (x - 24) ** 2 < 10**2
    assert (filled & wanted).sum() / (filled | wanted).sum() > 0.96


def test_oblong_pixels_are_taken_into_account() -> None:
    """Discs in pixels twice as high as wide: in rows they have half the radius."""
    labels = np.zeros((3, 40, 80), np.int32)
    y, x = np.mgrid[:40, :80]
    for z, radius in ((0, 12), (2, 24)):
        labels[z][(2 * (y - 20)) ** 2 + (x - 40) ** 2 < radius**2] = 1
    filled = hand_edits.fill_slice(labels, 1, 1, pixel_size=(2.0, 1.0))
    after = edited(labels, filled)[1] == 1
    wanted = (2 * (y - 20)) ** 2 + (x - 40) ** 2 < 18**2
    assert (after & wanted).sum() / (after | wanted).sum() > 0.95


def test_a_shape_at_the_edge_of_the_slice_stays_whole() -> None:
    labels = np.zeros((3, 20, 20), np.int32)
    labels[0, :6, :6] = 1
    labels[2, :6, :6] = 1
    after = edited(labels, hand_edits.fill_slice(labels, 1, 1))
    np.testing.assert_array_equal(after[1], labels[0])


def test_filling_where_all_is_taken_is_refused() -> None:
    labels = np.zeros((3, 12, 12), np.int32)
    labels[0, 3:8, 3:8] = labels[2, 3:8, 3:8] = 1
    labels[1] = 2
    with pytest.raises(InputError, match="full of other specimens"):
        hand_edits.fill_slice(labels, 1, 1)


@settings(max_examples=60, deadline=None)
@given(volumes, st.data())
def test_every_edit_touches_its_specimens_only(labels: np.ndarray, data: st.DataObject) -> None:
    present = [int(i) for i in np.unique(labels) if i]
    z = data.draw(st.integers(0, len(labels) - 1))
    if len(present) < 2:
        return
    ids = data.draw(st.lists(st.sampled_from(present), min_size=2, max_size=3, unique=True))
    jobs = {
        "merge": lambda: hand_edits.merge(labels, ids),
        "split": lambda: hand_edits.split_at(labels, ids[0], z),
        "delete": lambda: hand_edits.delete(labels, ids),
        "fill": lambda: hand_edits.fill_slice(labels, ids[0], z),
    }
    kind = data.draw(st.sampled_from(sorted(jobs)))
    before = labels.copy()
    try:
        edit = jobs[kind]()
    except InputError:
        return
    np.testing.assert_array_equal(labels, before)  # nothing is written
    after = edited(labels, edit)
    assert after.dtype == labels.dtype
    assert np.array_equal(after != labels, _at(edit, labels.shape))  # each voxel once, and changed
    assert len(edit.values) == np.count_nonzero(after != labels)
    untouched = ~np.isin(labels, [0, *ids])
    np.testing.assert_array_equal(after[untouched], labels[untouched])
    if kind == "fill":
        np.testing.assert_array_equal(after[labels > 0], labels[labels > 0])
        np.testing.assert_array_equal(np.delete(after, z, 0), np.delete(labels, z, 0))
    else:
        np.testing.assert_array_equal(after[labels == 0], 0)
    if kind == "merge":
        assert np.array_equal(after == min(ids), np.isin(labels, ids))
    if kind == "split":
        assert np.array_equal(np.isin(after, edit.ids), labels == ids[0])
        assert (after[:z] != edit.ids[1]).all()
        assert (after[z:] != ids[0]).all()


def _at(edit: hand_edits.HandEdit, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[edit.indices] = True
    return mask


def test_lazy_labels_can_be_read() -> None:
    import dask.array as da

    labels = pillars()
    lazy = da.from_array(labels, chunks=(1, 8, 8))
    np.testing.assert_array_equal(
        edited(labels, hand_edits.merge(lazy, [1, 2])),
        edited(labels, hand_edits.merge(labels, [1, 2])),
    )
    assert hand_edits.slices_of(lazy, 2) == [2, 3, 4, 5]
