"""Bootstrap intervals of scores and of their differences.

Sections of one individual look alike, and instances of one slice share its light and grain, so
instances are not resampled singly: (a) individuals are, with all their sections, and (b) slices,
with all their instances; the wider of the two intervals is reported. Figures that belong to
slices (spurious fraction, false detections, confuser share) resample slices only.

Source: percentile bootstrap of clusters, e.g. Efron and Tibshirani (1993), An Introduction to the
Bootstrap, ch. 8 and 13.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.metrics.instance_scores import InstanceScores
from napari_fossiledit.progress import checkpoint

__all__ = [
    "Interval",
    "Way",
    "check_same_labels",
    "difference",
    "drawn_weights",
    "intervals",
    "resampling_ways",
    "weighted_mean",
    "widest",
]

Floats: TypeAlias = NDArray[np.float64]

SCORES = ("precision", "recall", "iou")
# Key, and the totals whose quotient it is (None: a plain count).
SHARES: tuple[tuple[str, str, str | None], ...] = (
    ("spurious_fraction", "spurious", "claimed"),
    ("spurious_fraction_all", "spurious_all", "claimed_all"),
    ("confuser_share", "confused", "confusers"),
    ("confuser_share_all", "confused_all", "confusers"),
    ("false_detections", "false_detections", None),
    ("true_detections", "true_detections", None),
)
# The share of resamples in which a figure must be defined to get an interval.
DEFINED = 0.95
# Differences of these are shown as relative change under the plain key.
RELATIVE = ("false_detections", "confuser_share", "confuser_share_all")


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % bootstrap interval.

    Attributes
    ----------
    value : float
        NaN when it cannot be computed.
    low, high : float
        NaN when there is too little to resample (e.g. a single slice).
    relative : bool
        Whether it is a relative change: -0.2 = a fifth less.
    resampled : str
        What was resampled: "individuals" or "slices"; empty without an interval.
    """

    value: float
    low: float
    high: float
    relative: bool = False
    resampled: str = ""

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def to_dict(self) -> dict[str, float | bool | str | None]:
        """Plain JSON values; None for NaN."""
        return {
            "value": _none(self.value),
            "low": _none(self.low),
            "high": _none(self.high),
            "relative": self.relative,
            "resampled": self.resampled,
        }

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not known"
        number = "{:+.0%}" if self.relative else "{:+.3f}"
        text = number.format(self.value)
        if math.isnan(self.low):
            return text
        return f"{text}, 95 % CI [{number.format(self.low)}, {number.format(self.high)}]"


def intervals(
    scores: InstanceScores, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Interval]:
    """Every figure of one evaluation with its 95 % interval.

    Parameters
    ----------
    scores : InstanceScores
    resamples, seed : int

    Returns
    -------
    dict of Interval
        ``matched_mean.precision`` and so on, and the slice-level figures.
    """
    return {
        key: widest(way.interval(own) for way, (own,) in ways)
        for key, ways in _figures([scores], resamples, seed)
    }


def difference(
    before: InstanceScores, after: InstanceScores, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Interval]:
    """Say what changed from ``before`` to ``after``, with 95 % intervals.

    Both are resampled together, so what makes an individual or slice hard cancels out.

    Parameters
    ----------
    before, after : InstanceScores
        Of the same slices, in the same order.
    resamples, seed : int

    Returns
    -------
    dict of Interval
        Differences under ``matched_mean.precision``, ``.recall``, ``.iou``, ``all_mean.*``,
        ``spurious_fraction`` (and ``_all``) and ``true_detections``. ``false_detections`` and
        ``confuser_share`` (and ``_all``) are relative changes, (after - before) / before; their
        plain differences are under the same key with ``_difference``.

    Raises
    ------
    InputError
        When the two were not scored on the same labels.
    """
    check_same_labels(before, after)
    found: dict[str, Interval] = {}
    for key, ways in _figures([before, after], resamples, seed):
        plain = widest(way.interval(new - old) for way, (old, new) in ways)
        if key in RELATIVE:
            found[key] = widest(
                way.interval(_quotient(new - old, old), relative=True) for way, (old, new) in ways
            )
            found[f"{key}_difference"] = plain
        else:
            found[key] = plain
    return found


def check_same_labels(one: InstanceScores, other: InstanceScores) -> None:
    """Refuse to pair scores of different slices or labels.

    Raises
    ------
    InputError
    """
    same = (
        one.individual == other.individual
        and np.array_equal(one.slice_index, other.slice_index)
        and len(one.slices.claimed) == len(other.slices.claimed)
    )
    if not same:
        raise InputError(
            "The scores are of different slices or labels: evaluate both on the same ones."
        )


