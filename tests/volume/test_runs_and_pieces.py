"""Runs, pieces, overlaps and the assignment, against slow and plain ways to find them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from napari_fossiledit.volume import assign as assign_module
from napari_fossiledit.volume.ahead import in_order
from napari_fossiledit.volume.assign import assign
from napari_fossiledit.volume.pieces import pieces_of, places_of, shared_pixels
from napari_fossiledit.volume.runs import paint, runs_of

LABELS = arrays.arrays(
    np.int64,
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    elements=st.sampled_from([0, 0, 1, 2, 2**35]),
)
PAIR = arrays.arrays(np.int32, (2, 6, 6), elements=st.sampled_from([0, 0, 1, 2, 3]))


@settings(max_examples=100, deadline=None)
@given(LABELS)
def test_runs_give_the_slice_again(labels: np.ndarray) -> None:
    runs = runs_of(labels)
    assert runs.length.sum() == (labels > 0).sum()
    rows = runs.start // labels.shape[1]
    assert np.array_equal(rows, (runs.stop - 1) // labels.shape[1])
    values, place = places_of(runs.value)
    assert np.array_equal(values[place], runs.value)
    ranks = np.append(0, values)
    painted = paint(runs, (place + 1).astype(np.int32))
    assert np.array_equal(ranks[painted], labels)


@settings(max_examples=150, deadline=None)
@given(LABELS)
def test_pieces_are_those_of_ndimage(labels: np.ndarray) -> None:
    pieces = pieces_of(labels)
    painted = paint(pieces.runs, (pieces.piece + 1).astype(np.int32))
    total = 0
    for instance, label in enumerate(pieces.label.tolist()):
        found, count = ndimage.label(labels == label, np.ones((3, 3), int))
        total += count
        for n in range(1, count + 1):
            values = np.unique(painted[found == n])
            assert len(values) == 1
            assert pieces.instance[values[0] - 1] == instance
            assert pieces.area[values[0] - 1] == (painted == values[0]).sum() == (found == n).sum()
        sizes = np.bincount(found.ravel())[1:]
        assert pieces.area[instance] == sizes.max()
    assert len(pieces) == total
    assert pieces.instance_area.sum() == (labels > 0).sum()


@settings(max_examples=80, deadline=None)
@given(PAIR)
def test_shared_pixels_are_counted(labels: np.ndarray) -> None:
    a, b = (pieces_of(slice_) for slice_ in labels)
    one, two = (paint(p.runs, (p.piece + 1).astype(np.int32)) for p in (a, b))
    wanted: dict[tuple[int, int], int] = {}
    for i, j in zip(one.ravel().tolist(), two.ravel().tolist(), strict=True):
        if i and j:
            wanted[i - 1, j - 1] = wanted.get((i - 1, j - 1), 0) + 1
    i, j, pixels = (part.tolist() for part in shared_pixels(a, b))
    assert dict(zip(zip(i, j, strict=True), pixels, strict=True)) == wanted


@settings(max_examples=100, deadline=None)
@given(
    arrays.arrays(
        float, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(0, 1, width=16)
    )
)
def test_the_assignment_has_the_largest_total(table: np.ndarray) -> None:
    table[table < 0.2] = 0
    i, j = np.nonzero(table)
    chosen = assign(i * 1000, j + 7, table[i, j])
    assert len(set(i[chosen])) == len(set(j[chosen])) == chosen.sum()
    best = table[linear_sum_assignment(table, maximize=True)].sum()
    assert table[i[chosen], j[chosen]].sum() == pytest.approx(best)


def test_thousands_of_rivals_are_assigned_sparsely() -> None:
    # Chains in which each overlaps two: a full table of them would hold 400 million numbers.
    n = 20_000
    i = np.repeat(np.arange(n), 2)
    j = np.stack([np.arange(n), np.arange(1, n + 1)], axis=1).ravel()
    kept = j % 10 != 0  # ends a chain
    kept |= i == j
    i, j = i[kept], j[kept]
    weight = np.where(i == j, 0.9, 0.3)
    shuffle = np.random.default_rng(0).permutation(len(i))
    i, j, weight = i[shuffle], j[shuffle], weight[shuffle]
    assert np.array_equal(assign(i, j, weight), i == j)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_batches_change_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    pairs = np.unique(random.integers(0, 40, (50, 2)), axis=0)
    weight = random.random(len(pairs)) * 0.9 + 0.1
    once = assign(pairs[:, 0], pairs[:, 1], weight)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assign_module, "_BATCH", 2)
        many = assign(pairs[:, 0], pairs[:, 1], weight)
    assert weight[once].sum() == pytest.approx(weight[many].sum())


def test_items_come_in_order_and_an_error_ends_the_threads() -> None:
    assert list(in_order(lambda n: n * n, range(20))) == [n * n for n in range(20)]
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda n: 1 // n, [1, 0, 1]))
