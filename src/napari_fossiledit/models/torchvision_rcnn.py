"""A torchvision Mask R-CNN as a `Segmenter`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_fossiledit.models.detect import Detections, detect, mask_grids, propose
from napari_fossiledit.models.device import plain_memory_errors
from napari_fossiledit.models.hooks import capture
from napari_fossiledit.models.preprocess import NetworkInput, Preprocess, check_image
from napari_fossiledit.models.rcnn import BIAS, RCNN, RPN, Found
from napari_fossiledit.models.segmenter import EditableLayer, KeyValue, Limits

__all__ = ["TorchvisionRCNN"]

_PROBE_SIZE = 128  # px; a blank image of this size tells each layer's stride
_MOST_PROPOSALS = 2000


class TorchvisionRCNN(RCNN):
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
        What `lite.save` writes beside the weights.
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
        super().__init__(model, name=name, class_names=class_names, device=device)
        self._public = dict(layer_names or {})
        self._own = {public: own for own, public in self._public.items()}
        self._limits = limits
        self._facts = dict(facts or {})
        self.trained = False
        self.preprocess = preprocess
        self.proposal_density = proposal_density
        self.metadata = dict(metadata or {})
        if channels_last and self._device.type == "cpu":
            self.model.to(memory_format=torch.channels_last)
        self._layers: list[EditableLayer] | None = None

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
    def parameter_count(self) -> int:
        """Number of weights."""
        return sum(p.numel() for p in self.model.parameters())

    # Prediction

    def _find(self, image: NDArray[np.uint8], score_threshold: float, max_detections: int) -> Found:
        found, grids, given = self._forward(image, score_threshold, max_detections)
        boxes = found.boxes.cpu().numpy().astype(np.float32)
        scores = found.scores.cpu().numpy().astype(np.float32)
        classes = found.labels.cpu().numpy().astype(np.int64) - 1
        rows, columns = (o / c for o, c in zip(given.original, given.content, strict=True))
        boxes = boxes * np.array([columns, rows, columns, rows], np.float32)
        real = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return Found(boxes[real], scores[real], classes[real], grids[real])

    def _forward(
        self, image: NDArray[np.uint8], score_threshold: float, max_detections: int
    ) -> tuple[Detections, NDArray[np.float32], NetworkInput]:
        given = self.preprocess(image, self._device, self._input_zoom)
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
            raise self._no_pyramid()
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
            given = self.preprocess(image, self._device, self._input_zoom)
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

    def _own_layer(self, layer: str) -> str:
        return self._own.get(layer, layer)

    def _head_tensors(self) -> dict[str, Tensor]:
        found = {}
        for root in ("rpn", "roi_heads"):
            for name, tensor in self.model.get_submodule(root).named_parameters():
                layer, _, kind = f"{root}.{name}".rpartition(".")
                found[layer if kind == "weight" else layer + BIAS] = tensor
        return found


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
