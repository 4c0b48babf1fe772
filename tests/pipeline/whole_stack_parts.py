"""Stand-ins that need no torch: a segmenter that is quick and pickles, and stacks of pale discs."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_fossiledit.instances import Crop, Instances
from napari_fossiledit.io import Stack
from napari_fossiledit.models.segmenter import Limits

VOXELS = (0.5, 0.145, 0.145)


class Discs:
    """Every connected pale region is an instance; its score is its brightness.

    Whatever ``log`` names gets a line for each copy unpacked and each slice predicted.
    """

    name = "discs"
    class_names = ("disc",)
    fossil_classes = (0,)
    limits = Limits()
    facts: ClassVar[dict[str, str]] = {}
    device = "cpu"

    def __init__(self, weight: int = 1, seconds: float = 0.0, log: str | None = None) -> None:
        self.weight, self.seconds, self.log = weight, seconds, log

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._note("unpacked")

    def _note(self, what: str) -> None:
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{os.getpid()} {what}\n")

    def fingerprint(self) -> str:
        return hashlib.sha256(str(self.weight).encode()).hexdigest()

    def predict(
        self, image: NDArray[np.uint8], *, score_threshold: float = 0.0, max_detections: int = 500
    ) -> Instances:
        self._note("predicts")
        time.sleep(self.seconds)
        labels, _ = ndimage.label(image[..., 0] > 100)
        crops, scores = [], []
        for i, window in enumerate(ndimage.find_objects(labels), start=1):
            mask = labels[window] == i
            crops.append(Crop(window[0].start, window[1].start, mask))
            scores.append(float(image[window][..., 0][mask].mean()) / 255)
        order = np.argsort(-np.array(scores), kind="stable")[:max_detections]
        found = Instances.from_crops(
            (image.shape[0], image.shape[1]),
            [crops[i] for i in order],
            scores=[scores[i] for i in order],
        )
        return found.above(score_threshold)


def disc_image(
    shape: tuple[int, int], discs: list[tuple[float, float, float, int]]
) -> NDArray[np.uint8]:
    """Discs (y, x, radius, tone) on dark ground."""
    image = np.full((*shape, 3), 40, np.uint8)
    y, x = np.mgrid[: shape[0], : shape[1]]
    for cy, cx, radius, tone in discs:
        image[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = tone
    return image


def disc_stack(slices: int = 12, size: int = 64, seed: int = 0) -> Stack:
    """A stack of discs that differ from slice to slice."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(slices):
        discs = [
            (float(y), float(x), float(r), int(tone))
            for y, x, r, tone in zip(
                rng.uniform(5, size - 5, 5),
                rng.uniform(5, size - 5, 5),
                rng.uniform(3, 8, 5),
                rng.integers(130, 250, 5),
                strict=True,
            )
        ]
        images.append(disc_image((size, size), discs))
    return Stack(np.stack(images), [f"reef_{z:04d}" for z in range(slices)], VOXELS)


class _Damaged:
    """Images of which some raise when they are read."""

    def __init__(self, images: NDArray[np.uint8], bad: Collection[int]) -> None:
        self._images, self._bad, self.shape = images, bad, images.shape

    def __getitem__(self, z: int) -> NDArray[np.uint8]:
        if z in self._bad:
            raise ValueError("truncated")
        return self._images[z]


def damaged(stack: Stack, bad: Collection[int]) -> Stack:
    """The same stack with slices that cannot be read."""
    images = _Damaged(np.asarray(stack.images), bad)
    return Stack(images, stack.names, stack.voxel_size)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder by their relative names."""
    return {
        str(f.relative_to(folder)): f.read_bytes()
        for f in sorted(Path(folder).rglob("*"))
        if f.is_file()
    }
