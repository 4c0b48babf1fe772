from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.models.backbone_lite import LiteConfig
from napari_fossiledit.models.lite import new_lite
from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN

TINY = LiteConfig(
    width=0.25,
    channels=16,
    box_width=24,
    mask_convolutions=1,
    proposals=40,
)


def tiny(seed: int = 0) -> TorchvisionRCNN:
    """The demo model's architecture with few channels and random weights."""
    return new_lite(TINY, name="tiny", class_names=("cup",), seed=seed)


@pytest.fixture
def segmenter() -> TorchvisionRCNN:
    return tiny()


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (100, 140, 3), dtype=np.uint8)


@pytest.fixture
def discs() -> list[LabelledSlice]:
    """Two slices with pale discs on dark ground."""
    slices = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        image = rng.integers(40, 70, (96, 96, 3), dtype=np.uint8)
        labels = np.zeros((96, 96), np.int32)
        y, x = np.mgrid[:96, :96]
        for i, (cy, cx, r) in enumerate([(25, 30, 12), (65, 60, 16), (20, 75, 9)], start=1):
            inside = (y - cy) ** 2 + (x - cx) ** 2 < r * r
            labels[inside] = i
            image[inside] = rng.integers(170, 220, (int(inside.sum()), 3), dtype=np.uint8)
        slices.append(LabelledSlice(image, labels, name=f"discs {seed}"))
    return slices
