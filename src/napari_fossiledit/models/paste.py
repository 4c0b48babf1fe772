"""Masks predicted on a small grid, put at their place in the slice, inside their boxes only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit import progress
from napari_fossiledit.instances import Crop

__all__ = ["paste_masks", "paste_probability"]


def _bilinear(start: int, stop: int, low: float, high: float, size: int) -> NDArray[np.float32]:
    """Weights (stop - start, size) that resample ``size`` cells of [low, high] to pixel centres.

    Half a cell beyond the outermost cell centres the probability falls towards zero, as in
    detectron2's paste by grid sampling with zero padding.
    """
    centres = np.arange(start, stop, dtype=np.float64) + 0.5
    position = (centres - low) / max(high - low, 1e-6) * size - 0.5
    weights = 1.0 - np.abs(position[:, None] - np.arange(size)[None, :])
    return np.maximum(weights, 0.0).astype(np.float32)


def paste_probability(
    grid: NDArray[np.float32], box: NDArray[np.float32], shape: tuple[int, int]
) -> tuple[int, int, NDArray[np.float32]]:
    """Resample one mask grid bilinearly onto the pixels that its box touches.

    Parameters
    ----------
    grid : (m, m) float32
        Probabilities on a regular grid that spans the box.
    box : (4,) float
        x0, y0, x1, y1 in pixels, continuous.
    shape : (int, int)
        Rows and columns of the slice.

    Returns
    -------
    y, x : int
        First row and column of the window.
    probability : (h, w) float32
    """
    x0, y0, x1, y1 = (float(v) for v in box)
    top, left = max(int(np.floor(y0)), 0), max(int(np.floor(x0)), 0)
    bottom, right = min(int(np.ceil(y1)), shape[0]), min(int(np.ceil(x1)), shape[1])
    bottom, right = max(bottom, top), max(right, left)
    rows = _bilinear(top, bottom, y0, y1, grid.shape[0])
    columns = _bilinear(left, right, x0, x1, grid.shape[1])
    probability = (rows @ grid @ columns.T).astype(np.float32, copy=False)
    return top, left, probability


def paste_masks(
    grids: NDArray[np.float32],
    boxes: NDArray[np.float32],
    shape: tuple[int, int],
    thresholds: Sequence[float] = (0.5,),
) -> list[tuple[Crop, ...]]:
    """Cut every pasted mask at every threshold.

    Parameters
    ----------
    grids : (n, m, m) float32
        Mask probabilities.
    boxes : (n, 4) float32
        x0, y0, x1, y1 in pixels of the slice.
    shape : (int, int)
        Rows and columns of the slice.
    thresholds : sequence of float
        A pixel belongs to the mask where its probability is at least this.

    Returns
    -------
    list of tuple of Crop
        For each threshold, n crops as large as their boxes: never an (n, y, x) block.
    """
    cut: list[list[Crop]] = [[] for _ in thresholds]
    for i, (grid, box) in enumerate(zip(grids, boxes, strict=True)):
        if i % 64 == 0:
            progress.checkpoint()
        y, x, probability = paste_probability(grid, box, shape)
        for crops, threshold in zip(cut, thresholds, strict=True):
            crops.append(Crop(y, x, probability >= threshold))
    return [tuple(crops) for crops in cut]
