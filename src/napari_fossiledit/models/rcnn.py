"""What the two backends of a Mask R-CNN share: checks, classes, limits, and tensors by name."""

from __future__ import annotations

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_fossiledit.errors import InputError, ModelError
from napari_fossiledit.instances import Instances
from napari_fossiledit.models.classes import check_classes
from napari_fossiledit.models.device import plain_memory_errors
from napari_fossiledit.models.hooks import add_checkpoints
from napari_fossiledit.models.paste import paste_masks
from napari_fossiledit.models.preprocess import check_image, check_zoom
from napari_fossiledit.models.segmenter import EditableLayer, KeyValue, Limits

__all__ = ["BIAS", "RCNN", "RPN", "Found"]

RPN = "RPN"
"""Level name of the region proposal network's convolution, which reads all levels."""

BIAS = ".bias"
"""What follows a layer's name in the name of its bias; its weight has the layer's own name."""


@dataclass(frozen=True, eq=False)
class Found:
    """Detections in pixels of the slice, before their masks are cut.

    Attributes
    ----------
    boxes : (n, 4) float32
        x0, y0, x1, y1.
    scores : (n,) float32
    classes : (n,) int64
        0 is the first foreground class.
    grids : (n, m, m) float32
        Mask probabilities on each box's own grid.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    grids: NDArray[np.float32]


class RCNN(ABC):
    """A Mask R-CNN behind the `Segmenter` protocol, whatever computes it.

    Parameters
    ----------
    model : torch.nn.Module
        Put into eval mode and onto ``device``.
    name : str
    class_names : sequence of str
        Foreground classes, in the model's order.
    device : torch.device

    Attributes
    ----------
    source : Path, optional
        The file that the weights came from.

    Notes
    -----
    `lock` is held whenever weights are read or written. A forward pass stops within the time of
    one module once the running task is cancelled.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        name: str,
        class_names: Sequence[str],
        device: torch.device | str,
    ) -> None:
        self._name = name
        self._class_names = tuple(class_names)
        self._fossil_classes = tuple(range(len(self._class_names)))
        self._input_zoom = 1.0
        self._lock = threading.RLock()
        self._device = torch.device(device)
        self.source: Path | None = None
        with plain_memory_errors(self._device, f"the model {name}"):
            self.model: Any = model.to(self._device).eval().requires_grad_(False)
        add_checkpoints(self.model)

    @property
    def name(self) -> str:
        """A short name for people."""
        return self._name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the foreground classes."""
        return self._class_names

    @property
    def fossil_classes(self) -> tuple[int, ...]:
        """Numbers of the classes that count as the fossil; of others nothing is predicted."""
        return self._fossil_classes

    @fossil_classes.setter
    def fossil_classes(self, numbers: Sequence[int]) -> None:
        wanted = check_classes(numbers, self._class_names, self._name)
        with self._lock:
            self._fossil_classes = wanted

    @property
    def input_zoom(self) -> float:
        """How many times larger than usual the network sees a slice; 1 is the model's own size.

        Above 1, small fossils are found that the model misses else, at the cost of memory and time
        (with its square), and large ones may be lost; which is best, labelled slices must tell.

        Raises
        ------
        InputError
            When set to what no network could work with.
        """
        return self._input_zoom

    @input_zoom.setter
    def input_zoom(self, zoom: float) -> None:
        check_zoom(zoom)
        with self._lock:
            self._input_zoom = float(zoom)

    @property
    @abstractmethod
    def limits(self) -> Limits:
        """What the model's predictions never exceed."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, str]:
        """Short facts for people, by title."""

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self._device

    @property
    def lock(self) -> threading.RLock:
        """Held while weights are read or written."""
        return self._lock

    def twin(self) -> Self:
        """A copy with weights of its own; what edits make of them now is its base."""
        with self._lock:
            other = copy.copy(self)
            other.model = copy.deepcopy(self.model)
            other._lock = threading.RLock()
        return other

    # Prediction

    def predict(
        self,
        image: NDArray[np.uint8],
        *,
        score_threshold: float = 0.0,
        max_detections: int = 500,
        mask_threshold: float = 0.5,
    ) -> Instances:
        """Find the instances of a (y, x, 3) uint8 RGB slice, highest score first.

        Parameters
        ----------
        image : (y, x, 3) uint8
        score_threshold : float
            Detections below it, or below the model's own limit, are dropped before their masks
            are computed.
        max_detections : int
            At most so many, the highest scores, and no more than the model's own limit.
        mask_threshold : float
            A pixel belongs to a mask where its probability is at least this.

        Raises
        ------
        InputError
            If the image or a setting cannot be used.
        OutOfMemoryError
            If the device has too little memory for the slice.
        Cancelled
            If the running task was cancelled; the model is as it was.
        """
        return self.predict_mask_thresholds(
            image,
            [mask_threshold],
            score_threshold=score_threshold,
            max_detections=max_detections,
        )[0]

    def predict_mask_thresholds(
        self,
        image: NDArray[np.uint8],
        mask_thresholds: Sequence[float],
        *,
        score_threshold: float = 0.0,
        max_detections: int = 500,
    ) -> list[Instances]:
        """One forward pass, the same detections cut at each mask threshold (see `predict`)."""
        check_image(image)
        for what, value in (("score", score_threshold), *(("mask", t) for t in mask_thresholds)):
            if not 0.0 <= value <= 1.0:
                raise InputError(f"A {what} threshold must lie between 0 and 1, not {value}.")
        if max_detections < 1:
            raise InputError(f"max_detections must be at least 1, not {max_detections}.")
        shape = (int(image.shape[0]), int(image.shape[1]))
        with self._computing(image):
            found = self._find(image, score_threshold, max_detections)
        cut = paste_masks(found.grids, found.boxes, shape, mask_thresholds)
        return [Instances(shape, found.boxes, found.scores, found.classes, crops) for crops in cut]

    @abstractmethod
    def _find(self, image: NDArray[np.uint8], score_threshold: float, max_detections: int) -> Found:
        """Detections of a checked slice, within the model's limits; the lock is held."""

    @abstractmethod
    def _computing(self, image: NDArray[np.uint8]) -> AbstractContextManager[None]:
        """Hold the lock, without gradients, and tell of memory that runs out in plain words."""

    # Layers and features

    @abstractmethod
    def editable_layers(self) -> list[EditableLayer]:
        """The 3x3 convolutions that an edit may rewrite.

        First the FPN's output convolutions, finest level first (``P2``, ``P3``, ...), then the
        region proposal network's first convolution (level ``RPN``).
        """

    @abstractmethod
    def features(
        self, image: NDArray[np.uint8], layers: Iterable[str] | None = None
    ) -> dict[str, KeyValue]:
        """Keys and values of the named layers: one backbone pass."""

    def _no_pyramid(self) -> ModelError:
        return ModelError(
            f"The model {self._name} has no feature pyramid (FPN) with 3x3 convolutions, so "
            "nothing in it can be rewritten: choose a Mask R-CNN with FPN."
        )

    def _known(self, layer: str, known: Iterable[str]) -> None:
        if layer not in known:
            raise ModelError(
                f"The model {self._name} has no editable layer {layer!r}: choose one of "
                f"{', '.join(known)}."
            )

    # Weights

    def editable_tensors(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all tensors that an edit may change, by name.

        The weight of an editable layer has the layer's name, its bias that name and ``.bias``.
        Those of the heads follow, under the same rule, where the backend offers them.
        """
        found: dict[str, tuple[int, ...]] = {}
        with self._lock:
            for layer in self.editable_layers():
                found[layer.name] = tuple(layer.shape)
                bias = self._module(layer.name).bias
                if bias is not None and self._may_change(layer.name + BIAS):
                    found[layer.name + BIAS] = tuple(bias.shape)
            for name, tensor in self._head_tensors().items():
                found.setdefault(name, tuple(tensor.shape))
        return found

    def weight(self, layer: str) -> Tensor:
        """A copy of the layer's weight (out, in, kh, kw), or of any editable tensor."""
        with self._lock:
            copy: Tensor = self._tensor(layer).detach()
            return copy.clone(memory_format=torch.contiguous_format)

    def bias(self, layer: str) -> Tensor | None:
        """A copy of the layer's bias (out,), or None."""
        with self._lock:
            self._known(layer, [own.name for own in self.editable_layers()])
            bias = self._module(layer).bias
            return None if bias is None else bias.detach().clone()

    def set_weight(self, layer: str, weight: Tensor) -> None:
        """Overwrite an editable tensor in place; it keeps the model's dtype and device.

        Raises
        ------
        ModelError
            If there is no such layer or the shape is another one.
        """
        with self._lock, torch.no_grad():
            own = self._tensor(layer)
            if own.shape != weight.shape:
                raise ModelError(
                    f"The layer {layer} has a weight of shape {tuple(own.shape)}, not "
                    f"{tuple(weight.shape)}: the edit was made for another model."
                )
            own.copy_(weight)

    @abstractmethod
    def fingerprint(self) -> str:
        """Sha256 of all weights as they are now, as hexadecimal text."""

    def own_name(self, name: str) -> str:
        """The network's own name of an editable tensor, e.g. ``rpn.head.cls_logits.weight``."""
        known = self.editable_tensors()
        self._known(name, known)
        layer, _, kind = name.rpartition(".")
        if kind == BIAS[1:]:
            return self._own_layer(layer) + BIAS
        return f"{self._own_layer(name)}.weight"

    def _own_layer(self, layer: str) -> str:
        """The network's own name of a layer."""
        return layer

    def _head_tensors(self) -> dict[str, Tensor]:
        """Tensors of the heads that an edit may change, by name."""
        return {}

    def _may_change(self, name: str) -> bool:
        """Whether a bias may be changed at all."""
        return True

    def _module(self, layer: str) -> Any:
        return self.model.get_submodule(self._own_layer(layer))

    def _tensor(self, name: str) -> Tensor:
        return cast(Tensor, self.model.get_parameter(self.own_name(name)))
