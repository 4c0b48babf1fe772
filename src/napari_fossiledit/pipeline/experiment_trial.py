"""Run one trial: paint, solve, choose the strength, score; all as plain values for a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_fossiledit.errors import EditError, InputError, ModelError
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.pipeline.evaluate import MASK_THRESHOLDS, Evaluation, evaluate_task
from napari_fossiledit.pipeline.experiment_paint import paint
from napari_fossiledit.pipeline.experiment_plan import Settings, Trial
from napari_fossiledit.progress import Progress, Task, mapped

if TYPE_CHECKING:
    from napari_fossiledit.editing import Edit, StrengthChoice
    from napari_fossiledit.metrics import InstanceScores
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = [
    "SETS",
    "Bench",
    "baseline_cost",
    "baseline_task",
    "scores_from_plain",
    "scores_to_plain",
    "trial_cost",
    "trial_task",
]

T = TypeVar("T")

SETS = ("unseen", "edit images")
"""What every trial is scored on: slices that chose nothing, and (the appendix) the edit slices."""
CURVE = "curve"
_STRENGTHS = 7  # predictions of each slice that chooses a strength
_RIDGE, _ADAM_STEP = 2.0, 0.2  # an edit's cost by source, in predictions


@dataclass(frozen=True, eq=False)
class Bench:
    """What all trials share.

    Attributes
    ----------
    segmenter : Segmenter
        Unedited.
    edit_slices, unseen : list of LabelledSlice
    settings : Settings
    layers : dict
        Names of the layers that ``paper`` and ``ours`` rewrite.
    """

    segmenter: Segmenter
    edit_slices: list[LabelledSlice]
    unseen: list[LabelledSlice]
    settings: Settings
    layers: Mapping[str, list[str]]

    def slices(self, which: str) -> list[LabelledSlice]:
        """The slices of one of `SETS`."""
        return self.unseen if which == SETS[0] else self.edit_slices

    def others(self, trial: Trial) -> tuple[list[LabelledSlice], str]:
        """The edit slices that choose a trial's strength, and what to say of them."""
        used = set(trial.images)
        # Those that follow the last one used, so that not all trials lean on the same slices.
        count = len(self.edit_slices)
        order = [(trial.images[-1] + k) % count for k in range(1, count + 1)]
        free = [self.edit_slices[i] for i in order if i not in used]
        if free:
            return free[: self.settings.strength_slices], ""
        own = [self.edit_slices[i] for i in trial.images[: self.settings.strength_slices]]
        return own, "the strength was chosen on slices of the edit itself, as there is no other"


def baseline_cost(bench: Bench) -> int:
    """How long `baseline_task` takes, in predictions of a slice."""
    return len(bench.unseen) + len(bench.edit_slices)


def _costs(bench: Bench, trial: Trial) -> tuple[int, int, int]:
    """Cost of the edit, of its strength and of its scores."""
    solver = bench.settings.solver(trial.solver)
    each = _ADAM_STEP * solver["steps"] if "steps" in solver else _RIDGE
    strength = _STRENGTHS * len(bench.others(trial)[0]) if trial.solver == "ours" else 0
    return max(1, round(each * len(trial.steps))), strength, baseline_cost(bench)


def trial_cost(bench: Bench, trial: Trial) -> int:
    """About how long `trial_task` takes, in predictions of a slice."""
    return sum(_costs(bench, trial))


def _phase(task: Task[T], start: int, cost: int, total: int) -> Task[T]:
    """A task as a phase of a trial, its steps counted in predictions."""

    def change(step: Progress) -> Progress:
        part = cost * step.done // step.total if step.total else 0
        return Progress(start + min(cost, part), total, step.message)

    return mapped(task, change)


def baseline_task(bench: Bench) -> Task[dict[str, Any]]:
    """Score the unedited model, at every mask threshold."""
    total, done = baseline_cost(bench), 0
    record: dict[str, Any] = {"scores": {}, "average_precision": {}, "figures": {}, CURVE: {}}
    began = perf_counter()
    for which in SETS:
        slices = bench.slices(which)
        task = evaluate_task(bench.segmenter, slices, mask_thresholds=MASK_THRESHOLDS)
        found = yield from _phase(task, done, len(slices), total)
        done += len(slices)
        record["scores"][which] = scores_to_plain(found.scores)
        record[CURVE][which] = {
            f"{cut:g}": scores_to_plain(scores) for cut, scores in found.by_mask_threshold.items()
        }
        record["average_precision"][which] = dict(found.average_precision)
        record["figures"][which] = _figures(found.scores, bench.settings)
    record["seconds"] = {"evaluation": perf_counter() - began}
    record["date"] = _now()
    return record


def trial_task(bench: Bench, trial: Trial, baseline: Mapping[str, Any]) -> Task[dict[str, Any]]:
    """Run one trial; a trial that cannot be run says why under ``failed``.

    Parameters
    ----------
    bench : Bench
    trial : Trial
    baseline : dict
        What `baseline_task` returned.

    Returns
    -------
    dict
        Plain JSON values; times and dates under ``seconds`` and ``date`` only.
    """
    try:
        record = yield from _run(bench, trial, baseline)
        record["failed"] = None
    except (InputError, EditError, ModelError) as error:
        record = {"failed": str(error)}
    record["date"] = _now()
    return record


