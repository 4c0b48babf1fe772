"""Labels that a model gives itself: what it says of a slice however the slice is shown (*ours*).

A fossil is a fossil in all eight orientations of a slice, and seen larger, too. A detection that
the model makes in all of them is taken as one; what it sees in some is left undecided; all else is
rock. Fitted to such labels of a slice that nobody labelled (`teach_itself`), the model learns the
rock that it is to segment. Self-training after Radosavovic et al. (2018), "Data Distillation",
arXiv 1712.04440.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.editing.settings import Agreement
from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Crop, Instances, LabelledSlice
from napari_fossiledit.progress import Progress, Task, checkpoint, part_of, run

if TYPE_CHECKING:
    from napari_fossiledit.editing.edit import Edit
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["agreed_labels", "agreed_labels_task", "teach_itself", "teach_itself_task"]

_VIEWS = 8  # quarter turns, and their mirror images
_LEAST = 0.05  # confidence from which a detection supports another one
_SEED = 0.3  # and from which it may become a label itself
_SAME = 0.4  # IoU of detections that are taken for one fossil
_SMALLEST = 16  # px


@dataclass(frozen=True, eq=False)
class _Seen:
    """One view's detections, turned back: windows x0, y0, x1, y1 and masks."""

    boxes: NDArray[np.int64]
    crops: list[Crop]
    scores: NDArray[np.float32]


def teach_itself(
    segmenter: Segmenter,
    images: Sequence[NDArray[np.uint8]],
    *,
    rehearse: Sequence[LabelledSlice] = (),
    solver: Agreement | None = None,
    name: str | None = None,
) -> Edit:
    """Fit the heads to what the model itself agrees on, in slices that nobody labelled.

    Parameters
    ----------
    segmenter : Segmenter
    images : sequence of (y, x, 3) uint8
        Unlabelled slices, best of the stack to be segmented.
    rehearse : sequence of LabelledSlice
        Slices that the model was trained on; without them it drifts.
    solver : Agreement, optional
    name : str, optional

    Returns
    -------
    Edit
        At strength 1.

    Raises
    ------
    InputError
        If there is no image, or the model agrees with itself on no fossil.
    ModelError
        If the heads cannot be fitted (detectron2's).
    """
    return run(teach_itself_task(segmenter, images, rehearse=rehearse, solver=solver, name=name))


def teach_itself_task(
    segmenter: Segmenter,
    images: Sequence[NDArray[np.uint8]],
    *,
    rehearse: Sequence[LabelledSlice] = (),
    solver: Agreement | None = None,
    name: str | None = None,
) -> Task[Edit]:
    """`teach_itself` as a task."""
    from napari_fossiledit.editing.correcting import correct_task

    settings = solver or Agreement()
    if not len(images):
        raise InputError("There is no slice for the model to teach itself on: give at least one.")
    pieces = []
    for index, image in enumerate(images):
        task = agreed_labels_task(segmenter, image, settings)
        title = f"slice {index + 1} of {len(images)}" if len(images) > 1 else ""
        labels, undecided = yield from part_of(task, index, len(images), title)
        if (labels > 0).any():
            pieces.append(LabelledSlice(image, labels, undecided=undecided))
    if not pieces:
        raise InputError(
            "The model agrees with itself on no fossil in this slice: choose one with more "
            "fossils, or correct labels by hand."
        )
    edit = yield from correct_task(
        segmenter,
        pieces,
        solver=settings.fit,
        rehearse=rehearse,
        name=name or "agreement heads",
    )
    known = {**edit.provenance, "solver": settings.to_dict()}
    return replace(edit, provenance=known)


