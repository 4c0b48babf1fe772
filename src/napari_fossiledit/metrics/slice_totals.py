"""What the predictions of a slice claim: pixels outside the fossils, confusers, detections.

The paper's matching is blind to predictions that touch no fossil; these counts are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.instances import Instances
from napari_fossiledit.metrics.matching import Overlaps, check_labels

__all__ = ["SliceTotals", "count_slice", "stack_totals"]

FALSE_BELOW = 0.1
"""A prediction is a false detection when its IoU with every true instance is below this."""


@dataclass(frozen=True, eq=False)
class SliceTotals:
    """Counts of every slice, each an (s,) int64 array.

    Attributes
    ----------
    claimed, claimed_all : int64
        Pixels of the union of the predictions (confident ones; all).
    spurious, spurious_all : int64
        Those of them outside every fossil.
    confusers : int64
        Pixels of confusers outside the fossils; 0 where none were labelled.
    confused, confused_all : int64
        Those of them claimed by a prediction (confident ones; all).
    false_detections, true_detections : int64
        Confident predictions with IoU below 0.1 to every true instance, and the others.
    """

    claimed: NDArray[np.int64]
    claimed_all: NDArray[np.int64]
    spurious: NDArray[np.int64]
    spurious_all: NDArray[np.int64]
    confusers: NDArray[np.int64]
    confused: NDArray[np.int64]
    confused_all: NDArray[np.int64]
    false_detections: NDArray[np.int64]
    true_detections: NDArray[np.int64]


def count_slice(
    labels: NDArray[Any],
    found: Instances,
    confusers: NDArray[Any] | None,
    table: Overlaps,
    threshold: float,
    name: str,
) -> dict[str, int]:
    """Return the row of `SliceTotals` for one slice."""
    fossils = labels > 0
    if confusers is None:
        confuser = np.zeros(found.shape, bool)
    else:
        check_labels(np.asarray(confusers), found.shape, f"the confusers of {name}")
        confuser = (np.asarray(confusers) > 0) & ~fossils
    confident = found.scores >= threshold
    every, sure = found.union(), found.select(confident).union()
    best = table.iou.max(0, initial=0.0)
    counted = confident & (table.predicted_areas > 0)

    def count(mask: NDArray[np.bool_]) -> int:
        return int(np.count_nonzero(mask))

    return {
        "claimed": count(sure),
        "claimed_all": count(every),
        "spurious": count(sure & ~fossils),
        "spurious_all": count(every & ~fossils),
        "confusers": count(confuser),
        "confused": count(sure & confuser),
        "confused_all": count(every & confuser),
        "false_detections": count(counted & (best < FALSE_BELOW)),
        "true_detections": count(counted & (best >= FALSE_BELOW)),
    }


def stack_totals(rows: Sequence[dict[str, int]]) -> SliceTotals:
    """Put the rows of all slices together."""
    return SliceTotals(
        **{f.name: np.array([row[f.name] for row in rows], np.int64) for f in fields(SliceTotals)}
    )
