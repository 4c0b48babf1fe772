"""The paper's tables on any model, stack and labels: a sweep that can be killed and resumed.

Source: Panigrahi et al. (arXiv 2210.03879), Tab. 2 to 8 and the appendix, each for the paper's
solver and for ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.pipeline.evaluate import require_fossils
from napari_fossiledit.pipeline.experiment_folder import ExperimentFolder
from napari_fossiledit.pipeline.experiment_paint import check_texture
from napari_fossiledit.pipeline.experiment_plan import (
    SOLVERS,
    Settings,
    Trial,
    paper_trials,
    slice_sha,
    trial_key,
)
from napari_fossiledit.pipeline.experiment_trial import (
    Bench,
    baseline_cost,
    baseline_task,
    trial_cost,
    trial_task,
)
from napari_fossiledit.progress import Progress, Task, mapped, run

if TYPE_CHECKING:
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["Experiment", "experiment", "experiment_task", "redraw"]

_SUITES = ("paper",)


@dataclass(frozen=True)
class Experiment:
    """A finished sweep.

    Attributes
    ----------
    folder : Path
        With ``tables.csv``, ``seconds.csv``, ``results.json``, ``report.html`` and ``trials/``.
    results : dict
        All figures, as in ``results.json``.
    """

    folder: Path
    results: dict[str, Any]

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The rows that could not be run; each says why under ``failed``."""
        return [row for row in self.results["rows"] if row["failed"]]


def experiment_task(
    out: str | Path,
    *,
    segmenter: Segmenter | None = None,
    edit_slices: Sequence[LabelledSlice] | None = None,
    unseen: Sequence[LabelledSlice] | None = None,
    settings: Settings | None = None,
    suite: str = "paper",
) -> Task[Experiment]:
    """Run the paper's tables, or what is left of them, and write tables and report.

    Every trial that is done lies in a file of its own: whoever closes the task, or kills the
    process, loses one trial at most, and the same call goes on from there.

    Parameters
    ----------
    out : path
        A new or empty folder, or one of the very same experiment.
    segmenter : Segmenter, optional
        By default the demo model. Edits that lie on it are taken off meanwhile.
    edit_slices, unseen : sequence of LabelledSlice, optional
        Slices that make edits and choose strengths, and slices that only score them; by default
        the demo model's six training slices, and two slices of each reporting reef.
    settings : Settings, optional
    suite : str
        "paper".

    Yields
    ------
    Progress
        Counted in predictions; the message says the table, the row and the time left.

    Raises
    ------
    InputError
        No fossil, no slice to evaluate on, a slice in both sets, a texture crop outside; a folder
        of other content.
    OutputError
        When the folder cannot be written.
    """
    from napari_fossiledit import models
    from napari_fossiledit.editing import EditStack
    from napari_fossiledit.pipeline.experiment_report import write_tables

    if suite not in _SUITES:
        raise InputError(f'There is no suite "{suite}": choose {" or ".join(_SUITES)}.')
    settings = settings or Settings()
    if edit_slices is None and unseen is None:
        yield Progress(0, 0, "Making the sample reefs")
        edit_slices, unseen = _sample()
    if edit_slices is None or unseen is None:
        raise InputError(
            "Edit slices and slices to evaluate on belong together: give both, or none of them "
            "for the sample reef."
        )
    _check_slices(edit_slices, unseen)
    check_texture(settings, list(edit_slices))
    if segmenter is None:
        yield Progress(0, 0, "Loading the demo model")
        segmenter = models.load("demo")
    stack = EditStack.of(segmenter)
    with stack.kept():
        stack.clear()
        bench = Bench(segmenter, list(edit_slices), list(unseen), settings, _layers(segmenter))
        folder, trials = _begin(
            out, bench, suite, _identity(bench.segmenter, stack.base_fingerprint)
        )
        yield from _sweep(folder, bench, trials)
    yield Progress(0, 0, "Writing tables and report")
    return Experiment(folder.path, write_tables(folder))


def experiment(
    out: str | Path,
    *,
    segmenter: Segmenter | None = None,
    edit_slices: Sequence[LabelledSlice] | None = None,
    unseen: Sequence[LabelledSlice] | None = None,
    settings: Settings | None = None,
    suite: str = "paper",
) -> Experiment:
    """Run `experiment_task` to its end."""
    return run(
        experiment_task(
            out,
            segmenter=segmenter,
            edit_slices=edit_slices,
            unseen=unseen,
            settings=settings,
            suite=suite,
        )
    )


def redraw(out: str | Path) -> Experiment:
    """Write an experiment's tables and report anew: no model, no slice, no trial is needed.

    From ``results.json`` where it holds all rows; else (a sweep that was stopped) from the trials
    that are done.

    Raises
    ------
    InputError
        When the folder holds no experiment, or no trial of it is done.
    """
    from napari_fossiledit.pipeline.experiment_report import redraw_tables

    folder = ExperimentFolder.open(out)
    return Experiment(folder.path, redraw_tables(folder))


def _sample() -> tuple[Sequence[LabelledSlice], Sequence[LabelledSlice]]:
    from napari_fossiledit.sample import splits

    return splits.training_slices(), splits.unseen_slices(splits.REPORTING_SEEDS, (8, 40))


