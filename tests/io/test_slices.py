"""Arrays that read slices when asked."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.slices import BrowsedSlices, Slices

WHOLE = np.arange(6 * 4 * 5 * 3, dtype=np.int32).reshape(6, 4, 5, 3)
KEYS = [
    (),
    3,
    -1,
    slice(None),
    slice(4, 1, -2),
    slice(2, 2),
    ...,
    (..., 0),
    (2, ..., 1),
    (slice(1, 4), 2, slice(None), 0),
    (np.int64(3), slice(0, 2)),
    [5, 0],
    (slice(2, 3), 1),
    (slice(6, 9), 1),
]


@pytest.mark.parametrize("kind", [Slices, BrowsedSlices])
@pytest.mark.parametrize("key", KEYS, ids=str)
def test_it_is_indexed_like_numpy(kind: type[Slices], key: Any) -> None:
    slices = kind(lambda z: WHOLE[z], WHOLE.shape, WHOLE.dtype)
    found = slices[key]
    np.testing.assert_array_equal(found, WHOLE[key])
    assert found.dtype == WHOLE.dtype


def test_it_looks_like_an_array() -> None:
    slices = Slices(lambda z: WHOLE[z], WHOLE.shape, WHOLE.dtype)
    assert (slices.ndim, slices.size, slices.nbytes, len(slices)) == (4, 360, 1440, 6)
    np.testing.assert_array_equal(np.asarray(slices), WHOLE)
    assert np.asarray(slices, dtype=float).dtype == float
    assert len(list(slices)) == 6
    with pytest.raises(IndexError):
        slices[6]


class Counting:
    def __init__(self) -> None:
        self.read: list[int] = []
        self.lock = threading.Lock()

    def __call__(self, z: int) -> np.ndarray:
        with self.lock:
            self.read.append(z)
        if z == 5:
            raise InputError("Slice 5 is damaged.")
        return WHOLE[z].copy()


@given(st.lists(st.integers(0, 4), max_size=20))
def test_browsing_gives_what_is_there(path: list[int]) -> None:
    slices = BrowsedSlices(Counting(), WHOLE.shape, WHOLE.dtype)
    for z in path:
        found = slices[z]
        np.testing.assert_array_equal(found, WHOLE[z])
        found[...] = -1  # of the caller's own


def test_slices_are_read_once_and_ahead() -> None:
    count = Counting()
    slices = BrowsedSlices(count, WHOLE.shape, WHOLE.dtype)
    for z in (0, 1, 2, 3, 4):
        slices[z]
    for _ in range(2):
        with pytest.raises(InputError, match="Slice 5"):
            slices[5]
    assert sorted(set(count.read)) == [0, 1, 2, 3, 4, 5]
    assert all(count.read.count(z) == 1 for z in range(5))
    assert count.read.count(5) > 1, "a mended file is read again"


def test_it_holds_a_few_slices_only() -> None:
    slices = BrowsedSlices(lambda z: np.zeros(10, np.uint8), (1000, 10), np.uint8)
    slices._most = 4
    for z in range(1000):
        slices[z]
        assert len(slices._kept) <= 4


def test_it_is_not_painted_on() -> None:
    slices = Slices(lambda z: WHOLE[z], WHOLE.shape, WHOLE.dtype)
    with pytest.raises(InputError, match="paint on the copy"):
        slices[0, 0] = 1
