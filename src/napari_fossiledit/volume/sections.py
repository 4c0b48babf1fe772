"""What each section of each specimen adds to the specimen's measurements.

A slice is taken apart into runs (stretches of one label along a row), of which there are far
fewer than pixels; sums over a run have closed forms. All sums are whole numbers, so that they
are exact, and do not depend on the order of the slices.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

__all__ = ["SectionSums", "runs"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SectionSums:
    """Sums over the pixels of every section: one row for each specimen and slice.

    Attributes
    ----------
    id, slice, area : (n,) int64
        Specimen, slice counted from 0, pixels.
    y, x, yy, xx, yx : (n,) int64
        Sums of the pixels' row and column numbers and of their products.
    y0, y1, x0, x1 : (n,) int64
        First and last row and column.
    """

    id: Ints
    slice: Ints
    area: Ints
    y: Ints
    x: Ints
    yy: Ints
    xx: Ints
    yx: Ints
    y0: Ints
    y1: Ints
    x0: Ints
    x1: Ints

    @classmethod
    def of(cls, labels: NDArray[np.integer], z: int) -> SectionSums:
        """Sums of one slice of (y, x) labels."""
        value, row, start, stop = runs(labels)
        ids, place = np.unique(value, return_inverse=True)
        order = np.argsort(place, kind="stable")  # rows stay in order within a label
        row, start, stop = row[order], start[order], stop[order]
        first = np.searchsorted(place[order], np.arange(len(ids)))
        n = stop - start
        x = n * (start + stop - 1) // 2
        xx = _squares_below(stop) - _squares_below(start)

        def total(values: Ints) -> Ints:
            return np.add.reduceat(values, first) if len(ids) else values

        def least(values: Ints) -> Ints:
            return np.minimum.reduceat(values, first) if len(ids) else values

        return cls(
            id=ids.astype(np.int64),
            slice=np.full(len(ids), z, np.int64),
            area=total(n),
            y=total(n * row),
            x=total(x),
            yy=total(n * row * row),
            xx=total(xx),
            yx=total(row * x),
            y0=least(row),
            y1=-least(-row),
            x0=least(start),
            x1=-least(1 - stop),
        )

    @classmethod
    def joined(cls, parts: list[SectionSums]) -> SectionSums:
        """Rows of several slices, one under the other."""
        return cls(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in parts])
                if parts
                else np.zeros(0, np.int64)
                for field in fields(cls)
            }
        )


def runs(labels: NDArray[np.integer]) -> tuple[Ints, Ints, Ints, Ints]:
    """Label, row, first column and column after the last of every run, row by row."""
    columns = labels.shape[1]
    if labels.size == 0:
        empty = np.zeros(0, np.int64)
        return empty, empty, empty, empty
    change = np.empty(labels.shape, bool)
    change[:, 0] = True
    np.not_equal(labels[:, 1:], labels[:, :-1], out=change[:, 1:])
    start = np.flatnonzero(change)
    stop = np.append(start[1:], labels.size)
    value = labels.ravel()[start]
    kept = value != 0
    start, stop, value = start[kept], stop[kept], value[kept]
    row = start // columns
    return value.astype(np.int64), row, start - row * columns, stop - row * columns


def _squares_below(n: Ints) -> Ints:
    """0² + 1² + ... + (n - 1)²."""
    return (n - 1) * n * (2 * n - 1) // 6
