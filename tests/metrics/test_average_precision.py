"""COCO's average precision: known answers, and silence."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Crop, Instances, LabelledSlice
from napari_fossiledit.metrics import average_precision

SHAPE = (60, 80)
IMAGE = np.zeros((*SHAPE, 3), np.uint8)


def labelled(*boxes: tuple[int, int, int, int]) -> LabelledSlice:
    labels = np.zeros(SHAPE, np.int32)
    for value, (y, x, h, w) in enumerate(boxes, start=1):
        labels[y : y + h, x : x + w] = value
    return LabelledSlice(IMAGE, labels)


def found(*boxes: tuple[int, int, int, int], scores: list[float] | None = None) -> Instances:
    crops = [Crop(y, x, np.ones((h, w), bool)) for y, x, h, w in boxes]
    return Instances.from_crops(SHAPE, crops, scores=scores)


A, B = (0, 0, 10, 10), (30, 40, 20, 20)


def test_perfect(capsys: pytest.CaptureFixture[str]) -> None:
    result = average_precision([labelled(A, B), labelled(B)], [found(A, B), found(B)])
    assert result == pytest.approx({"AP": 1, "AP50": 1, "AP75": 1, "AR": 1})
    assert capsys.readouterr() == ("", "")


def test_half_of_an_instance_counts_at_iou_50_only() -> None:
    result = average_precision([labelled(A)], [found((0, 0, 10, 6))])  # IoU 0.6
    assert result == pytest.approx({"AP": 0.3, "AP50": 1, "AP75": 0, "AR": 0.3})


def test_a_false_detection_above_a_true_one_halves_precision() -> None:
    first = average_precision([labelled(A)], [found(B, A, scores=[0.9, 0.8])])
    assert first["AP50"] == pytest.approx(0.5)
    last = average_precision([labelled(A)], [found(B, A, scores=[0.1, 0.8])])
    assert last["AP50"] == pytest.approx(1)


def test_more_than_a_hundred_detections_count() -> None:
    # COCO's usual limit of 100 would drop the true one, which comes last.
    junk = [(1, x % 80, 1, 1) for x in range(120)]
    scores = [0.9] * 120 + [0.1]
    result = average_precision([labelled(B)], [found(*junk, B, scores=scores)])
    assert result["AR"] == pytest.approx(1)


def test_without_predictions_or_without_fossils() -> None:
    assert average_precision([labelled(A)], [found()]) == {"AP": 0, "AP50": 0, "AP75": 0, "AR": 0}
    assert average_precision([labelled()], [found(A)]) == dict.fromkeys(
        ("AP", "AP50", "AP75", "AR")
    )


def test_inputs_that_do_not_agree() -> None:
    with pytest.raises(InputError, match="1 labelled slices but 0 predictions"):
        average_precision([labelled(A)], [])
    with pytest.raises(InputError, match="5 x 5"):
        average_precision([labelled(A)], [Instances.empty((5, 5))])
