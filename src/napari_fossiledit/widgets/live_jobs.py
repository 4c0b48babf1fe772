"""The prediction that follows the strength slider. No Qt; run in a thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.widgets.jobs import feature_table, read_slice

if TYPE_CHECKING:
    from napari_fossiledit.widgets.layers import LabelSource, StackSource

__all__ = ["LiveFound", "LiveJob", "predict_live", "steady"]

_CONFIDENT = 0.5


@dataclass(frozen=True, eq=False)
class LiveJob:
    """What one live prediction needs.

    Attributes
    ----------
    segmenter, edits
        The model and its `EditStack`.
    stack : StackSource
    labels : LabelSource, optional
        The labelled fossils, to score the slice where it is labelled.
    z : int
    before : (y, x) int32, optional
        What is shown now: a fossil that stays keeps its number, and so its colour.
    paused : callable
        Whether a task now holds the weights: then nothing is predicted.
    """

    segmenter: Any
    edits: Any
    stack: StackSource
    labels: LabelSource | None
    z: int
    before: NDArray[np.int32] | None
    paused: Callable[[], bool]


@dataclass(frozen=True, eq=False)
class LiveFound:
    """What was found on the slice.

    Attributes
    ----------
    labels : (y, x) int32
    features : pandas.DataFrame
        Facts of every instance, for the status bar.
    count : int
    precision, recall : float, optional
        Means over the slice's matched fossils; None where it has no labels.
    seconds : float
        Of the prediction.
    """

    labels: NDArray[np.int32]
    features: Any
    count: int
    precision: float | None
    recall: float | None
    seconds: float
    job: LiveJob


def predict_live(job: LiveJob) -> LiveFound | None:
    """Predict the slice with the edits as the list says; None while a task holds the weights."""
    from napari_fossiledit.metrics import score_slices

    if job.paused():
        return None
    piece = None
    if job.labels is not None:
        piece = read_slice(job.stack, job.labels, None, job.z)
    image = job.stack.read(job.z) if piece is None else piece.image
    began = perf_counter()
    # Weights and prediction belong together: a task that starts meanwhile waits for the lock.
    with job.segmenter.lock:
        if job.paused():
            return None
        job.edits.sync()
        found = job.segmenter.predict(image, max_detections=job.segmenter.limits.most)
    seconds = perf_counter() - began
    mean = None
    if piece is not None and piece.fossils.any():
        mean = score_slices([piece], [found]).matched_mean
    sure = found.above(_CONFIDENT)
    painted = sure.to_labels()
    numbers = steady(painted, job.before)
    return LiveFound(
        labels=numbers[painted],
        features=_facts(sure, numbers, job),
        count=len(sure),
        precision=None if mean is None else mean.precision,
        recall=None if mean is None else mean.recall,
        seconds=seconds,
        job=job,
    )


def steady(painted: NDArray[np.int32], before: NDArray[np.int32] | None) -> NDArray[np.int32]:
    """New numbers of instances, so that those that stay keep the number they had.

    Parameters
    ----------
    painted : (y, x) int32
        The instances now, 0 for none.
    before : (y, x) int32, optional
        Those before.

    Returns
    -------
    (n + 1,) int32
        The number of every instance; 0 stays 0.
    """
    count = int(painted.max(initial=0))
    numbers = np.zeros(count + 1, np.int32)
    taken: set[int] = set()
    if before is not None and before.shape == painted.shape:
        both = (painted > 0) & (before > 0)
        width = int(before.max(initial=0)) + 1
        counts = np.bincount(painted[both].astype(np.int64) * width + before[both])
        pairs = np.flatnonzero(counts)
        shared, sizes = np.divmod(pairs, width), counts[pairs]
        for at in np.argsort(-sizes, kind="stable"):
            new, old = int(shared[0][at]), int(shared[1][at])
            if not numbers[new] and old not in taken:
                numbers[new] = old
                taken.add(old)
    free = 1
    for new in range(1, count + 1):
        if not numbers[new]:
            while free in taken:
                free += 1
            numbers[new] = free
            taken.add(free)
    return numbers


def _facts(sure: Any, numbers: NDArray[np.int32], job: LiveJob) -> Any:
    classes = job.segmenter.class_names
    rows: list[tuple[Any, ...]] = [(0, None, None, None, None)]
    for i, area in enumerate(sure.areas().tolist()):
        kind = int(sure.classes[i])
        name = classes[kind] if kind < len(classes) else f"class {kind + 1}"
        # An instance that others cover whole is in no pixel, and has no number.
        number = int(numbers[i + 1]) if i + 1 < len(numbers) else -1 - i
        rows.append((number, job.z, round(float(sure.scores[i]), 3), name, area))
    return feature_table(rows)
