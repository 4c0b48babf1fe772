"""What a setting adds to a curve of rivals, at equal recall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.metrics.instance_scores import InstanceScores
from napari_fossiledit.metrics.intervals import (
    Interval,
    check_same_labels,
    resampling_ways,
    weighted_mean,
    widest,
)

__all__ = ["excess_at_equal_recall", "interpolated"]


def excess_at_equal_recall(
    rivals: Sequence[InstanceScores],
    scores: InstanceScores,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Interval]:
    """What ``scores`` add to the rivals' curve at their own recall (*ours*).

    The rivals, e.g. the unedited model at several mask thresholds, make a curve of mean precision
    (or IoU) over mean recall, interpolated linearly; beyond its ends the end point counts. Means
    are over matched instances. Every resample draws curve and point anew, together.

    Parameters
    ----------
    rivals : sequence of InstanceScores
        Two or more, of the same slices.
    scores : InstanceScores
    resamples, seed : int

    Returns
    -------
    dict of str to Interval
        ``precision`` and ``iou``.

    Raises
    ------
    InputError
        With fewer than two rivals, or rivals of other labels.
    """
    if len(rivals) < 2:
        raise InputError("A curve needs at least two mask thresholds: ask for more of them.")
    for rival in rivals:
        check_same_labels(rival, scores)
    result: dict[str, Interval] = {}
    for name in ("precision", "iou"):
        candidates = []
        for way in resampling_ways(scores, resamples=resamples, seed=seed):
            recall = np.stack([weighted_mean(r, "recall", True, way) for r in rivals])
            other = np.stack([weighted_mean(r, name, True, way) for r in rivals])
            at = weighted_mean(scores, "recall", True, way)
            mine = weighted_mean(scores, name, True, way)
            candidates.append(way.interval(mine - interpolated(at, recall, other)))
        result[name] = widest(candidates)
    return result


def interpolated(
    at: NDArray[np.float64], recall: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Each resample's curve at its own recall; ``recall`` and ``other`` are (rivals, resamples)."""
    order = np.argsort(recall, axis=0)
    recall, other = np.take_along_axis(recall, order, 0), np.take_along_axis(other, order, 0)
    return np.array([np.interp(at[j], recall[:, j], other[:, j]) for j in range(len(at))])
