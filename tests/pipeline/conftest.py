"""A segmenter that takes every pale thing for a fossil, and slices on which that is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import disk, rectangle
from skimage.measure import label

from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.models.segmenter import Limits

MUD = (130, 75, 60)
PALE = (200, 190, 180)


class PaleSegmenter:
    """Every connected pale region is an instance; mask threshold t keeps the paler pixels."""

    name = "pale"
    class_names = ("fossil",)
    fossil_classes = (0,)
    input_zoom = 1.0
    limits = Limits()
    facts: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.seen: list[NDArray[np.uint8]] = []

    def predict(
        self,
        image: NDArray[np.uint8],
        *,
        score_threshold: float = 0.0,
        max_detections: int = 500,
        mask_threshold: float = 0.5,
    ) -> Instances:
        self.seen.append(image)
        found = Instances.from_labels(label(image[..., 0] > 140 + 80 * mask_threshold))
        scores = np.linspace(0.9, 0.6, len(found)) if len(found) else np.zeros(0)
        kept = Instances.from_crops(found.shape, found.crops, scores=scores)
        return kept.above(score_threshold)

    def predict_mask_thresholds(
        self,
        image: NDArray[np.uint8],
        mask_thresholds: Sequence[float],
        *,
        score_threshold: float = 0.0,
        max_detections: int = 500,
    ) -> list[Instances]:
        return [
            self.predict(image, score_threshold=score_threshold, mask_threshold=t)
            for t in mask_thresholds
        ]


def draw(fossils: Sequence[tuple[int, int]], clots: Sequence[tuple[int, int]], name: str):
    image = np.full((80, 80, 3), MUD, np.uint8)
    labels = np.zeros((80, 80), np.int32)
    confusers = np.zeros((80, 80), np.int32)
    for i, centre in enumerate(fossils, start=1):
        where = disk(centre, 8, shape=labels.shape)
        image[where] = PALE
        labels[where] = i
    for i, corner in enumerate(clots, start=1):
        where = rectangle(corner, extent=(6, 6), shape=labels.shape)
        image[where] = PALE
        confusers[where] = i
    return LabelledSlice(image, labels, confusers, name=name, group=name)


@pytest.fixture
def pale() -> PaleSegmenter:
    return PaleSegmenter()


@pytest.fixture
def slices() -> list[LabelledSlice]:
    return [
        draw([(20, 20), (55, 50)], [(5, 60), (70, 10)], "a"),
        draw([(40, 30)], [(10, 10)], "b"),
    ]
