"""Precision, recall and IoU of every true instance, and what the predictions claim beside them.

Source: arXiv 2210.03879 (Panigrahi et al.) for the matching; the figures beside it are this
project's, as that protocol is blind to predictions that touch no fossil.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.metrics.matching import Overlaps, best_matches, overlaps
from napari_fossiledit.metrics.slice_totals import SliceTotals, count_slice, stack_totals

__all__ = ["InstanceScores", "Means", "SliceTotals", "score_instances", "score_slices"]


@dataclass(frozen=True)
class Means:
    """Mean scores over instances, each in [0, 1]; NaN when there is nothing to average."""

    precision: float
    recall: float
    iou: float


@dataclass(frozen=True, eq=False)
class InstanceScores:
    """Scores of predictions on one or several slices.

    Attributes
    ----------
    slice_index : (n,) int64
        The slice that each true instance lies in.
    individual : tuple of (group, label value), length n
        Equal for the sections of one individual in several slices of a group.
    precision, recall, iou : (n,) float64
        Of each true instance with the prediction matched to it; 0 when unmatched.
    matched_index : (n,) int64
        Index of that prediction in its slice, -1 when no prediction overlaps.
    slices : SliceTotals
        Counts of every slice.
    threshold : float
        The confidence from which a prediction counts as confident.
    """

    slice_index: NDArray[np.int64]
    individual: tuple[tuple[str, int], ...]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    iou: NDArray[np.float64]
    matched_index: NDArray[np.int64]
    slices: SliceTotals
    threshold: float = 0.5

    @property
    def total(self) -> int:
        """Number of true instances."""
        return len(self.iou)

    @property
    def matched(self) -> int:
        """Number of true instances that a prediction overlaps (IoU above 0)."""
        return int(np.count_nonzero(self.iou > 0))

    @property
    def matched_mean(self) -> Means:
        """Means over the matched instances; NaN when none is matched.

        Raises
        ------
        InputError
            When no slice has a fossil.
        """
        return self._means(self.iou > 0)

    @property
    def all_mean(self) -> Means:
        """Means over all true instances, an unmatched one counting 0.

        Raises
        ------
        InputError
            When no slice has a fossil.
        """
        return self._means(np.ones(self.total, bool))

    @property
    def spurious_fraction(self) -> float:
        """Share of the pixels claimed by confident predictions that lie outside every fossil.

        0 when nothing is claimed.
        """
        return _share(self.slices.spurious, self.slices.claimed) or 0.0

    @property
    def spurious_fraction_all(self) -> float:
        """The same for all predictions, whatever their confidence."""
        return _share(self.slices.spurious_all, self.slices.claimed_all) or 0.0

    @property
    def false_detections(self) -> int:
        """Confident predictions with IoU below 0.1 to every true instance.

        A prediction without a pixel claims nothing and is not counted.
        """
        return int(self.slices.false_detections.sum())

    @property
    def true_detections(self) -> int:
        """Confident predictions with IoU of 0.1 or more to a true instance."""
        return int(self.slices.true_detections.sum())

    @property
    def confuser_share(self) -> float | None:
        """Share of the confusers' pixels that confident predictions claim.

        None when no confuser was labelled.
        """
        return _share(self.slices.confused, self.slices.confusers)

    @property
    def confuser_share_all(self) -> float | None:
        """The same for all predictions, whatever their confidence."""
        return _share(self.slices.confused_all, self.slices.confusers)

    def select(self, chosen: NDArray[np.bool_]) -> InstanceScores:
        """Scores of some of the true instances, e.g. those of one texture.

        The totals of the slices (spurious pixels, detections, confusers) stay those of all.

        Parameters
        ----------
        chosen : (n,) bool

        Raises
        ------
        InputError
            When ``chosen`` has another length.
        """
        if chosen.shape != (self.total,):
            raise InputError(
                f"{len(chosen)} instances are chosen or not, but {self.total} were scored: give "
                "one choice for each."
            )
        index = np.flatnonzero(chosen)
        return replace(
            self,
            slice_index=self.slice_index[index],
            individual=tuple(self.individual[i] for i in index),
            precision=self.precision[index],
            recall=self.recall[index],
            iou=self.iou[index],
            matched_index=self.matched_index[index],
        )

    def to_dict(
        self, *, intervals: bool = True, resamples: int = 2000, seed: int = 0
    ) -> dict[str, Any]:
        """All figures as plain JSON values; what cannot be computed is None.

        Parameters
        ----------
        intervals : bool
            Whether to add 95 % bootstrap intervals under ``intervals``.
        resamples, seed : int
            For the bootstrap.
        """
        from napari_fossiledit.metrics.intervals import intervals as bootstrap

        nothing = Means(np.nan, np.nan, np.nan)
        data: dict[str, Any] = {
            "matched_mean": _plain(self.matched_mean if self.total else nothing),
            "all_mean": _plain(self.all_mean if self.total else nothing),
            "matched": self.matched,
            "total": self.total,
            "individuals": len(set(self.individual)),
            "slices": len(self.slices.claimed),
            "confidence": self.threshold,
            "spurious_fraction": self.spurious_fraction,
            "spurious_fraction_all": self.spurious_fraction_all,
            "false_detections": self.false_detections,
            "true_detections": self.true_detections,
            "confuser_share": self.confuser_share,
            "confuser_share_all": self.confuser_share_all,
        }
        if intervals:
            found = bootstrap(self, resamples=resamples, seed=seed)
            data["intervals"] = {key: value.to_dict() for key, value in found.items()}
        return data

    def _means(self, chosen: NDArray[np.bool_]) -> Means:
        if self.total == 0:
            raise InputError(
                "No slice has a labelled fossil, so there is no instance to average scores over: "
                "add a slice with labels."
            )
        if not chosen.any():
            return Means(np.nan, np.nan, np.nan)
        return Means(
            float(self.precision[chosen].mean()),
            float(self.recall[chosen].mean()),
            float(self.iou[chosen].mean()),
        )


def score_slices(
    slices: Sequence[LabelledSlice],
    predictions: Sequence[Instances],
    *,
    threshold: float = 0.5,
    one_to_one: bool = False,
) -> InstanceScores:
    """`score_instances` of labelled slices; groups and confusers are the slices' own.

    Parameters
    ----------
    slices : sequence of LabelledSlice
    predictions : sequence of Instances
        One for each slice, at confidence 0.
    threshold, one_to_one
        As in `score_instances`.

    Raises
    ------
    InputError
    """
    return score_instances(
        [s.labels for s in slices],
        predictions,
        confusers=[s.confusers for s in slices],
        groups=[s.group for s in slices],
        names=[s.name for s in slices],
        threshold=threshold,
        one_to_one=one_to_one,
    )


def score_instances(
    truth_labels: NDArray[Any] | Sequence[NDArray[Any]],
    instances: Instances | Sequence[Instances],
    *,
    confusers: NDArray[Any] | Sequence[NDArray[Any] | None] | None = None,
    groups: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    threshold: float = 0.5,
    one_to_one: bool = False,
) -> InstanceScores:
    """Score predictions against labels.

    Each true instance is matched to the prediction of highest IoU, at any confidence; a
    prediction may be matched more than once. Precision is |p and g| / |p|, recall
    |p and g| / |g|. Classes are not compared: labels have none.

    Parameters
    ----------
    truth_labels : (y, x) integers, (z, y, x) integers or a sequence of (y, x)
        Labels, 0 = background.
    instances : Instances or a sequence of them
        Predictions of each slice, at confidence 0.
    confusers : like ``truth_labels``, optional
        Above 0 where fossils of other kinds lie; None for slices where they were not labelled.
        Pixels that are fossil too are left out.
    groups : sequence of str, optional
        The stack of each slice. The same label value in two slices of one group is the same
        individual. Default: all slices are of one group.
    names : sequence of str, optional
        How messages call the slices.
    threshold : float
        The confidence from which predictions count for the spurious fraction, the detections and
        the confuser share.
    one_to_one : bool
        Let each prediction serve one instance only (the Hungarian method).

    Returns
    -------
    InstanceScores

    Raises
    ------
    InputError
        When numbers or shapes of slices do not agree, or labels are not whole numbers from 0.

    Notes
    -----
    Source: arXiv 2210.03879; the spurious fraction, detections, confuser share, ``all_mean`` and
    ``one_to_one`` are this project's.
    """
    truths = _slices_of(truth_labels)
    predictions = [instances] if isinstance(instances, Instances) else list(instances)
    count = len(truths)
    if count == 0:
        raise InputError("There is no labelled slice to score: give at least one.")
    _same_number(count, len(predictions), "predictions")
    masks: list[NDArray[Any] | None] = [None] * count
    if confusers is not None:
        masks = _slices_of(confusers)
        _same_number(count, len(masks), "confuser labels")
    groups = [""] * count if groups is None else list(groups)
    _same_number(count, len(groups), "group names")
    labels_of = [(names[i] if names else "") or f"slice {i}" for i in range(count)]

    tables, matches, totals = [], [], []
    for labels, found, mask, name in zip(truths, predictions, masks, labels_of, strict=True):
        if not isinstance(found, Instances):
            raise InputError(f"The prediction of {name} must be Instances, not {type(found)}.")
        table = overlaps(np.asarray(labels), found, name=name)
        tables.append(table)
        matches.append(best_matches(table, one_to_one=one_to_one))
        totals.append(count_slice(np.asarray(labels), found, mask, table, threshold, name))
    return InstanceScores(
        np.repeat(np.arange(count), [len(table.ids) for table in tables]).astype(np.int64),
        tuple((g, int(i)) for g, t in zip(groups, tables, strict=True) for i in t.ids),
        _at(tables, matches, "precision"),
        _at(tables, matches, "recall"),
        _at(tables, matches, "iou"),
        np.concatenate([*matches, np.zeros(0, np.int64)]),
        stack_totals(totals),
        threshold,
    )


def _slices_of(arrays: Any) -> list[Any]:
    """One label image, a stack of them or a sequence, as a list."""
    if isinstance(arrays, np.ndarray) and arrays.ndim == 2:
        return [arrays]
    return list(arrays)


def _same_number(slices: int, others: int, what: str) -> None:
    if slices != others:
        raise InputError(
            f"There are {slices} labelled slices but {others} {what}: give one for each slice."
        )


def _at(
    tables: Sequence[Overlaps], matches: Sequence[NDArray[np.int64]], what: str
) -> NDArray[np.float64]:
    """Score ``what`` of each true instance with its match, 0 without one."""
    parts: list[NDArray[np.float64]] = [np.zeros(0)]
    for table, matched in zip(tables, matches, strict=True):
        part = np.zeros(len(matched))
        has = np.flatnonzero(matched >= 0)
        part[has] = getattr(table, what)[has, matched[has]]
        parts.append(part)
    return np.concatenate(parts)


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> float | None:
    total = int(whole.sum())
    return int(part.sum()) / total if total else None


def _plain(means: Means) -> dict[str, float | None]:
    return {key: None if np.isnan(value) else value for key, value in asdict(means).items()}
