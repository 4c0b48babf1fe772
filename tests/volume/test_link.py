from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from napari_fossiledit import volume
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import run
from napari_fossiledit.volume import links as links_module

EIGHT = np.ones((3, 3), int)
SMALL = arrays.arrays(np.int32, (5, 6, 7), elements=st.sampled_from([0, 0, 1, 2, 3]))


def _discs(z: int, centres: dict[int, tuple[float, float]], radius: float = 6) -> np.ndarray:
    labels = np.zeros((48, 64), np.int32)
    rows, columns = np.mgrid[:48, :64]
    for label, (y, x) in centres.items():
        labels[(rows - y - z * 0.5) ** 2 + (columns - x) ** 2 < radius**2] = label
    return labels


def _row(*parts: tuple[int, int, int], width: int = 40) -> np.ndarray:
    """A slice of one row: (label, first pixel, end)."""
    labels = np.zeros((1, width), np.int32)
    for label, start, stop in parts:
        labels[0, start:stop] = label
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
    assert np.unique(volume.link(slices, gap=1)).tolist() == [0, 1, 2]
    assert np.unique(volume.link(slices, gap=2)).tolist() == [0, 1]
    assert np.unique(volume.link([slices[0], *[slices[1]] * 6, slices[2]], gap=7)).max() == 1


def test_neighbours_come_before_the_gap_and_an_id_is_given_once_a_slice() -> None:
    one = _discs(0, {1: (12, 12)})
    two = _discs(0, {1: (12, 12), 2: (30, 40)})
    linked = volume.link([two, one, two], gap=2)
    assert linked[2][12, 12] == linked[0][12, 12]
    assert linked[2][30, 40] == linked[0][30, 40] != linked[0][12, 12]


def test_best_total_overlap_wins_and_the_rest_start_anew() -> None:
    linked = volume.link([_row((1, 0, 20)), _row((1, 0, 12), (2, 12, 20))])
    assert linked[1, 0, 0] == linked[0, 0, 0]
    assert linked[1, 0, 15] not in (0, linked[0, 0, 0])


def test_a_small_last_section_is_not_pushed_aside_by_a_large_neighbour() -> None:
    # 1 ends in three pixels at its own place; 2 begins beside it, and reaches into its section.
    linked = volume.link([_row((1, 0, 12)), _row((1, 1, 5), (2, 6, 18))])
    assert linked[0, 0, 0] == linked[1, 0, 1] != linked[1, 0, 12]


def test_what_skips_a_slice_is_not_taken_by_a_neighbour_that_ends() -> None:
    # 2 is missed in the middle slice, where 1, about to end, reaches into its place.
    slices = [_row((1, 0, 10), (2, 12, 30)), _row((1, 0, 14)), _row((1, 0, 3), (2, 12, 30))]
    linked = volume.link(slices, gap=2)
    assert linked[0, 0, 20] == linked[2, 0, 20] != linked[1, 0, 5]


def test_little_overlap_is_no_link() -> None:
    slices = [_row((1, 0, 20)), _row((1, 14, 34))]
    assert np.unique(volume.link(slices)).tolist() == [0, 1, 2]
    assert volume.link(slices, minimum_overlap=0.3).max() == 1
    assert volume.link(slices, minimum_overlap=0.3, minimum_iou=0.2).max() == 2


def test_empty_slices_large_values_and_streams() -> None:
    empty = np.zeros((4, 4), np.int64)
    assert volume.link([empty, empty]).max() == 0
    big = empty.copy()
    big[:2] = 2**40
    assert volume.link(iter([big, empty, big]), gap=1).max() == 2
    assert np.unique(volume.link([np.ones((4, 4), bool)] * 2)).tolist() == [1]
    assert volume.link([np.zeros((0, 3), int)]).shape == (1, 0, 3)


def test_unconnected_pieces_are_one_only_where_links_connect_them() -> None:
    arms = _row((5, 0, 8), (5, 20, 28))
    joined = _row((5, 0, 28))
    # The arms of a U: connected through the slice that follows.
    assert volume.link([arms, joined]).max() == 1
    # Two things far apart under one label are never one.
    linked = volume.link([arms, arms])
    assert np.unique(linked).tolist() == [0, 1, 2]
    assert linked[0, 0, 0] == linked[1, 0, 0] != linked[1, 0, 20] == linked[0, 0, 20]


