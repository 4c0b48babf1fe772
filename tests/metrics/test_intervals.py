"""The bootstrap: what is resampled, known answers, what cannot be known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from napari_fossiledit.errors import InputError
from napari_fossiledit.metrics import (
    InstanceScores,
    Interval,
    difference,
    excess_at_equal_recall,
    intervals,
)
from napari_fossiledit.metrics.slice_totals import SliceTotals

FIELDS = SliceTotals.__dataclass_fields__


def make(
    iou: np.ndarray, slice_index: np.ndarray, ids: np.ndarray, **totals: list[int]
) -> InstanceScores:
    count = int(slice_index.max()) + 1
    counts = {f: np.asarray(totals.get(f, np.zeros(count)), np.int64) for f in FIELDS}
    return InstanceScores(
        slice_index,
        tuple(("reef", int(i)) for i in ids),
        iou,
        iou,
        iou,
        np.where(iou > 0, 0, -1),
        SliceTotals(**counts),
    )


def many(seed: int = 0, n: int = 400) -> InstanceScores:
    rng = np.random.default_rng(seed)
    return make(rng.uniform(0.2, 1, n), np.arange(n) % 8, np.arange(n) // 4)


def test_a_constant_gain_is_known_exactly() -> None:
    before = many()
    after = make(before.iou + 0.05, before.slice_index, np.arange(400) // 4)
    gain = difference(before, after)["matched_mean.precision"]
    assert gain.value == pytest.approx(0.05)
    assert (gain.low, gain.high) == (pytest.approx(0.05), pytest.approx(0.05))
    assert gain.clear


def test_the_interval_has_the_width_of_theory() -> None:
    # 100 individuals of four equal sections: the sections say nothing new.
    rng = np.random.default_rng(1)
    value = np.repeat(rng.uniform(0.2, 0.8, 100), 4)
    found = intervals(make(value, np.zeros(400, np.int64), np.arange(400) // 4))["all_mean.iou"]
    expected = 2 * 1.96 * value.std() / math.sqrt(100)
    assert found.high - found.low == pytest.approx(expected, rel=0.1)
    assert found.resampled == "individuals"


def test_the_wider_interval_is_shown() -> None:
    # All of a slice's instances fare alike: slices are the units that count.
    slices = np.arange(400) % 8
    value = np.linspace(0.2, 0.9, 8)[slices]
    found = intervals(make(value, slices, np.arange(400)))["all_mean.iou"]
    assert found.resampled == "slices"
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.229 / math.sqrt(8), rel=0.15)


def test_slice_figures_need_two_slices() -> None:
    one = make(np.full(5, 0.5), np.zeros(5, np.int64), np.arange(5), spurious=[3], claimed=[6])
    found = intervals(one)["spurious_fraction"]
    assert found.value == 0.5
    assert math.isnan(found.low)
    assert str(found) == "+0.500"


def test_false_detections_and_confusers_as_relative_change() -> None:
    index, ids = np.arange(4), np.arange(4)
    before = make(
        np.full(4, 0.5),
        index,
        ids,
        false_detections=[4] * 4,
        confused=[20] * 4,
        confusers=[100] * 4,
    )
    after = make(
        np.full(4, 0.5),
        index,
        ids,
        false_detections=[3] * 4,
        confused=[15] * 4,
        confusers=[100] * 4,
    )
    found = difference(before, after)
    assert found["false_detections"].value == pytest.approx(-0.25)
    assert found["false_detections"].high == pytest.approx(-0.25)
    assert found["false_detections"].relative
    assert found["false_detections_difference"].value == -4
    assert found["confuser_share"].value == pytest.approx(-0.25)
    assert found["confuser_share_difference"].value == pytest.approx(-0.05)
    assert str(found["false_detections"]) == "-25%, 95 % CI [-25%, -25%]"
    # Nothing false before: a relative change is not known, and JSON has no NaN.
    back = difference(make(np.full(4, 0.5), index, ids), after)["false_detections"]
    assert str(back) == "not known"
    assert json.loads(json.dumps(back.to_dict(), allow_nan=False))["value"] is None


def test_nothing_matched_gives_no_interval() -> None:
    nothing = make(np.zeros(6), np.arange(6) % 3, np.arange(6))
    found = intervals(nothing)
    assert math.isnan(found["matched_mean.iou"].value)
    assert found["all_mean.iou"].value == 0


def test_the_same_seed_gives_the_same_interval() -> None:
    a, b, c = (intervals(many(), seed=s)["all_mean.iou"] for s in (3, 3, 4))
    assert a == b != c


def test_scores_of_other_labels_are_refused() -> None:
    with pytest.raises(InputError, match="different slices"):
        difference(many(), many(n=399))
    with pytest.raises(InputError, match="resamples"):
        difference(many(), many(), resamples=0)


def test_interval_text() -> None:
    assert str(Interval(0.0412, 0.01, 0.07)) == "+0.041, 95 % CI [+0.010, +0.070]"
    assert not Interval(0.0, -0.1, 0.1).clear
    assert not Interval(0.1, math.nan, math.nan).clear


def test_a_point_on_the_rivals_curve_adds_nothing() -> None:
    high = many()
    low = make(high.iou - 0.1, high.slice_index, np.arange(400) // 4)
    # Precision, recall and IoU are equal here, so the curve is the diagonal.
    middle = make(high.iou - 0.05, high.slice_index, np.arange(400) // 4)
    found = excess_at_equal_recall([low, high], middle, resamples=200)
    assert found["precision"].value == pytest.approx(0)
    with pytest.raises(InputError):
        excess_at_equal_recall([low], middle)
