"""Make an edit by fitting: to corrected labels (`correct`), or to the heads' own outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.editing.edit import Edit, image_sha256
from napari_fossiledit.editing.layers import choose_layers, output_layers
from napari_fossiledit.editing.provenance import edits_below, layer_facts, made_by
from napari_fossiledit.editing.settings import Distil, Labels
from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.progress import Progress, Task, run

if TYPE_CHECKING:
    from napari_fossiledit.editing.fitting import Fit
    from napari_fossiledit.editing.sources import Source
    from napari_fossiledit.models.segmenter import EditableLayer, Segmenter

__all__ = ["correct", "correct_task", "distilled_task"]


def correct(
    segmenter: Segmenter,
    slices: Sequence[LabelledSlice],
    *,
    layers: Iterable[str] | None = None,
    solver: Labels | None = None,
    rehearse: Sequence[LabelledSlice] = (),
    unlabelled: Sequence[NDArray[np.uint8]] = (),
    name: str | None = None,
) -> Edit:
    """Fit the heads, or chosen layers, to slices whose labels were corrected by hand (*ours*).

    Fast partial fine-tuning, kept as an edit: deltas with a strength, undone bit for bit. Take
    slices that the model was NOT trained on, best of the stack to be segmented, with every fossil
    on them labelled.

    Parameters
    ----------
    segmenter : Segmenter
    slices : sequence of LabelledSlice
        All instances are taken to be of the first of the segmenter's fossil classes.
    layers : iterable of str, optional
        Convolutions to be fitted as well; default: none where the heads can be fitted, else all
        output convolutions of the feature pyramid.
    solver : Labels, optional
    rehearse : sequence of LabelledSlice
        Slices that the model was trained on, mixed in so that it forgets nothing.
    unlabelled : sequence of (y, x, 3) uint8
        More slices of the stack, which nobody labelled: what the model itself agrees on in all
        their orientations is taught as well (`teach_itself`), where the heads alone are fitted.
    name : str, optional

    Returns
    -------
    Edit
        At strength 1.

    Raises
    ------
    InputError
        No labelled fossil, labels of another size, unknown layers.
    ModelError
        If the network's parts are not at hand (detectron2's own package), or the loss diverges.
    """
    return run(
        correct_task(
            segmenter,
            slices,
            layers=layers,
            solver=solver,
            rehearse=rehearse,
            unlabelled=unlabelled,
            name=name,
        )
    )


def correct_task(
    segmenter: Segmenter,
    slices: Sequence[LabelledSlice],
    *,
    layers: Iterable[str] | None = None,
    solver: Labels | None = None,
    rehearse: Sequence[LabelledSlice] = (),
    unlabelled: Sequence[NDArray[np.uint8]] = (),
    name: str | None = None,
) -> Task[Edit]:
    """`correct` as a task; the `Progress` of a step has its loss as ``data``."""
    if not len(slices):
        raise InputError("There is no corrected slice to fit to: give at least one.")
    settings, chosen = _what_to_fit(segmenter, layers, solver)
    yield Progress(0, 0, "Reading the model")
    from napari_fossiledit.editing.fitting import free_names
    from napari_fossiledit.editing.solvers.labels import labels_task

    names = free_names(segmenter, [layer.name for layer in chosen], settings)
    base, below = _stack_facts(segmenter)
    if len(unlabelled) and chosen:
        raise InputError(
            "Unlabelled slices teach the heads alone: choose a model whose heads can be fitted and "
            "no layer of the pyramid, or leave the unlabelled slices out."
        )
    agreed = yield from _agreed_task(segmenter, unlabelled)
    fit = yield from labels_task(segmenter, names, slices, settings, rehearse, agreed)
    sources = [_facts(piece.image) for piece in (*slices, *rehearse)]
    sources += [_facts(image) for image in unlabelled]
    return _edit(segmenter, fit, chosen, settings, sources, base, below, name)


def distilled_task(
    segmenter: Segmenter,
    sources: Sequence[Source],
    *,
    layers: Iterable[str] | None,
    solver: Distil,
    name: str | None,
) -> Task[Edit]:
    """`rewrite` with the solver `distil`, for checked sources."""
    chosen = _chosen(segmenter, layers)
    yield Progress(0, 0, "Reading the model")
    from napari_fossiledit.editing.fitting import free_names
    from napari_fossiledit.editing.solvers.distil import distil_task

    names = free_names(segmenter, [layer.name for layer in chosen], solver)
    base, below = _stack_facts(segmenter)
    fit = yield from distil_task(segmenter, names, sources, solver)
    facts = [source.to_dict() for source in sources]
    return _edit(segmenter, fit, chosen, solver, facts, base, below, name)


def _what_to_fit(
    segmenter: Segmenter, layers: Iterable[str] | None, solver: Labels | None
) -> tuple[Labels, list[EditableLayer]]:
    """Settings and pyramid layers; the heads of some models (detectron2's) cannot be fitted."""
    settings = solver or Labels(heads=has_heads(segmenter))
    if layers is not None:
        return settings, choose_layers(segmenter, layers)
    return settings, [] if settings.heads else output_layers(segmenter)


def has_heads(segmenter: Segmenter) -> bool:
    """Whether a model's heads can be fitted, not its pyramid alone."""
    layers = {layer.name for layer in segmenter.editable_layers()}
    return any(name.removesuffix(".bias") not in layers for name in segmenter.editable_tensors())


def _chosen(segmenter: Segmenter, layers: Iterable[str] | None) -> list[EditableLayer]:
    return output_layers(segmenter) if layers is None else choose_layers(segmenter, layers)


def _stack_facts(segmenter: Segmenter) -> tuple[str, list[dict[str, Any]]]:
    from napari_fossiledit.editing.edit_stack import EditStack

    with segmenter.lock:
        stack = EditStack.of(segmenter)
        stack.sync()
        return stack.base_fingerprint, edits_below(stack)


def _agreed_task(
    segmenter: Segmenter, images: Sequence[NDArray[np.uint8]]
) -> Task[list[LabelledSlice]]:
    """Unlabelled slices with the model's own labels; those without any are left out."""
    from napari_fossiledit.editing.agreement import agreed_labels_task
    from napari_fossiledit.editing.settings import Agreement

    pieces = []
    for image in images:
        labels, undecided = yield from agreed_labels_task(segmenter, image, Agreement())
        if (labels > 0).any():
            pieces.append(LabelledSlice(image, labels, undecided=undecided))
    return pieces


def _facts(image: NDArray[np.uint8]) -> dict[str, Any]:
    shape = list(image.shape)
    return {"image_sha256": image_sha256(image), "image_shape": shape, "perturbation": None}


def _edit(
    segmenter: Segmenter,
    fit: Fit,
    layers: Sequence[EditableLayer],
    settings: Labels | Distil,
    sources: Sequence[dict[str, Any]],
    base: str,
    below: list[dict[str, Any]],
    name: str | None,
) -> Edit:
    solver = settings.to_dict()
    first, *others = sources
    provenance = {
        **made_by(segmenter, base),
        **first,
        "layers": layer_facts(layers),
        "tensors": sorted(fit.deltas),
        "skipped_layers": [],
        "solver": solver,
        "kept_slices": 0,
        "loss": {"total": {"before": fit.losses[0], "after": fit.losses[-1]}},
        "seconds": {"features": 0.0, "solve": fit.seconds},
        "made_on_top_of": below,
    }
    if others:
        provenance["other_slices"] = others
    return Edit(
        name=name or f"{solver['name']} {'+'.join([layer.level for layer in layers] or ['heads'])}",
        deltas=fit.deltas,
        provenance=provenance,
        losses={"total": fit.losses},
    )
