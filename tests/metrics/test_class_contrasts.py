from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Crop, Instances
from napari_fossiledit.metrics import class_contrasts, score_instances


def scores(share: float):
    """Five slices: the odd label found whole, the even one to a share of its rows."""
    truth, found = [], []
    for i in range(5):
        labels = np.zeros((20, 40), np.int32)
        labels[5:15, 5:15], labels[5:15, 25:35] = 2 * i + 1, 2 * i + 2
        truth.append(labels)
        rows = round(10 * share)
        crops = [Crop(5, 5, np.ones((10, 10), bool)), Crop(5, 25, np.ones((rows, 10), bool))]
        found.append(Instances.from_crops((20, 40), crops[: 2 if rows else 1]))
    return score_instances(truth, found)


def test_a_class_that_is_half_as_good() -> None:
    found = class_contrasts(scores(0.5), ["odd", "even"] * 5)
    assert found["even"]["all_mean.iou"].value == pytest.approx(-0.5)
    assert found["odd"]["all_mean.iou"].value == pytest.approx(0.5)
    assert found["even"]["all_mean.precision"].value == 0
    assert found["even"]["all_mean.iou"].clear


def test_the_contrast_of_a_change() -> None:
    found = class_contrasts(scores(0.5), ["odd", "even"] * 5, after=scores(1.0))
    assert found["even"]["all_mean.recall"].value == pytest.approx(0.5)


def test_unmatched_instances_count_in_all_mean_only() -> None:
    found = class_contrasts(scores(0.0), ["odd", "even"] * 5)["even"]
    assert found["all_mean.recall"].value == -1
    assert np.isnan(found["matched_mean.recall"].value)


def test_instances_of_no_known_class_are_left_out() -> None:
    names = ["odd", "even"] * 4 + ["odd", None]
    assert class_contrasts(scores(0.5), names)["odd"]["all_mean.iou"].value == pytest.approx(0.5)
    assert class_contrasts(scores(0.5), ["odd", None] * 5) == {}


def test_as_many_classes_as_instances() -> None:
    with pytest.raises(InputError, match="3 classes are given for 10 instances"):
        class_contrasts(scores(0.5), ["a", "b", "a"])


def test_some_instances_alone() -> None:
    run = scores(0.5)
    even = run.select(np.arange(10) % 2 == 1)
    assert even.total == 5
    assert even.all_mean.iou == pytest.approx(0.5)
    assert even.individual == tuple(who for who in run.individual if who[1] % 2 == 0)
    with pytest.raises(InputError, match="3 instances are chosen or not, but 10 were scored"):
        run.select(np.ones(3, bool))
