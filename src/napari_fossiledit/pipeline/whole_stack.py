"""Segment a stack of any length into a result on disk: overlapped, resumable, tiled."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError, OutOfMemoryError, OutputError
from napari_fossiledit.instances import Instances
from napari_fossiledit.pipeline.overlap import Ahead, Behind
from napari_fossiledit.pipeline.stack_identity import agreed, describe, read_slice, stack_shape
from napari_fossiledit.pipeline.tiles import check_tile
from napari_fossiledit.pipeline.tiling import choose_tile, predict_tiled
from napari_fossiledit.progress import Progress, Task, run

if TYPE_CHECKING:
    from napari_fossiledit.io import LabelStore, Stack
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = [
    "Begun",
    "Predicted",
    "Predictor",
    "Settings",
    "SliceDone",
    "instance_rows",
    "segment_stack",
    "segment_stack_task",
]

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Begun:
    """Said once, before the first slice (as a `Progress`'s ``data``).

    Attributes
    ----------
    store : LabelStore
        Where the slices appear.
    done, total : int
        Slices that an earlier run has done already, and all of them.
    tile : int or None
        Side of the tiles; None where slices are predicted whole.
    """

    store: LabelStore
    done: int
    total: int
    tile: int | None

    @property
    def sentence(self) -> str:
        """Where the run goes on, in words; '' for a new one."""
        if not self.done or self.done == self.total:
            return ""
        return f"{self.done:,} of {self.total:,} slices are done; going on"


@dataclass(frozen=True)
class SliceDone:
    """A slice that is on disk now (as a `Progress`'s ``data``).

    Attributes
    ----------
    z : int
    instances : int
    problem : str
        Why it could not be read; '' for a slice that was predicted.
    """

    z: int
    instances: int
    problem: str = ""


@dataclass(frozen=True)
class Settings:
    """How slices are predicted.

    Attributes
    ----------
    score_threshold : float
    tile : int or None
    max_detections : int
    """

    score_threshold: float
    tile: int | None
    max_detections: int

    def predict(self, segmenter: Segmenter, image: Image) -> Instances:
        """Predict one (y, x, 3) uint8 slice."""
        return predict_tiled(
            segmenter,
            image,
            tile=self.tile,
            score_threshold=self.score_threshold,
            max_detections=self.max_detections,
        )


@dataclass(frozen=True, eq=False)
class Predicted:
    """One slice, not written yet: its instances, or why it could not be read."""

    z: int
    found: Instances | None = None
    problem: str = ""


def segment_stack_task(
    segmenter: Segmenter,
    stack: Stack,
    out: str | Path,
    *,
    score_threshold: float = 0.5,
    tile: int | None = None,
    scheduler: str | None = None,
    ahead: int = 3,
    numbered: bool = False,
) -> Task[LabelStore]:
    """Predict every slice of a stack and write labels and instances, slice by slice.

    Reading, prediction and writing overlap. Every finished slice is safe on disk; started again
    with the same arguments, an unfinished run goes on where it was and gives the same bytes.

    Parameters
    ----------
    segmenter : Segmenter
        With its edits applied; its weights must not change meanwhile.
    stack : io.Stack
    out : path
        The result, an OME-Zarr (``.ome.zarr``): a new folder, or that of an earlier run.
    score_threshold : float
        Detections below this confidence are left out.
    tile : int, optional
        Predict slices in overlapping tiles with sides of at most so many pixels (the border rule:
        `pipeline.seams`). By default only where a slice is too large for the memory, or as the
        earlier run did.
    scheduler : str, optional
        Address of a Dask scheduler: its workers predict, this process reads and writes.
    ahead : int
        Slices that are read ahead.
    numbered : bool
        Where something else has the name, take the first of "name 2", "name 3" ... that is free
        or can be gone on with.

    Yields
    ------
    Progress
        ``data`` is `Begun` once, then a `SliceDone` for each slice that is on disk.

    Returns
    -------
    LabelStore
        With a table of the columns ``slice``, ``name``, ``id`` (label value in the slice),
        ``class``, ``score``, ``x0``, ``y0``, ``x1``, ``y1`` (pixels) and ``area`` (pixels that
        carry the label). A slice that could not be read is background, its `problem` says why,
        and a further run tries it again.

    Raises
    ------
    InputError
        A result of another stack, model or settings is there; no slice can be read; settings
        out of range.
    OutputError
        The disk is full, or the folder cannot be written. What is done stays.
    OutOfMemoryError
        A slice or tile is too large for the device.
    """
    if not 0 <= score_threshold <= 1:
        raise InputError(
            f"The score threshold must lie between 0 and 1, not {score_threshold:g}: 0.5 is usual."
        )
    if len(stack) == 0:
        raise InputError("There is no slice to segment: choose a stack with at least one.")
    out = Path(out)
    yield Progress(0, 0, "Looking at the stack")
    wanted = describe(
        stack,
        segmenter,
        score_threshold=score_threshold,
        tile=None if tile is None else check_tile(tile),
    )
    with closing(_predictor(segmenter, scheduler)) as predictor:
        if tile is None:
            wanted["settings"]["tile"] = yield from predictor.choose_tile(stack_shape(stack)[1:])
        store = _opened(out, stack, wanted, automatic=tile is None, numbered=numbered)
        settings = Settings(score_threshold, store.about["settings"]["tile"], segmenter.limits.most)
        yield from _fill(store, stack, predictor, settings, ahead)
    if not store.complete:
        store.finish()
    return store


def segment_stack(
    segmenter: Segmenter, stack: Stack, out: str | Path, **options: Any
) -> LabelStore:
    """Run `segment_stack_task` to its end."""
    return run(segment_stack_task(segmenter, stack, out, **options))


class Predictor(Protocol):
    """What predicts slices: this process, or a cluster."""

    def choose_tile(self, shape: tuple[int, int]) -> Task[int | None]:
        """Side of the tiles that fit into the memory; None for whole slices."""

    def predict(self, slices: Ahead[Image], settings: Settings) -> Generator[Predicted | str]:
        """Slices in any order; a text says what is waited for."""

    def close(self) -> None:
        """Let go of what is held."""


class _Here:
    """Predicts in the task's own thread."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def choose_tile(self, shape: tuple[int, int]) -> Task[int | None]:
        yield Progress(0, 0, "Looking at the memory")
        return choose_tile(self._segmenter, shape)

    def predict(self, slices: Ahead[Image], settings: Settings) -> Generator[Predicted | str]:
        for z, read in slices:
            try:
                image = read()
            except InputError as error:
                yield Predicted(z, problem=str(error))
                continue
            yield Predicted(z, settings.predict(self._segmenter, image))

    def close(self) -> None:
        """Nothing is held."""


def _predictor(segmenter: Segmenter, scheduler: str | None) -> Predictor:
    if scheduler is None:
        return _Here(segmenter)
    from napari_fossiledit.pipeline.cluster import Cluster

    return Cluster(segmenter, scheduler)


def _opened(
    out: Path, stack: Stack, wanted: dict[str, Any], *, automatic: bool, numbered: bool
) -> LabelStore:
    """The result's store, new or an earlier run's of the very same kind."""
    from napari_fossiledit.io import LabelStore

    for path in _names(out) if numbered else [out]:
        try:
            about = wanted
            if (path / ".zattrs").is_file():
                about = _as_before(LabelStore.open(path), wanted, automatic=automatic)
            return LabelStore.resume(
                path,
                shape=stack_shape(stack),
                voxel_size=stack.voxel_size,
                about=about,
                names=stack.names,
            )
        except InputError:
            if not numbered or not os.path.lexists(path):
                raise
    raise AssertionError  # the names never end


def _as_before(store: LabelStore, wanted: dict[str, Any], *, automatic: bool) -> dict[str, Any]:
    # With the tile chosen then: the memory that is free now decides nothing any more.
    tile = None if automatic else wanted["settings"]["tile"]
    return agreed(
        store.path, store.about, wanted | {"settings": wanted["settings"] | {"tile": tile}}
    )


def _names(out: Path) -> Iterator[Path]:
    """``out``, then the same name with 2, 3, ... before its suffixes."""
    yield out
    stem, dot, suffix = out.name.partition(".ome.zarr")
    for number in count(2):
        yield out.with_name(f"{stem} {number}{dot}{suffix}")


def _fill(
    store: LabelStore, stack: Stack, predictor: Predictor, settings: Settings, ahead: int
) -> Task[None]:
    """Predict and write the slices that are not done."""
    todo = [int(z) for z in np.flatnonzero(~store.done())]
    begun = Begun(store, len(store) - len(todo), len(store), settings.tile)
    tally = _Tally(store, begun.done)
    yield Progress(begun.done, begun.total, begun.sentence or "Starting", begun)
    with (
        Ahead(lambda z: read_slice(stack, z), todo, ahead) as slices,
        Behind[SliceDone]() as behind,
        _saying_what_stays(store),
        closing(predictor.predict(slices, settings)) as steps,
    ):
        for step in steps:
            if isinstance(step, Predicted):
                behind.put(partial(_write, store, step))
            else:
                yield tally.step(step)
            yield from tally.written(behind.finished())
        yield from tally.written(behind.finished(at_most=0))
    if tally.failed == begun.total:
        raise InputError(f"No slice of the stack can be read; the first: {store.problem(0)}")


class _Tally:
    """Counts slices that are on disk, and says so."""

    def __init__(self, store: LabelStore, done: int) -> None:
        self._store, self._done, self.failed = store, done, 0

    def step(self, message: str) -> Progress:
        return Progress(self._done, len(self._store), message)

    def written(self, slices: Iterable[SliceDone]) -> Iterator[Progress]:
        for one in slices:
            self._done += 1
            self.failed += bool(one.problem)
            name, count = self._store.names[one.z], one.instances
            words = one.problem or f"{name}: {count} instance{'' if count == 1 else 's'}"
            yield Progress(self._done, len(self._store), words, one)


def _write(store: LabelStore, step: Predicted) -> SliceDone:
    """Put one slice on disk; runs in the writing thread."""
    if step.found is None:
        store.mark_failed(step.z, step.problem)
        return SliceDone(step.z, 0, step.problem)
    labels = step.found.to_labels()
    rows = instance_rows(step.found, labels, store.about["settings"]["class_names"])
    store.write(step.z, labels, rows)
    return SliceDone(step.z, len(rows["id"]))


def instance_rows(
    found: Instances, labels: NDArray[np.int32], classes: Sequence[str]
) -> dict[str, list[Any]]:
    """Columns of a slice's instance table; those that others cover wholly are left out.

    Parameters
    ----------
    found : Instances
    labels : (y, x) int32
        What `Instances.to_labels` gives of them.
    classes : sequence of str
    """
    areas = np.bincount(labels.ravel(), minlength=len(found) + 1)[1:]
    seen = np.flatnonzero(areas)
    names = [classes[k] if k < len(classes) else f"class {k + 1}" for k in found.classes.tolist()]
    boxes = found.boxes.astype(np.float64).round(2)
    return {
        "id": (seen + 1).tolist(),
        "class": [names[i] for i in seen],
        "score": found.scores[seen].astype(np.float64).round(4).tolist(),
        **{side: boxes[seen, k].tolist() for k, side in enumerate(("x0", "y0", "x1", "y1"))},
        "area": areas[seen].tolist(),
    }


@contextmanager
def _saying_what_stays(store: LabelStore) -> Generator[None]:
    """Say with an error that what is done stays, and what to do."""
    try:
        yield
    except OutputError as error:
        raise OutputError(
            f"{str(error).rstrip('.')}; {store.state} and stay: start it again to go on."
        ) from error
    except OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"{str(error).rstrip('.')}; or use smaller tiles; {store.state} and stay."
        ) from error
