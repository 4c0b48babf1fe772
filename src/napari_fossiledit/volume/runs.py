"""Label images as runs: stretches of one label along a row.

A slice of 2000 x 2000 pixels has some ten thousand runs. Finding them takes two passes of numpy
over the pixels, and all that linking needs to know (pieces, areas, overlaps with another slice)
follows from the runs alone.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError

__all__ = ["Runs", "candidates", "paint", "runs_of"]

Ints = NDArray[np.int64]

_room = threading.local()


@dataclass(frozen=True, eq=False)
class Runs:
    """The labelled pixels of one slice, in order of rows and columns.

    Attributes
    ----------
    shape : (y, x)
    start, stop : (n,) int64
        Places in the flattened slice, ``stop`` not included; no run goes over the end of a row.
    value : (n,) int64
        The run's label, above 0.
    """

    shape: tuple[int, int]
    start: Ints
    stop: Ints
    value: Ints

    def __len__(self) -> int:
        return len(self.start)

    @property
    def length(self) -> Ints:
        """(n,) int64, pixels of each run."""
        return self.stop - self.start


def runs_of(labels: NDArray[np.integer], name: str = "The slice") -> Runs:
    """Take a label image apart.

    Parameters
    ----------
    labels : (y, x) integer or bool, 0 = background
    name : str
        Begins the sentence of an error.

    Raises
    ------
    InputError
        Other axes, values that are no whole numbers, negative labels.
    """
    if labels.ndim != 2:
        raise InputError(f"{name} has {labels.ndim} axes: give (y, x) label images of one size.")
    if labels.dtype.kind not in "bui":
        raise InputError(f"{name} holds {labels.dtype} values: labels must be whole numbers.")
    rows, columns = labels.shape
    flat = np.ascontiguousarray(labels).reshape(-1)
    if flat.size == 0:
        none = np.empty(0, np.int64)
        return Runs((rows, columns), none, none, none)
    change = _flags(flat.size)
    change[0] = True
    np.not_equal(flat[1:], flat[:-1], out=change[1:])
    change[::columns] = True  # a row's end ends its last run
    start = np.flatnonzero(change)
    value = flat[start]
    if value.dtype.kind == "i" and value.min() < 0:
        raise InputError(f"{name} has negative labels: 0 is background, instances are above.")
    if value.dtype == np.uint64 and value.max() > np.iinfo(np.int64).max:
        raise InputError(f"{name} has labels of 2^63 and more: number its instances anew.")
    stop = np.append(start[1:], flat.size)
    kept = np.flatnonzero(value)
    return Runs((rows, columns), start[kept], stop[kept], value[kept].astype(np.int64))


def _flags(count: int) -> NDArray[np.bool_]:
    """Room for flags, used again and again: new memory costs as much as filling it."""
    room: NDArray[np.bool_] | None = getattr(_room, "flags", None)
    if room is None or not count <= len(room) <= 2 * count:
        room = _room.flags = np.empty(count, bool)
    return room[:count]


def paint(runs: Runs, values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the slice whose runs have other values.

    Parameters
    ----------
    runs : Runs
    values : (n,) int32

    Returns
    -------
    (y, x) int32
    """
    # Background and runs by turns: between two runs there may be none of the first.
    lengths = np.empty(2 * len(runs) + 1, np.int64)
    lengths[1::2] = runs.length
    lengths[2::2] = np.append(runs.start[1:], np.prod(runs.shape))[: len(runs)] - runs.stop
    lengths[0] = runs.start[0] if len(runs) else np.prod(runs.shape)
    turns = np.zeros(len(lengths), np.int32)
    turns[1::2] = values
    return np.repeat(turns, lengths).reshape(runs.shape)


def candidates(start: Ints, stop: Ints, starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """Pairs of stretches (i of ``start, stop``; j of ``starts, stops``) that share a place.

    Parameters
    ----------
    start, stop, starts, stops : int64
        Both sets ascending and free of overlaps among themselves.
    """
    low = np.searchsorted(stops, start, "right")
    count = np.searchsorted(starts, stop, "left") - low
    i = np.repeat(np.arange(len(start)), count)
    j = np.arange(len(i)) + np.repeat(low - np.cumsum(count) + count, count)
    return i, j
