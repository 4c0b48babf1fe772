"""`Instances`: the fossils found, or labelled, in one slice.

Masks are kept cropped to their boxes, never as an (N, y, x) block: 500 instances of a
2000 x 3000 slice would take 3 GB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_fossiledit.errors import InputError

__all__ = ["Crop", "Instances", "LabelledSlice"]


@dataclass(frozen=True, eq=False)
class Crop:
    """A boolean mask at its place in the slice.

    Attributes
    ----------
    y, x : int
        Row and column of the crop's first pixel.
    mask : (h, w) bool array
    """

    y: int
    x: int
    mask: NDArray[np.bool_]

    @property
    def window(self) -> tuple[slice, slice]:
        """The crop's rows and columns in the slice."""
        h, w = self.mask.shape
        return slice(self.y, self.y + h), slice(self.x, self.x + w)

    @property
    def area(self) -> int:
        """Number of True pixels."""
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True, eq=False)
class Instances:
    """Instances of one slice.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the slice.
    boxes : (n, 4) float32
        x0, y0, x1, y1 in pixels, continuous: a pixel spans [i, i + 1].
    scores : (n,) float32
        Confidence in [0, 1]; 1 for labels.
    classes : (n,) int64
        Class of each instance, 0 = first foreground class.
    crops : tuple of Crop, length n
    ids : (n,) int64
        Label value of each instance where it came from a label image, else 1..n.
    """

    shape: tuple[int, int]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    crops: tuple[Crop, ...]
    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if len(self.ids) == 0:
            object.__setattr__(self, "ids", np.arange(1, len(self.crops) + 1, dtype=np.int64))
        parts = (self.boxes, self.scores, self.classes, self.crops, self.ids)
        lengths = {len(part) for part in parts}
        if len(lengths) != 1:
            raise InputError(
                "Boxes, scores, classes, ids and masks must be as many as each other, "
                f"but there are {sorted(lengths)} of them."
            )

    def __len__(self) -> int:
        return len(self.crops)

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Instances:
        """No instance, in a slice of ``shape``."""
        return cls(
            shape,
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int64),
            (),
        )

    @classmethod
    def from_crops(
        cls,
        shape: tuple[int, int],
        crops: Iterable[Crop],
        *,
        scores: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        ids: ArrayLike | None = None,
    ) -> Instances:
        """Instances from cropped masks; boxes are the crops' extents."""
        crops = tuple(crops)
        boxes = np.array(
            [(c.x, c.y, c.x + c.mask.shape[1], c.y + c.mask.shape[0]) for c in crops], np.float32
        ).reshape(-1, 4)
        n = len(crops)
        return cls(
            shape,
            boxes,
            np.ones(n, np.float32) if scores is None else np.asarray(scores, np.float32),
            np.zeros(n, np.int64) if classes is None else np.asarray(classes, np.int64),
            crops,
            np.arange(1, n + 1) if ids is None else np.asarray(ids, np.int64),
        )

    @classmethod
    def from_labels(cls, labels: NDArray[np.integer]) -> Instances:
        """Instances of a (y, x) label image: one per value above 0, in order of the values."""
        from scipy.ndimage import find_objects

        if labels.ndim != 2:
            raise InputError(f"A label image must have two axes (y, x), not {labels.ndim}.")
        if labels.dtype.kind not in "bui":
            raise InputError(f"Labels must be whole numbers, not {labels.dtype}.")
        if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
            raise InputError("Labels must be 0 (background) or positive; some are negative.")
        # Ranks, not values: find_objects makes a list as long as the largest value.
        largest = int(labels.max()) if labels.size else 0
        if largest <= max(labels.size, 1 << 16):  # a table is ten times as fast as sorting
            whole = labels.astype(np.int64)
            counts = np.bincount(whole.ravel(), minlength=largest + 1)
            ids = np.flatnonzero(counts[1:]) + 1
            table = np.zeros(largest + 1, np.int32)
            table[ids] = np.arange(1, len(ids) + 1)
            ranks = table[whole]
        else:
            ids, inverse = np.unique(labels, return_inverse=True)
            ranks = inverse.reshape(labels.shape).astype(np.int32) + (0 if ids[0] == 0 else 1)
            ids = ids[ids > 0]
        windows = find_objects(ranks) if ids.size else []
        crops = []
        for rank, window in enumerate(windows, start=1):
            rows, columns = window
            crops.append(Crop(rows.start, columns.start, ranks[window] == rank))
        return cls.from_crops((labels.shape[0], labels.shape[1]), crops, ids=ids)

    def mask(self, i: int) -> NDArray[np.bool_]:
        """Return the i-th instance's mask at the size of the slice, (y, x) bool."""
        full = np.zeros(self.shape, bool)
        full[self.crops[i].window] = self.crops[i].mask
        return full

    def areas(self) -> NDArray[np.int64]:
        """Area of every mask in pixels, (n,) int64."""
        return np.array([crop.area for crop in self.crops], np.int64)

    def union(self) -> NDArray[np.bool_]:
        """Pixels that belong to any instance, (y, x) bool."""
        full = np.zeros(self.shape, bool)
        for crop in self.crops:
            full[crop.window] |= crop.mask
        return full

    def select(self, index: Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]) -> Instances:
        """Return the instances of an integer or boolean index, in its order."""
        index = np.asarray(index)
        # An empty list becomes a float array, which cannot index.
        chosen = np.arange(len(self))[index if index.size else index.astype(np.int64)]
        return Instances(
            self.shape,
            self.boxes[chosen],
            self.scores[chosen],
            self.classes[chosen],
            tuple(self.crops[i] for i in chosen),
            self.ids[chosen],
        )

    def above(self, score: float) -> Instances:
        """Return the instances whose score is at least ``score``."""
        return self.select(np.flatnonzero(self.scores >= score))

    def to_labels(self) -> NDArray[np.int32]:
        """Return a (y, x) int32 label image; label i + 1 is instance i.

        Where instances overlap, the one of higher score has the pixel.
        """
        labels = np.zeros(self.shape, np.int32)
        for i in np.argsort(self.scores, kind="stable"):
            crop = self.crops[i]
            labels[crop.window][crop.mask] = i + 1
        return labels

    def to_coco(self) -> list[dict[str, object]]:
        """Every mask as COCO's compressed run lengths (`pycocotools`), with score and class."""
        rows: list[dict[str, object]] = []
        for i in range(len(self)):
            rows.append(
                {
                    "segmentation": _run_lengths(self.crops[i], self.shape),
                    "score": float(self.scores[i]),
                    "category_id": int(self.classes[i]) + 1,
                    "bbox": [
                        float(self.boxes[i, 0]),
                        float(self.boxes[i, 1]),
                        float(self.boxes[i, 2] - self.boxes[i, 0]),
                        float(self.boxes[i, 3] - self.boxes[i, 1]),
                    ],
                }
            )
        return rows

    @classmethod
    def from_coco(cls, shape: tuple[int, int], rows: Sequence[Mapping[str, Any]]) -> Instances:
        """Read what `to_coco` wrote; ids are numbered anew.

        Raises
        ------
        InputError
            When a mask is of another size than ``shape``.
        """
        crops, scores, classes, boxes = [], [], [], []
        for row in rows:
            rle = row["segmentation"]
            if tuple(rle["size"]) != tuple(shape):
                raise InputError(
                    f"A COCO mask is of {rle['size'][0]} x {rle['size'][1]} pixels, the slice "
                    f"of {shape[0]} x {shape[1]}: the annotations belong to another image."
                )
            crops.append(_cropped(_mask_of(rle)))
            x, y, w, h = row["bbox"]
            boxes.append((x, y, x + w, y + h))
            scores.append(row["score"])
            classes.append(int(row["category_id"]) - 1)
        return cls(
            shape,
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(scores, np.float32),
            np.array(classes, np.int64),
            tuple(crops),
        )


