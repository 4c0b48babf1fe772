"""Scores of a numbered volume against a true one: which individuals are found whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError

__all__ = ["VolumeScores", "score_volume"]


@dataclass(frozen=True)
class VolumeScores:
    """How well the specimens of a volume are the true individuals.

    Background of the truth is left out of the first four, as the literature has it.

    Attributes
    ----------
    adapted_rand_error : float
        1 - F, F the harmonic mean of the next two; 0 = perfect.
    rand_precision, rand_recall : float
        Of all pairs of voxels with one id, the share that are of one individual; and of all pairs
        of one individual, the share that have one id. The first falls by merged individuals, the
        second by those in parts.
    variation_split, variation_merged : float
        The two parts of the variation of information, in bits: what is not known of a voxel's id
        when its individual is known, and the other way round. 0 = perfect.
    individuals, whole : int
        True individuals, and those that one specimen holds (see `score_volume`).
    """

    adapted_rand_error: float
    rand_precision: float
    rand_recall: float
    variation_split: float
    variation_merged: float
    individuals: int
    whole: int

    @property
    def variation_of_information(self) -> float:
        """The sum of its two parts, in bits."""
        return self.variation_split + self.variation_merged

    @property
    def whole_share(self) -> float:
        """Individuals found whole, as a share of all; NaN where there are none."""
        return self.whole / self.individuals if self.individuals else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the two derived ones."""
        return asdict(self) | {
            "variation_of_information": self.variation_of_information,
            "whole_share": self.whole_share,
        }


def score_volume(
    truth: Iterable[NDArray[np.integer]],
    found: Iterable[NDArray[np.integer]],
    *,
    whole_iou: float = 1.0,
) -> VolumeScores:
    """Compare specimens with true individuals.

    Parameters
    ----------
    truth, found : (z, y, x) integer, or iterables of (y, x); 0 = background
        Read slice by slice, each once.
    whole_iou : float
        An individual counts as whole if a specimen has at least this intersection over union
        with it. 1: the specimen is the individual, to the voxel.

    Raises
    ------
    InputError
        Slices of different sizes or numbers.

    Notes
    -----
    Adapted Rand error: Arganda-Carreras et al., Frontiers in Neuroanatomy 2015
    (doi:10.3389/fnana.2015.00142); variation of information: Meila, J. Multivariate Analysis 98
    (2007). Both as in `skimage.metrics` with ``ignore_labels=(0,)``.
    """
    pairs, counts = _contingency(truth, found)
    real = pairs[:, 0] > 0
    whole, individuals = _whole(pairs, counts, whole_iou)
    individual = np.unique(pairs[real, 0], return_inverse=True)[1].reshape(-1)
    specimen = np.unique(pairs[real, 1], return_inverse=True)[1].reshape(-1)
    n = counts[real].astype(float)
    of_individual = np.bincount(individual, weights=n)[individual] if len(n) else n
    of_specimen = np.bincount(specimen, weights=n)[specimen] if len(n) else n
    both = float((n * (n - 1)).sum())
    # n * (total - 1) over the cells of a row adds up to total * (total - 1).
    precision = _ratio(both, float((n * (of_specimen - 1)).sum()))
    recall = _ratio(both, float((n * (of_individual - 1)).sum()))
    total = max(float(n.sum()), 1.0)
    return VolumeScores(
        adapted_rand_error=1 - _ratio(2 * precision * recall, precision + recall, 0.0),
        rand_precision=precision,
        rand_recall=recall,
        variation_split=float((n * np.log2(of_individual / n)).sum() / total),
        variation_merged=float((n * np.log2(of_specimen / n)).sum() / total),
        individuals=individuals,
        whole=whole,
    )


def _ratio(part: float, all_: float, none: float = 1.0) -> float:
    return part / all_ if all_ > 0 else none


def _contingency(
    truth: Iterable[NDArray[np.integer]], found: Iterable[NDArray[np.integer]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of ids (n, 2) that share voxels, and how many."""
    keys, counts = [np.empty((0, 2), np.int64)], [np.empty(0, np.int64)]
    numbered = enumerate(_both(truth, found))
    for z, (a, b) in numbered:
        one, two = np.asarray(a), np.asarray(b)
        if one.shape != two.shape:
            raise InputError(
                f"Slice {z} of the truth has {one.shape} pixels, of the specimens {two.shape}: "
                "compare volumes of one size."
            )
        values, place = np.unique(two, return_inverse=True)
        width = len(values)
        key, count = np.unique(
            one.reshape(-1).astype(np.int64) * width + place.reshape(-1), return_counts=True
        )
        keys.append(np.stack([key // width, values[key % width]], axis=1).astype(np.int64))
        counts.append(count)
    pairs, place = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    summed = np.bincount(place.reshape(-1), weights=np.concatenate(counts), minlength=len(pairs))
    return pairs, summed.astype(np.int64)


def _both(truth: Iterable[Any], found: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
    try:
        yield from zip(truth, found, strict=True)
    except ValueError as error:
        raise InputError(
            "The truth and the specimens have different numbers of slices: compare volumes of "
            "one size."
        ) from error


def _whole(
    pairs: NDArray[np.int64], counts: NDArray[np.int64], whole_iou: float
) -> tuple[int, int]:
    """How many individuals a specimen holds, and how many there are."""
    individual, a = np.unique(pairs[:, 0], return_inverse=True)
    _, b = np.unique(pairs[:, 1], return_inverse=True)
    a, b = a.reshape(-1), b.reshape(-1)
    size = np.bincount(a, weights=counts)[a] if len(a) else counts
    other = np.bincount(b, weights=counts)[b] if len(b) else counts
    iou = counts / (size + other - counts)
    good = (pairs[:, 0] > 0) & (pairs[:, 1] > 0) & (iou >= whole_iou)
    return len(np.unique(pairs[good, 0])), int((individual > 0).sum())
