"""The tasks of page 5: make an edit, choose its strength, read and write edit files. No Qt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task
from napari_fossiledit.widgets.jobs import labelled_task, read_slice
from napari_fossiledit.widgets.session import Recipe
from napari_fossiledit.widgets.solver_specs import SolverChoice

if TYPE_CHECKING:
    from napari_fossiledit.widgets.layers import LabelSource, StackSource

__all__ = [
    "MendJob",
    "Mended",
    "Others",
    "Strengthened",
    "load_edit_task",
    "mend_task",
    "parse_slices",
    "save_edit_task",
    "strength_task",
]


@dataclass(frozen=True)
class Others:
    """The other labelled slices, on which a strength may be chosen."""

    labels: LabelSource
    confusers: LabelSource | None
    at_most: int
    without: frozenset[int] = frozenset()
    rule: str = "most precise"
    recall_loss: float = 0.035


@dataclass(frozen=True)
class MendJob:
    """All that one press of the button needs.

    Attributes
    ----------
    fossils : LabelSource, optional
        May be None for a solver that reads no labels.
    z : int
        The slice shown.
    sources : tuple of int, optional
        The slices that the edit is made from; None for all that are labelled.
    how : {"jointly", "in sequence"}
        How several slices are taken.
    rehearse : tuple of int
        Slices that the model was trained on, for a solver that fits to labels.
    others : Others, optional
        Where the strength is chosen; None where it is ``strength``.
    """

    segmenter: Any
    stack: StackSource
    fossils: LabelSource | None
    z: int
    recipe: Recipe
    layers: tuple[str, ...]
    solver: SolverChoice
    strength: float
    others: Others | None = None
    sources: tuple[int, ...] | None = ()
    how: str = "jointly"
    rehearse: tuple[int, ...] = ()


@dataclass(frozen=True)
class Strengthened:
    """A strength chosen by the program.

    Attributes
    ----------
    choice : StrengthChoice, or None
        None when there was no other labelled slice.
    used : tuple of int
        The slices that it was chosen on.
    edit : Edit, or None
        The edit with its strength, and where that was chosen, in its provenance.
    """

    choice: Any
    used: tuple[int, ...] = ()
    edit: Any = None


@dataclass(frozen=True)
class Mended:
    """A new edit, not yet on the model, and the slices that it was made from."""

    edit: Any
    job: MendJob
    slices: tuple[int, ...]
    found: Strengthened = field(default_factory=lambda: Strengthened(None))


def parse_slices(text: str, count: int) -> tuple[int, ...]:
    """Numbers of slices, e.g. from "3, 7-9", in the order given.

    Raises
    ------
    InputError
        If that cannot be read, or a slice does not exist.
    """
    found: list[int] = []
    for part in text.replace(";", ",").split(","):
        ends = [end.strip() for end in part.split("-")] if part.strip() else []
        if not ends:
            continue
        if len(ends) > 2 or not all(end.isdecimal() for end in ends):
            raise InputError(f"'{part.strip()}' is no slice: write numbers such as 3, 7-9.")
        first, last = int(ends[0]), int(ends[-1])
        if first > last or last >= count:
            raise InputError(
                f"There is no slice {part.strip()}: the stack has the slices 0 to {count - 1}."
            )
        found += range(first, last + 1)
    if not found:
        raise InputError("Write the numbers of the slices, such as 3, 7-9.")
    return tuple(dict.fromkeys(found))


def mend_task(job: MendJob) -> Task[Mended]:
    """Solve for the edit, and choose its strength on labelled slices that did not make it."""
    numbers = job.sources or (job.z,)
    if job.sources is None:
        yield Progress(0, 0, "looking for labelled slices")
        fossils = _fossils(job)
        numbers = tuple(fossils.labelled())
        if not numbers:
            raise InputError(
                f"The labels '{fossils.name}' are empty: paint the fossils of at least one slice."
            )
    spec = job.solver.spec
    make = _painted_task if spec.paints else _corrected_task
    if not spec.reads_labels:
        make = _taught_task
    edit = yield from make(job, numbers)
    names = [f"slice {z}" for z in numbers]
    edit.provenance["slice"] = f"{job.stack.name}, {', '.join(names)}"
    numbers = tuple(dict.fromkeys((*numbers, *job.rehearse)))
    if job.others is None:
        return Mended(edit, job, numbers)
    others = replace(job.others, without=job.others.without | set(numbers))
    return Mended(edit, job, numbers, (yield from strength_task(job, edit, others)))


def _fossils(job: MendJob) -> LabelSource:
    if job.fossils is None:
        raise InputError("Choose a labels layer with fossils first.")
    return job.fossils


def _name(job: MendJob, numbers: tuple[int, ...]) -> str:
    if len(numbers) == 1:
        return f"{job.solver.kind}, {job.stack.slice_name(numbers[0])}"
    return f"{job.solver.kind}, {job.stack.name}, {len(numbers)} slices"


def _painted_task(job: MendJob, numbers: tuple[int, ...]) -> Task[Any]:
    """Paint the slices and rewrite the layers so that they look painted to the model."""
    from napari_fossiledit import editing

    sources = []
    for z in numbers:
        yield Progress(0, 0, f"reading slice {z}")
        image, fossils = job.stack.read(z), _fossils(job).read(z)
        perturbed = yield from job.recipe.perturbation().apply_task(image, fossils)
        sources.append(editing.Source(image, perturbed, fossils))
    how: Any = job.how
    return (
        yield from editing.rewrite_several_task(
            job.segmenter,
            sources,
            how=how,
            layers=job.layers,
            solver=job.solver.settings(),
            name=_name(job, numbers),
        )
    )


def _corrected_task(job: MendJob, numbers: tuple[int, ...]) -> Task[Any]:
    """Fit the heads, and layers that are ticked, to the slices' labels."""
    from napari_fossiledit import editing
    from napari_fossiledit.editing.correcting import has_heads

    pieces = {}
    for z in (*numbers, *job.rehearse):
        yield Progress(0, 0, f"reading slice {z}")
        pieces[z] = read_slice(job.stack, _fossils(job), None, z)
    settings = job.solver.settings()
    if settings.heads and not has_heads(job.segmenter):
        settings = replace(settings, heads=False)
    return (
        yield from editing.correct_task(
            job.segmenter,
            [pieces[z] for z in numbers],
            layers=job.layers or None,
            solver=settings,
            rehearse=[pieces[z] for z in job.rehearse if z not in numbers],
            name=_name(job, numbers),
        )
    )


