"""The tasks of page 6: the model before and after an edit. No Qt; run in a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.instances import Instances
from napari_fossiledit.progress import Progress, Task
from napari_fossiledit.widgets.edit_jobs import numbers
from napari_fossiledit.widgets.jobs import Segmented, labelled_task, paint_instances

if TYPE_CHECKING:
    from napari_fossiledit.widgets.layers import LabelSource, StackSource

__all__ = ["GAINED", "LOST", "CompareJob", "Compared", "compare_task", "difference_labels"]

LOST, GAINED = 1, 2
_CONFIDENT = 0.5


@dataclass(frozen=True)
class CompareJob:
    """What one press of the Compare button needs.

    Attributes
    ----------
    edit : Edit
    strength : float
    name : str
        The edit's name in the list.
    only : int, optional
        The one slice to compare; None = up to ``at_most`` labelled slices.
    without : frozenset of int
        Slices left out because an edit or its strength has seen them; those that this edit has
        seen by its own record (`Edit.has_seen`) are left out, too.
    curves : bool
        Also scan strengths and mask thresholds.
    """

    segmenter: Any
    edit: Any
    strength: float
    name: str
    stack: StackSource
    labels: LabelSource | None
    confusers: LabelSource | None
    only: int | None
    at_most: int
    without: frozenset[int]
    curves: bool


@dataclass(frozen=True, eq=False)
class Compared:
    """Before and after, ready to be shown.

    Attributes
    ----------
    comparison : pipeline Comparison, or None
        None where the slice has no labels: then there are layers, but no figures.
    before, after : Segmented
        Confident predictions of all compared slices.
    difference : (z, y, x) or (y, x) int32
        `LOST` where only the model before, `GAINED` where only the model after sees a fossil.
    slices : tuple of int
    job : CompareJob
    seen : bool
        Whether the one slice asked for was used to make the edit or to choose its strength.
    """

    comparison: Any
    before: Segmented
    after: Segmented
    difference: NDArray[np.int32]
    slices: tuple[int, ...]
    job: CompareJob
    seen: bool = False


def compare_task(job: CompareJob) -> Task[Compared]:
    """Predict slices without and with the edit; score them where there are labels."""
    slices = []
    if job.labels is not None and (job.only is None or bool(job.labels.read(job.only).any())):
        slices = yield from labelled_task(
            job.stack,
            job.labels,
            job.confusers,
            at_most=job.at_most,
            without=job.without,
            seen=job.edit.has_seen if job.only is None else None,
            only=job.only,
        )
    if not slices:
        return (yield from _plain_task(job))
    from napari_fossiledit.pipeline import curves

    comparison = yield from curves.compare_task(
        job.segmenter,
        job.edit,
        job.strength,
        slices,
        strengths=_strengths(job.edit) if job.curves else (),
    )
    found = numbers(slices)
    return _compared(
        job,
        comparison,
        found,
        comparison.before.predictions,
        comparison.after.predictions,
        seen=job.only is not None and job.edit.has_seen(slices[0].image),
    )


def _strengths(edit: Any) -> tuple[float, ...]:
    """Every second strength that is tried for edits of its solver."""
    from napari_fossiledit.editing.strength import strengths_for

    return strengths_for(edit)[1::2]


def _plain_task(job: CompareJob) -> Task[Compared]:
    """Compare the predictions of a slice without labels."""
    from napari_fossiledit.editing import EditStack
    from napari_fossiledit.errors import InputError

    if job.only is None:
        raise InputError("Choose labels on page 1, or compare on this slice only.")
    yield Progress(0, 3, f"reading slice {job.only}")
    image = job.stack.read(job.only)
    found = []
    for i, (words, strength) in enumerate((("without", 0.0), ("with", job.strength)), start=1):
        yield Progress(i, 3, f"slice {job.only} {words} the edit")
        with EditStack.of(job.segmenter).trial(job.edit, strength):
            found.append([job.segmenter.predict(image, max_detections=job.segmenter.limits.most)])
    return _compared(job, None, (job.only,), *found, seen=job.edit.has_seen(image))


def _compared(
    job: CompareJob,
    comparison: Any,
    slices: tuple[int, ...],
    before: list[Instances],
    after: list[Instances],
    *,
    seen: bool,
) -> Compared:
    painted = [
        paint_instances(
            job.stack,
            {z: one.above(_CONFIDENT) for z, one in zip(slices, found, strict=True)},
            job.segmenter.class_names,
        )
        for found in (before, after)
    ]
    difference = difference_labels(painted[0].labels, painted[1].labels)
    return Compared(comparison, painted[0], painted[1], difference, slices, job, seen)


def difference_labels(before: NDArray[np.integer], after: NDArray[np.integer]) -> NDArray[np.int32]:
    """Where a fossil was lost (1) and gained (2) from ``before`` to ``after``, int32."""
    change = np.zeros(before.shape, np.int32)
    flat = before.ndim == 2
    pairs = [(change, before, after)] if flat else zip(change, before, after, strict=True)
    for out, one, other in pairs:  # slice by slice: untouched pages stay untouched
        was, now = np.asarray(one) > 0, np.asarray(other) > 0
        if was.any() or now.any():
            out[was & ~now] = LOST
            out[now & ~was] = GAINED
    return change
