"""Whether one class of instances, e.g. one texture, fares otherwise than the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.metrics.instance_scores import InstanceScores
from napari_fossiledit.metrics.intervals import (
    SCORES,
    Floats,
    Interval,
    Way,
    check_same_labels,
    resampling_ways,
    widest,
)
from napari_fossiledit.progress import checkpoint

__all__ = ["class_contrasts"]


def class_contrasts(
    scores: InstanceScores,
    classes: Sequence[str | None],
    *,
    after: InstanceScores | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """Mean scores of every class minus those of all other classes, with 95 % intervals.

    Individuals and slices are resampled as in `difference`, all classes together, and the wider
    interval is given.

    Parameters
    ----------
    scores : InstanceScores
    classes : sequence of str or None
        One for each true instance; instances of unknown class (None) are left out.
    after : InstanceScores, optional
        Of the same instances: then the contrast is that of the change from ``scores`` to it.
    resamples, seed : int

    Returns
    -------
    dict of str to dict of Interval
        By class, then ``matched_mean.precision`` and so on; empty with fewer than two classes.

    Raises
    ------
    InputError
        When there are not as many classes as instances, or ``after`` is of other instances.

    Notes
    -----
    This project's own, after the bootstrap of `intervals`.
    """
    if len(classes) != scores.total:
        raise InputError(
            f"{len(classes)} classes are given for {scores.total} instances: give one for each."
        )
    if after is not None:
        check_same_labels(scores, after)
    names = sorted({name for name in classes if name is not None})
    if len(names) < 2:
        return {}
    ways = resampling_ways(scores, resamples=resamples, seed=seed)
    of = np.array(["" if name is None else name for name in classes], object)
    known = np.array([name is not None for name in classes], bool)
    found: dict[str, dict[str, Interval]] = {}
    for name in names:
        checkpoint()
        inside = known & (of == name)
        found[name] = {
            f"{kind}.{score}": widest(
                way.interval(
                    _change(scores, after, score, kind, inside, way)
                    - _change(scores, after, score, kind, known & ~inside, way)
                )
                for way in ways
            )
            for kind in ("matched_mean", "all_mean")
            for score in SCORES
        }
    return found


def _change(
    scores: InstanceScores,
    after: InstanceScores | None,
    score: str,
    kind: str,
    chosen: NDArray[np.bool_],
    way: Way,
) -> Floats:
    """Mean of the chosen instances under each row of weights, or its change to ``after``."""
    before = _mean(scores, score, kind, chosen, way)
    return before if after is None else _mean(after, score, kind, chosen, way) - before


def _mean(
    run: InstanceScores, score: str, kind: str, chosen: NDArray[np.bool_], way: Way
) -> Floats:
    counted = chosen & (run.iou > 0) if kind == "matched_mean" else chosen
    values = np.where(counted, getattr(run, score), 0.0)
    units = way.weights.shape[1]
    sums = way.weights @ np.bincount(way.unit, values, minlength=units)
    numbers = way.weights @ np.bincount(way.unit, counted.astype(np.float64), minlength=units)
    return np.asarray(sums / np.where(numbers > 0, numbers, np.nan))
