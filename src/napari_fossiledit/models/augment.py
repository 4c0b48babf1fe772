"""Random views of labelled slices, as training targets of a torchvision detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.ndimage import label as connected
from torch import Tensor
from torch.nn import functional

from napari_fossiledit.instances import LabelledSlice

__all__ = ["Augment", "View", "draw_view", "targets_of"]

_SMALLEST = 16  # px; what a crop leaves of an instance is ignored below this area


@dataclass(frozen=True)
class Augment:
    """How far random views stray from the slice.

    Attributes
    ----------
    crop : int
        Side of a view in pixels.
    scale : (float, float)
        Range of the zoom.
    gain, offset : float
        Each channel is multiplied by 1 +- gain and shifted by +- offset (of the range 0 to 1).
    """

    crop: int = 256
    scale: tuple[float, float] = (0.8, 1.3)
    gain: float = 0.12
    offset: float = 0.04


@dataclass(frozen=True, eq=False)
class View:
    """One view.

    Attributes
    ----------
    image : (3, crop, crop) float32
        In [0, 1].
    labels : (crop, crop) int32
        Below 0 where nothing is decided, connected places numbered.
    """

    image: Tensor
    labels: NDArray[np.int32]


def draw_view(piece: LabelledSlice, augment: Augment, rng: np.random.Generator) -> View:
    """A random window of a slice, zoomed, turned, mirrored and of changed tone."""
    zoom = float(np.exp(rng.uniform(*np.log(augment.scale))))
    side = max(round(augment.crop / zoom), 16)
    image, labels = _window(piece, side, rng)
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    if mirrored:
        image, labels = image[:, ::-1], labels[:, ::-1]
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255.0
    size = (augment.crop, augment.crop)
    if side != augment.crop:
        tensor = functional.interpolate(
            tensor[None], size=size, mode="bilinear", align_corners=False, antialias=True
        )[0]
        rows = np.minimum((np.arange(augment.crop) + 0.5) * side / augment.crop, side - 1)
        labels = labels[np.ix_(rows.astype(int), rows.astype(int))]
    gain = rng.uniform(1 - augment.gain, 1 + augment.gain, (3, 1, 1)).astype(np.float32)
    offset = rng.uniform(-augment.offset, augment.offset, (3, 1, 1)).astype(np.float32)
    tensor = (tensor * torch.from_numpy(gain) + torch.from_numpy(offset)).clamp_(0.0, 1.0)
    return View(tensor, np.ascontiguousarray(labels, np.int32))


def _window(
    piece: LabelledSlice, side: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """A random square of the slice; a slice too small is continued by its mirror image."""
    image, labels = piece.image, _with_undecided(piece)
    rows, columns = labels.shape
    lack = (max(side - rows, 0), max(side - columns, 0))
    y = int(rng.integers(rows + lack[0] - side + 1))
    x = int(rng.integers(columns + lack[1] - side + 1))
    if any(lack):
        image = np.pad(image, ((0, lack[0]), (0, lack[1]), (0, 0)), mode="symmetric")
        labels = _mirrored(labels, lack)
    return image[y : y + side, x : x + side], labels[y : y + side, x : x + side]


def _mirrored(labels: NDArray[np.integer], lack: tuple[int, int]) -> NDArray[np.integer]:
    """Labels continued as the image is; a mirrored fossil is a fossil of its own."""
    padded = np.pad(labels, ((0, lack[0]), (0, lack[1])), mode="symmetric")
    step = int(labels.max(initial=0)) + 1
    rows = np.arange(padded.shape[0]) // labels.shape[0]
    columns = np.arange(padded.shape[1]) // labels.shape[1]
    tile = rows[:, None] * (columns[-1] + 1) + columns[None, :]
    moved: NDArray[np.integer] = np.where(padded > 0, padded + tile * step, padded)
    return moved


def _with_undecided(piece: LabelledSlice) -> NDArray[np.integer]:
    """The labels, and -1, -2, ... on the connected places where nothing is decided."""
    if piece.undecided is None:
        return piece.labels
    places, _ = connected(piece.undecided & (piece.labels <= 0))
    both: NDArray[np.integer] = np.where(places > 0, -places, np.maximum(piece.labels, 0))
    return both


def targets_of(labels: NDArray[np.int32], device: torch.device, kind: int = 1) -> dict[str, Tensor]:
    """Boxes (n, 4), labels (n,) and masks (n, H, W) of a label image, all of class ``kind``.

    ``undecided`` holds the boxes (k, 4) of places numbered below 0.
    """
    places = [w for w in find_objects(np.maximum(-labels, 0)) if w is not None]
    doubt = [(c.start, r.start, c.stop, r.stop) for r, c in places]
    values = np.unique(labels[labels > 0])
    ranks = np.searchsorted(values, labels) + 1
    ranks[labels <= 0] = 0
    boxes, masks = [], []
    for rank, window in enumerate(find_objects(ranks), start=1):
        mask = ranks == rank
        if window is None or np.count_nonzero(mask[window]) < _SMALLEST:
            continue
        rows, columns = window
        boxes.append((columns.start, rows.start, columns.stop, rows.stop))
        masks.append(mask)
    count = len(boxes)
    box = np.array(boxes, np.float32).reshape(-1, 4)
    mask_block = np.array(masks, np.uint8).reshape(count, *labels.shape)
    return {
        "undecided": torch.from_numpy(np.array(doubt, np.float32).reshape(-1, 4)).to(device),
        "boxes": torch.from_numpy(box).to(device),
        "labels": torch.full((count,), kind, dtype=torch.int64, device=device),
        "masks": torch.from_numpy(mask_block).to(device),
    }