@dataclass(frozen=True, eq=False)
class Way:
    """One way to resample: by individuals or by slices.

    Attributes
    ----------
    name : str
        "individuals" or "slices".
    unit : (n,) int64
        The unit that each true instance belongs to.
    weights : (1 + resamples, units) float64
        How often each unit is drawn; row 0 draws each once, so it gives the figure itself.
    """

    name: str
    unit: NDArray[np.int64]
    weights: Floats

    def interval(self, figures: Floats, *, relative: bool = False) -> Interval:
        """Return the 95 % percentile interval of a figure, one value for each row of weights."""
        value, rest = float(figures[0]), figures[1:]
        defined = rest[np.isfinite(rest)]
        # A single unit has no spread, and a width of 0 would be a lie; nor is a figure that can
        # often not be computed (a change from 0 false detections) known well.
        few = self.weights.shape[1] < 2 or len(defined) < DEFINED * len(rest)
        if math.isnan(value) or few:
            return Interval(value, math.nan, math.nan, relative)
        low, high = np.percentile(defined, [2.5, 97.5])
        return Interval(value, float(low), float(high), relative, self.name)


def resampling_ways(
    scores: InstanceScores, *, resamples: int = 2000, seed: int = 0
) -> tuple[Way, Way]:
    """Draw the resamples: by individuals, then by slices.

    Parameters
    ----------
    scores : InstanceScores
        Every run on the same slices can use them.
    resamples, seed : int

    Raises
    ------
    InputError
        When there are no resamples.
    """
    if resamples < 1:
        raise InputError(f"{resamples} resamples are too few: use 1000 or more.")
    rng = np.random.default_rng(seed)
    people = {who: code for code, who in enumerate(dict.fromkeys(scores.individual))}
    of_person = np.array([people[who] for who in scores.individual], np.int64)
    slices = len(scores.slices.claimed)
    by_slice = Way("slices", scores.slice_index, drawn_weights(slices, resamples, rng))
    return Way("individuals", of_person, drawn_weights(len(people), resamples, rng)), by_slice


def widest(candidates: Iterable[Interval]) -> Interval:
    """Return the widest interval; one that is not known counts as the narrowest."""
    return max(candidates, key=_width)


def _figures(
    runs: list[InstanceScores], resamples: int, seed: int
) -> Iterator[tuple[str, list[tuple[Way, list[Floats]]]]]:
    """Every figure's key and, for each way, its resampled values in all runs (paired)."""
    ways = resampling_ways(runs[0], resamples=resamples, seed=seed)
    for kind in ("matched_mean", "all_mean"):
        matched = kind == "matched_mean"
        for score in SCORES:
            checkpoint()
            means = [(w, [weighted_mean(run, score, matched, w) for run in runs]) for w in ways]
            yield f"{kind}.{score}", means
    by_slice = ways[1]
    for key, part, whole in SHARES:
        yield key, [(by_slice, [_slice_figure(r, part, whole, by_slice.weights) for r in runs])]


def drawn_weights(units: int, resamples: int, rng: np.random.Generator) -> Floats:
    """How often each unit is drawn, (1 + resamples, units); row 0 draws each once."""
    checkpoint()  # with thousands of individuals a draw takes a good part of a second
    if units == 0:
        return np.ones((1 + resamples, 0))
    drawn = rng.multinomial(units, np.full(units, 1 / units), size=resamples)
    return np.concatenate([np.ones((1, units)), drawn])


def weighted_mean(run: InstanceScores, score: str, matched_only: bool, way: Way) -> Floats:
    """Return the mean of a score under each row of a way's weights, (1 + resamples,)."""
    counted = run.iou > 0 if matched_only else np.ones(run.total, bool)
    values = np.where(counted, getattr(run, score), 0.0)
    units = way.weights.shape[1]
    sums = np.bincount(way.unit, values, minlength=units)
    numbers = np.bincount(way.unit, counted.astype(np.float64), minlength=units)
    return _quotient(way.weights @ sums, way.weights @ numbers)


def _slice_figure(run: InstanceScores, part: str, whole: str | None, weights: Floats) -> Floats:
    """Return a slice-level figure under each row of weights."""
    parts = weights @ getattr(run.slices, part).astype(np.float64)
    if whole is None:
        return np.asarray(parts)
    shares = _quotient(parts, weights @ getattr(run.slices, whole).astype(np.float64))
    # Nothing claimed means nothing spurious; without confusers their share is not known.
    return np.nan_to_num(shares, nan=0.0) if whole.startswith("claimed") else shares


def _quotient(parts: Floats, wholes: Floats) -> Floats:
    return np.asarray(parts / np.where(wholes > 0, wholes, np.nan))


def _width(interval: Interval) -> float:
    return -1.0 if math.isnan(interval.low) else interval.high - interval.low


def _none(value: float) -> float | None:
    return value if math.isfinite(value) else None
