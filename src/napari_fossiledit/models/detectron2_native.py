"""The real detectron2 package as a `Segmenter`, where it is installed.

Its own modules compute everything up to the mask grids; masks are then pasted only where their
boxes are, never as an (N, y, x) block. Nothing is read by detectron2 itself: the tensors and the
settings come from our own readers, which execute nothing. ``detectron2.model_zoo`` is never
imported. What `predict` finds is what ``DefaultPredictor`` finds (a test
compares).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_fossiledit import progress
from napari_fossiledit.errors import ModelError
from napari_fossiledit.models.detectron2_rcnn import class_names_of, facts_of
from napari_fossiledit.models.detectron2_weights import check, digest, relevant
from napari_fossiledit.models.device import plain_memory_errors
from napari_fossiledit.models.hooks import capture
from napari_fossiledit.models.preprocess import check_image
from napari_fossiledit.models.rcnn import RCNN, RPN, Found
from napari_fossiledit.models.segmenter import EditableLayer, KeyValue, Limits

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fossiledit.models.detectron2_config import Detectron2Config
    from napari_fossiledit.models.weights_file import WeightsFile

__all__ = [
    "INSTALL_PAGE",
    "Detectron2Native",
    "is_broken",
    "is_installed",
    "load_native",
    "not_installed",
    "why_not_installed",
]

INSTALL_PAGE = "https://detectron2.readthedocs.io/en/latest/tutorials/install.html"
"""Upstream's page on how to install detectron2."""

_CHUNK = 64  # detections per pass through the mask head: bounds memory and the time to cancel
_NAMED = 3  # tensors named in a refusal


# Is it there?


def is_installed() -> bool:
    """Whether ``import detectron2`` works here; the first call may take some seconds."""
    return not why_not_installed()


def is_broken() -> bool:
    """Whether the package is there but cannot be imported."""
    return not is_installed() and importlib.util.find_spec("detectron2") is not None


@functools.cache
def why_not_installed() -> str:
    """Why the real package cannot be used, in a few words; empty when it can.

    A package that is there but cannot be imported (e.g. built for another torch) counts as
    missing, and its error is told.
    """
    if importlib.util.find_spec("detectron2") is None:
        return "the package detectron2 is not installed"
    try:
        _package()
    except Exception as error:  # a broken install raises whatever it likes
        told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return f"the package detectron2 is installed, but cannot be imported ({told})"
    return ""


def not_installed() -> ModelError:
    """The refusal for ``backend="detectron2"`` where the package cannot be used."""
    return ModelError(
        f"The backend detectron2 was asked for, but {why_not_installed()}: install it as "
        f"{INSTALL_PAGE} says, or choose the backend torchvision, which loads the same models."
    )


@functools.cache
def _package() -> tuple[Any, Any, Any, Any]:
    """``get_cfg``, ``build_model``, ``ResizeShortestEdge`` and ``ResizeTransform``."""
    with warnings.catch_warnings(), torch.device("cpu"):
        warnings.simplefilter("ignore")  # upstream's own, about torch.jit
        from detectron2.config import get_cfg
        from detectron2.data.transforms import ResizeShortestEdge, ResizeTransform
        from detectron2.modeling import build_model

        # torch warns once a process of this call without indexing, which detectron2 makes.
        torch.meshgrid(torch.zeros(1), torch.zeros(1))
    return get_cfg, build_model, ResizeShortestEdge, ResizeTransform


# Loading


def load_native(
    weights: WeightsFile,
    config: Detectron2Config,
    *,
    device: torch.device | str = "cpu",
    name: str = "model",
    class_names: Sequence[str] | None = None,
) -> Detectron2Native:
    """Build detectron2's own model and fill in the weights.

    Parameters
    ----------
    weights : WeightsFile
        Tensors under detectron2's names.
    config : Detectron2Config
    device : torch.device
    name : str
        For people.
    class_names : sequence of str, optional
        One a class; default: see `class_names_of`.

    Raises
    ------
    ModelError
        If detectron2 is not installed, or the weights do not fit the config.
    """
    if not is_installed():
        raise not_installed()
    model = _build(config)
    _fill(model, weights, config)
    return Detectron2Native(
        model,
        config=config,
        source=weights.path,
        name=name,
        class_names=class_names_of(config, class_names),
        device=device,
    )


def _build(config: Detectron2Config) -> Any:
    """The model with random weights, on the CPU; the caller's random state is not touched."""
    get_cfg, build_model, *_ = _package()
    settings = get_cfg()
    try:
        _overwrite(settings, config.merged)
        settings.MODEL.DEVICE, settings.MODEL.WEIGHTS = "cpu", ""
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            return build_model(settings)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise _other_version(config, f"{type(error).__name__}: {error}") from error


