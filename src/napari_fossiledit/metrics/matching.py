"""Overlaps between all true and all predicted instances of one slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances

__all__ = ["Overlaps", "best_matches", "overlaps"]


@dataclass(frozen=True, eq=False)
class Overlaps:
    """How g true and n predicted instances of a slice overlap.

    Attributes
    ----------
    ids : (g,) int64
        Label value of each true instance, ascending.
    truth_areas : (g,) int64
        Pixels of each true instance.
    predicted_areas : (n,) int64
        Pixels of each prediction.
    intersection : (g, n) int64
        Pixels that both have.
    """

    ids: NDArray[np.int64]
    truth_areas: NDArray[np.int64]
    predicted_areas: NDArray[np.int64]
    intersection: NDArray[np.int64]

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union, (g, n) in [0, 1]."""
        union = self.truth_areas[:, None] + self.predicted_areas[None, :] - self.intersection
        return _ratio(self.intersection, union)

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of each prediction inside each true instance, (g, n) in [0, 1]."""
        return _ratio(self.intersection, np.broadcast_to(self.predicted_areas, self._shape))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of each true instance inside each prediction, (g, n) in [0, 1]."""
        return _ratio(self.intersection, np.broadcast_to(self.truth_areas[:, None], self._shape))

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.intersection.shape


def _ratio(numerator: NDArray[np.int64], denominator: NDArray[np.int64]) -> NDArray[np.float64]:
    """Quotient, 0 where the denominator is (a prediction without a pixel)."""
    return np.asarray(numerator / np.maximum(denominator, 1), np.float64)


def overlaps(labels: NDArray[Any], instances: Instances, *, name: str = "the slice") -> Overlaps:
    """Overlap of every label value above 0 with every prediction.

    Only the labels under each prediction's own crop are looked at, so the cost grows with the
    predictions' areas, not with their number times the slice.

    Parameters
    ----------
    labels : (y, x) integer or bool
    instances : Instances of the same shape
    name : str
        How messages call the slice.

    Raises
    ------
    InputError
        When the labels are not whole numbers from 0, or have another shape.
    """
    check_labels(labels, instances.shape, name)
    ids, truth_areas, rank_of = _ranks(labels)
    intersection = np.zeros((len(ids), len(instances)), np.int64)
    for n, crop in enumerate(instances.crops):
        under = rank_of(labels[crop.window][crop.mask])
        intersection[:, n] = np.bincount(under, minlength=len(ids) + 1)[1:]
    return Overlaps(ids, truth_areas, instances.areas(), intersection)


def check_labels(labels: NDArray[Any], shape: tuple[int, int], name: str) -> None:
    """Refuse labels that are not whole numbers from 0, or not of ``shape``.

    Raises
    ------
    InputError
    """
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise InputError(
            f"The labels of {name} hold values that are not numbers (NaN): replace them by 0."
        )
    if labels.dtype.kind not in "bui":
        raise InputError(
            f"The labels of {name} must be whole numbers (0 = background), not {labels.dtype}."
        )
    if labels.shape != tuple(shape):
        raise InputError(
            f"The labels of {name} have {' x '.join(map(str, labels.shape))} pixels, the "
            f"prediction {shape[0]} x {shape[1]}: compare a prediction with the labels of the "
            "same slice."
        )
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise InputError(
            f"The labels of {name} must be 0 (background) or positive; some are negative."
        )


def best_matches(table: Overlaps, *, one_to_one: bool = False) -> NDArray[np.int64]:
    """Find the prediction that each true instance is matched to, -1 for none.

    Parameters
    ----------
    table : Overlaps
    one_to_one : bool
        False: the prediction of highest IoU, so one prediction may serve several instances (the
        protocol of arXiv 2210.03879); among equals the first. True: each prediction serves one
        instance, with the highest sum of IoU (the Hungarian method).

    Returns
    -------
    (g,) int64
        Index of the prediction; -1 where no prediction overlaps (IoU 0).
    """
    iou = table.iou
    matched = np.full(len(table.ids), -1, np.int64)
    if iou.size == 0:
        return matched
    if one_to_one:
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(iou, maximize=True)
    else:
        rows, columns = np.arange(len(iou)), iou.argmax(1)
    real = iou[rows, columns] > 0
    matched[rows[real]] = columns[real]
    return matched


def _ranks(
    labels: NDArray[Any],
) -> tuple[NDArray[np.int64], NDArray[np.int64], Callable[[NDArray[Any]], NDArray[np.int64]]]:
    """Values above 0, their areas, and a function from values to ranks (0 = background)."""
    largest = int(labels.max()) if labels.size else 0
    if largest > max(labels.size, 1 << 16):
        # Huge values would need a table as long: sort instead.
        ids, areas = np.unique(labels[labels > 0], return_counts=True)
        ids = ids.astype(np.int64)

        def search(values: NDArray[Any]) -> NDArray[np.int64]:
            ranks = np.searchsorted(ids, values.astype(np.int64)) + 1
            return np.where(values > 0, ranks, 0)

        return ids, areas.astype(np.int64), search
    counts = np.bincount(labels.ravel().astype(np.int64), minlength=largest + 1)
    counts[0] = 0
    ids = np.flatnonzero(counts).astype(np.int64)
    table = np.zeros(largest + 1, np.int64)
    table[ids] = np.arange(1, len(ids) + 1)
    return ids, counts[ids].astype(np.int64), lambda values: table[values.astype(np.int64)]
