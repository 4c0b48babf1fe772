"""A torchvision Mask R-CNN as a `Segmenter`."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_fossiledit.errors import InputError, ModelError
from napari_fossiledit.instances import Instances
from napari_fossiledit.models.classes import check_classes
from napari_fossiledit.models.detect import Detections, detect, mask_grids, propose
from napari_fossiledit.models.device import plain_memory_errors
from napari_fossiledit.models.hooks import add_checkpoints, capture
from napari_fossiledit.models.paste import paste_masks
from napari_fossiledit.models.preprocess import NetworkInput, Preprocess, check_image
from napari_fossiledit.models.segmenter import EditableLayer, KeyValue, Limits

__all__ = ["RPN", "TorchvisionRCNN"]

RPN = "RPN"
"""Level name of the region proposal network's convolution, which reads all levels."""

_PROBE_SIZE = 128  # px; a blank image of this size tells each layer's stride
_MOST_PROPOSALS = 2000


class TorchvisionRCNN:
    """A `torchvision.models.detection.MaskRCNN` behind the `Segmenter` protocol.

    Parameters
    ----------
    model : torchvision MaskRCNN
        Its ``backbone`` (with ``fpn``), ``rpn`` and ``roi_heads`` are used, its own transform
        and post-processing are not. The module is put into eval mode and onto ``device``.
    preprocess : Preprocess
    name : str
    class_names : sequence of str
        Foreground classes, in the order of the model's outputs after the background.
    device : torch.device
    proposal_density : float, optional
        Proposals per pixel of the network's input; the network's own number is the least. For
        models that take slices at their own resolution, where a large slice holds more fossils.
    metadata : dict, optional
        What `checkpoint.save` writes beside the weights.
    layer_names : mapping of str to str, optional
        Names that people know, by the network's own name, of layers that have another one.
    limits : Limits, optional
        What predictions never exceed.
    facts : dict of str to str, optional
        Short facts for people.
    channels_last : bool
        Keep the channels of a pixel side by side on the CPU: large convolutions run faster.

    Attributes
    ----------
    source : Path, optional
        The file that the weights came from.
    trained : bool
        Whether all weights may differ from that file, not the editable layers' alone.

    Notes
    -----
    `lock` is held whenever weights are read or written. A forward pass stops within the time of
    one module once the running task is cancelled.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        preprocess: Preprocess,
        name: str = "model",
        class_names: Sequence[str] = ("fossil",),
        device: torch.device | str = "cpu",
        proposal_density: float | None = None,
        metadata: dict[str, Any] | None = None,
        layer_names: Mapping[str, str] | None = None,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        facts: Mapping[str, str] | None = None,
        channels_last: bool = False,
    ) -> None:
        self._name = name
        self._class_names = tuple(class_names)
        self._fossil_classes = tuple(range(len(self._class_names)))
        self._public = dict(layer_names or {})
        self._own = {public: own for own, public in self._public.items()}
        self._limits = limits
        self._facts = dict(facts or {})
        self.source: Path | None = None
        self.trained = False
        self._lock = threading.RLock()
        self._device = torch.device(device)
        self.preprocess = preprocess
        self.proposal_density = proposal_density
        self.metadata = dict(metadata or {})
        with plain_memory_errors(self._device, f"the model {name}"):
            self.model: Any = model.to(self._device).eval().requires_grad_(False)
            if channels_last and self._device.type == "cpu":
                self.model.to(memory_format=torch.channels_last)
        add_checkpoints(self.model)
        self._layers: list[EditableLayer] | None = None

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
    def limits(self) -> Limits:
        """What the model's predictions never exceed."""
        return self._limits

    @property
    def facts(self) -> dict[str, str]:
        """Short facts for people, by title."""
        return dict(self._facts)

    def add_fact(self, title: str, text: str) -> None:
        """Add a short fact for people, or replace the one of this title."""
        self._facts[title] = text

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self._device

    @property
    def lock(self) -> threading.RLock:
        """Held while weights are read or written."""
        return self._lock

    @property
    def parameter_count(self) -> int:
        """Number of weights."""
        return sum(p.numel() for p in self.model.parameters())

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
        with self._computing(image):
            found, grids, given = self._forward(image, score_threshold, max_detections)
            boxes = found.boxes.cpu().numpy().astype(np.float32)
            scores = found.scores.cpu().numpy().astype(np.float32)
            classes = found.labels.cpu().numpy().astype(np.int64) - 1
        rows, columns = (o / c for o, c in zip(given.original, given.content, strict=True))
        boxes = boxes * np.array([columns, rows, columns, rows], np.float32)
        real = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, scores, classes, grids = boxes[real], scores[real], classes[real], grids[real]
        cut = paste_masks(grids, boxes, given.original, mask_thresholds)
        return [Instances(given.original, boxes, scores, classes, crops) for crops in cut]

    def _forward(
        self, image: NDArray[np.uint8], score_threshold: float, max_detections: int
    ) -> tuple[Detections, NDArray[np.float32], NetworkInput]:
        given = self.preprocess(image, self._device)
        features = self.model.backbone(given.tensor)
        proposals = propose(
            self.model.rpn, features, given.content, given.padded, self._proposals(given.content)
        )
        # Pooling reads one channel after another; moved map by map, so that each is held once.
        features = {name: features.pop(name).contiguous() for name in list(features)}
        most = self._limits.max_detections
        found = detect(
            self.model.roi_heads,
            features,
            proposals,
            given.content,
            given.padded,
            score_threshold=self._least_score(score_threshold),
            max_detections=max_detections if most is None else min(max_detections, most),
            wanted=[number + 1 for number in self._fossil_classes],
        )
        return found, mask_grids(self.model.roi_heads, features, found, given.padded), given

    def _least_score(self, asked: float) -> float:
        return max(asked, self._limits.score_threshold)

    def _proposals(self, content: tuple[int, int]) -> int | None:
        if self.proposal_density is None:
            return None
        wanted = round(self.proposal_density * content[0] * content[1])
        return max(int(self.model.rpn.post_nms_top_n()), min(wanted, _MOST_PROPOSALS))

    @contextmanager
    def _computing(self, image: NDArray[np.uint8]) -> Iterator[None]:
        what = f"a slice of {image.shape[0]} x {image.shape[1]} pixels"
        with self._lock, torch.no_grad(), plain_memory_errors(self._device, what):
            yield

    # Layers and features

    def editable_layers(self) -> list[EditableLayer]:
        """The 3x3 convolutions that an edit may rewrite.

        First the FPN's output convolutions, finest level first (``P2``, ``P3``, ...), then the
        region proposal network's first convolution (level ``RPN``).
        """
        with self._lock:
            if self._layers is None:
                self._layers = self._find_layers()
            return list(self._layers)

    def _find_layers(self) -> list[EditableLayer]:
        found = _convolutions(self.model, "backbone.fpn.layer_blocks")
        if not found:
            raise ModelError(
                f"The model {self._name} has no feature pyramid (FPN) with 3x3 convolutions, so "
                "nothing in it can be rewritten: choose a Mask R-CNN with FPN."
            )
        blank = np.zeros((_PROBE_SIZE, _PROBE_SIZE, 3), np.uint8)
        with self._computing(blank), capture(self.model, found) as seen:
            self.model.backbone(torch.zeros(1, 3, _PROBE_SIZE, _PROBE_SIZE, device=self._device))
        layers = []
        for name in found:
            stride = round(_PROBE_SIZE / seen[name][0][1].shape[-1])
            layers.append(self._layer(name, f"P{stride.bit_length() - 1}", stride))
        layers.sort(key=lambda layer: layer.stride)
        rpn = _convolutions(self.model, "rpn.head.conv")[:1]
        return layers + [self._layer(name, RPN, layers[0].stride) for name in rpn]

    def _layer(self, name: str, level: str, stride: int) -> EditableLayer:
        out, into, height, width = self.model.get_submodule(name).weight.shape
        public = self._public.get(name, name)
        return EditableLayer(public, level, stride, (out, into, height, width))

    def features(
        self, image: NDArray[np.uint8], layers: Iterable[str] | None = None
    ) -> dict[str, KeyValue]:
        """Keys and values of the named layers: one backbone pass.

        Parameters
        ----------
        image : (y, x, 3) uint8
        layers : iterable of str, optional
            Names from `editable_layers`; default: the FPN's output convolutions. The region
            proposal network's convolution, which reads every level, is captured on the finest.

        Returns
        -------
        dict of str to KeyValue
            Tensors without gradient history, usable in autograd.
        """
        check_image(image)
        known = {layer.name: layer for layer in self.editable_layers()}
        names = [n for n in known if known[n].level != RPN] if layers is None else list(layers)
        for name in names:
            self._known(name, known)
        own = {name: self._own.get(name, name) for name in names}
        with self._computing(image), capture(self.model, own.values()) as seen:
            given = self.preprocess(image, self._device)
            pyramid = self.model.backbone(given.tensor)
            for name in names:
                if known[name].level == RPN:
                    # The convolution alone: torchvision's ReLU after it overwrites its output.
                    self.model.get_submodule(own[name])(next(iter(pyramid.values())))
            found = {}
            for name in names:
                key, value = (tensor.contiguous() for tensor in seen[own[name]][0])
                found[name] = KeyValue(key, value, given.content, given.padded)
            return found

    # Weights

    def weight(self, layer: str) -> Tensor:
        """A copy of the layer's weight (out, in, kh, kw)."""
        with self._lock:
            copy: Tensor = self._convolution(layer).weight.detach()
            return copy.clone(memory_format=torch.contiguous_format)

    def bias(self, layer: str) -> Tensor | None:
        """A copy of the layer's bias (out,), or None."""
        with self._lock:
            bias = self._convolution(layer).bias
            return None if bias is None else bias.detach().clone()

    def set_weight(self, layer: str, weight: Tensor) -> None:
        """Overwrite the layer's weight in place; it keeps the model's dtype and device.

        Raises
        ------
        ModelError
            If there is no such layer or the shape is another one.
        """
        with self._lock, torch.no_grad():
            own = self._convolution(layer).weight
            if own.shape != weight.shape:
                raise ModelError(
                    f"The layer {layer} has a weight of shape {tuple(own.shape)}, not "
                    f"{tuple(weight.shape)}: the edit was made for another model."
                )
            own.copy_(weight)

    def load_weights(self, state: dict[str, Tensor]) -> None:
        """Overwrite all weights at once, e.g. after training; names and shapes must match."""
        with self._lock, torch.no_grad():
            self.model.load_state_dict(state)
            self.trained = True

    def fingerprint(self) -> str:
        """Sha256 over the names, dtypes, shapes and bytes of all weights, in order of the names."""
        digest = hashlib.sha256()
        with self._lock, torch.no_grad():
            for name, tensor in sorted(self.model.state_dict().items()):
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
                flat = tensor.detach().cpu().contiguous().reshape(-1)
                digest.update(flat.view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _convolution(self, layer: str) -> Any:
        self._known(layer, {known.name for known in self.editable_layers()})
        return self.model.get_submodule(self._own.get(layer, layer))

    def _known(self, layer: str, known: Iterable[str]) -> None:
        if layer not in known:
            raise ModelError(
                f"The model {self._name} has no editable layer {layer!r}: choose one of "
                f"{', '.join(known)}."
            )


def _convolutions(model: nn.Module, root: str) -> list[str]:
    """Names of the 3x3 convolutions under ``root``, in the module's order."""
    try:
        module = model.get_submodule(root)
    except AttributeError:
        return []
    names = []
    for name, child in module.named_modules():
        if isinstance(child, nn.Conv2d) and child.kernel_size == (3, 3):
            names.append(f"{root}.{name}" if name else root)
    return names
