"""Cut every specimen's own window out of a label volume that is read slice by slice."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.volume.sections import SectionSums
from napari_fossiledit.volume.slices import iter_slices

__all__ = ["Boxes", "Step", "Window", "grow", "iter_windows", "only"]

Box = NDArray[np.int64]  # [[z, y, x] first, [z, y, x] last]
Boxes = dict[int, Box]
Step = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Window:
    """A specimen cut out.

    Attributes
    ----------
    id : int
    origin : (z, y, x)
        Place of the centre of its first block in the volume, in voxels.
    mask : (z, y, x) bool
        One value a block: whether half of its voxels or more are the specimen's.
    step : (z, y, x)
        Voxels that a block holds along each axis; 1 but for huge specimens.
    voxels : int
        The specimen's, before they were put together to blocks.
    """

    id: int
    origin: tuple[float, float, float]
    mask: NDArray[np.bool_]
    step: Step
    voxels: int


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


def iter_windows(labels: Any, boxes: Boxes, steps: dict[int, Step]) -> Iterator[Window]:
    """Yield the windows of these specimens, each as soon as its last slice is read.

    Specimens that are begun are held as bits, an eighth of a byte a block of their windows.

    Parameters
    ----------
    labels : (z, y, x) integer, read slice by slice
    boxes : dict of id to box
    steps : dict of id to (z, y, x)
        Voxels to put together to one block.
    """
    if not boxes:
        return
    begins: dict[int, list[int]] = {}
    for i, box in boxes.items():
        begins.setdefault(int(box[0, 0]), []).append(i)
    open_: dict[int, _Cuts] = {}
    last = max(int(box[1, 0]) for box in boxes.values())
    for z, plane in iter_slices(labels, min(begins), last):
        for i in begins.get(z, ()):
            open_[i] = _Cuts(i, boxes[i], steps[i])
        for cuts in open_.values():
            cuts.add(plane)
        for i in [i for i in open_ if boxes[i][1, 0] == z]:
            yield open_.pop(i).window()


class _Cuts:
    """The sections of one specimen, as they come."""

    def __init__(self, i: int, box: Box, step: Step) -> None:
        self._id, self._step = i, step
        self._first = tuple(int(v) for v in box[0])
        self._last = tuple(int(v) for v in box[1])
        _, rows, columns = (-(-(b - a + 1) // n) for a, b, n in self._axes())
        self._shape = (rows, columns)
        self._counts = np.zeros(self._shape, np.int64)
        self._layers: list[NDArray[np.uint8]] = []
        self._seen = self._voxels = 0

    def _axes(self) -> list[tuple[int, int, int]]:
        return list(zip(self._first, self._last, self._step, strict=True))

    def add(self, plane: NDArray[np.integer]) -> None:
        """Take in one more slice."""
        (_, y0, x0), (_, y1, x1) = self._first, self._last
        own = plane[y0 : y1 + 1, x0 : x1 + 1] == self._id
        self._voxels += int(np.count_nonzero(own))
        if self._step == (1, 1, 1):
            self._layers.append(np.packbits(own, axis=1))
            return
        _, fy, fx = self._step
        rows, columns = self._shape
        own = np.pad(own, ((0, rows * fy - own.shape[0]), (0, columns * fx - own.shape[1])))
        self._counts += own.reshape(rows, fy, columns, fx).sum((1, 3))
        self._seen += 1
        if self._seen % self._step[0] == 0:
            self._close()

    def _close(self) -> None:
        half = 2 * self._counts >= np.prod(self._step)
        self._layers.append(np.packbits(half, axis=1))
        self._counts[:] = 0

    def window(self) -> Window:
        """Put the sections together."""
        if self._seen % self._step[0]:
            self._close()
        mask = np.unpackbits(np.stack(self._layers), axis=2, count=self._shape[1]).astype(bool)
        z, y, x = (a + (n - 1) / 2 for a, _, n in self._axes())
        return Window(self._id, (z, y, x), mask, self._step, self._voxels)


def only(boxes: Boxes, ids: Collection[int] | None) -> Boxes:
    """Boxes of these ids (all if None), in order of id."""
    return {i: boxes[i] for i in sorted(boxes) if ids is None or i in ids}
