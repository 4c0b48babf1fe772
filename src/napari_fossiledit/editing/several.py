"""Make one edit from several slices, or from several perturbations of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.editing.edit import Edit
from napari_fossiledit.editing.rewriting import Keep, rewrite_sources_task
from napari_fossiledit.editing.sources import Source
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Task, part_of, run

if TYPE_CHECKING:
    from napari_fossiledit.editing.settings import Distil, SolverSettings
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["HOW", "How", "rewrite_several", "rewrite_several_task"]

How: TypeAlias = Literal["jointly", "in sequence"]

HOW: tuple[How, ...] = ("jointly", "in sequence")
"""How several slices may be taken."""


def rewrite_several(
    segmenter: Segmenter,
    sources: Sequence[Source],
    *,
    how: How = "jointly",
    layers: Iterable[str] | None = None,
    solver: SolverSettings | Distil | None = None,
    keep: Keep = (),
    context: Sequence[NDArray[np.uint8]] = (),
    name: str | None = None,
) -> Edit:
    """Find one edit for several slices, or for several perturbations of a slice.

    Parameters
    ----------
    segmenter : Segmenter
    sources : sequence of Source
    how : {"jointly", "in sequence"}
        Jointly (*ours*): the positions of all slices are taken as those of one; the order does
        not matter. In sequence (Panigrahi et al., arXiv 2210.03879, 5.3 and 6.2): each is solved
        on the model as the ones before left it, so the last has the last word; two sources
        of the same slice with different perturbations give one mapping after the other.
    layers, solver, keep, context, name
        As for `rewrite`. A keep set keeps what the layer gives at that step of the sequence.

    Returns
    -------
    Edit
        At strength 1.

    Raises
    ------
    InputError
        As `rewrite`, or if there is no source or ``how`` is unknown.
    """
    return run(
        rewrite_several_task(
            segmenter,
            sources,
            how=how,
            layers=layers,
            solver=solver,
            keep=keep,
            context=context,
            name=name,
        )
    )


def rewrite_several_task(
    segmenter: Segmenter,
    sources: Sequence[Source],
    *,
    how: How = "jointly",
    layers: Iterable[str] | None = None,
    solver: SolverSettings | Distil | None = None,
    keep: Keep = (),
    context: Sequence[NDArray[np.uint8]] = (),
    name: str | None = None,
) -> Task[Edit]:
    """`rewrite_several` as a task."""
    if how not in HOW:
        raise InputError(f"Several slices are taken jointly or in sequence, not {how!r}.")
    for source in sources:
        source.check()
    wanted = None if layers is None else ([layers] if isinstance(layers, str) else list(layers))
    if how == "jointly" or len(sources) < 2:
        edit = yield from rewrite_sources_task(
            segmenter,
            sources,
            layers=wanted,
            solver=solver,
            keep=keep,
            context=context,
            name=name,
        )
        return _noted(edit, how) if len(sources) > 1 else edit
    return (yield from _in_sequence(segmenter, sources, wanted, solver, keep, context, name))


def _in_sequence(
    segmenter: Segmenter,
    sources: Sequence[Source],
    layers: Sequence[str] | None,
    solver: SolverSettings | Distil | None,
    keep: Keep,
    context: Sequence[NDArray[np.uint8]],
    name: str | None,
) -> Task[Edit]:
    from napari_fossiledit.editing.edit_stack import EditStack

    stack = EditStack.of(segmenter)
    made: Edit | None = None
    for index, source in enumerate(sources):
        task = rewrite_sources_task(
            segmenter,
            [source],
            layers=layers,
            solver=solver,
            keep=keep,
            context=context,
            name=name,
        )
        part = part_of(task, index, len(sources), f"slice {index + 1} of {len(sources)}")
        if made is None:
            made = yield from part
            continue
        with stack.trial(made, 1.0):
            step = yield from part
        made = _summed(made, step)
    if made is None:
        raise InputError("There is no slice to make the edit from: give at least one.")
    return _noted(made, "in sequence")


def _summed(before: Edit, step: Edit) -> Edit:
    """Both edits as one; the loss is told from the first step's start to the last one's end."""
    deltas = dict(before.deltas)
    for layer, delta in step.deltas.items():
        deltas[layer] = deltas[layer] + delta if layer in deltas else delta
    mine, other = before.provenance, step.provenance
    known = mine["layers"] + [entry for entry in other["layers"] if entry not in mine["layers"]]
    skipped = [entry for entry in other["skipped_layers"] if entry["name"] not in deltas]
    earlier = [e for e in mine["skipped_layers"] if e["name"] not in deltas and e not in skipped]
    source = {
        key: other[key]
        for key in ("image_sha256", "image_shape", "perturbation", "perturbed_sha256")
    }
    losses = {
        key: [*before.losses.get(key, ()), *step.losses.get(key, ())]
        for key in {**before.losses, **step.losses}
    }
    provenance = {
        **mine,
        "layers": known,
        "skipped_layers": [*earlier, *skipped],
        "other_slices": [*mine.get("other_slices", ()), source],
        "loss": {k: {"before": v[0], "after": v[-1]} for k, v in losses.items()},
        "seconds": {key: mine["seconds"][key] + other["seconds"][key] for key in mine["seconds"]},
    }
    if "tensors" in mine:
        provenance["tensors"] = sorted(deltas)
    return replace(before, deltas=deltas, provenance=provenance, losses=losses)


def _noted(edit: Edit, how: How) -> Edit:
    return replace(edit, provenance={**edit.provenance, "slices_taken": how})
