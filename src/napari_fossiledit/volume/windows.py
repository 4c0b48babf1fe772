"""Cut every specimen's own window out of a label volume that is read slice by slice."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.volume.sections import SectionSums
from napari_fossiledit.volume.slices import iter_slices

__all__ = ["Boxes", "Window", "grow", "iter_windows", "only"]

Box = NDArray[np.int64]  # [[z, y, x] first, [z, y, x] last]
Boxes = dict[int, Box]


@dataclass(frozen=True, eq=False)
class Window:
    """A specimen cut out.

    Attributes
    ----------
    id : int
    origin : (z, y, x)
        Place of its first voxel in the volume.
    mask : (z, y, x) bool
    """

    id: int
    origin: tuple[int, int, int]
    mask: NDArray[np.bool_]


def grow(boxes: Boxes, plane: NDArray[np.integer], z: int) -> None:
    """Let the boxes take in the specimens of one more slice."""
    sums = SectionSums.of(plane, z)
    low = np.stack([sums.slice, sums.y0, sums.x0], axis=1)
    high = np.stack([sums.slice, sums.y1, sums.x1], axis=1)
    for i, first, last in zip(sums.id.tolist(), low, high, strict=True):
        if i in boxes:
            np.minimum(boxes[i][0], first, out=boxes[i][0])
            np.maximum(boxes[i][1], last, out=boxes[i][1])
        else:
            boxes[i] = np.stack([first, last])


def iter_windows(labels: Any, boxes: Boxes) -> Iterator[tuple[int, list[Window]]]:
    """Yield the number of each slice, and the windows that end in it.

    Specimens that are begun are held as bits, an eighth of a byte a voxel of their windows.
    """
    if not boxes:
        return
    begins: dict[int, list[int]] = {}
    for i, box in boxes.items():
        begins.setdefault(int(box[0, 0]), []).append(i)
    open_: dict[int, list[NDArray[np.uint8]]] = {}
    last = max(int(box[1, 0]) for box in boxes.values())
    for z, plane in iter_slices(labels, min(begins), last):
        open_.update((i, []) for i in begins.get(z, ()))
        for i, cuts in open_.items():
            (_, y0, x0), (_, y1, x1) = boxes[i]
            cuts.append(np.packbits(plane[y0 : y1 + 1, x0 : x1 + 1] == i, axis=1))
        ended = [i for i in open_ if boxes[i][1, 0] == z]
        yield z, [_window(i, boxes[i], open_.pop(i)) for i in ended]


def only(boxes: Boxes, ids: Collection[int] | None) -> Boxes:
    """Boxes of these ids (all if None), in order of id."""
    return {i: boxes[i] for i in sorted(boxes) if ids is None or i in ids}


def _window(i: int, box: Box, cuts: list[NDArray[np.uint8]]) -> Window:
    width = int(box[1, 2] - box[0, 2]) + 1
    mask = np.unpackbits(np.stack(cuts), axis=2, count=width).astype(bool)
    z, y, x = (int(v) for v in box[0])
    return Window(i, (z, y, x), mask)