def test_a_speck_has_an_id_of_its_own_or_is_left_out() -> None:
    slices = [_row((1, 0, 10), (1, 30, 31)), _row((1, 0, 10))]
    assert volume.link(slices)[0, 0, 30] == 2
    linked = volume.link(slices, minimum_voxels=2)
    assert (linked[0, 0, 30], linked.max()) == (0, 1)


def test_a_split_and_a_merge_are_events_and_join_ids_only_when_asked() -> None:
    # 1 branches at slice 1, and the branch ends in it again at slice 3.
    fork = _row((1, 0, 18), (2, 18, 24))
    slices = [_row((1, 0, 24)), fork, fork, _row((1, 0, 24))]
    links = run(volume.links_task(slices))
    assert [(e.kind, e.slice, e.ids) for e in links.events] == [
        ("split", 1, (1, 2)),
        ("merge", 3, (2, 1)),
    ]
    assert links.events[0].overlap == 1
    assert links.count == 2
    assert links.events_table()["other_id"].tolist() == [2, 1]
    joined = run(volume.links_task(slices, join_branches=True))
    assert joined.count == 1
    assert [e.ids for e in joined.events] == [(1, 1), (1, 1)]
    assert np.array_equal(volume.link(slices, join_branches=True) > 0, np.stack(slices) > 0)


def test_a_branch_is_told_across_a_slice_that_misses_it() -> None:
    slices = [_row((1, 0, 24)), _row((1, 0, 16)), _row((1, 0, 16), (2, 18, 24))]
    links = run(volume.links_task(slices, gap=2))
    assert [(e.kind, e.slice) for e in links.events] == [("split", 2)]
    assert run(volume.links_task(slices, gap=1)).events == []


def test_short_specimens_are_left_out_and_ids_have_no_holes() -> None:
    slices = [_row((1, 0, 5)), _row((1, 20, 30)), _row((1, 20, 30))]
    links = run(volume.links_task(slices, minimum_slices=2))
    assert (links.count, links.left_out) == (1, 1)
    assert links.relabel(0, slices[0]).max() == 0
    assert links.table().iloc[0].to_dict() == {
        "id": 1,
        "first_slice": 1,
        "last_slice": 2,
        "slices": 2,
        "voxels": 20,
    }


def test_the_table_counts_slices_and_voxels() -> None:
    slices = [_row((4, 0, 10)), _row(), _row((9, 0, 9), (2, 20, 23))]
    table = run(volume.links_task(slices, gap=2)).table()
    assert table["slices"].tolist() == [2, 1]
    assert table["last_slice"].tolist() == [2, 2]
    assert table["voxels"].tolist() == [19, 3]


def test_other_labels_than_those_linked_are_refused() -> None:
    slices = [_row((1, 0, 10)), _row((1, 0, 10), (1, 20, 24))]
    links = run(volume.links_task(slices))
    with pytest.raises(InputError, match="Slice 0 of the labels has changed"):
        links.relabel(0, _row((1, 0, 11)))
    with pytest.raises(InputError, match="changed"):
        links.relabel(0, _row((3, 0, 10)))
    with pytest.raises(InputError, match="changed"):
        links.relabel(1, _row((1, 0, 14)))


def test_bad_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    good = np.ones((2, 2), int)
    with pytest.raises(InputError, match="no slices"):
        volume.link([])
    with pytest.raises(InputError, match="Slice 1"):
        volume.link([np.zeros((2, 2), int), np.zeros((2, 3), int)])
    with pytest.raises(InputError, match="3 axes"):
        volume.link([np.zeros((2, 2, 3), int)])
    with pytest.raises(InputError, match="negative"):
        volume.link([np.full((2, 2), -1)])
    with pytest.raises(InputError, match="whole numbers"):
        volume.link([np.full((2, 2), 0.5)])
    with pytest.raises(InputError, match=r"2\^63"):
        volume.link([np.full((2, 2), 2**63, np.uint64)])
    for wrong in ({"gap": 0}, {"minimum_iou": 0}, {"minimum_overlap": 2}, {"minimum_slices": 0}):
        with pytest.raises(InputError, match=r"gap|least"):
            volume.link([good], **wrong)
    monkeypatch.setattr(links_module, "LARGEST_ID", 0)
    with pytest.raises(InputError, match="ids end at"):
        volume.link([good])