def _check_slices(edit_slices: Sequence[LabelledSlice], unseen: Sequence[LabelledSlice]) -> None:
    require_fossils([*edit_slices, *unseen])
    if not edit_slices:
        raise InputError("There is no slice to edit with: choose at least one labelled slice.")
    if not unseen:
        raise InputError(
            "All labelled slices are edit slices, so none is left to evaluate on: label one more, "
            "or choose fewer edit slices."
        )
    for piece in edit_slices:
        if not piece.fossils.any():
            raise InputError(
                f"The edit slice {piece.name} has no labelled fossil: choose one that has, as an "
                "edit must know what to keep."
            )
        if piece.fossils.all():
            raise InputError(
                f"The labels of the edit slice {piece.name} cover the whole slice: choose a slice "
                "where the rock is seen."
            )
    require_fossils(unseen)
    images = {piece.image.tobytes(): piece.name for piece in edit_slices}
    for piece in unseen:
        if piece.image.tobytes() in images:
            raise InputError(
                f"The slice {piece.name} is both an edit slice and one to evaluate on: what an "
                "edit has seen cannot measure it; choose other slices for one of the two."
            )


def _layers(segmenter: Segmenter) -> dict[str, list[str]]:
    from napari_fossiledit.editing import default_layers, output_layers

    return {
        "paper": [layer.name for layer in output_layers(segmenter)],
        "ours": [layer.name for layer in default_layers(segmenter)],
    }


def _identity(segmenter: Segmenter, fingerprint: str) -> str:
    """The weights' fingerprint with all else that decides what the model finds."""
    facts = {k: v for k, v in sorted(segmenter.facts.items()) if k != "Backend"}
    about: list[object] = [segmenter.fossil_classes, segmenter.limits, facts]
    if segmenter.input_zoom != 1:
        about.append(segmenter.input_zoom)
    return hashlib.sha256(f"{fingerprint} {about}".encode()).hexdigest()


def _begin(
    out: str | Path, bench: Bench, suite: str, fingerprint: str
) -> tuple[ExperimentFolder, list[tuple[str, Trial]]]:
    """Lay out the trials and open the folder for them."""
    shas = {"edit": bench.edit_slices, "unseen": bench.unseen}
    slices = {
        which: [{"name": piece.name, "sha256": slice_sha(piece)} for piece in pieces]
        for which, pieces in shas.items()
    }
    made_of = {"model": fingerprint, "layers": bench.layers, "slices": slices}
    keyed = [
        (trial_key(trial, bench.settings, made_of), trial)
        for trial in paper_trials(bench.settings, [piece.name for piece in bench.edit_slices])
    ]
    rows = [{**asdict(trial), "key": key} for key, trial in keyed]
    manifest = {
        "suite": suite,
        "model": {"name": bench.segmenter.name, "fingerprint": fingerprint},
        "slices": slices,
        "layers": dict(bench.layers),
        "settings": bench.settings.to_dict(),
        "solvers": list(SOLVERS),
        "baseline": trial_key(None, bench.settings, made_of),
        "rows": rows,
    }
    return ExperimentFolder.start(out, manifest), keyed


def _sweep(
    folder: ExperimentFolder, bench: Bench, keyed: list[tuple[str, Trial]]
) -> Generator[Progress, None, None]:
    """Run the trials that have no file yet, each once."""
    first = folder.manifest["baseline"]
    baseline = folder.read(first)
    # The first images go through all tables first: a sweep that is stopped has some of each.
    ordered = sorted(keyed, key=lambda pair: max(pair[1].images))
    left = {key: trial for key, trial in ordered if folder.read(key) is None}
    costs = {key: trial_cost(bench, trial) for key, trial in left.items()}
    clock = _Clock(sum(costs.values()) + (baseline_cost(bench) if baseline is None else 0))
    if baseline is None:
        record = yield from clock.timed(baseline_task(bench), "Unedited model")
        baseline = folder.write(first, record)
        clock.add(baseline_cost(bench))
    for number, (key, trial) in enumerate(left.items(), start=1):
        title = f"{number} of {len(left)}: Tab. {trial.table}, {trial.row}, {trial.solver}"
        task = trial_task(bench, trial, baseline)
        folder.write(key, (yield from clock.timed(task, title)))
        clock.add(costs[key])


class _Clock:
    """Counts the work done and tells the time left, from what this run has measured."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._began = perf_counter()

    def add(self, cost: int) -> None:
        self._done += cost

    def timed(self, task: Task[dict[str, Any]], title: str) -> Task[dict[str, Any]]:
        def change(step: Progress) -> Progress:
            done = self._done + step.done
            return Progress(done, self._total, f"{title}: {step.message}{self._left(done)}")

        return mapped(task, change)

    def _left(self, done: int) -> str:
        spent = perf_counter() - self._began
        if done == 0 or spent < 5:
            return ""
        minutes = spent / done * (self._total - done) / 60
        return f" (about {minutes:.0f} min left)" if minutes >= 1 else " (less than 1 min left)"
