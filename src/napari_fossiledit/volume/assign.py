"""One-to-one assignment of largest total weight on sparse candidates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.progress import checkpoint
from napari_fossiledit.volume.pieces import places_of
from napari_fossiledit.volume.runs import Ints

__all__ = ["assign"]

_BATCH = 512


def assign(left: Ints, right: Ints, weight: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Choose pairs so that each side is used once at most and the summed weight is largest.

    Parameters
    ----------
    left, right : (n,) int64, 0 or more
        Distinct pairs.
    weight : (n,) float, above 0 and at most 1

    Returns
    -------
    (n,) bool
        Which pairs are chosen.

    Notes
    -----
    Pairs without a rival are taken at once; for the rest, the sparse Jonker-Volgenant algorithm
    (`scipy.sparse.csgraph.min_weight_full_bipartite_matching`) looks at candidates only, so that
    thousands of instances a slice take milliseconds.
    """
    _, row = places_of(left)
    _, column = places_of(right)
    alone = (np.bincount(row)[row] == 1) & (np.bincount(column)[column] == 1)
    chosen: NDArray[np.bool_] = np.asarray(alone)
    rivals = np.flatnonzero(~alone)
    if len(rivals):
        found = _assign_rivals(row[rivals], column[rivals], weight[rivals])
        chosen[rivals[found]] = True
    return chosen


def _assign_rivals(left: Ints, right: Ints, weight: NDArray[np.float64]) -> NDArray[np.bool_]:
    chosen = np.zeros(len(left), bool)
    for some in _batches(left, right):
        checkpoint()
        chosen[some] = _solved(left[some], right[some], weight[some])
    return chosen


def _batches(left: Ints, right: Ints) -> list[Ints]:
    """Pairs in batches that share no side: the algorithm's time grows with the square of rows."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, row = places_of(left)
    columns, column = places_of(right)
    if len(rows) <= _BATCH:
        return [np.arange(len(left))]
    size = len(rows) + len(columns)
    edges = (np.ones(len(left), np.int8), (row, len(rows) + column))
    graph = coo_array(edges, shape=(size, size)).tocsr()
    count, block = connected_components(graph, directed=False)
    sizes = np.bincount(block[: len(rows)], minlength=count)
    batch = (np.cumsum(sizes) - sizes)[block[row]] // _BATCH
    order = np.argsort(batch, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(batch[order])) + 1)


def _solved(left: Ints, right: Ints, weight: NDArray[np.float64]) -> NDArray[np.bool_]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    rows, row = places_of(left)
    columns, column = places_of(right)
    n, m = len(rows), len(columns)
    # Every row has a column of its own beside, for "no partner": a full matching then exists.
    cost = np.concatenate([2.0 - weight, np.full(n, 2.0)])
    place = (np.append(row, np.arange(n)), np.append(column, m + np.arange(n)))
    graph = coo_array((cost, place), shape=(n, m + n)).tocsr()
    _, partner = min_weight_full_bipartite_matching(graph)
    return np.asarray(partner[row] == column)
