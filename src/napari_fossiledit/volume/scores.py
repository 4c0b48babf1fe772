"""Mean score of specimens from the table of the instances that they were linked from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.volume.sections import SectionSums

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["mean_scores"]

_SPECIMEN = "specimen"


def mean_scores(
    sections: SectionSums, scores: DataFrame, ids: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean score of every specimen's instances; NaN where none is known.

    Parameters
    ----------
    sections : SectionSums
        Of the specimens.
    scores : DataFrame
        With ``score``, and ``specimen`` (the specimen's id); or, as `io.LabelStore` has it,
        ``slice`` and ``area`` with ``x0``, ``y0``, ``x1``, ``y1``: an instance belongs to the
        section of the same slice that has its area and lies within its box.
    ids : (n,) int64

    Raises
    ------
    InputError
        Other columns.
    """
    if "score" not in scores or (_SPECIMEN not in scores and not set(scores) >= _PLACE):
        raise InputError(
            "The table of scores needs the columns score and specimen, or score, slice, area, "
            "x0, y0, x1 and y1, as `fossiledit segment` writes them into instances.csv."
        )
    value = scores["score"].to_numpy(float)
    of = scores[_SPECIMEN].to_numpy() if _SPECIMEN in scores else _specimens(sections, scores)
    known = np.isin(of, ids) & np.isfinite(value)
    place = np.searchsorted(ids, of[known].astype(np.int64))
    total = np.bincount(place, value[known], minlength=len(ids))
    count = np.bincount(place, minlength=len(ids))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


_PLACE = {"slice", "area", "x0", "y0", "x1", "y1"}
_SLACK = 2.0  # pixels by which a section may stick out of its box, as boxes are rounded


def _specimens(sections: SectionSums, scores: DataFrame) -> NDArray[np.int64]:
    """The specimen of every instance; 0 where no section fits."""
    by_place: dict[tuple[int, int], list[int]] = {}
    keys = zip(sections.slice.tolist(), sections.area.tolist(), strict=True)
    for row, key in enumerate(keys):
        by_place.setdefault(key, []).append(row)
    columns = [scores[c].to_numpy() for c in ("slice", "area", "x0", "y0", "x1", "y1")]
    found = np.zeros(len(scores), np.int64)
    for n, (z, area, x0, y0, x1, y1) in enumerate(zip(*columns, strict=True)):
        for row in by_place.get((int(z), int(area)), ()):
            inside = (
                sections.x0[row] >= x0 - _SLACK
                and sections.y0[row] >= y0 - _SLACK
                and sections.x1[row] <= x1 + _SLACK
                and sections.y1[row] <= y1 + _SLACK
            )
            if inside:
                found[n] = sections.id[row]
                break
    return found
