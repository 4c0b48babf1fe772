"""The task of page 4: the probe. No Qt; run in a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fossiledit.progress import Task
from napari_fossiledit.widgets.jobs import Segmented, labelled_task, paint_instances
from napari_fossiledit.widgets.session import Recipe

if TYPE_CHECKING:
    from napari_fossiledit.widgets.layers import LabelSource, StackSource

__all__ = ["Probed", "probe_task", "version_labels"]

_CONFIDENT = 0.5
_MOST_BYTES = 1 << 30  # of painted images that are kept


@dataclass(frozen=True, eq=False)
class Probed:
    """A probe and where it was made.

    Attributes
    ----------
    result : ProbeResult
        Its slices are called "slice 24" and so on.
    stack : StackSource
    classes : tuple of str
        The model's.
    stack_layer, labels_layer : callable, optional
        Weak references to the layers that were probed; they give None once the layer is gone.
    """

    result: Any
    stack: StackSource
    classes: tuple[str, ...] = ()
    stack_layer: Callable[[], Any] | None = None
    labels_layer: Callable[[], Any] | None = None


def probe_task(
    segmenter: Any,
    stack: StackSource,
    labels: LabelSource,
    confusers: LabelSource | None,
    recipe: Recipe,
    only: int | None,
    at_most: int,
    *,
    textures: Mapping[int, str] | None = None,
) -> Task[Probed]:
    """Probe the slice ``only``, or up to ``at_most`` labelled slices.

    Parameters
    ----------
    segmenter : Segmenter
    stack, labels, confusers
        Where to read.
    recipe : Recipe
        What is painted.
    only : int, optional
    at_most : int
    textures : dict of int to str, optional
        Texture of the fossils by label value.
    """
    from napari_fossiledit.editing import EditStack
    from napari_fossiledit.pipeline.probe import probe_task as probe

    EditStack.of(segmenter).sync()  # a strength just moved may still wait
    slices = yield from labelled_task(stack, labels, confusers, at_most=at_most, only=only)
    result = yield from probe(
        segmenter,
        slices,
        perturbation=recipe.perturbation(),
        textures=textures,
        keep_images=2 * sum(piece.image.nbytes for piece in slices) <= _MOST_BYTES,
    )
    return Probed(result, stack, tuple(segmenter.class_names))


def version_labels(probed: Probed, version: Any, at: int) -> Segmented:
    """Confident predictions of the probe's slice number ``at`` in one version, as labels."""
    z = int(probed.result.slices[at].split()[-1])
    found = version.predictions[at].above(_CONFIDENT)
    return paint_instances(probed.stack, {z: found}, probed.classes)
