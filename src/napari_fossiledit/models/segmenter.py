"""What every model can do: the `Segmenter` protocol.

Widgets, solvers and pipeline know models only through it.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.instances import Instances

if TYPE_CHECKING:
    import torch

__all__ = ["EditableLayer", "KeyValue", "Limits", "Segmenter", "zoomed"]


_USUAL_MOST = 500


@dataclass(frozen=True)
class EditableLayer:
    """A convolution that an edit may rewrite.

    Attributes
    ----------
    name : str
        The layer's name in the model, e.g. ``backbone.fpn.layer_blocks.0.0``.
    level : str
        The feature level that it writes, e.g. ``P2``.
    stride : int
        Pixels of the network's input per position of the level.
    shape : (out, in, kh, kw)
        Shape of the weight.
    """

    name: str
    level: str
    stride: int
    shape: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class KeyValue:
    """Input (key) and output (value) of an editable layer for one image.

    Attributes
    ----------
    key : (1, Cin, h, w) float32 tensor, on the segmenter's device
    value : (1, Cout, h, w) float32 tensor, on the segmenter's device
    content : (int, int)
        Rows and columns of the resized image inside the network's input.
    padded : (int, int)
        Rows and columns of the network's input; what lies outside ``content`` is padding.
    """

    key: torch.Tensor
    value: torch.Tensor
    content: tuple[int, int]
    padded: tuple[int, int]


@dataclass(frozen=True)
class Limits:
    """What a model's predictions never exceed, whatever is asked for.

    Attributes
    ----------
    score_threshold : float
        No detection scores less.
    max_detections : int, optional
        A slice has at most so many instances; None for no limit of the model's own.
    """

    score_threshold: float = 0.0
    max_detections: int | None = None

    @property
    def most(self) -> int:
        """How many instances to ask for where none are to be lost: 500, or the model's more."""
        return max(_USUAL_MOST, self.max_detections or 0)


@runtime_checkable
class Segmenter(Protocol):
    """A model that predicts instances and lets chosen convolutions be rewritten."""

    @property
    def name(self) -> str:
        """A short name for people, e.g. ``demo``."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the foreground classes."""

    @property
    def fossil_classes(self) -> tuple[int, ...]:
        """Numbers of the classes that count as the fossil; of others nothing is predicted."""

    @fossil_classes.setter
    def fossil_classes(self, numbers: Sequence[int], /) -> None: ...

    @property
    def input_zoom(self) -> float:
        """How many times larger than usual the network sees a slice; 1 is the model's own size."""

    @input_zoom.setter
    def input_zoom(self, zoom: float, /) -> None: ...

    @property
    def limits(self) -> Limits:
        """What the model's predictions never exceed."""

    @property
    def facts(self) -> dict[str, str]:
        """Short facts for people, by title: kind, input, limits."""

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""

    @property
    def lock(self) -> threading.RLock:
        """Held while weights are read or written: they never change during a prediction."""

    def predict(
        self,
        image: NDArray[np.uint8],
        *,
        score_threshold: float = 0.0,
        max_detections: int = 500,
        mask_threshold: float = 0.5,
    ) -> Instances:
        """Find the instances of a (y, x, 3) uint8 RGB slice, highest score first."""

    def predict_mask_thresholds(
        self,
        image: NDArray[np.uint8],
        mask_thresholds: Sequence[float],
        *,
        score_threshold: float = 0.0,
        max_detections: int = 500,
    ) -> list[Instances]:
        """One forward pass, the same detections cut at each mask threshold."""

    def editable_layers(self) -> list[EditableLayer]:
        """The 3x3 convolutions that an edit may rewrite, finest level first."""

    def features(
        self, image: NDArray[np.uint8], layers: Iterable[str] | None = None
    ) -> dict[str, KeyValue]:
        """Keys and values of the named layers (default: all editable ones): one backbone pass."""

    def editable_tensors(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all tensors that an edit may change, by name.

        The weight of an editable layer has the layer's name, its bias that name and ``.bias``;
        tensors of the heads follow where they can be fitted.
        """

    def weight(self, layer: str) -> torch.Tensor:
        """A copy of the layer's weight (out, in, kh, kw), on the segmenter's device.

        Other names of `editable_tensors` may be given as well, here and to `set_weight`.
        """

    def bias(self, layer: str) -> torch.Tensor | None:
        """A copy of the layer's bias (out,), or None."""

    def set_weight(self, layer: str, weight: torch.Tensor) -> None:
        """Overwrite the layer's weight; it keeps the model's dtype and device."""

    def fingerprint(self) -> str:
        """Sha256 of all weights as they are now, as hexadecimal text."""


@contextmanager
def zoomed(segmenter: Segmenter, zoom: float) -> Generator[None]:
    """Let the network see slices at another input zoom; the lock is held meanwhile."""
    with segmenter.lock:
        before = segmenter.input_zoom
        segmenter.input_zoom = zoom
        try:
            yield
        finally:
            segmenter.input_zoom = before
