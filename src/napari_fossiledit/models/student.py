"""A copy of all that comes after the keys, to be fitted while the model itself stays as it is.

The keys, inputs of the feature pyramid's output convolutions, do not depend on any weight after
them. So they are computed once for every view of a slice, and the rest of the network (output
convolutions, region proposals, box and mask heads) is fitted on them.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models.augment import View
from napari_fossiledit.models.device import plain_memory_errors
from napari_fossiledit.models.finite import require_finite
from napari_fossiledit.models.hooks import capture
from napari_fossiledit.models.segmenter import Segmenter
from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN

__all__ = ["Keys", "Student", "own_random", "seeded_state"]


@dataclass(frozen=True, eq=False)
class Keys:
    """What the pyramid's output convolutions read, for one or several views of one size.

    Attributes
    ----------
    maps : list of (n, C, h, w) float32 tensors
        Finest level first.
    body : list of (n, C, h, w) float32 tensors
        The body's maps, which levels on top of the pyramid may read.
    sizes : list of (int, int)
        Rows and columns of each view inside the network's input.
    padded : (int, int)
        Rows and columns of that input.
    """

    maps: list[Tensor]
    body: list[Tensor]
    sizes: list[tuple[int, int]]
    padded: tuple[int, int]


class Student:
    """The part of a segmenter's network after its keys, as a copy with chosen tensors free.

    Parameters
    ----------
    segmenter : Segmenter
        Its weights are copied as they are now and never changed.
    names : iterable of str
        Which tensors are free, from ``segmenter.editable_tensors()``.

    Raises
    ------
    ModelError
        If the network is not at hand, as with detectron2's own package.
    """

    def __init__(self, segmenter: Segmenter, names: Iterable[str]) -> None:
        if not isinstance(segmenter, TorchvisionRCNN):
            raise ModelError(
                f"Fitting the layers of {segmenter.name} to labels or to painted slices needs the "
                "backend torchvision: load the model again with it."
            )
        self._segmenter = segmenter
        with segmenter.lock:
            model = segmenter.model
            parts = {
                "backbone.fpn": model.backbone.fpn,
                "rpn": model.rpn,
                "roi_heads": model.roi_heads,
            }
            self._parts: dict[str, Any] = copy.deepcopy(parts)
        self._free: dict[str, nn.Parameter] = {}
        for part in self._parts.values():
            part.requires_grad_(False)
        for name in names:
            tensor = self._tensor(segmenter.own_name(name))
            tensor.requires_grad_(True)
            self._free[name] = tensor
        self._start = {name: tensor.detach().clone() for name, tensor in self._free.items()}

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._segmenter.device

    @property
    def free(self) -> dict[str, nn.Parameter]:
        """The free tensors by name."""
        return dict(self._free)

    def deltas(self) -> dict[str, Tensor]:
        """How the free tensors differ from the segmenter's, on the CPU."""
        return {
            name: (tensor.detach() - self._start[name]).cpu().contiguous()
            for name, tensor in self._free.items()
        }

    def seen(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns at which the network sees a slice of this shape."""
        return self._segmenter.preprocess.resized(shape, self._segmenter.input_zoom)

    def keys(self, batch: Tensor, sizes: Sequence[tuple[int, int]]) -> Keys:
        """Keys of normalised, padded (n, 3, H, W) images: one pass through the body."""
        segmenter, fpn = self._segmenter, "backbone.fpn"
        blocks = [f"{fpn}.layer_blocks.{i}" for i in range(len(self._parts[fpn].layer_blocks))]
        padded = (int(batch.shape[-2]), int(batch.shape[-1]))
        with (
            segmenter.lock,
            torch.no_grad(),
            plain_memory_errors(self.device, "the keys of a slice"),
            capture(segmenter.model, [fpn, *blocks]) as seen,
        ):
            segmenter.model.backbone(batch)
        body = list(seen[fpn][0][0].values())
        maps = [seen[block][0][0].contiguous() for block in blocks]
        for block in blocks:
            require_finite(block, *seen[block][0])
        return Keys(maps, [m.contiguous() for m in body], list(sizes), padded)

    def keys_of_image(self, image: NDArray[np.uint8]) -> Keys:
        """Keys of a whole (y, x, 3) uint8 slice, as a prediction computes them."""
        segmenter = self._segmenter
        given = segmenter.preprocess(image, self.device, segmenter.input_zoom)
        return self.keys(given.tensor, [given.content])

    def keys_of_views(self, views: Sequence[View]) -> Keys:
        """Keys of views of one size, already at the network's resolution."""
        prepare = self._segmenter.preprocess
        mean = torch.tensor(prepare.mean, device=self.device).view(1, 3, 1, 1)
        std = torch.tensor(prepare.std, device=self.device).view(1, 3, 1, 1)
        batch = (torch.stack([view.image for view in views]).to(self.device) - mean) / std
        height, width = (int(n) for n in batch.shape[-2:])
        batch = nn.functional.pad(
            batch, (0, -width % prepare.multiple, 0, -height % prepare.multiple)
        )
        return self.keys(batch, [(height, width)] * len(views))

    def pyramid(self, keys: Keys) -> OrderedDict[str, Tensor]:
        """The pyramid's levels, from their keys."""
        fpn = self._parts["backbone.fpn"]
        found = [block(key) for block, key in zip(fpn.layer_blocks, keys.maps, strict=True)]
        names = [str(i) for i in range(len(found))]
        if fpn.extra_blocks is not None:
            found, names = fpn.extra_blocks(found, list(keys.body), names)
        return OrderedDict(zip(names, found, strict=True))

    def losses(self, keys: Keys, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The network's own training losses on views with labelled instances.

        ``objectness``, ``rpn_box``, ``class``, ``box`` and ``mask``; their samples are drawn from
        torch's generator (see `own_random`).
        """
        rpn, heads = self._parts["rpn"], self._parts["roi_heads"]
        maps = self.pyramid(keys)
        like = next(iter(maps.values()))
        # Only the sizes of the batch are read; nothing is stored for the images themselves.
        shape = (len(keys.sizes), 3, *keys.padded)
        images = ImageList(like.new_zeros(1).expand(shape), keys.sizes)
        with _training(rpn, heads):
            proposals, proposed = rpn(images, maps, targets)
            _, found = heads(maps, proposals, keys.sizes, targets)
        return {
            "objectness": proposed["loss_objectness"],
            "rpn_box": proposed["loss_rpn_box_reg"],
            "class": found["loss_classifier"],
            "box": found["loss_box_reg"],
            "mask": found["loss_mask"],
        }

    @property
    def rpn(self) -> Any:
        """The region proposal network's copy."""
        return self._parts["rpn"]

    @property
    def heads(self) -> Any:
        """The box and mask heads' copy."""
        return self._parts["roi_heads"]

    def _tensor(self, own: str) -> nn.Parameter:
        for root, part in self._parts.items():
            if own.startswith(f"{root}."):
                return cast(nn.Parameter, part.get_parameter(own[len(root) + 1 :]))
        raise ModelError(f"The tensor {own} cannot be fitted: it does not come after the keys.")


@contextmanager
def _training(*parts: nn.Module) -> Generator[None]:
    """Let torchvision compute losses; nothing in these parts has dropout or moving statistics."""
    for part in parts:
        part.training = True
    try:
        yield
    finally:
        for part in parts:
            part.training = False


def seeded_state(seed: int) -> list[Tensor]:
    """A state of torch's CPU generator, boxed, so that steps can carry it on."""
    return [torch.Generator(device="cpu").manual_seed(seed).get_state()]


@contextmanager
def own_random(state: list[Tensor]) -> Generator[None]:
    """Let torchvision's samplers draw from ``state``, and give the caller his own back."""
    callers = torch.get_rng_state()
    torch.set_rng_state(state[0])
    try:
        yield
    finally:
        state[0] = torch.get_rng_state()
        torch.set_rng_state(callers)
