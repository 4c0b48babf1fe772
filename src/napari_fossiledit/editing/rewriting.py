"""Make an edit: original slice in, features of the perturbed slice out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.editing.correcting import distilled_task
from napari_fossiledit.editing.edit import Edit
from napari_fossiledit.editing.layers import choose_layers, depends_on_outputs
from napari_fossiledit.editing.provenance import edits_below, layer_facts, made_by
from napari_fossiledit.editing.settings import Agreement, Distil, Labels, Ridge, SolverSettings
from napari_fossiledit.editing.sources import Source, capture_all, edit_masks, fossil_mask
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, checkpoint, mapped, run

if TYPE_CHECKING:
    import torch

    from napari_fossiledit.editing.features import Captured
    from napari_fossiledit.editing.solvers.solution import Solution
    from napari_fossiledit.models.segmenter import EditableLayer, Segmenter
    from napari_fossiledit.perturb import Perturbed

__all__ = ["Keep", "rewrite", "rewrite_sources_task", "rewrite_task"]

Keep: TypeAlias = Sequence[tuple[NDArray[np.uint8], NDArray[Any]]]

_PARTS = 100  # steps of the progress bar a layer
_SKIPPED = "none of its cells lies in the area to be edited"


@dataclass
class _Job:
    """The checked input of one edit, and what has been found so far."""

    segmenter: Segmenter
    sources: Sequence[Source]
    layers: list[EditableLayer]
    solver: SolverSettings
    keep: Keep
    context: Sequence[NDArray[np.uint8]] = ()
    solutions: dict[str, Solution] = field(default_factory=dict)
    skipped: list[EditableLayer] = field(default_factory=list)
    feature_seconds: float = 0.0

    @property
    def kept(self) -> list[tuple[NDArray[np.uint8], NDArray[Any]]]:
        """All slices to keep: the edited ones come first."""
        return [*((s.image, s.fossils) for s in self.sources), *self.keep]


def rewrite(
    segmenter: Segmenter,
    image: NDArray[np.uint8],
    perturbed: Perturbed | NDArray[np.uint8],
    fossils: NDArray[Any],
    *,
    layers: Iterable[str] | None = None,
    solver: SolverSettings | Distil | None = None,
    keep: Keep = (),
    context: Sequence[NDArray[np.uint8]] = (),
    name: str | None = None,
) -> Edit:
    """Find the edit that makes the original slice yield the perturbed slice's features.

    Keys come from the original, target values from the perturbed slice, both under the weights as
    they are (Panigrahi et al., arXiv 2210.03879). Positions count whose cell is less than half
    fossil (where fossils were painted: at least half). The model is left as it is: apply the edit.

    Parameters
    ----------
    segmenter : Segmenter
    image : (y, x, 3) uint8
    perturbed : Perturbed, or (y, x, 3) uint8
        The same slice, painted.
    fossils : (y, x) bool or labels
        Above 0 on the fossils.
    layers : iterable of str, optional
        Names from ``segmenter.editable_layers()``; default: the finest output convolution of
        the FPN alone (`default_layers`).
    solver : Ridge, L1, LowRank, Adam or Distil, optional
        Default: ``Ridge(damping=0.1)``, with ``keep_weight=1`` where slices to keep are given.
        `Distil` takes all output convolutions by default.
    keep : sequence of (image, fossils)
        Other labelled slices whose fossils' features shall stay; those of the edited slice are
        added when the solver has a keep weight.
    context : sequence of (y, x, 3) uint8
        Further slices, which need no labels: a solver of a rank changes what tells the edited area
        from them and from the edited slice (Santurkar et al. 2021 take the whole data set).
    name : str, optional

    Returns
    -------
    Edit
        At strength 1; see `choose_strength`. Layers too coarse to have a cell in the area to be
        edited are skipped, and named in its provenance.

    Raises
    ------
    InputError
        No fossil or nothing but fossils, shapes that differ, unknown layers, a singular system.
    ModelError
        Features that are not finite.
    """
    return run(
        rewrite_task(
            segmenter,
            image,
            perturbed,
            fossils,
            layers=layers,
            solver=solver,
            keep=keep,
            context=context,
            name=name,
        )
    )


def rewrite_task(
    segmenter: Segmenter,
    image: NDArray[np.uint8],
    perturbed: Perturbed | NDArray[np.uint8],
    fossils: NDArray[Any],
    *,
    layers: Iterable[str] | None = None,
    solver: SolverSettings | Distil | None = None,
    keep: Keep = (),
    context: Sequence[NDArray[np.uint8]] = (),
    name: str | None = None,
) -> Task[Edit]:
    """`rewrite` as a task; the `Progress` of a solver's step has its loss as ``data``."""
    source = Source(image, perturbed, fossils)
    return (
        yield from rewrite_sources_task(
            segmenter,
            [source],
            layers=layers,
            solver=solver,
            keep=keep,
            context=context,
            name=name,
        )
    )


