"""COCO's AP50 of resampled slices and individuals: how sure a difference of it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.metrics.intervals import Interval, Way, drawn_weights, widest
from napari_fossiledit.metrics.matching import overlaps

__all__ = ["DetectionMatches", "ap50", "ap50_difference", "match_detections", "resampled"]

Floats: TypeAlias = NDArray[np.float64]

_MOST = 500  # detections a slice, as in `average_precision`
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class DetectionMatches:
    """Which detections of some slices hit a fossil, each fossil at most once.

    Attributes
    ----------
    slice_of : (n,) int64
        Of each detection, by falling score.
    fossil_of : (n,) int64
        Which fossil it hit, into the arrays below; -1 for none.
    slice_of_fossil, individual_of_fossil : (m,) int64
        Of each labelled fossil.
    slices, individuals : int
        How many there are.
    """

    slice_of: NDArray[np.int64]
    fossil_of: NDArray[np.int64]
    slice_of_fossil: NDArray[np.int64]
    individual_of_fossil: NDArray[np.int64]
    slices: int
    individuals: int


def match_detections(
    slices: Sequence[LabelledSlice],
    predictions: Sequence[Instances],
    *,
    iou: float = 0.5,
    without: Sequence[int] = (),
) -> DetectionMatches:
    """Match detections to labelled fossils as COCO does: by falling score, each fossil once.

    Parameters
    ----------
    slices : sequence of LabelledSlice
        Fossils of one number in slices of one group are one individual.
    predictions : sequence of Instances
        One for each slice, at confidence 0.
    iou : float
        Least intersection over union of a hit.
    without : sequence of int
        Slices that do not count; the others and the individuals keep their numbers, so that runs
        with different slices left out can be resampled together.

    Raises
    ------
    InputError
        When numbers or shapes do not agree.
    """
    if len(slices) != len(predictions):
        raise InputError(
            f"There are {len(slices)} labelled slices but {len(predictions)} predictions: "
            "give one for each slice."
        )
    scores: list[float] = []
    slice_of: list[int] = []
    fossil_of: list[int] = []
    of_slice: list[int] = []
    people: dict[tuple[str, int], int] = {}
    of_person: list[int] = []
    for index, (piece, found) in enumerate(zip(slices, predictions, strict=True)):
        table = overlaps(piece.labels, found, name=piece.name or f"slice {index}")
        who = [people.setdefault((piece.group, int(n)), len(people)) for n in table.ids]
        if index in without:
            continue
        hits = _hits(table.iou, found.scores, iou)
        fossil_of += [first + len(of_slice) if first >= 0 else -1 for first in hits.values()]
        slice_of += [index] * len(hits)
        scores += [float(found.scores[row]) for row in hits]
        of_person += who
        of_slice += [index] * len(who)
    order = np.argsort(-np.array(scores), kind="mergesort")
    return DetectionMatches(
        np.array(slice_of, np.int64)[order],
        np.array(fossil_of, np.int64)[order],
        np.array(of_slice, np.int64),
        np.array(of_person, np.int64),
        len(slices),
        len(people),
    )


def ap50(matches: DetectionMatches) -> float:
    """AP at the matches' IoU, mean over 101 recalls as COCO has it; NaN without a fossil."""
    ones = np.ones((1, len(matches.slice_of_fossil)))
    return float(_curves(matches, ones, np.ones((1, len(matches.slice_of))))[0])


def ap50_difference(
    before: DetectionMatches | Sequence[DetectionMatches],
    after: DetectionMatches | Sequence[DetectionMatches],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """AP after minus AP before with its 95 % interval, individuals or slices resampled.

    Parameters
    ----------
    before, after : DetectionMatches, or sequences of them
        Pairs of runs on the same slices in the same order; of several pairs (e.g. edits made
        from different slices) the mean difference is told, all pairs resampled together.
    resamples, seed : int

    Returns
    -------
    Interval
        The wider of both ways to resample (see `metrics.intervals`). A false detection belongs to
        its slice, to no individual.
    """
    olds = [before] if isinstance(before, DetectionMatches) else list(before)
    news = [after] if isinstance(after, DetectionMatches) else list(after)
    if len(olds) != len(news) or not olds:
        raise InputError("AP is compared between as many runs before as after: give pairs.")
    rng = np.random.default_rng(seed)
    first = olds[0]
    found = []
    for name, units in (("individuals", first.individuals), ("slices", first.slices)):
        way = Way(name, first.slice_of_fossil, drawn_weights(units, resamples, rng))
        changes = [resampled(n, way) - resampled(o, way) for o, n in zip(olds, news, strict=True)]
        found.append(way.interval(np.mean(changes, axis=0)))
    return widest(found)


def resampled(matches: DetectionMatches, way: Way) -> Floats:
    """AP under each row of a way's weights."""
    if way.name == "slices":
        return _curves(
            matches, way.weights[:, matches.slice_of_fossil], way.weights[:, matches.slice_of]
        )
    fossils = way.weights[:, matches.individual_of_fossil]
    hit = matches.fossil_of >= 0
    detections = np.ones((len(fossils), len(matches.slice_of)))
    detections[:, hit] = fossils[:, matches.fossil_of[hit]]
    return _curves(matches, fossils, detections)


def _curves(matches: DetectionMatches, fossils: Floats, detections: Floats) -> Floats:
    """AP for rows of weights of fossils (k, m) and of detections (k, n)."""
    hit = matches.fossil_of >= 0
    values = np.full(len(fossils), np.nan)
    for row, (mine, theirs) in enumerate(zip(fossils, detections, strict=True)):
        total = mine.sum()
        if total <= 0:
            continue
        true = np.cumsum(theirs * hit)
        claimed = np.cumsum(theirs)
        recall = true / total
        precision = np.maximum.accumulate((true / np.maximum(claimed, 1e-12))[::-1])[::-1]
        # A rounding error must not hide a recall that is reached exactly.
        at = np.searchsorted(recall, _RECALLS - 1e-12, side="left")
        reached = at < len(precision)
        values[row] = precision[at[reached]].sum() / len(_RECALLS)
    return values


def _hits(iou: Floats, scores: NDArray[np.float32], least: float) -> dict[int, int]:
    """For each detection by falling score the fossil (row of ``iou``) that it hit, or -1."""
    free = np.ones(iou.shape[0], bool)
    hits: dict[int, int] = {}
    for column in np.argsort(-scores, kind="mergesort")[:_MOST]:
        hits[int(column)] = -1
        open_to_it = np.where(free, iou[:, column], -1.0)
        if len(open_to_it) and open_to_it.max() >= least:
            best = int(open_to_it.argmax())
            hits[int(column)] = best
            free[best] = False
    return hits
