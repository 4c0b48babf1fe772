"""Link a label volume on disk into another one, slice by slice, so that a killed run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError, OutputError
from napari_fossiledit.progress import Progress, Task, mapped
from napari_fossiledit.volume.ahead import in_order
from napari_fossiledit.volume.link import links_task
from napari_fossiledit.volume.links import Links

if TYPE_CHECKING:
    # `io` lies on the same floor: its stores come as arguments.
    Store = Any

__all__ = ["LinkSource", "link_store_task", "link_to_store_task"]

_Rows = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, eq=False)
class LinkSource:
    """Labels to be linked, and what goes with them into the volume of specimens.

    Attributes
    ----------
    read : callable
        Takes a slice's number and gives its (y, x) labels; may be called by several threads.
    shape : (z, y, x)
    names : sequence of str
    voxel_size : (z, y, x) in mm, or None
    about : mapping
        What made the labels.
    rows : callable
        Takes a slice's number and gives its part of the instance table (columns by name, with
        ``id``), or nothing.
    problems : mapping of int to str
        Slices that could not be made, and why.
    """

    read: Callable[[int], NDArray[np.integer]]
    shape: tuple[int, int, int]
    names: Sequence[str]
    voxel_size: tuple[float, float, float] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    rows: Callable[[int], _Rows] = lambda z: {}
    problems: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[np.integer]]:
        return (self.read(z) for z in range(len(self)))

    def __getitem__(self, z: int) -> NDArray[np.integer]:
        return self.read(z)

    @classmethod
    def of_store(cls, store: Store, *, unfinished: bool = False) -> LinkSource:
        """A `LabelStore`; slices that are not done now count as background.

        Raises
        ------
        InputError
            It is unfinished, and ``unfinished`` does not allow that.
        """
        if not store.complete and not unfinished:
            raise InputError(
                f"{store.path} is unfinished, {store.state}: run what made it once more, and it "
                "goes on where it was; or link what is there, and say so (--unfinished)."
            )
        done = store.done()
        about = dict(store.about)
        if not store.complete:
            about["slices_done"] = int(done.sum())

        def read(z: int) -> NDArray[np.integer]:
            found: NDArray[np.integer]
            found = store[z] if done[z] else np.zeros(store.shape[1:], np.int32)
            return found

        def rows(z: int) -> _Rows:
            found: _Rows = store.rows(z) if done[z] else {}
            return found

        return cls(read, store.shape, store.names, store.voxel_size, about, rows, store.problems())


def link_store_task(
    store: Store, out: str | Path, *, unfinished: bool = False, **settings: Any
) -> Task[Store]:
    """Link a `LabelStore` into a new one, whose labels are specimens.

    Parameters
    ----------
    store : LabelStore
    out : path
        A new folder; or one that an interrupted run of the same kind left: it goes on there, and
        the bytes in the end are those of an unbroken run.
    unfinished : bool
        Link a store that is not complete, its missing slices being background.
    **settings
        As `links_task` takes them: ``gap``, ``minimum_slices``, and so on.

    Returns
    -------
    LabelStore
        Complete. Its table is that of the instances with a column ``specimen`` (0 = left out);
        beside it the tables ``specimens`` and ``events``.

    Raises
    ------
    InputError
        An unfinished store, settings out of range, an ``out`` that belongs to other labels.
    OutputError
        The disk is full or the folder cannot be written to.
    """
    source = LinkSource.of_store(store, unfinished=unfinished)
    resume = type(store).resume
    made, _ = yield from link_to_store_task(source, resume, out, **settings)
    return made


def link_to_store_task(
    source: LinkSource, resume: Callable[..., Store], out: str | Path, **settings: Any
) -> Task[tuple[Store, Links]]:
    """Link any labels into a `LabelStore`; ``resume`` is `LabelStore.resume`.

    The first pass is made again by a run that goes on: it reads the labels, and writes nothing.
    """
    total = 2 * len(source)
    links = yield from mapped(
        links_task(source, **settings),
        lambda step: Progress(step.done, total, step.message),
    )
    about = {
        "kind": "specimens",
        "labels": dict(source.about),
        "rules": asdict(links.rules),
        "links": links.digest(),
    }
    store = resume(
        out, shape=links.shape, voxel_size=source.voxel_size, about=about, names=source.names
    )
    if not store.complete:
        yield from _write(source, links, store)
    return store, links


def _write(source: LinkSource, links: Links, store: Store) -> Task[None]:
    done = store.done()
    count = int(done.sum())

    def write(z: int) -> int:
        if z in source.problems:
            store.mark_failed(z, source.problems[z])
        else:
            labels = links.relabel(z, source.read(z))
            store.write(z, labels, _rows(source.rows(z), links, z))
        return z

    try:
        for z in in_order(write, np.flatnonzero(~done).tolist()):
            count += 1
            yield Progress(len(done) + count, 2 * len(done), f"Writing slice {source.names[z]}")
        store.write_table("specimens", links.table())
        store.write_table("events", links.events_table())
        store.finish()
    except OutputError as error:
        raise OutputError(
            f"{str(error).rstrip('.')}; {store.state} and stay: start it again to go on."
        ) from error


def _rows(rows: _Rows, links: Links, z: int) -> dict[str, list[Any]]:
    """The slice's instances with their specimens."""
    labels, ids = links.instance_ids(z)
    if "id" not in rows:
        return {"id": labels.tolist(), "specimen": ids.tolist()}
    specimen = dict(zip(labels.tolist(), ids.tolist(), strict=True))
    columns = {name: list(values) for name, values in rows.items()}
    return columns | {"specimen": [specimen.get(i, 0) for i in columns["id"]]}