def _run(bench: Bench, trial: Trial, baseline: Mapping[str, Any]) -> Task[dict[str, Any]]:
    from napari_fossiledit.editing import EditStack, rewrite_several_task, solver_from_dict

    began = perf_counter()
    costs = _costs(bench, trial)
    total = sum(costs)
    painted = [paint(bench.edit_slices[s.image], s, bench.settings) for s in trial.steps]
    solver: Any = solver_from_dict(bench.settings.solver(trial.solver))
    task = rewrite_several_task(
        bench.segmenter,
        [part.source for part in painted],
        how=trial.how,
        layers=bench.layers[trial.solver],
        solver=solver,
        name=trial.row,
    )
    edit = yield from _phase(task, 0, costs[0], total)
    seconds = {"edit": perf_counter() - began}
    notes = [note for part in painted for note in part.notes] + _skipped(edit)
    choice: StrengthChoice | None = None
    strength = 1.0
    if trial.solver == "ours":
        chosen = _choose(bench, trial, edit, seconds)
        choice, note = yield from _phase(chosen, costs[0], costs[1], total)
        strength = choice.strength
        notes += [note] if note else []
    record: dict[str, Any] = {
        "strength": strength,
        "worth_it": None if choice is None else choice.worth_it,
        "choice": None if choice is None else {"gain": choice.gain, "sentence": choice.sentence},
        "reached": [part.reached for part in painted],
        "notes": notes,
        "layers": list(edit.layers),
        "losses": {layer: [loss[0], loss[-1]] for layer, loss in edit.losses.items()},
    }
    began = perf_counter()
    found: dict[str, Evaluation] = {}
    done = costs[0] + costs[1]
    for which in SETS:
        slices = bench.slices(which)
        with EditStack.of(bench.segmenter).trial(edit, strength):
            scored = evaluate_task(bench.segmenter, slices)
            found[which] = yield from _phase(scored, done, len(slices), total)
        done += len(slices)
    seconds["evaluation"] = perf_counter() - began
    record |= _scored(bench, found, baseline)
    record["seconds"] = seconds
    return record


def _choose(
    bench: Bench, trial: Trial, edit: Edit, seconds: dict[str, float]
) -> Task[tuple[StrengthChoice, str]]:
    from napari_fossiledit.editing import choose_strength_task

    began = perf_counter()
    others, note = bench.others(trial)
    choice = yield from choose_strength_task(bench.segmenter, edit, others)
    seconds["strength"] = perf_counter() - began
    if not choice.worth_it:
        said = "the program would advise against this edit"
        note = f"{note}; {said}" if note else said
    return choice, note


def _skipped(edit: Edit) -> list[str]:
    levels = [str(entry["level"]) for entry in edit.provenance.get("skipped_layers", ())]
    if not levels:
        return []
    return [f"{', '.join(levels)} skipped: no cell of it lies in what was painted"]


def _scored(
    bench: Bench, found: Mapping[str, Evaluation], baseline: Mapping[str, Any]
) -> dict[str, Any]:
    from napari_fossiledit.metrics import difference, excess_at_equal_recall

    settings = bench.settings
    draws: dict[str, int] = {"resamples": settings.resamples, "seed": settings.seed}
    record: dict[str, Any] = {
        key: {} for key in ("scores", "average_precision", "figures", "differences", "excess")
    }
    for which, evaluation in found.items():
        before = scores_from_plain(baseline["scores"][which])
        curve = [scores_from_plain(plain) for plain in baseline[CURVE][which].values()]
        after = evaluation.scores
        changes = difference(before, after, **draws)
        excess = excess_at_equal_recall(curve, after, **draws)
        record["scores"][which] = scores_to_plain(after)
        record["average_precision"][which] = dict(evaluation.average_precision)
        record["figures"][which] = _figures(after, settings)
        record["differences"][which] = {key: value.to_dict() for key, value in changes.items()}
        record["excess"][which] = {key: value.to_dict() for key, value in excess.items()}
    return record


def _figures(scores: InstanceScores, settings: Settings) -> dict[str, Any]:
    return scores.to_dict(resamples=settings.resamples, seed=settings.seed)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def scores_to_plain(scores: InstanceScores) -> dict[str, Any]:
    """Every instance's scores as plain JSON values; `scores_from_plain` is the inverse."""
    plain: dict[str, Any] = {
        "individual": [list(pair) for pair in scores.individual],
        "threshold": scores.threshold,
        "slices": {f.name: getattr(scores.slices, f.name).tolist() for f in fields(scores.slices)},
    }
    for name in _ARRAYS:
        plain[name] = getattr(scores, name).tolist()
    return plain


_ARRAYS = ("slice_index", "precision", "recall", "iou", "matched_index")
_WHOLE = ("slice_index", "matched_index")


def scores_from_plain(plain: Mapping[str, Any]) -> InstanceScores:
    """Read what `scores_to_plain` wrote, bit for bit."""
    from napari_fossiledit.metrics import InstanceScores
    from napari_fossiledit.metrics.instance_scores import SliceTotals

    def array(name: str) -> Any:
        return np.array(plain[name], np.int64 if name in _WHOLE else np.float64)

    individual: Sequence[tuple[str, int]] = [(str(g), int(i)) for g, i in plain["individual"]]
    return InstanceScores(
        **{name: array(name) for name in _ARRAYS},
        individual=tuple(individual),
        slices=SliceTotals(**{k: np.array(v, np.int64) for k, v in plain["slices"].items()}),
        threshold=float(plain["threshold"]),
    )
