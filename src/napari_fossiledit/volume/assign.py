"""One-to-one assignment of largest total weight on sparse candidates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.volume.pieces import places_of
from napari_fossiledit.volume.runs import Ints

__all__ = ["assign"]


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
