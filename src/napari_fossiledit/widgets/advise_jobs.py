"""The advisor's task: every remedy on labelled slices of the chosen stack. No Qt; in a worker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fossiledit.errors import InputError, OutputError
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.progress import Progress, Task
from napari_fossiledit.widgets.edit_jobs import numbers
from napari_fossiledit.widgets.jobs import labelled_task, read_slice

if TYPE_CHECKING:
    from napari_fossiledit.pipeline.advice import Advice
    from napari_fossiledit.widgets.layers import LabelSource, StackSource

__all__ = ["AdviseJob", "Advised", "ask_task", "save_advice"]


@dataclass(frozen=True)
class AdviseJob:
    """What one press of the button needs.

    Attributes
    ----------
    edits : tuple of Edit
        Those that are switched on: what they have seen cannot judge the model that has them.
    names : tuple of str
        Their names in the list.
    trained_on : tuple of int
        Slices that the model was trained on: rehearsed where they are labelled, never judged.
    at_most : int
        So many labelled slices, spread over the stack.
    """

    segmenter: Any
    stack: StackSource
    labels: LabelSource
    confusers: LabelSource | None
    edits: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()
    trained_on: tuple[int, ...] = ()
    at_most: int = 6


@dataclass(frozen=True)
class Advised:
    """What the advisor says, of which stack.

    Attributes
    ----------
    advice : Advice
    stack : str
    slices : tuple of int
        Those that were judged on.
    edits : tuple of str
        Names of the edits that were switched on.
    """

    advice: Advice
    stack: str
    slices: tuple[int, ...]
    edits: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What was tried on what, as sentences."""
        listed = ", ".join(map(str, self.slices))
        made = ", ".join(name.split()[-1] for name in self.advice.made_from)
        each = "slice" if len(self.advice.made_from) == 1 else "each of the slices"
        words = f"{self.stack}, slices {listed}; remedies were made from {each} {made}."
        count = self.advice.trained_on
        if count:
            many = "slice was" if count == 1 else "slices were"
            words += f" {count} {many} rehearsed."
        if self.edits:
            names = ", ".join(f"'{name}'" for name in self.edits)
            words += f" 'As it is' is the model with {names}, switched on at the time."
        return words


def ask_task(job: AdviseJob) -> Task[Advised]:
    """Read the labelled slices and try every remedy on them.

    Raises
    ------
    InputError
        With fewer than two labelled slices that the model was not trained on.
    """
    from napari_fossiledit.editing import EditStack
    from napari_fossiledit.pipeline.advisor import advise_task

    EditStack.of(job.segmenter).sync()  # a strength just moved may still wait
    slices = yield from _judged_task(job)
    known = yield from _rehearsed_task(job)
    advice = yield from advise_task(job.segmenter, slices, trained_on=known)
    return Advised(advice, job.stack.name, numbers(slices), job.names)


def _judged_task(job: AdviseJob) -> Task[list[LabelledSlice]]:
    try:
        slices = yield from labelled_task(
            job.stack,
            job.labels,
            job.confusers,
            at_most=job.at_most,
            without=job.trained_on,
            seen=lambda image: any(edit.has_seen(image) for edit in job.edits),
        )
    except InputError as error:
        if not job.trained_on and not job.edits:
            raise
        raise InputError(_too_few(0, job)) from error
    if len(slices) < 2:
        raise InputError(_too_few(len(slices), job))
    return slices


def _too_few(count: int, job: AdviseJob) -> str:
    which = [" that the model was not trained on"] if job.trained_on else []
    if job.edits:
        which.append(" that no active edit has seen")
    many = "one" if count else "none"
    return (
        f"The advisor needs at least two labelled slices{' and'.join(which)}, but there is {many}: "
        "label another slice."
    )


def _rehearsed_task(job: AdviseJob) -> Task[list[LabelledSlice]]:
    """The slices of the training that are labelled here."""
    known = []
    for z in job.trained_on:
        yield Progress(0, 0, f"reading slice {z}")
        piece = read_slice(job.stack, job.labels, job.confusers, z)
        if piece.fossils.any():
            known.append(piece)
    return known


def save_advice(advice: Advice, path: str | Path) -> tuple[Path, Path]:
    """Write the picture as PNG, and beside it the JSON that it can be drawn from again.

    Parameters
    ----------
    advice : Advice
    path : str or path
        Of the picture.

    Returns
    -------
    picture, figures : Path

    Raises
    ------
    OutputError
        If a file cannot be written, or a JSON file of that name belongs to something else.
    """
    from napari_fossiledit import io
    from napari_fossiledit.pipeline.advice_figure import advice_figure
    from napari_fossiledit.pipeline.figures import png_bytes

    target = Path(path)
    picture = target if target.suffix.lower() == ".png" else target.with_name(f"{target.name}.png")
    figures = picture.with_suffix(".json")
    if figures.exists() and not picture.exists():
        # The dialog asked only whether the picture may be replaced.
        raise OutputError(f"There is a file {figures.name} already: choose another name.")
    io.write_json(figures, advice.to_dict())
    io.write_bytes(picture, png_bytes(advice_figure(advice)))
    return picture, figures
