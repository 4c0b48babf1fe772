"""Slices larger than the memory allows: predicted tile by tile."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.instances import Instances
from napari_fossiledit.pipeline.seams import merge_tiles
from napari_fossiledit.pipeline.tiles import SMALLEST, tiles_of
from napari_fossiledit.progress import checkpoint

if TYPE_CHECKING:
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["choose_tile", "predict_tiled", "scale_of"]

SHARE = 0.6
"""Part of the free memory that a prediction may take by the estimate."""
_STEP = 128  # px


def scale_of(segmenter: Segmenter, shape: tuple[int, int]) -> tuple[float, float]:
    """Pixels of the network's input per row and column of a slice of ``shape``."""
    if not _is_known(segmenter):
        return 1.0, 1.0
    from napari_fossiledit.models.parts import network_size

    seen = network_size(segmenter, shape)
    rows, columns = (new / old for new, old in zip(seen, shape, strict=True))
    return rows, columns


def _is_known(segmenter: Segmenter) -> bool:
    """Whether its input size is known: torch is asked for no other kind."""
    return hasattr(segmenter, "preprocess") or hasattr(segmenter, "config")


def choose_tile(
    segmenter: Segmenter, shape: tuple[int, int], *, free: int | None = None
) -> int | None:
    """Side of the tiles with which a slice fits into the memory; None where it fits whole.

    Parameters
    ----------
    segmenter : Segmenter
    shape : (int, int)
        Rows and columns of a slice.
    free : int, optional
        Bytes that are free; by default what the segmenter's device has
        (`models.memory.free_bytes`).

    Notes
    -----
    By `models.memory.prediction_bytes`, at most 60 % of the free memory are planned with. Where
    nobody knows the memory, or the model is of a kind of its own, slices are taken whole.
    """
    if not _is_known(segmenter):
        return None
    from napari_fossiledit.models.memory import bytes_per_pixel, free_bytes, prediction_bytes

    free = free_bytes(segmenter.device) if free is None else free
    if free is None or prediction_bytes(segmenter, shape) <= SHARE * free:
        return None
    rows, columns = scale_of(segmenter, shape)
    side = (SHARE * free / bytes_per_pixel(segmenter) / (rows * columns)) ** 0.5
    return max(int(side) // _STEP * _STEP, SMALLEST)


def predict_tiled(
    segmenter: Segmenter,
    image: NDArray[np.uint8],
    *,
    tile: int | None,
    score_threshold: float = 0.0,
    max_detections: int = 500,
) -> Instances:
    """Predict a slice whole, or in overlapping tiles at the scale of the whole slice.

    Parameters
    ----------
    segmenter : Segmenter
    image : (y, x, 3) uint8
    tile : int or None
        Largest side of a tile in pixels; None predicts the slice at once.
    score_threshold : float
    max_detections : int
        At most so many in the slice, and no more than the model's own limit.

    Raises
    ------
    InputError
        Tiles that are too small.

    Notes
    -----
    The border rule is that of `pipeline.seams`.
    """
    options: dict[str, Any] = {"score_threshold": score_threshold, "max_detections": max_detections}
    shape = (int(image.shape[0]), int(image.shape[1]))
    if tile is None:
        return segmenter.predict(image, **options)
    tiles = tiles_of(shape, tile, scale_of(segmenter, shape))
    if len(tiles) == 1:
        return segmenter.predict(image, **options)
    found = []
    for one in tiles:
        checkpoint()
        window = np.ascontiguousarray(image[one.rows, one.columns])
        with _seeing_part(segmenter, window.shape[:2], shape):
            found.append(segmenter.predict(window, **options))
    own = segmenter.limits.max_detections
    most = max_detections if own is None else min(max_detections, own)
    return merge_tiles(tiles, found, max_detections=most)


def _seeing_part(
    segmenter: Segmenter, part: tuple[int, ...], whole: tuple[int, int]
) -> AbstractContextManager[None]:
    if not _is_known(segmenter):
        return nullcontext()
    from napari_fossiledit.models.parts import seeing_part

    return seeing_part(segmenter, (part[0], part[1]), whole)
