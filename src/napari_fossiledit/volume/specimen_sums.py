"""Measurements of specimens from the sums of their sections: no pixels here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.volume.sections import SectionSums

__all__ = ["SpecimenSums"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SpecimenSums:
    """One row a specimen, in order of id.

    Attributes
    ----------
    id, voxels, slices, largest : (n,) int64
        Specimen, voxels, in how many slices it lies, pixels of its largest section.
    first, last : (n, 3) int64
        First and last slice, row and column.
    mean : (n, 3) float64
        Mean slice, row and column.
    covariance : (n, 3, 3) float64
        Of the voxels' slice, row and column numbers.
    """

    id: Ints
    voxels: Ints
    slices: Ints
    largest: Ints
    first: Ints
    last: Ints
    mean: Floats
    covariance: Floats

    @classmethod
    def of(cls, sections: SectionSums) -> SpecimenSums:
        """Sum up sections in any order; a slice may come in several parts."""
        ids, place = np.unique(sections.id, return_inverse=True)
        order = np.lexsort((sections.slice, place))
        place = place[order]
        begin = np.searchsorted(place, np.arange(len(ids)))

        def reduced(how: np.ufunc, values: Ints) -> Ints:
            return np.asarray(how.reduceat(values[order], begin)) if len(ids) else values[:0]

        z, n = sections.slice, sections.area
        voxels = reduced(np.add, n)
        sums = [reduced(np.add, v) for v in (z * n, sections.y, sections.x)]
        products = {
            (0, 0): z * z * n,
            (0, 1): z * sections.y,
            (0, 2): z * sections.x,
            (1, 1): sections.yy,
            (1, 2): sections.yx,
            (2, 2): sections.xx,
        }
        covariance = np.zeros((len(ids), 3, 3))
        for (a, b), values in products.items():
            exact = _covariance(voxels, sums[a], sums[b], reduced(np.add, values))
            covariance[:, a, b] = covariance[:, b, a] = exact
        low = [reduced(np.minimum, v) for v in (z, sections.y0, sections.x0)]
        high = [reduced(np.maximum, v) for v in (z, sections.y1, sections.x1)]
        return cls(
            id=ids,
            voxels=voxels,
            slices=reduced(np.add, np.ones_like(z)),
            largest=reduced(np.maximum, n),
            first=np.stack(low, axis=1),
            last=np.stack(high, axis=1),
            mean=np.stack([s / np.maximum(voxels, 1) for s in sums], axis=1),
            covariance=covariance,
        )


def _covariance(n: Ints, a: Ints, b: Ints, ab: Ints) -> Floats:
    # Python's integers have no largest: no digits cancel, wherever in the stack a specimen lies.
    n_, a_, b_, ab_ = (v.astype(object) for v in (n, a, b, ab))
    exact = n_ * ab_ - a_ * b_
    squares = np.maximum(n, 1).astype(np.float64) ** 2
    return np.array([float(e) for e in exact], np.float64) / squares
