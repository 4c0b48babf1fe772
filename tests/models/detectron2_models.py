"""The two small detectron2 models of the tests, and what detectron2 itself predicts with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from napari_fossiledit.instances import Instances

HERE = Path(__file__).parents[1] / "data" / "detectron2"
NAMES = ("r50_bgr_caffe2", "r101_rgb")


@dataclass(frozen=True)
class Expected:
    """Of detectron2's DefaultPredictor on the CPU."""

    image: np.ndarray
    arrays: dict[str, np.ndarray]

    @property
    def masks(self) -> np.ndarray:
        shape = tuple(self.arrays["masks_shape"])
        return np.unpackbits(self.arrays["masks"])[: np.prod(shape)].reshape(shape).astype(bool)


def expected(name: str) -> Expected:
    with np.load(HERE / name / "expected.npz") as arrays:
        found = {key: arrays[key] for key in arrays}
    return Expected(np.asarray(Image.open(HERE / name / "image.png").convert("RGB")), found)


def found_again(theirs: Expected, ours: Instances) -> list[bool]:
    """For each of detectron2's detections, whether ours has the same."""
    arrays, again = theirs.arrays, []
    for box, score, kind, mask in zip(
        arrays["boxes"], arrays["scores"], arrays["classes"], theirs.masks, strict=True
    ):
        off = np.abs(ours.boxes - box).max(axis=1)
        off[ours.classes != kind] = np.inf
        best = int(off.argmin())
        mine = ours.mask(best)
        union = int((mine | mask).sum())
        overlap = int((mine & mask).sum()) / union if union else 1.0
        again.append(off[best] < 0.5 and abs(ours.scores[best] - score) < 1e-2 and overlap > 0.99)
    return again