def rewrite_sources_task(
    segmenter: Segmenter,
    sources: Sequence[Source],
    *,
    layers: Iterable[str] | None = None,
    solver: SolverSettings | Distil | None = None,
    keep: Keep = (),
    context: Sequence[NDArray[np.uint8]] = (),
    name: str | None = None,
) -> Task[Edit]:
    """Find one edit for all sources together, their positions taken as those of one slice.

    The order of the sources does not matter. See `rewrite` for what is raised.
    """
    from napari_fossiledit.editing.edit_stack import EditStack

    if isinstance(solver, Distil):
        _check_sources(sources, solver, keep, context)
        return (
            yield from distilled_task(segmenter, sources, layers=layers, solver=solver, name=name)
        )
    job = _check(segmenter, sources, layers, solver, keep, context)
    total = _PARTS * (len(job.layers) + 1)
    yield Progress(0, total, "Features of the original and the perturbed slice")
    with segmenter.lock:
        stack = EditStack.of(segmenter)
        stack.sync()
        below = edits_below(stack)
        captured, masks = _capture(job)
    _skip_layers(job, masks)
    for layer in job.skipped:
        yield Progress(0, total, f"{layer.level} is skipped: {_SKIPPED}")
    total = _PARTS * (len(job.layers) + 1)
    keeps = yield from _keep_pairs(job, [layer.name for layer in job.layers], total)
    ordinary = yield from _ordinary_keys(job, [layer.name for layer in job.layers], total)
    for index, layer in enumerate(job.layers):
        found = replace(captured.pop(layer.name), ordinary=tuple(ordinary.pop(layer.name)))
        pairs = keeps.pop(layer.name, [])
        if job.solutions and depends_on_outputs(layer):
            found, pairs = _after_edit(job, layer, found, pairs)
        task = job.solver.solve_task(found, masks[layer.name], pairs)
        start = _PARTS * (index + 1)
        job.solutions[layer.name] = yield from _within(task, layer.level, start, total)
    return _edit(job, stack.base_fingerprint, below, name)


def _check(
    segmenter: Segmenter,
    sources: Sequence[Source],
    layers: Iterable[str] | None,
    solver: SolverSettings | None,
    keep: Keep,
    context: Sequence[NDArray[np.uint8]],
) -> _Job:
    if isinstance(solver, Labels | Agreement):
        use = "correct" if isinstance(solver, Labels) else "teach_itself"
        raise InputError(
            f"The solver {solver.to_dict()['name']} fits to labels, not to a painted slice: "
            f"use {use}."
        )
    if solver is None:
        solver = Ridge(keep_weight=1.0 if len(keep) else 0.0)
    _check_sources(sources, solver, keep, context)
    chosen = choose_layers(segmenter, layers)
    # Layers fed by other editable layers come last, to be solved on the keys that will be theirs.
    chosen.sort(key=depends_on_outputs)
    return _Job(segmenter, sources, chosen, solver, keep, context)


def _check_sources(
    sources: Sequence[Source],
    solver: SolverSettings | Distil,
    keep: Keep,
    context: Sequence[NDArray[np.uint8]],
) -> None:
    if not sources:
        raise InputError("There is no slice to make the edit from: give at least one.")
    for source in sources:
        source.check()
    for kept, labels in keep:
        fossil_mask(labels, kept, "The labels of a slice to keep")
    if len(keep) and not solver.uses_keep_set:
        raise InputError(
            "Slices to keep were given, but the solver gives them no weight: "
            "choose the solver ridge with a keep weight above 0."
        )
    if len(context) and not solver.uses_context:
        raise InputError(
            "Slices of the context were given, but they have a say only where a layer may change "
            "in few directions: choose the solver low_rank, or adam with a rank."
        )


def _capture(job: _Job) -> tuple[dict[str, Captured], dict[str, torch.Tensor]]:
    """Features of all sources, and 1 on the cells to be edited, by layer."""
    from napari_fossiledit.editing.features import stacked, stacked_captures

    began = perf_counter()
    names = [layer.name for layer in job.layers]
    found = capture_all(job.segmenter, job.sources, names)
    masks = [edit_masks(s, each) for s, each in zip(job.sources, found, strict=True)]
    joined = {
        name: (
            stacked_captures([each.pop(name) for each in found]),
            stacked([each.pop(name) for each in masks]),
        )
        for name in names
    }
    job.feature_seconds += perf_counter() - began
    return {n: c for n, (c, _) in joined.items()}, {n: m for n, (_, m) in joined.items()}


def _skip_layers(job: _Job, masks: dict[str, torch.Tensor]) -> None:
    """Leave layers out that have no cell to edit, unless there would be none left to solve."""
    empty = [layer for layer in job.layers if not bool((masks[layer.name] > 0).any())]
    if len(empty) < len(job.layers):
        job.skipped = empty
        job.layers = [layer for layer in job.layers if layer not in empty]


def _keep_pairs(
    job: _Job, names: list[str], total: int
) -> Task[dict[str, list[tuple[torch.Tensor, torch.Tensor]]]]:
    """Keys of the slices to keep with their fossils' cells; the edited slices come first."""
    pairs: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {name: [] for name in names}
    if not job.solver.uses_keep_set:
        return pairs
    for index, (image, fossils) in enumerate(job.kept):
        yield Progress(0, total, f"Features of slice {index + 1} of {len(job.kept)} to keep")
        checkpoint()
        _add_keep_pairs(job, pairs, image, fossils)
    return pairs