def _taught_task(job: MendJob, numbers: tuple[int, ...]) -> Task[Any]:
    """Fit the heads to what the model itself agrees on in slices without labels."""
    from napari_fossiledit import editing

    images, known = [], []
    for z in numbers:
        yield Progress(0, 0, f"reading slice {z}")
        images.append(job.stack.read(z))
    for z in job.rehearse:
        if z not in numbers:
            yield Progress(0, 0, f"reading slice {z}")
            known.append(read_slice(job.stack, _fossils(job), None, z))
    return (
        yield from editing.teach_itself_task(
            job.segmenter,
            images,
            rehearse=known,
            solver=job.solver.settings(),
            name=_name(job, numbers),
        )
    )


def strength_task(job: Any, edit: Any, others: Others) -> Task[Strengthened]:
    """Choose an edit's strength on labelled slices other than the one it was made from.

    Parameters
    ----------
    job : object
        Anything with ``segmenter`` and ``stack``.
    edit : Edit
    others : Others
    """
    from napari_fossiledit.editing import choose_strength_task
    from napari_fossiledit.editing.edit import image_sha256

    made_from = edit.made_from
    try:
        slices = yield from labelled_task(
            job.stack,
            others.labels,
            others.confusers,
            at_most=others.at_most,
            without=others.without,
            seen=lambda image: image_sha256(image) in made_from,
        )
    except InputError:
        return Strengthened(None)  # an edit can be made with a single labelled slice
    choice = yield from choose_strength_task(
        job.segmenter, edit, slices, rule=others.rule, recall_loss=others.recall_loss
    )
    made = edit.with_choice(
        choice, (piece.image for piece in slices), names=[piece.name for piece in slices]
    )
    return Strengthened(choice, numbers(slices), made)


def numbers(slices: Iterable[Any]) -> tuple[int, ...]:
    """The numbers of labelled slices, from their names."""
    return tuple(int(piece.name.split()[-1]) for piece in slices)


def save_edit_task(edit: Any, path: str) -> Task[Path]:
    """Write an edit file."""
    yield Progress(0, 1, "writing the edit")
    return Path(edit.save(path))


def load_edit_task(path: str, edits: Any) -> Task[Any]:
    """Read an edit file and check that it fits the model."""
    from napari_fossiledit.editing import load_edit

    yield Progress(0, 1, "reading the edit")
    edit = load_edit(path)
    edits.check(edit)
    return edit
