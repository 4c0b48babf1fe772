from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.metrics import adapted_rand_error, variation_of_information

from napari_fossiledit import metrics
from napari_fossiledit.errors import InputError


def _two() -> np.ndarray:
    truth = np.zeros((4, 6, 10), int)
    truth[:, :, :4], truth[:, :, 6:] = 1, 2
    return truth


def test_other_numbers_for_the_same_things_are_perfect() -> None:
    truth = _two()
    scores = metrics.score_volume(truth, np.array([0, 9, 4])[truth])
    assert scores.adapted_rand_error == 0
    assert scores.variation_of_information == 0
    assert (scores.whole, scores.individuals, scores.whole_share) == (2, 2, 1)


def test_one_individual_in_two_halves() -> None:
    truth = _two()
    found = truth.copy()
    found[2:][truth[2:] == 2] = 3
    scores = metrics.score_volume(truth, found)
    assert (scores.whole, scores.individuals) == (1, 2)
    assert scores.rand_precision == 1
    # 96 voxels each: all pairs of one, half of those of the other (2 * 48 * 47 of 96 * 95).
    assert scores.rand_recall == pytest.approx((96 * 95 + 2 * 48 * 47) / (2 * 96 * 95))
    # Half of all voxels need one bit more.
    assert scores.variation_split == pytest.approx(0.5)
    assert scores.variation_merged == 0


def test_two_individuals_merged() -> None:
    truth = _two()
    scores = metrics.score_volume(truth, (truth > 0).astype(int))
    assert scores.whole == 0
    assert scores.rand_recall == 1
    assert scores.rand_precision == pytest.approx(2 * 96 * 95 / (192 * 191))
    assert scores.variation_merged == pytest.approx(1)


def test_whole_to_the_voxel_or_nearly() -> None:
    truth = _two()
    found = truth.copy()
    found[0, 0, 0] = 0  # a voxel is missed
    found[0, 0, 5] = 2  # a voxel of background is claimed
    assert metrics.score_volume(truth, found).whole == 0
    assert metrics.score_volume(truth, found, whole_iou=0.98).whole == 2


def test_nothing_true() -> None:
    scores = metrics.score_volume(np.zeros((2, 3, 3), int), np.ones((2, 3, 3), int))
    assert (scores.adapted_rand_error, scores.variation_of_information) == (0, 0)
    assert np.isnan(scores.to_dict()["whole_share"])


def test_other_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="numbers of slices"):
        metrics.score_volume(np.zeros((2, 3, 3), int), np.zeros((3, 3, 3), int))
    with pytest.raises(InputError, match="Slice 0"):
        metrics.score_volume(np.zeros((2, 3, 3), int), np.zeros((2, 3, 4), int))


@settings(max_examples=50, deadline=None)
@given(
    arrays.arrays(np.int32, (3, 4, 4), elements=st.integers(0, 4)),
    arrays.arrays(np.int32, (3, 4, 4), elements=st.integers(0, 4)),
)
def test_as_in_scikit_image(truth: np.ndarray, found: np.ndarray) -> None:
    truth[0, 0] = [1, 1, 2, 2]  # skimage divides by zero where no pair is true
    found[0, 0] = [1, 1, 1, 2]
    scores = metrics.score_volume(truth, found)
    # Its "precision" divides by the pairs of the truth, against its own documentation.
    error, recall, precision = adapted_rand_error(truth, found)
    assert scores.adapted_rand_error == pytest.approx(error)
    assert (scores.rand_precision, scores.rand_recall) == pytest.approx((precision, recall))
    split, merged = variation_of_information(truth, found, ignore_labels=(0,))
    assert sorted((scores.variation_split, scores.variation_merged)) == pytest.approx(
        sorted((split, merged)), abs=1e-9
    )
