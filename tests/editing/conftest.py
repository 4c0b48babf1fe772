"""A tiny segmenter with a real feature pyramid, for tests of the editing room alone."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import nn

from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.models.segmenter import EditableLayer, KeyValue, Limits
from napari_fossiledit.progress import checkpoint

CHANNELS = 6


class TinyNet(nn.Module):
    """Body, two lateral and two output convolutions, and one that reads P2's output."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 4, stride=4)
        self.down = nn.Conv2d(CHANNELS, CHANNELS, 2, stride=2)
        self.outputs = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(2))
        self.rpn = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)


class TinySegmenter:
    """Implements the `Segmenter` protocol; fossils are where P2's and the RPN's sums are high."""

    name = "tiny"
    class_names = ("fossil",)
    fossil_classes = (0,)
    input_zoom = 1.0
    limits = Limits()
    facts: ClassVar[dict[str, str]] = {}

    def __init__(self, seed: int = 0) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = TinyNet().eval()
        self.lock = threading.RLock()
        self.predictions = 0

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def _modules(self) -> dict[str, nn.Conv2d]:
        return {
            "fpn.0": self.net.outputs[0],
            "fpn.1": self.net.outputs[1],
            "rpn.conv": self.net.rpn,
        }

    def editable_layers(self) -> list[EditableLayer]:
        levels = {"rpn.conv": ("RPN", 4), "fpn.0": ("P2", 4), "fpn.1": ("P3", 8)}
        # The dependent layer comes first, to see that it is solved last all the same.
        return [
            EditableLayer(name, level, stride, tuple(self._modules()[name].weight.shape))
            for name, (level, stride) in levels.items()
        ]

    def _forward(self, image: NDArray[np.uint8]) -> dict[str, KeyValue]:
        rows, columns = image.shape[:2]
        with self.lock, torch.inference_mode():
            checkpoint()
            x = torch.from_numpy(np.moveaxis(image, -1, 0).astype(np.float32) / 255)[None]
            x = F.pad(x, (0, -columns % 8, 0, -rows % 8))
            fine = torch.tanh(self.net.stem(x))
            coarse = torch.tanh(self.net.down(fine))
            fine = fine + F.interpolate(coarse, scale_factor=2)
            p2, p3 = self.net.outputs[0](fine), self.net.outputs[1](coarse)
            found = {"fpn.0": (fine, p2), "fpn.1": (coarse, p3), "rpn.conv": (p2, self.net.rpn(p2))}
            padded = (x.shape[2], x.shape[3])
            return {n: KeyValue(k, v, (rows, columns), padded) for n, (k, v) in found.items()}

    def features(
        self, image: NDArray[np.uint8], layers: Iterable[str] | None = None
    ) -> dict[str, KeyValue]:
        found = self._forward(image)
        return found if layers is None else {name: found[name] for name in layers}

    def predict(
        self,
        image: NDArray[np.uint8],
        *,
        score_threshold: float = 0.0,
        max_detections: int = 500,
        mask_threshold: float = 0.5,
    ) -> Instances:
        from scipy.ndimage import label

        self.predictions += 1
        found = self._forward(image)
        score = (found["fpn.0"].value + found["rpn.conv"].value).mean(1)[0]
        high = (score > score.mean()).numpy().repeat(4, 0).repeat(4, 1)
        return Instances.from_labels(label(high[: image.shape[0], : image.shape[1]])[0])

    def predict_mask_thresholds(
        self, image: NDArray[np.uint8], mask_thresholds: Sequence[float], **options: float
    ) -> list[Instances]:
        found = self.predict(image)  # one pass for all
        return [found for _ in mask_thresholds]

    def editable_tensors(self) -> dict[str, tuple[int, ...]]:
        shapes = {}
        for name, module in self._modules().items():
            shapes[name] = tuple(module.weight.shape)
            shapes[f"{name}.bias"] = tuple(module.bias.shape)
        return shapes

    def _tensor(self, name: str) -> torch.Tensor:
        layer = name.removesuffix(".bias")
        module = self._modules()[layer]
        return module.weight if layer == name else module.bias

    def weight(self, layer: str) -> torch.Tensor:
        return self._tensor(layer).detach().clone()

    def bias(self, layer: str) -> torch.Tensor | None:
        return self._modules()[layer].bias.detach().clone()

    def set_weight(self, layer: str, weight: torch.Tensor) -> None:
        with self.lock, torch.no_grad():
            self._tensor(layer).copy_(weight)

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for tensor in self.net.state_dict().values():
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()


@pytest.fixture
def segmenter() -> TinySegmenter:
    return TinySegmenter()


@pytest.fixture
def other_segmenter() -> TinySegmenter:
    return TinySegmenter(seed=1)


@pytest.fixture
def scene() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """Original, painted, fossils; 60 x 52 pixels, so that the network pads."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 255, (60, 52, 3), dtype=np.uint8)
    fossils = np.zeros((60, 52), bool)
    fossils[8:28, 12:36] = True
    painted = image.copy()
    painted[~fossils] = (120, 70, 58)
    return image, painted, fossils


@pytest.fixture
def slices(scene: tuple[NDArray, ...]) -> list[LabelledSlice]:
    image, _, fossils = scene
    labels = fossils.astype(np.int32)
    return [
        LabelledSlice(image, labels, name="a", group="g"),
        LabelledSlice(image[::-1].copy(), labels[::-1].copy(), name="b", group="g"),
    ]
