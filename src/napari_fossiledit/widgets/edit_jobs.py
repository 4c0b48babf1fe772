"""The tasks of page 5: make an edit, choose its strength, read and write edit files. No Qt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fossiledit.progress import Progress, Task
from napari_fossiledit.widgets.jobs import labelled_task
from napari_fossiledit.widgets.session import Recipe

if TYPE_CHECKING:
    from napari_fossiledit.widgets.layers import LabelSource, StackSource

__all__ = [
    "MendJob",
    "Mended",
    "Others",
    "SolverChoice",
    "Strengthened",
    "load_edit_task",
    "mend_task",
    "save_edit_task",
    "strength_task",
]


@dataclass(frozen=True)
class SolverChoice:
    """The solver and its settings, as chosen on the page."""

    kind: str = "ridge"
    damping: float = 0.1
    keep_weight: float = 0.0
    steps: int = 70
    rate: float = 5e-5

    def settings(self) -> Any:
        """The library's solver settings."""
        from napari_fossiledit import editing

        if self.kind == "adam":
            return editing.Adam(steps=self.steps, lr=self.rate)
        return editing.Ridge(damping=self.damping, keep_weight=self.keep_weight)


@dataclass(frozen=True)
class Others:
    """The other labelled slices, on which a strength may be chosen."""

    labels: LabelSource
    confusers: LabelSource | None
    at_most: int
    without: frozenset[int] = frozenset()


@dataclass(frozen=True)
class MendJob:
    """All that one press of the button needs."""

    segmenter: Any
    stack: StackSource
    fossils: LabelSource
    z: int
    recipe: Recipe
    layers: tuple[str, ...]
    solver: SolverChoice
    strength: float
    others: Others | None = None


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
    """A new edit, not yet on the model."""

    edit: Any
    job: MendJob
    found: Strengthened = field(default_factory=lambda: Strengthened(None))


def mend_task(job: MendJob) -> Task[Mended]:
    """Paint the slice, solve for the edit, and choose its strength on other labelled slices."""
    from napari_fossiledit.editing import rewrite_task

    yield Progress(0, 0, f"reading slice {job.z}")
    image, fossils = job.stack.read(job.z), job.fossils.read(job.z)
    perturbed = job.recipe.perturbation().apply(image, fossils > 0)
    edit = yield from rewrite_task(
        job.segmenter,
        image,
        perturbed,
        fossils,
        layers=job.layers,
        solver=job.solver.settings(),
        name=f"{job.solver.kind}, {job.stack.slice_name(job.z)}",
    )
    if job.others is None:
        return Mended(edit, job)
    return Mended(edit, job, (yield from strength_task(job, edit, job.others)))


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
    from napari_fossiledit.errors import InputError

    source = edit.provenance.get("image_sha256")
    try:
        slices = yield from labelled_task(
            job.stack,
            others.labels,
            others.confusers,
            at_most=others.at_most,
            without=others.without,
            seen=lambda image: image_sha256(image) == source,
        )
    except InputError:
        return Strengthened(None)  # an edit can be made with a single labelled slice
    choice = yield from choose_strength_task(job.segmenter, edit, slices)
    made = edit.with_choice(choice, (piece.image for piece in slices))
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
