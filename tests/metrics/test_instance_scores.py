"""Known answers of the scores (methods.md, section 3)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Crop, Instances, LabelledSlice
from napari_fossiledit.metrics import overlaps, score_instances, score_slices

SHAPE = (40, 40)


def box(y: int, x: int, h: int, w: int) -> Crop:
    return Crop(y, x, np.ones((h, w), bool))


def two_squares() -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    labels[0:10, 0:10] = 3
    labels[20:30, 20:30] = 7
    return labels


HALF = box(0, 0, 10, 5)
APART = box(30, 0, 10, 10)


def predicted(*crops: Crop, scores: list[float] | None = None) -> Instances:
    return Instances.from_crops(SHAPE, crops, scores=scores)


@pytest.mark.parametrize("one_to_one", [False, True])
def test_half_of_one_of_two_squares(one_to_one: bool) -> None:
    scores = score_instances(two_squares(), predicted(HALF), one_to_one=one_to_one)
    assert (scores.matched, scores.total) == (1, 2)
    mean = scores.matched_mean
    assert (mean.precision, mean.recall, mean.iou) == (1.0, 0.5, 0.5)
    assert (scores.all_mean.precision, scores.all_mean.recall) == (0.5, 0.25)
    assert scores.spurious_fraction == 0
    assert scores.individual == (("", 3), ("", 7))
    assert scores.matched_index.tolist() == [0, -1]


def test_a_disjoint_prediction_changes_only_the_spurious_figures() -> None:
    before = score_instances(two_squares(), predicted(HALF))
    after = score_instances(two_squares(), predicted(HALF, APART))
    assert after.matched_mean == before.matched_mean
    assert after.all_mean == before.all_mean
    # 50 of the 150 pixels claimed lie in a fossil.
    assert after.spurious_fraction == pytest.approx(100 / 150)
    assert (after.false_detections, after.true_detections) == (1, 1)


def test_confidence_counts_for_the_figures_beside_the_matching_only() -> None:
    scores = score_instances(two_squares(), predicted(HALF, APART, scores=[0.2, 0.4]))
    assert scores.matched == 1
    assert (scores.spurious_fraction, scores.spurious_fraction_all) == (0, pytest.approx(2 / 3))
    assert (scores.false_detections, scores.true_detections) == (0, 0)


def test_one_prediction_may_serve_two_instances_unless_one_to_one() -> None:
    labels = np.zeros(SHAPE, np.int32)
    labels[0:10, 0:10], labels[0:10, 10:20] = 1, 2
    both = predicted(box(0, 0, 10, 20))
    assert score_instances(labels, both).matched == 2
    assert score_instances(labels, both, one_to_one=True).matched == 1


def test_hungarian_takes_the_highest_sum() -> None:
    labels = np.zeros((1, 20), np.int32)
    labels[0, :10], labels[0, 10:] = 1, 2
    wide, narrow = box(0, 2, 1, 16), box(0, 2, 1, 4)
    found = Instances.from_crops((1, 20), [wide, narrow])
    assert score_instances(labels, found).matched_index.tolist() == [0, 0]
    assert score_instances(labels, found, one_to_one=True).matched_index.tolist() == [1, 0]


def test_confusers_claimed() -> None:
    confusers = np.zeros(SHAPE, np.uint8)
    confusers[30:40, 0:20] = 1
    confusers[0:10, 0:10] = 1  # fossil as well: left out
    scores = score_instances(two_squares(), predicted(HALF, APART), confusers=confusers)
    assert scores.confuser_share == scores.confuser_share_all == pytest.approx(0.5)
    assert score_instances(two_squares(), predicted(HALF)).confuser_share is None
    none = score_instances(two_squares(), predicted(HALF), confusers=np.zeros(SHAPE, bool))
    assert none.confuser_share is None


def test_confusers_labelled_in_some_slices_only() -> None:
    confusers = np.zeros(SHAPE, bool)
    confusers[30:40, 0:20] = True
    scores = score_instances(
        [two_squares()] * 2, [predicted(APART)] * 2, confusers=[confusers, None]
    )
    assert scores.confuser_share == pytest.approx(0.5)


def test_a_slice_without_fossils_counts_for_the_spurious_part() -> None:
    empty = np.zeros(SHAPE, np.int32)
    scores = score_instances([two_squares(), empty], [predicted(HALF), predicted(APART)])
    assert (scores.matched, scores.total) == (1, 2)
    assert scores.spurious_fraction == pytest.approx(100 / 150)
    assert scores.slice_index.tolist() == [0, 0]


def test_no_fossil_anywhere_is_said_where_a_mean_is_asked_for() -> None:
    scores = score_instances(np.zeros(SHAPE, np.int32), predicted(APART))
    assert scores.spurious_fraction == 1
    for mean in ("matched_mean", "all_mean"):
        with pytest.raises(InputError, match="No slice has a labelled fossil"):
            getattr(scores, mean)
    data = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert data["matched_mean"] == {"precision": None, "recall": None, "iou": None}


def test_nothing_predicted() -> None:
    scores = score_instances(two_squares(), Instances.empty(SHAPE))
    assert scores.all_mean.iou == 0
    assert np.isnan(scores.matched_mean.iou)
    assert scores.spurious_fraction == 0
    assert json.loads(json.dumps(scores.to_dict(), allow_nan=False))["matched"] == 0


def test_a_prediction_without_a_pixel_is_no_detection() -> None:
    nothing = Crop(0, 0, np.zeros((0, 0), bool))
    scores = score_instances(two_squares(), predicted(HALF, nothing))
    assert (scores.true_detections, scores.false_detections) == (1, 0)


def test_to_dict_has_the_promised_keys() -> None:
    data = score_instances(two_squares(), predicted(HALF)).to_dict(resamples=50)
    assert {"matched", "total", "spurious_fraction", "confuser_share", "intervals"} <= set(data)
    for mean in ("matched_mean", "all_mean"):
        assert set(data[mean]) == {"precision", "recall", "iou"}
    json.dumps(data, allow_nan=False)


def test_label_values_of_any_size_and_kind() -> None:
    small = two_squares()
    expected = score_instances(small, predicted(HALF)).recall
    for dtype, factor in ((np.uint8, 1), (np.uint16, 1), (np.int64, 10**12), (np.uint64, 1)):
        labels = small.astype(dtype) * dtype(factor)
        scores = score_instances(labels, predicted(HALF))
        assert scores.recall.tolist() == expected.tolist()
        assert scores.individual[0] == ("", 3 * factor)
    assert score_instances(small > 0, predicted(HALF)).total == 1


def test_groups_tell_individuals_apart() -> None:
    slices = [
        LabelledSlice(np.zeros((*SHAPE, 3), np.uint8), two_squares(), name=n, group=g)
        for n, g in (("a", "x"), ("b", "x"), ("c", "y"))
    ]
    scores = score_slices(slices, [predicted(HALF)] * 3)
    assert len(set(scores.individual)) == 4
    assert scores.to_dict(intervals=False)["individuals"] == 4


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((3, 3), int), "3 x 3 pixels, the prediction 40 x 40"),
        (np.full(SHAPE, np.nan), "NaN"),
        (np.zeros(SHAPE, np.float32), "whole numbers"),
        (np.full(SHAPE, -1), "negative"),
    ],
)
def test_labels_that_cannot_be_used(labels: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_instances(labels, predicted(HALF))


def test_numbers_that_do_not_agree() -> None:
    with pytest.raises(InputError, match="2 labelled slices but 1 predictions"):
        score_instances([two_squares()] * 2, [predicted(HALF)])
    with pytest.raises(InputError, match="group names"):
        score_instances(two_squares(), predicted(HALF), groups=["a", "b"])
    with pytest.raises(InputError, match="confuser labels"):
        score_instances(two_squares(), predicted(HALF), confusers=[None, None])
    with pytest.raises(InputError, match="confusers of slice 0"):
        score_instances(two_squares(), predicted(HALF), confusers=np.zeros((2, 2), bool))
    with pytest.raises(InputError, match="no labelled slice"):
        score_instances([], [])


crops = st.builds(
    box, st.integers(0, 30), st.integers(0, 30), st.integers(1, 10), st.integers(1, 10)
)


@settings(deadline=None, max_examples=50)
@given(st.lists(crops, max_size=5), st.lists(crops, max_size=5), st.booleans())
def test_scores_agree_with_plain_counting(
    truth: list[Crop], found: list[Crop], one_to_one: bool
) -> None:
    labels = Instances.from_crops(SHAPE, truth).to_labels()
    prediction = predicted(*found)
    scores = score_instances(labels, prediction, one_to_one=one_to_one)
    for values in (scores.precision, scores.recall, scores.iou):
        assert ((values >= 0) & (values <= 1)).all()
    assert 0 <= scores.spurious_fraction <= 1
    assert scores.true_detections + scores.false_detections == len(found)
    table = overlaps(labels, prediction).iou
    for row, value in zip(table, (v for v in np.unique(labels) if v), strict=True):
        g = labels == value
        plain = [
            np.sum(g & prediction.mask(i)) / np.sum(g | prediction.mask(i))
            for i in range(len(found))
        ]
        assert row.tolist() == pytest.approx(plain)
    if one_to_one:
        used = scores.matched_index[scores.matched_index >= 0]
        assert len(set(used.tolist())) == len(used)
    elif found:
        assert scores.iou.tolist() == table.max(1).tolist()


@settings(deadline=None, max_examples=50)
@given(st.lists(crops, min_size=1, max_size=4), st.lists(crops, max_size=4))
def test_a_disjoint_prediction_changes_no_mean(truth: list[Crop], found: list[Crop]) -> None:
    labels = np.zeros((40, 60), np.int32)
    labels[:, :40] = Instances.from_crops(SHAPE, truth).to_labels()
    before = score_instances(labels, Instances.from_crops((40, 60), found))
    after = score_instances(labels, Instances.from_crops((40, 60), [*found, box(0, 45, 9, 9)]))
    np.testing.assert_array_equal(after.iou, before.iou)
    assert repr(after.matched_mean) == repr(before.matched_mean)
    assert after.all_mean == before.all_mean
    assert after.false_detections == before.false_detections + 1


def test_a_large_slice_with_many_instances() -> None:
    labels = np.zeros((2000, 3000), np.int32)
    for i in range(400):
        y, x = 100 * (i // 20), 150 * (i % 20)
        labels[y : y + 60, x : x + 80] = i + 1
    found = Instances.from_labels(labels)
    scores = score_instances(labels, found)
    assert scores.matched_mean.iou == 1
