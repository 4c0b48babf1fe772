from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fossiledit import metrics
from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice

SIDE = 40


def squares(corners: list[tuple[int, int]], side: int = 8) -> np.ndarray:
    labels = np.zeros((SIDE, SIDE), np.int32)
    for number, (y, x) in enumerate(corners, start=1):
        labels[y : y + side, x : x + side] = number
    return labels


def piece(labels: np.ndarray, group: str = "") -> LabelledSlice:
    image = np.zeros((*labels.shape, 3), np.uint8)
    return LabelledSlice(image, labels, name="a slice", group=group)


def detections(labels: np.ndarray, scores: list[float]) -> Instances:
    found = Instances.from_labels(labels)
    return Instances.from_crops(found.shape, found.crops, scores=np.array(scores))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_ap50_is_that_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    slices, found = [], []
    for _ in range(int(rng.integers(1, 4))):
        labels = np.zeros((SIDE, SIDE), np.int32)
        for number in range(1, int(rng.integers(1, 7))):
            y, x = rng.integers(0, SIDE - 8, 2)
            labels[y : y + int(rng.integers(3, 9)), x : x + int(rng.integers(3, 9))] = number
        claimed = np.roll(labels, rng.integers(-3, 4, 2), (0, 1))
        claimed[rng.random(labels.shape) < 0.1] = 0
        predicted = Instances.from_labels(claimed)
        scores = rng.choice([0.2, 0.5, 0.7, 0.9], len(predicted))
        found.append(Instances.from_crops(predicted.shape, predicted.crops, scores=scores))
        slices.append(piece(labels))
    expected = metrics.average_precision(slices, found)["AP50"]
    mine = metrics.ap50(metrics.match_detections(slices, found))
    if expected is None:  # no fossil
        assert np.isnan(mine)
    else:
        assert mine == pytest.approx(expected)


def test_known_answers() -> None:
    truth = squares([(2, 2), (20, 20)])
    both = detections(truth, [0.9, 0.8])
    one = detections(squares([(2, 2)]), [0.9])
    junk_first = detections(squares([(2, 2), (2, 30)]), [0.5, 0.9])
    assert metrics.ap50(metrics.match_detections([piece(truth)], [both])) == pytest.approx(1)
    # Recall stops at a half: 51 of the 101 recalls are reached at precision 1.
    assert metrics.ap50(metrics.match_detections([piece(truth)], [one])) == pytest.approx(51 / 101)
    half = metrics.match_detections([piece(truth)], [junk_first])
    assert metrics.ap50(half) == pytest.approx(51 / 101 / 2)
    none = metrics.match_detections([piece(np.zeros_like(truth))], [one])
    assert np.isnan(metrics.ap50(none))


def test_a_difference_is_of_the_same_resamples() -> None:
    truths = [squares([(2, 2), (20, 20)]), squares([(4, 4), (24, 4)])] * 6
    slices = [piece(t, f"reef {i}") for i, t in enumerate(truths)]
    full = [detections(t, [0.9, 0.8]) for t in truths]
    less = [detections(np.where(t == 1, 1, 0), [0.9]) for t in truths]
    before, after = (metrics.match_detections(slices, p) for p in (less, full))
    gain = metrics.ap50_difference(before, after)
    assert gain.value == pytest.approx(1 - 51 / 101)
    assert gain.low > 0
    assert gain.low <= gain.value <= gain.high + 1e-9
    same = metrics.ap50_difference(after, after)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert metrics.ap50_difference(before, after, seed=3) == metrics.ap50_difference(
        before, after, seed=3
    )


def test_slices_left_out_do_not_count_and_keep_their_place() -> None:
    truths = [squares([(2, 2)]), squares([(4, 4)]), squares([(24, 4)])]
    slices = [piece(t, "one reef") for t in truths]
    found = [
        detections(truths[0], [0.9]),
        Instances.empty((SIDE, SIDE)),
        detections(truths[2], [0.8]),
    ]
    kept = metrics.match_detections(slices, found, without=[1])
    assert metrics.ap50(kept) == pytest.approx(1)
    assert kept.slices == 3
    assert kept.individuals == 1  # one label value in one group is one individual
    assert 1 not in kept.slice_of_fossil


def test_several_pairs_give_the_mean_difference() -> None:
    truths = [squares([(2, 2), (20, 20)]), squares([(4, 4), (24, 4)])]
    slices = [piece(t, f"reef {i}") for i, t in enumerate(truths)]
    full = [detections(t, [0.9, 0.8]) for t in truths]
    less = [detections(np.where(t == 1, 1, 0), [0.9]) for t in truths]
    a, b = (metrics.match_detections(slices, p) for p in (less, full))
    pairs = metrics.ap50_difference([a, b], [b, b])
    assert pairs.value == pytest.approx((1 - 51 / 101) / 2)
    with pytest.raises(InputError, match="pairs"):
        metrics.ap50_difference([a], [b, b])
    with pytest.raises(InputError, match="one for each slice"):
        metrics.match_detections(slices, full[:1])
