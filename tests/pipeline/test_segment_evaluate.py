from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_fossiledit import pipeline
from napari_fossiledit.errors import InputError


def test_every_slice_is_predicted_in_order(pale, slices) -> None:
    stack = np.stack([piece.image for piece in slices])
    found = pipeline.segment(pale, da.from_array(stack, chunks=(1, -1, -1, -1)))
    assert [len(item) for item in found] == [4, 2]


def test_progress_carries_each_slice_as_it_comes(pale, slices) -> None:
    images = [piece.image for piece in slices]
    task = pipeline.segment_task(pale, images, ["first", "second"])
    steps = list(task)
    assert [len(step.data) for step in steps if step.data is not None] == [4, 2]
    assert steps[-1].message == "second: 2 instances"


@pytest.mark.parametrize("threshold", [-0.1, 1.5])
def test_a_score_threshold_outside_0_to_1_is_refused(pale, slices, threshold) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        pipeline.segment(pale, [slices[0].image], score_threshold=threshold)


def test_no_slice_is_refused(pale) -> None:
    with pytest.raises(InputError, match="no slice to segment"):
        pipeline.segment(pale, [])


def test_evaluation_has_the_named_keys(pale, slices) -> None:
    figures = pipeline.evaluate(pale, slices).to_dict()
    for key in ("matched_mean", "all_mean", "matched", "total", "spurious_fraction"):
        assert key in figures
    assert figures["matched_mean"] == {"precision": 1.0, "recall": 1.0, "iou": 1.0}
    assert figures["confuser_share"] == 1.0
    assert 0 <= figures["average_precision"]["AP50"] <= 1


def test_mask_thresholds_come_from_the_same_detections(pale, slices) -> None:
    result = pipeline.evaluate(pale, slices, mask_thresholds=(0.3, 0.8))
    assert sorted(result.by_mask_threshold) == [0.3, 0.5, 0.8]
    assert result.by_mask_threshold[0.5].matched_mean == result.scores.matched_mean