def agreed_labels(
    segmenter: Segmenter, image: NDArray[np.uint8], solver: Agreement | None = None
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """What the model says of a slice in all eight orientations.

    Parameters
    ----------
    segmenter : Segmenter
    image : (y, x, 3) uint8
    solver : Agreement, optional
        Its ``sure`` and ``doubtful`` are used.

    Returns
    -------
    labels : (y, x) int32
        One number a fossil, 0 elsewhere.
    undecided : (y, x) bool
        Where only some orientations show a fossil.
    """
    return run(agreed_labels_task(segmenter, image, solver or Agreement()))


def agreed_labels_task(
    segmenter: Segmenter, image: NDArray[np.uint8], settings: Agreement
) -> Task[tuple[NDArray[np.int32], NDArray[np.bool_]]]:
    """`agreed_labels` as a task."""
    from napari_fossiledit.models.preprocess import check_image
    from napari_fossiledit.models.segmenter import zoomed

    check_image(image)
    views = []
    for number in range(_VIEWS):
        yield Progress(number, _VIEWS, f"What the model says, view {number + 1} of {_VIEWS}")
        checkpoint()
        turned = np.ascontiguousarray(_turned(image, number))
        with zoomed(segmenter, segmenter.input_zoom * _zoom(settings, number)):
            found = segmenter.predict(
                turned, score_threshold=_LEAST, max_detections=segmenter.limits.most
            )
        views.append(_seen(found, number))
    labels = np.zeros(image.shape[:2], np.int32)
    undecided = np.zeros(image.shape[:2], bool)
    taken: list[Crop] = []
    for view, row in _by_score(views):
        seed = view.crops[row]
        if seed.area < _SMALLEST or any(_iou(seed, other) > _SAME for other in taken):
            continue
        taken.append(seed)
        support, window, mean = _support(seed, views)
        if support >= settings.sure:
            part = labels[window]
            part[(mean >= 0.5) & (part == 0)] = labels.max() + 1
        elif support >= settings.doubtful:
            undecided[window] |= mean >= 0.5
    yield Progress(_VIEWS, _VIEWS, "Agreed")
    return labels, undecided & (labels == 0)


def _zoom(settings: Agreement, number: int) -> float:
    """Zooms in turn; among the mirrored views in another turn, so that each axis sees them all."""
    return settings.zooms[(number + number // 4) % len(settings.zooms)]


def _turned(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    turned = np.rot90(image, number % 4)
    return turned[:, ::-1] if number >= 4 else turned


def _turned_back(mask: NDArray[np.bool_], number: int) -> NDArray[np.bool_]:
    mask = mask[:, ::-1] if number >= 4 else mask
    return np.rot90(mask, -(number % 4))


def _seen(found: Instances, number: int) -> _Seen:
    """Detections of a turned slice in the slice's own frame."""
    crops = []
    for crop in found.crops:
        height, width = crop.mask.shape
        y, x = crop.y, crop.x
        rows, columns = found.shape
        if number >= 4:
            x = columns - x - width
        for _ in range(number % 4):  # one quarter turn back at a time
            y, x = x, rows - y - height
            height, width, rows, columns = width, height, columns, rows
        crops.append(Crop(y, x, np.ascontiguousarray(_turned_back(crop.mask, number))))
    boxes = [(c.x, c.y, c.x + c.mask.shape[1], c.y + c.mask.shape[0]) for c in crops]
    return _Seen(np.array(boxes, np.int64).reshape(-1, 4), crops, found.scores)


def _by_score(views: Sequence[_Seen]) -> list[tuple[_Seen, int]]:
    """Detections that may become labels, surest first."""
    rows = [(v, i) for v in views for i in np.flatnonzero(v.scores >= _SEED).tolist()]
    return sorted(rows, key=lambda pair: -float(pair[0].scores[pair[1]]))


def _support(
    seed: Crop, views: Sequence[_Seen]
) -> tuple[float, tuple[slice, slice], NDArray[np.float64]]:
    """Mean confidence of the same fossil over all views, and its mean mask in a window."""
    members: list[tuple[Crop, float]] = []
    for view in views:
        best, score = None, 0.0
        for row in _near(seed, view.boxes):
            if view.scores[row] > score and _iou(seed, view.crops[row]) >= _SAME:
                best, score = view.crops[row], float(view.scores[row])
        if best is not None:
            members.append((best, score))
    y0 = min(c.y for c, _ in members)
    x0 = min(c.x for c, _ in members)
    y1 = max(c.y + c.mask.shape[0] for c, _ in members)
    x1 = max(c.x + c.mask.shape[1] for c, _ in members)
    mean = np.zeros((y1 - y0, x1 - x0))
    total = sum(score for _, score in members)
    for crop, score in members:
        rows, columns = crop.window
        mean[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0] += (
            crop.mask * (score / total)
        )
    return total / len(views), (slice(y0, y1), slice(x0, x1)), mean


def _near(seed: Crop, boxes: NDArray[np.int64]) -> list[int]:
    """Detections whose window meets the seed's."""
    rows, columns = seed.window
    meets = (boxes[:, 0] < columns.stop) & (boxes[:, 2] > columns.start)
    meets &= (boxes[:, 1] < rows.stop) & (boxes[:, 3] > rows.start)
    return [int(row) for row in np.flatnonzero(meets)]


def _iou(one: Crop, other: Crop) -> float:
    y0, x0 = max(one.y, other.y), max(one.x, other.x)
    y1 = min(one.y + one.mask.shape[0], other.y + other.mask.shape[0])
    x1 = min(one.x + one.mask.shape[1], other.x + other.mask.shape[1])
    if y1 <= y0 or x1 <= x0:
        return 0.0
    mine = one.mask[y0 - one.y : y1 - one.y, x0 - one.x : x1 - one.x]
    theirs = other.mask[y0 - other.y : y1 - other.y, x0 - other.x : x1 - other.x]
    shared = int(np.count_nonzero(mine & theirs))
    return shared / max(one.area + other.area - shared, 1)
