"""Keys, values and targets of editable layers, and image masks at the levels' resolution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_fossiledit.errors import InputError
from napari_fossiledit.models.finite import require_finite
from napari_fossiledit.models.segmenter import KeyValue, Segmenter
from napari_fossiledit.progress import checkpoint

__all__ = [
    "Captured",
    "capture",
    "layer_mask",
    "pool_mask",
    "require_finite",
    "stacked",
    "stacked_captures",
]


@dataclass(frozen=True, eq=False)
class Captured:
    """What a solver needs to know of one layer.

    Attributes
    ----------
    original : KeyValue
        Key and value on the original image.
    target : (1, out, h, w) tensor
        The layer's value on the perturbed image.
    weight : (out, in, kh, kw) tensor
    bias : (out,) tensor or None
    ordinary : tuple of (1, in, h, w) tensors
        Keys of further slices that tell, with the original's, what is ordinary for the layer.
    """

    original: KeyValue
    target: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    ordinary: tuple[torch.Tensor, ...] = ()


def capture(
    segmenter: Segmenter,
    image: NDArray[np.uint8],
    perturbed_image: NDArray[np.uint8],
    layers: Iterable[str],
) -> dict[str, Captured]:
    """Keys of the original, values of both images: two backbone passes under one lock.

    The feature pyramid's top-down path uses the maps before its output convolutions, so these two
    passes serve all of its levels, edited or not.

    Raises
    ------
    InputError
        If the two images differ in shape.
    ModelError
        If features are not finite; the sentence names the layer.
    """
    if image.shape != perturbed_image.shape:
        raise InputError(
            f"The perturbed image has {perturbed_image.shape[0]} x {perturbed_image.shape[1]} "
            f"pixels, the original {image.shape[0]} x {image.shape[1]}: perturb this very slice."
        )
    names = list(layers)
    with segmenter.lock:
        original = segmenter.features(image, names)
        checkpoint()
        perturbed = segmenter.features(perturbed_image, names)
        found = {
            name: Captured(
                original[name], perturbed[name].value, segmenter.weight(name), segmenter.bias(name)
            )
            for name in names
        }
    for name, captured in found.items():
        tensors = (captured.original.key, captured.original.value, captured.target)
        require_finite(name, *tensors)
    return found


def stacked(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """(1, C, h, w) tensors as one batch; smaller ones are continued by zeros below and right.

    A convolution pads with zeros itself, so values inside are what they were.
    """
    if len(tensors) == 1:
        return tensors[0]
    rows = max(int(t.shape[2]) for t in tensors)
    columns = max(int(t.shape[3]) for t in tensors)
    grown = [functional.pad(t, (0, columns - t.shape[3], 0, rows - t.shape[2])) for t in tensors]
    return torch.cat(grown)


def stacked_captures(captures: Sequence[Captured]) -> Captured:
    """One layer's features of several slices as one batch (see `stacked`)."""
    first = captures[0]
    if len(captures) == 1:
        return first
    original = replace(
        first.original,
        key=stacked([c.original.key for c in captures]),
        value=stacked([c.original.value for c in captures]),
    )
    return replace(first, original=original, target=stacked([c.target for c in captures]))


def pool_mask(
    image_mask: torch.Tensor | NDArray[Any],
    size: tuple[int, int],
    *,
    device: torch.device | None = None,
) -> torch.Tensor:
    """Average a mask over the area of each cell of a coarser (or finer) grid, exactly.

    Cells may cut pixels: each pixel counts by the area that it shares with the cell.

    Parameters
    ----------
    image_mask : (y, x), (N, y, x) or (N, 1, y, x) array or tensor
        Bool or weights.
    size : (int, int)
        Rows and columns of the result.
    device : torch.device, optional
        Of the result; default: the mask's own, the CPU for an array.

    Returns
    -------
    (N, 1, h, w) float32 tensor
    """
    mask = _as_planes(image_mask)
    rows = _overlap(mask.shape[2], size[0])
    columns = _overlap(mask.shape[3], size[1])
    return _apply(rows, mask, columns, device or mask.device)


def layer_mask(image_mask: NDArray[Any] | torch.Tensor, key_value: KeyValue) -> torch.Tensor:
    """An image mask at a layer's resolution: resized to the content, 0 in the padding, pooled.

    Parameters
    ----------
    image_mask : (y, x) bool
        At the size of the slice.
    key_value : KeyValue
        Of the layer, for that slice.

    Returns
    -------
    (1, 1, h, w) float32 tensor on the key's device
        The share of each cell that is covered; padding covers nothing.
    """
    mask = _as_planes(image_mask)
    height, width = key_value.key.shape[2:]
    operators = []
    for axis, cells in ((0, height), (1, width)):
        content, padded = key_value.content[axis], key_value.padded[axis]
        to_content = _overlap(mask.shape[2 + axis], content)
        to_cells = _overlap(padded, int(cells))[:, :content]
        operators.append(to_cells @ to_content)
    return _apply(operators[0], mask, operators[1], key_value.key.device)


def _as_planes(image_mask: torch.Tensor | NDArray[Any]) -> torch.Tensor:
    if isinstance(image_mask, torch.Tensor):
        mask = image_mask
    else:
        mask = torch.from_numpy(np.ascontiguousarray(image_mask))
    if mask.ndim == 2:
        mask = mask[None, None]
    elif mask.ndim == 3:
        mask = mask[:, None]
    if mask.ndim != 4 or mask.shape[1] != 1 or 0 in mask.shape:
        raise InputError(
            f"A mask must have the axes (y, x), not the shape {tuple(image_mask.shape)}."
        )
    return mask


def _overlap(pixels: int, cells: int) -> NDArray[np.float64]:
    """Share of each of ``cells`` equal cells that each of ``pixels`` pixels covers, (cells, px)."""
    if cells < 1:
        raise InputError(f"A mask cannot be pooled to {cells} cells.")
    # In units of 1 / (pixels * cells) all edges are whole numbers: the areas are exact.
    cell = np.arange(cells)[:, None] * pixels
    pixel = np.arange(pixels)[None, :] * cells
    shared = np.minimum(cell + pixels, pixel + cells) - np.maximum(cell, pixel)
    share: NDArray[np.float64] = np.maximum(shared, 0) / pixels
    return share


def _apply(
    rows: NDArray[np.float64],
    mask: torch.Tensor,
    columns: NDArray[np.float64],
    device: torch.device,
) -> torch.Tensor:
    from scipy.sparse import csr_array

    left, right = csr_array(rows), csr_array(columns)
    planes = mask[:, 0].cpu().numpy().astype(np.float64)
    pooled = [np.asarray((right @ (left @ plane).T).T) for plane in planes]
    return torch.from_numpy(np.stack(pooled)[:, None].astype(np.float32)).to(device)
