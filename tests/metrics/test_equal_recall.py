from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.metrics import InstanceScores, excess_at_equal_recall, score_slices


def labels() -> np.ndarray:
    truth = np.zeros((20, 40), np.int32)
    truth[5:15, 5:15] = 1
    truth[5:15, 25:35] = 2
    return truth


def scored(width: int, truth: np.ndarray | None = None) -> InstanceScores:
    """Predictions of both squares that are ``width`` columns wide instead of 10."""
    truth = labels() if truth is None else truth
    found = np.zeros_like(truth)
    found[5:15, 5 : 5 + width] = 1
    found[5:15, 25 : 25 + width] = 2
    piece = LabelledSlice(np.zeros((20, 40, 3), np.uint8), truth)
    return score_slices([piece], [Instances.from_labels(found)])


def test_it_is_the_height_above_the_line_between_two_rivals() -> None:
    # Rivals at recall 1 (precision 2/3) and 1/2 (precision 1): 0.8 on the line at recall 0.8.
    excess = excess_at_equal_recall([scored(15), scored(5)], scored(8), resamples=50)
    assert excess["precision"].value == pytest.approx(0.2)


def test_a_rival_itself_adds_nothing() -> None:
    excess = excess_at_equal_recall([scored(15), scored(5)], scored(5), resamples=50)
    assert excess["precision"].value == pytest.approx(0)
    assert excess["iou"].value == pytest.approx(0)


def test_one_rival_is_no_curve() -> None:
    with pytest.raises(InputError, match="at least two"):
        excess_at_equal_recall([scored(5)], scored(8))


def test_rivals_of_other_labels_are_refused() -> None:
    other = labels()
    other[other == 2] = 0
    with pytest.raises(InputError, match="different slices or labels"):
        excess_at_equal_recall([scored(15), scored(5, other)], scored(8))