def _run_lengths(crop: Crop, shape: tuple[int, int]) -> dict[str, object]:
    """COCO's run lengths of a crop; only the crop's own columns are looked at."""
    from pycocotools import mask as coco

    rows, columns = shape
    strip = np.zeros((rows, crop.mask.shape[1]), bool)
    strip[crop.window[0]] = crop.mask
    # COCO counts down the columns, so the strip is one piece of the whole image's sequence.
    run = np.concatenate([[False], strip.ravel(order="F"), [False]])
    changes = np.flatnonzero(run[1:] != run[:-1]) + crop.x * rows
    counts = np.diff(np.concatenate([[0], changes, [rows * columns]]))
    if counts[-1] == 0:  # COCO writes no empty run at the end
        counts = counts[:-1]
    rle = coco.frPyObjects({"size": [rows, columns], "counts": counts.tolist()}, rows, columns)
    return {"size": [rows, columns], "counts": rle["counts"].decode("ascii")}


def _mask_of(rle: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Read COCO's run lengths, compressed or not, as a (y, x) mask.

    pycocotools' own ``decode`` warns under numpy 2 with every call.
    """
    rows, columns = rle["size"]
    text = rle["counts"]
    if isinstance(text, str):
        text = text.encode("ascii")
    runs = _decompressed(text) if isinstance(text, bytes) else list(text)
    if min(runs, default=0) < 0 or sum(runs) != rows * columns:
        raise InputError("A COCO mask is damaged: its run lengths do not add up to the image.")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(columns, rows).T


def _decompressed(text: bytes) -> list[int]:
    """Undo COCO's compression: 5 bits a byte, sign-extended, differences from the run before last.

    Source: ``rleFrString`` in pycocotools' ``maskApi.c``.
    """
    runs: list[int] = []
    value = shift = 0
    for byte in text:
        bits = byte - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs


def _cropped(mask: NDArray[np.bool_]) -> Crop:
    """Cut a (y, x) mask to its extent; one without a pixel becomes a crop of no size."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return Crop(0, 0, np.zeros((0, 0), bool))
    y, x = int(rows[0]), int(columns[0])
    return Crop(y, x, mask[y : rows[-1] + 1, x : columns[-1] + 1].copy())


@dataclass(frozen=True, eq=False)
class LabelledSlice:
    """One slice with its labels.

    Attributes
    ----------
    image : (y, x, 3) uint8
        RGB photograph.
    labels : (y, x) integer
        One value per instance, 0 = background. The same value in two slices of one ``group`` is
        the same individual.
    confusers : (y, x) integer or bool, optional
        Where fossils of other kinds lie, if that was labelled.
    name : str
        For messages and tables, e.g. the file's name.
    group : str
        The stack (reef) that the slice belongs to.
    undecided : (y, x) bool, optional
        Where it is not known whether a fossil lies. The solver `labels` learns nothing there
        where it fits the heads alone; scores and training take such places as they are labelled.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.integer]
    confusers: NDArray[np.integer] | None = None
    name: str = ""
    group: str = ""
    undecided: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        arrays = {"labels": self.labels, "confusers": self.confusers, "undecided": self.undecided}
        for what, array in arrays.items():
            if array is not None and array.shape != self.image.shape[:2]:
                raise InputError(
                    f"The {what} of {self.name or 'the slice'} have "
                    f"{' x '.join(map(str, array.shape))} pixels, the image "
                    f"{self.image.shape[0]} x {self.image.shape[1]}: choose labels made on this "
                    "very image."
                )

    @property
    def fossils(self) -> NDArray[np.bool_]:
        """True on the pixels of any instance, (y, x) bool."""
        return np.asarray(self.labels > 0)
