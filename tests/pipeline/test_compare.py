"""The edit beside its rivals, with the real demo model on small slices."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_fossiledit import editing, models, perturb, pipeline
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.metrics import Interval, excess_at_equal_recall
from napari_fossiledit.pipeline.curves import DetectionCurve, say
from napari_fossiledit.sample.splits import labelled_slice


@pytest.fixture(scope="module")
def segmenter():
    return models.load("demo", device="cpu")


@pytest.fixture(scope="module")
def pieces() -> list[LabelledSlice]:
    whole = [labelled_slice(2009, z, shape=(48, 192, 192)) for z in (8, 24, 40)]
    return [piece for piece in whole if piece.fossils.any()]


@pytest.fixture(scope="module")
def edit(segmenter, pieces):
    first = pieces[0]
    painted = perturb.apply(first.image, first.fossils, perturb.Median())
    return editing.rewrite(segmenter, first.image, painted, first.fossils)


def test_comparison_leaves_the_model_bit_for_bit(segmenter, edit, pieces) -> None:
    before = segmenter.fingerprint()
    result = pipeline.compare(segmenter, edit, 0.2, pieces[1:], mask_thresholds=(0.4, 0.7))
    assert segmenter.fingerprint() == before
    assert [point.x for point in result.strength_curve.points] == [0.0, 0.2]
    assert [point.x for point in result.threshold_curve.points] == [0.4, 0.5, 0.7]
    figures = result.to_dict()
    assert figures["before"]["total"] == figures["after"]["total"] > 0
    assert figures["differences"]["matched_mean.precision"]["value"] is not None
    interval = result.differences["matched_mean.precision"]
    gain = result.after.scores.matched_mean.precision - result.before.scores.matched_mean.precision
    assert interval.value == pytest.approx(gain)


def test_a_cancelled_comparison_leaves_the_model_bit_for_bit(segmenter, edit, pieces) -> None:
    before = segmenter.fingerprint()
    task = pipeline.compare_task(segmenter, edit, 1.0, pieces[:1])
    for _ in range(3):
        next(task)
    task.close()
    assert segmenter.fingerprint() == before


def test_no_edit_adds_nothing_to_the_curve_it_lies_on(pale, slices) -> None:
    result = pipeline.evaluate(pale, slices, mask_thresholds=(0.3, 0.7))
    rivals = list(result.by_mask_threshold.values())
    excess = excess_at_equal_recall(rivals, result.scores)
    assert excess["precision"].value == pytest.approx(0, abs=1e-12)


def test_detections_are_counted_over_the_confidence(pale, slices) -> None:
    curve = DetectionCurve.of("now", slices, pipeline.evaluate(pale, slices))
    assert (curve.true[-1], curve.false[-1]) == (3, 3)
    assert (np.diff(curve.score) <= 0).all()
    assert curve.false_at(3) is not None
    assert curve.false_at(4) is None


def verdict_of(low: float, high: float, true: int, false: int, pale, slices) -> str:
    """The sentence for a given interval, after an edit that leaves so many detections."""
    before = pipeline.evaluate(pale, slices)
    curve = DetectionCurve.of("before", slices, before)
    after = SimpleNamespace(scores=SimpleNamespace(true_detections=true, false_detections=false))
    return say(Interval((low + high) / 2, low, high), before, after, curve, curve)


def test_the_sentence_says_what_the_edit_adds(pale, slices) -> None:
    assert "more precise" in verdict_of(0.01, 0.03, 3, 1, pale, slices)
    assert "raise the mask threshold instead" in verdict_of(-0.03, -0.01, 3, 1, pale, slices)
    assert "adds nothing certain" in verdict_of(-0.01, 0.01, 3, 1, pale, slices)


def test_the_sentence_never_shows_what_is_not_known(pale, slices) -> None:
    text = verdict_of(np.nan, np.nan, 3, 1, pale, slices)
    assert "nan" not in text
    assert "too few" in text


def test_the_sentence_compares_detections_with_the_score_threshold(pale, slices) -> None:
    rival = DetectionCurve.of("b", slices, pipeline.evaluate(pale, slices)).false_at(3)
    assert rival is not None
    assert f"leaves {rival} false." in verdict_of(0, 0, 3, rival - 1, pale, slices)
    assert "false too" in verdict_of(0, 0, 3, rival, pale, slices)
    assert "the edit adds nothing to it" in verdict_of(0, 0, 3, rival + 1, pale, slices)
    assert "at no confidence" in verdict_of(0, 0, 9, 1, pale, slices)
