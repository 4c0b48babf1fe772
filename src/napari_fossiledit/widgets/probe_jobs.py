"""The tasks of page 4. No Qt; run in a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.progress import Progress, Task
from napari_fossiledit.widgets.jobs import Segmented, labelled_task, paint_instances
from napari_fossiledit.widgets.session import Recipe

if TYPE_CHECKING:
    from napari_fossiledit.widgets.layers import LabelSource, StackSource

__all__ = ["Preview", "Probed", "preview_task", "probe_task"]

_CONFIDENT = 0.5


@dataclass(frozen=True, eq=False)
class Preview:
    """A painted slice and where it belongs."""

    image: NDArray[np.uint8]
    stack: StackSource
    z: int
    words: str
    reached: float


@dataclass(frozen=True, eq=False)
class Probed:
    """A probe, where it was made, and its first slice's predictions ready to be shown."""

    result: Any
    stack: StackSource
    z: int
    slices: list[LabelledSlice]
    painted: dict[str, Segmented]


def preview_task(stack: StackSource, labels: LabelSource, z: int, recipe: Recipe) -> Task[Preview]:
    """Paint over part of one slice."""
    yield Progress(0, 2, f"reading slice {z}")
    image, fossils = stack.read(z), labels.read(z) > 0
    yield Progress(1, 2, "painting")
    made = recipe.perturbation().apply(image, fossils)
    words = "fossils painted" if recipe.target == "fossils" else "others painted"
    return Preview(made.image, stack, z, words, made.fraction_reached)


def probe_task(
    segmenter: Any,
    stack: StackSource,
    labels: LabelSource,
    confusers: LabelSource | None,
    recipe: Recipe,
    only: int | None,
    at_most: int,
) -> Task[Probed]:
    """Probe the slice ``only``, or up to ``at_most`` labelled slices."""
    from napari_fossiledit.editing import EditStack
    from napari_fossiledit.pipeline.probe import probe_task as probe

    EditStack.of(segmenter).sync()  # a strength just moved may still wait
    slices = yield from labelled_task(stack, labels, confusers, at_most=at_most, only=only)
    result = yield from probe(segmenter, slices, fill=recipe.perturbation().fill)
    z = int(slices[0].name.split()[-1])
    painted = {
        row.version: paint_instances(
            stack, {z: row.predictions[0].above(_CONFIDENT)}, segmenter.class_names
        )
        for row in result.rows
    }
    return Probed(result, stack, z, slices, painted)
