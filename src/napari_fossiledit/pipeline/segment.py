"""Predict slice after slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances
from napari_fossiledit.progress import Progress, Task, run

if TYPE_CHECKING:
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["segment", "segment_task"]


def segment_task(
    segmenter: Segmenter,
    images: Sequence[NDArray[np.uint8]],
    names: Sequence[str] | None = None,
    *,
    score_threshold: float = 0.5,
) -> Task[list[Instances]]:
    """Predict the instances of every slice.

    Parameters
    ----------
    segmenter : Segmenter
    images : sequence of (y, x, 3) uint8, or a (z, y, x, 3) numpy or dask array
        RGB slices; a dask array is read slice by slice.
    names : sequence of str, optional
        For the progress messages.
    score_threshold : float
        Detections below this confidence are left out.

    Yields
    ------
    Progress
        After each slice, with its `Instances` as ``data``.

    Returns
    -------
    list of Instances
    """
    if not 0 <= score_threshold <= 1:
        raise InputError(
            f"The score threshold must lie between 0 and 1, not {score_threshold:g}: "
            "0.5 is usual for looking, 0 for evaluating."
        )
    total = len(images)
    if total == 0:
        raise InputError("There is no slice to segment: choose at least one.")
    found: list[Instances] = []
    for i in range(total):
        name = names[i] if names else f"slice {i}"
        yield Progress(i, total, f"Segmenting {name}")
        image = np.asarray(images[i])
        most = segmenter.limits.most
        found.append(segmenter.predict(image, score_threshold=score_threshold, max_detections=most))
        yield Progress(i + 1, total, f"{name}: {len(found[-1])} instances", found[-1])
    return found


def segment(
    segmenter: Segmenter,
    images: Sequence[NDArray[np.uint8]],
    names: Sequence[str] | None = None,
    *,
    score_threshold: float = 0.5,
) -> list[Instances]:
    """Run `segment_task` to its end."""
    return run(segment_task(segmenter, images, names, score_threshold=score_threshold))
