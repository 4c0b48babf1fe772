"""The instances of a slice and their connected pieces, found from runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.volume.runs import Ints, Runs, candidates, runs_of

__all__ = ["Pieces", "pieces_of", "places_of", "shared_pixels", "summed"]


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
    above, below = _neighbours(runs, place)
    # A run that touches one of its label in the row above is connected to the label's first run,
    # or to that of another piece: an instance with one run that touches none is one piece.
    head = np.ones(len(runs), bool)
    head[below] = False
    doubtful = np.bincount(place[head], minlength=len(label)) > 1
    if not doubtful.any():
        area = summed(place, runs.length, len(label))
        return Pieces(runs, label, place, np.arange(len(label)), area)
    chosen = np.flatnonzero(doubtful[place])
    return _numbered(runs, label, place, chosen, _parts(chosen, above, below, len(runs)))


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
        distinct = np.flatnonzero(table)
        return distinct, table[distinct].astype(np.int64)
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    return key[first], np.add.reduceat(amounts[order], first)


def _neighbours(runs: Runs, place: Ints) -> tuple[Ints, Ints]:
    """Pairs of runs of one instance that touch, the first in the row above, corners included."""
    columns = runs.shape[1]
    stride = columns + 2  # no run, widened by a pixel, reaches into another row
    offset = 2 * (runs.start // columns) if columns else runs.start
    start, stop = runs.start + offset, runs.stop + offset
    below, above = candidates(start - stride - 1, stop - stride + 1, start, stop)
    same = place[below] == place[above]
    return above[same], below[same]


def _parts(chosen: Ints, above: Ints, below: Ints, count: int) -> Ints:
    """Number, from 0, of the connected part that each of the chosen runs belongs to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    local = np.full(count, -1, np.int64)
    local[chosen] = np.arange(len(chosen))
    within = local[above] >= 0
    edges = (local[above[within]], local[below[within]])
    graph = coo_array((np.ones(len(edges[0]), np.int8), edges), shape=(len(chosen),) * 2)
    _, part = connected_components(graph.tocsr(), directed=False)
    return np.asarray(part, np.int64)


def _numbered(runs: Runs, label: Ints, place: Ints, chosen: Ints, part: Ints) -> Pieces:
    """Number the parts: the largest of each instance as the instance, the others after all."""
    _, first = np.unique(part, return_index=True)
    owner = place[chosen[first]]
    area = summed(part, runs.length[chosen], len(first))
    # By instance, then the largest, then the first in the slice.
    order = np.lexsort((first, -area, owner))
    largest = np.append(True, np.diff(owner[order]) > 0)
    rest = order[~largest]
    number = np.empty(len(order), np.int64)
    number[order[largest]] = owner[order[largest]]
    number[rest] = len(label) + np.arange(len(rest))
    piece = place.copy()
    piece[chosen] = number[part]
    instance = np.concatenate([np.arange(len(label)), owner[rest]])
    return Pieces(runs, label, piece, instance, summed(piece, runs.length, len(instance)))