def _overwrite(settings: Any, values: Mapping[str, Any]) -> None:
    """Put the config's values over the defaults of the installed version, section by section."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            if not isinstance(settings.get(key), type(settings)):
                settings[key] = type(settings)()
            _overwrite(settings[key], value)
        elif key != "VERSION":
            settings[key] = list(value) if isinstance(value, tuple) else value


def _fill(model: Any, weights: WeightsFile, config: Detectron2Config) -> None:
    check(weights.tensors, config, weights.path.name)
    given = relevant(weights.tensors)
    try:
        # A plain dict without a version: frozen norms themselves take 0 and 1 where early
        # checkpoints have no running mean and variance.
        missing, surplus = model.load_state_dict(given, strict=False)
    except RuntimeError as error:
        raise _other_version(config, str(error)) from error
    filled = ("running_mean", "running_var", "num_batches_tracked")
    unfit = [k for k in missing if not k.endswith(filled)] + surplus
    if unfit:
        raise _other_version(config, f"it differs in {', '.join(unfit[:_NAMED])}")


def _other_version(config: Detectron2Config, why: str) -> ModelError:
    return ModelError(
        f"The installed detectron2 cannot build the model that {config.path.name} describes "
        f"({' '.join(why.split())[:300]}): choose the backend torchvision, or install the "
        "detectron2 that it was trained with."
    )


# The segmenter


class Detectron2Native(RCNN):
    """detectron2's own Mask R-CNN behind the `Segmenter` protocol (see `load_native`).

    Parameters
    ----------
    model : detectron2 GeneralizedRCNN
        With standard ROI heads; put into eval mode and onto ``device``.
    config : Detectron2Config
    source : Path
        The file that the weights were read from.
    name : str
    class_names : sequence of str
        Foreground classes in the model's order.
    device : torch.device

    Notes
    -----
    `lock` is held whenever weights are read or written. A forward pass stops within the time of
    one module once the running task is cancelled. detectron2's code makes some small tensors on
    torch's default device: it is set to the CPU, torch's own default, for the time of a call.
    """

    def __init__(
        self,
        model: Any,
        *,
        config: Detectron2Config,
        source: Path,
        name: str = "model",
        class_names: Sequence[str],
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(model, name=name, class_names=class_names, device=device)
        self.config = config
        self.source = source
        self._layers = self._find_layers()

    @property
    def parameter_count(self) -> int:
        """Number of weights, the frozen norms' included."""
        return sum(tensor.numel() for tensor in self._state().values())

    @property
    def limits(self) -> Limits:
        """SCORE_THRESH_TEST and DETECTIONS_PER_IMAGE, which the model never exceeds."""
        return Limits(self.config.score_threshold, self.config.max_detections)

    @property
    def facts(self) -> dict[str, str]:
        """Short facts for people, by title."""
        return facts_of(self.config, "detectron2")

    # Prediction

    def _find(self, image: NDArray[np.uint8], score_threshold: float, max_detections: int) -> Found:
        shape = (int(image.shape[0]), int(image.shape[1]))
        found, placed, features = self._detect(image, shape, score_threshold, max_detections)
        return Found(
            placed.cpu().numpy().astype(np.float32),
            found.scores.cpu().numpy().astype(np.float32),
            found.pred_classes.cpu().numpy().astype(np.int64),
            self._mask_grids(found, features),
        )

    def _detect(
        self, image: NDArray[np.uint8], shape: tuple[int, int], score_threshold: float, most: int
    ) -> tuple[Any, Tensor, Any]:
        """detectron2's instances before their masks, their boxes in the slice, the features.

        Steps as in ``GeneralizedRCNN.inference`` and ``detector_postprocess``; what is not
        wanted leaves before the mask head instead of after it.
        """
        images = self._prepare(image)
        features = self.model.backbone(images.tensor)
        proposals, _ = self.model.proposal_generator(images, features, None)
        with self._cut_later():
            found = self.model.roi_heads._forward_box(features, proposals)[0]
        rows, columns = images.image_sizes[0]
        boxes = found.pred_boxes.clone()
        boxes.scale(shape[1] / columns, shape[0] / rows)
        boxes.clip(shape)
        keep = boxes.nonempty() & (found.scores >= score_threshold)
        if len(self._fossil_classes) < len(self._class_names):
            wanted = torch.tensor(self._fossil_classes, device=keep.device)
            keep &= torch.isin(found.pred_classes, wanted)
        most = min(most, self.config.max_detections)
        index = torch.nonzero(keep)[:most, 0]
        return found[index], boxes[index].tensor, features

    @contextmanager
    def _cut_later(self) -> Iterator[None]:
        """Let other classes than the fossil's take none of the places of DETECTIONS_PER_IMAGE."""
        predictor = self.model.roi_heads.box_predictor
        before = predictor.test_topk_per_image
        if len(self._fossil_classes) < len(self._class_names):
            predictor.test_topk_per_image = -1  # all
        try:
            yield
        finally:
            predictor.test_topk_per_image = before

    def _mask_grids(self, found: Any, features: Any) -> NDArray[np.float32]:
        grids = []
        for start in range(0, len(found), _CHUNK):
            progress.checkpoint()
            piece = found[start : start + _CHUNK]
            piece = self.model.roi_heads.forward_with_given_boxes(features, [piece])[0]
            grids.append(piece.pred_masks[:, 0].cpu().numpy())
        if not grids:
            return np.zeros((0, 1, 1), np.float32)
        return np.concatenate(grids).astype(np.float32, copy=False)

    def _prepare(self, image: NDArray[np.uint8]) -> Any:
        """The slice in the model's channel order, resized, normalised and padded by detectron2."""
        *_, shortest_edge, resize = _package()
        given = image if self.config.channel_order == "RGB" else image[:, :, ::-1]
        given = np.ascontiguousarray(given)
        rows, columns = given.shape[:2]
        zoom = self._input_zoom
        shortest, longest = self.config.shortest * zoom, self.config.longest * zoom
        if shortest > 0 or zoom != 1:
            new = (
                shortest_edge.get_output_shape(rows, columns, shortest, longest)
                if shortest > 0
                else (round(rows * zoom), round(columns * zoom))
            )
            # detectron2 itself makes 0 pixels of a very narrow slice's short side, and fails.
            new = tuple(max(n, 1) for n in new)
            given = resize(rows, columns, *new).apply_image(given)
        tensor = torch.from_numpy(given.astype(np.float32).transpose(2, 0, 1))
        return self.model.preprocess_image([{"image": tensor}])

    @contextmanager
    def _computing(self, image: NDArray[np.uint8]) -> Iterator[None]:
        what = f"a slice of {image.shape[0]} x {image.shape[1]} pixels"
        safely = plain_memory_errors(self._device, what)
        with self._lock, torch.no_grad(), torch.device("cpu"), safely:
            yield

    # Layers and features

    def editable_layers(self) -> list[EditableLayer]:
        """The 3x3 convolutions that an edit may rewrite, under detectron2's names.

        First the FPN's output convolutions, finest level first (``P2``, ``P3``, ...), then the
        region proposal network's first convolution (level ``RPN``).
        """
        return list(self._layers)

    def _find_layers(self) -> list[EditableLayer]:
        layers = []
        for name, module in self.model.backbone.named_children():
            number = re.fullmatch(r"fpn_output(\d+)", name)
            if number and tuple(module.kernel_size) == (3, 3):
                level = int(number[1])
                layers.append(self._layer(f"backbone.{name}", f"P{level}", 2**level))
        if not layers:
            raise self._no_pyramid()
        layers.sort(key=lambda layer: layer.stride)
        root = "proposal_generator.rpn_head.conv"
        first = root if hasattr(self.model.get_submodule(root), "weight") else f"{root}.conv0"
        return [*layers, self._layer(first, RPN, layers[0].stride)]

    def _layer(self, name: str, level: str, stride: int) -> EditableLayer:
        out, into, height, width = self.model.get_submodule(name).weight.shape
        return EditableLayer(name, level, stride, (out, into, height, width))

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
            Tensors without gradient history, usable in autograd. The value is what the
            convolution itself gives, before any norm or ReLU that detectron2 puts behind it.
        """
        check_image(image)
        known = {layer.name: layer for layer in self._layers}
        names = [n for n in known if known[n].level != RPN] if layers is None else list(layers)
        for name in names:
            self._known(name, known)
        pyramid_layers = [n for n in names if known[n].level != RPN]
        with self._computing(image), capture(self.model, pyramid_layers) as seen:
            images = self._prepare(image)
            pyramid = self.model.backbone(images.tensor)
            content = (int(images.image_sizes[0][0]), int(images.image_sizes[0][1]))
            padded = (int(images.tensor.shape[-2]), int(images.tensor.shape[-1]))
            finest = pyramid[self.model.proposal_generator.in_features[0]]
            found = {}
            for name in names:
                key, value = seen[name][0] if name in seen else (finest, None)
                convolution = self.model.get_submodule(name)
                if value is None or convolution.norm or convolution.activation:
                    value = convolution._conv_forward(key, convolution.weight, convolution.bias)
                found[name] = KeyValue(key, value, content=content, padded=padded)
            return found

    # Weights

    def tensors(self) -> dict[str, Tensor]:
        """What may differ from the file, under detectron2's names: float32, in main memory."""
        with self._lock, torch.no_grad():
            found = {}
            for name in self.editable_tensors():
                tensor = self._tensor(name).detach()
                found[self.own_name(name)] = tensor.to("cpu", torch.float32, copy=True)
            return found

    def _state(self) -> dict[str, Tensor]:
        return relevant(self.model.state_dict())

    def fingerprint(self) -> str:
        """Sha256 over detectron2's tensors as they are now: the same in either backend."""
        with self._lock, torch.no_grad():
            lines = [digest(name, tensor) for name, tensor in sorted(self._state().items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