def _add_keep_pairs(
    job: _Job,
    pairs: dict[str, list[tuple[torch.Tensor, torch.Tensor]]],
    image: NDArray[np.uint8],
    fossils: NDArray[Any],
) -> None:
    from napari_fossiledit.editing.features import layer_mask, require_finite

    began = perf_counter()
    for name, at in job.segmenter.features(image, list(pairs)).items():
        require_finite(name, at.key)
        pairs[name].append((at.key, (layer_mask(np.asarray(fossils) > 0, at) >= 0.5).float()))
    job.feature_seconds += perf_counter() - began


def _ordinary_keys(job: _Job, names: list[str], total: int) -> Task[dict[str, list[torch.Tensor]]]:
    """Keys of the context's slices by layer."""
    keys: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    for index, image in enumerate(job.context):
        yield Progress(0, total, f"Features of slice {index + 1} of {len(job.context)} of context")
        checkpoint()
        _add_ordinary_keys(job, keys, image)
    return keys


def _add_ordinary_keys(
    job: _Job, keys: dict[str, list[torch.Tensor]], image: NDArray[np.uint8]
) -> None:
    from napari_fossiledit.editing.features import require_finite

    began = perf_counter()
    for name, at in job.segmenter.features(image, list(keys)).items():
        require_finite(name, at.key)
        keys[name].append(at.key)
    job.feature_seconds += perf_counter() - began


def _after_edit(
    job: _Job,
    layer: EditableLayer,
    found: Captured,
    pairs: list[tuple[torch.Tensor, torch.Tensor]],
) -> tuple[Captured, list[tuple[torch.Tensor, torch.Tensor]]]:
    """Keys of a layer as they will be once the layers before it are edited."""
    from napari_fossiledit.editing.features import Captured, require_finite, stacked

    began = perf_counter()
    segmenter = job.segmenter
    fresh: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {layer.name: []}
    ordinary: dict[str, list[torch.Tensor]] = {layer.name: []}
    with segmenter.lock, ExitStack() as undo:
        for name, solution in job.solutions.items():
            for tensor, delta in _deltas(name, solution).items():
                weight = segmenter.weight(tensor)
                undo.callback(segmenter.set_weight, tensor, weight)
                segmenter.set_weight(tensor, weight + delta)
        many = [segmenter.features(s.image, [layer.name])[layer.name] for s in job.sources]
        at = replace(
            many[0], key=stacked([m.key for m in many]), value=stacked([m.value for m in many])
        )
        for image, fossils in job.kept if pairs else ():
            checkpoint()
            _add_keep_pairs(job, fresh, image, fossils)
        for image in job.context:
            checkpoint()
            _add_ordinary_keys(job, ordinary, image)
    require_finite(layer.name, at.key, at.value)
    job.feature_seconds += perf_counter() - began
    kept = tuple(ordinary[layer.name])
    return Captured(at, found.target, found.weight, found.bias, kept), fresh[layer.name]


def _within(task: Task[Solution], level: str, start: int, total: int) -> Task[Solution]:
    """A solver's progress as a part of the whole edit's."""

    def change(step: Progress) -> Progress:
        checkpoint()
        part = _PARTS * step.done // step.total if step.total else 0
        return Progress(start + part, total, f"{level}: {step.message}", data=step.data)

    return mapped(task, change)


def _edit(job: _Job, base: str, below: list[dict[str, Any]], name: str | None) -> Edit:
    solver = job.solver.to_dict()
    names = [layer.name for layer in job.layers]
    found = [job.solutions[layer] for layer in names]
    first, *others = (source.to_dict() for source in job.sources)
    provenance = {
        **made_by(job.segmenter, base),
        **first,
        "layers": layer_facts(job.layers),
        "skipped_layers": [
            {"name": layer.name, "level": layer.level, "reason": _SKIPPED} for layer in job.skipped
        ],
        "solver": solver,
        "kept_slices": len(job.keep),
        **({"context_slices": len(job.context)} if len(job.context) else {}),
        "loss": {
            layer: {"before": s.losses[0], "after": s.losses[-1]}
            for layer, s in zip(names, found, strict=True)
        },
        "seconds": {
            "features": job.feature_seconds,
            "solve": sum(solution.seconds for solution in found),
        },
        "made_on_top_of": below,
    }
    if others:
        provenance["other_slices"] = others
    return Edit(
        name=name or f"{solver['name']} {'+'.join(layer.level for layer in job.layers)}",
        deltas={
            tensor: delta.detach().cpu()
            for layer, solution in zip(names, found, strict=True)
            for tensor, delta in _deltas(layer, solution).items()
        },
        provenance=provenance,
        losses={layer: list(s.losses) for layer, s in zip(names, found, strict=True)},
    )


def _deltas(layer: str, solution: Solution) -> dict[str, torch.Tensor]:
    """A layer's changes by the names of its tensors."""
    if solution.bias is None:
        return {layer: solution.delta}
    return {layer: solution.delta, f"{layer}.bias": solution.bias}
