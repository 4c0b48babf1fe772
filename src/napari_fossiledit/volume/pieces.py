"""The instances of a slice and their connected pieces, found from runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.volume.runs import Ints, Runs, candidates, runs_of

__all__ = ["Pieces", "pieces_again", "pieces_of", "places_of", "shared_pixels", "summed"]


@dataclass(frozen=True, eq=False)
class Pieces:
    """What linking knows of one slice.

    Attributes
    ----------
    runs : Runs
    label : (k,) int64
        The instances' labels, ascending.
    piece : (n,) int64
        The piece that each run belongs to.
    instance : (m,) int64
        The instance that each piece belongs to. Piece i of the first k is the largest of
        instance i (the first of several equal ones); the others follow.
    area : (m,) int64
        Pixels of each piece.
    """

    runs: Runs
    label: Ints
    piece: Ints
    instance: Ints
    area: Ints

    def __len__(self) -> int:
        return len(self.area)

    @property
    def instance_area(self) -> Ints:
        """(k,) int64, pixels of each instance."""
        return summed(self.instance, self.area, len(self.label))

    def only(self, instances: NDArray[np.bool_]) -> Pieces:
        """The same numbers, but runs of some instances only."""
        kept = instances[self.instance[self.piece]]
        runs = self.runs
        some = Runs(runs.shape, runs.start[kept], runs.stop[kept], runs.value[kept])
        return Pieces(some, self.label, self.piece[kept], self.instance, self.area)


def pieces_of(labels: NDArray[np.integer], name: str = "The slice") -> Pieces:
    """Find the instances of a label image, and their pieces (8-connected).

    Parameters
    ----------
    labels : (y, x) integer, 0 = background
    name : str
        Begins the sentence of an error.

    Raises
    ------
    InputError
        As `runs_of`.
    """
    runs = runs_of(labels, name)
    label, place = places_of(runs.value)
    head = _heads(runs, place)
    # An instance with one run that touches none of it in the row above is one piece, as every
    # other run hangs on that one, by way of rows above.
    doubtful = np.flatnonzero(np.bincount(place[head], minlength=len(label)) > 1)
    return Pieces(runs, label, *_taken_apart(runs, place, len(label), doubtful))


def pieces_again(runs: Runs, place: Ints, count: int, several: Ints) -> Ints:
    """The piece that each run belongs to, where it is known which instances have several.

    Parameters
    ----------
    runs : Runs
    place : (n,) int64
        The instance of each run.
    count : int
        How many instances there are.
    several : int64
        Those of several pieces.

    Returns
    -------
    (n,) int64
        As `Pieces.piece`.
    """
    return _taken_apart(runs, place, count, several)[0]


def places_of(values: Ints) -> tuple[Ints, Ints]:
    """Distinct values, ascending, and the place of each value among them."""
    if values.size and values.max() < 2**20 + 8 * len(values):
        # A table of all values is quicker than sorting, as long as they are small.
        seen = np.zeros(int(values.max()) + 1, bool)
        seen[values] = True
        distinct = np.flatnonzero(seen)
        place = np.cumsum(seen)[values] - 1
        return distinct, place
    distinct, place = np.unique(values, return_inverse=True)
    return distinct, place.reshape(-1)


def shared_pixels(a: Pieces, b: Pieces) -> tuple[Ints, Ints, Ints]:
    """Pieces of ``a`` and ``b`` that overlap, and in how many pixels; sorted."""
    if not len(a) or not len(b):
        none = np.empty(0, np.int64)
        return none, none, none
    i, j = candidates(a.runs.start, a.runs.stop, b.runs.start, b.runs.stop)
    pixels = np.minimum(a.runs.stop[i], b.runs.stop[j])
    pixels -= np.maximum(a.runs.start[i], b.runs.start[j])
    key, total = _sums(a.piece[i] * len(b) + b.piece[j], pixels, len(a) * len(b))
    first, second = np.divmod(key, len(b))
    return first, second, total


def summed(places: Ints, amounts: Ints, count: int) -> Ints:
    """Sum of the amounts at each of ``count`` places."""
    # Sums of float64 are exact far beyond the pixels of a slice.
    return np.bincount(places, weights=amounts, minlength=count).astype(np.int64)


def _sums(key: Ints, amounts: Ints, size: int) -> tuple[Ints, Ints]:
    """Distinct keys, ascending, and the sum of their amounts; all keys are below ``size``."""
    if size <= 4 * len(key) + 2**20:
        table = np.bincount(key, weights=amounts, minlength=1)
        distinct = np.flatnonzero(table > 0)
        return distinct, table[distinct].astype(np.int64)
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    return key[first], np.add.reduceat(amounts[order], first)


def _widened(runs: Runs) -> tuple[Ints, Ints, int]:
    """Starts and stops as if rows were two pixels longer, and the length of a row.

    In them, no run that is widened by a pixel reaches into another row.
    """
    columns = runs.shape[1]
    offset = 2 * (runs.start // max(columns, 1))
    return runs.start + offset, runs.stop + offset, columns + 2


def _heads(runs: Runs, place: Ints) -> Ints:
    """The runs that touch none of their instance in the row above, corners included."""
    if not len(runs):
        return np.empty(0, np.int64)
    start, stop, row = _widened(runs)
    first = np.searchsorted(stop, start - row - 1, "right")
    # Mostly the first run above is of the instance, or there is none: a look at it is enough.
    alone = (start[first] >= stop - row + 1) | (place[first] != place)
    some = np.flatnonzero(alone)
    i, above = candidates(start[some] - row - 1, stop[some] - row + 1, start, stop)
    found = np.zeros(len(some), bool)
    found[i[place[some[i]] == place[above]]] = True
    return some[~found]


def _taken_apart(runs: Runs, place: Ints, count: int, doubtful: Ints) -> tuple[Ints, Ints, Ints]:
    """Each run's piece, each piece's instance, each piece's area; see `Pieces`."""
    if not len(doubtful):
        return place, np.arange(count), summed(place, runs.length, count)
    flags = np.zeros(count, bool)
    flags[doubtful] = True
    chosen = np.flatnonzero(flags[place])
    some = Runs(runs.shape, runs.start[chosen], runs.stop[chosen], runs.value[chosen])
    part = _parts(some, place[chosen])
    _, first = np.unique(part, return_index=True)
    owner = place[chosen[first]]
    area = summed(part, some.length, len(first))
    # By instance, then the largest, then the first in the slice.
    order = np.lexsort((first, -area, owner))
    largest = np.append(True, np.diff(owner[order]) > 0)
    rest = order[~largest]
    number = np.empty(len(order), np.int64)
    number[order[largest]] = owner[order[largest]]
    number[rest] = count + np.arange(len(rest))
    piece = place.copy()
    piece[chosen] = number[part]
    instance = np.concatenate([np.arange(count), owner[rest]])
    return piece, instance, summed(piece, runs.length, len(instance))


def _parts(runs: Runs, place: Ints) -> Ints:
    """Number, from 0, of the connected part of its instance that each run belongs to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    start, stop, row = _widened(runs)
    below, above = candidates(start - row - 1, stop - row + 1, start, stop)
    same = place[below] == place[above]
    edges = (above[same], below[same])
    graph = coo_array((np.ones(len(edges[0]), np.int8), edges), shape=(len(runs),) * 2)
    _, part = connected_components(graph.tocsr(), directed=False)
    return np.asarray(part, np.int64)