class _Counted:
    """Slices that know how many of them are held at once."""

    def __init__(self, count: int) -> None:
        self.count, self.held, self.most = count, 0, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, z: int) -> np.ndarray:
        labels = _discs(z % 7, {1: (12, 12), 2: (30, 40)}).copy()
        self.held += 1
        self.most = max(self.most, self.held)
        weakref.finalize(labels, self._gone)
        return labels

    def _gone(self) -> None:
        self.held -= 1


@pytest.mark.parametrize("gap", [1, 5])
def test_at_most_four_slices_are_in_memory(gap: int) -> None:
    slices = _Counted(40)
    links = run(volume.links_task(slices, gap=gap))
    gc.collect()
    assert links.shape == (40, 48, 64)
    assert slices.most <= 4
    assert slices.held == 0


def test_cancelling_stops_reading() -> None:
    slices = _Counted(40)
    task = volume.links_task(slices)
    assert next(task).total == 40
    task.close()
    assert slices.held <= 1


def test_slice_by_slice_is_the_whole() -> None:
    slices = [_discs(z, {1: (12, 12), 2: (25, 40)}) for z in range(5)]

    def stream() -> Iterator[np.ndarray]:
        yield from slices

    whole = volume.link(slices)
    assert np.array_equal(np.stack(list(volume.iter_linked(stream()))), whole)
    links = run(volume.links_task(slices))
    assert np.array_equal([links.relabel(z, s) for z, s in enumerate(slices)], whole)


def _connected(linked: np.ndarray, gap: int) -> None:
    """Every id is one thing: 8-connected pieces, joined where masks overlap within the gap."""
    for i in np.unique(linked[linked > 0]):
        mask = linked == i
        pieces: list[tuple[int, np.ndarray]] = []
        for z in range(len(mask)):
            found, count = ndimage.label(mask[z], EIGHT)
            pieces += [(z, found == n) for n in range(1, count + 1)]
        reached, todo = {0}, [0]
        while todo:
            z, piece = pieces[todo.pop()]
            for n, (other, mate) in enumerate(pieces):
                if n not in reached and abs(z - other) <= gap and (piece & mate).any():
                    reached.add(n)
                    todo.append(n)
        assert len(reached) == len(pieces), f"id {i} is in parts"


@settings(max_examples=120, deadline=None)
@given(SMALL, st.integers(1, 3), st.booleans(), st.sampled_from([0.01, 0.3, 0.5]))
def test_every_id_is_one_connected_thing(
    labels: np.ndarray, gap: int, join: bool, least: float
) -> None:
    settings = {"gap": gap, "minimum_overlap": least, "minimum_iou": 0.01, "join_branches": join}
    linked = volume.link(labels, **settings)
    assert np.array_equal(linked > 0, labels > 0)
    _connected(linked, gap)
    values = np.unique(linked[linked > 0])
    assert values.tolist() == list(range(1, len(values) + 1))
    if join:
        return
    for z in range(len(labels)):
        # No two instances of a slice share an id.
        pairs = set(zip(linked[z].ravel().tolist(), labels[z].ravel().tolist(), strict=True))
        assert len({a for a, _ in pairs}) == len(pairs)


@settings(max_examples=60, deadline=None)
@given(SMALL, st.integers(1, 3), st.integers(1, 3), st.integers(1, 6))
def test_leaving_out_takes_whole_ids_and_nothing_else(
    labels: np.ndarray, gap: int, slices: int, voxels: int
) -> None:
    every = volume.link(labels, gap=gap)
    links = run(volume.links_task(labels, gap=gap, minimum_slices=slices, minimum_voxels=voxels))
    kept = np.stack([links.relabel(z, s) for z, s in enumerate(labels)])
    for i in range(1, int(every.max()) + 1):
        mask = every == i
        stays = mask.sum() >= voxels and mask.any(axis=(1, 2)).sum() >= slices
        assert len(np.unique(kept[mask])) == 1
        assert (kept[mask] > 0).all() == stays
    table = links.table()
    for row in table.itertuples():
        mask = kept == row.id
        where = np.flatnonzero(mask.any(axis=(1, 2)))
        assert (row.voxels, row.slices) == (mask.sum(), len(where))
        assert (row.first_slice, row.last_slice) == (where[0], where[-1])
