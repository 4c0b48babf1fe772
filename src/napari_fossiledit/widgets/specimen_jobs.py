"""The tasks of page 7: link, make a preview, measure. No Qt; run in a worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, checkpoint

if TYPE_CHECKING:
    from napari_fossiledit.volume import Links

__all__ = [
    "MOST_IN_MEMORY",
    "LinkJob",
    "Linked",
    "Preview",
    "copy_task",
    "link_and_preview_task",
    "preview_task",
]

MOST_IN_MEMORY = 1 << 28  # voxels; 1 GB of labels: more is written to disk


@dataclass(frozen=True)
class LinkJob:
    """What is linked, and how.

    Attributes
    ----------
    data : (z, y, x) integer array, numpy or lazy
    name : str
        The layer's.
    place : dict
        Where it lies.
    gap, minimum_slices, minimum_iou
        See `volume.links_task`.
    longest : int
        Most voxels along an axis of the preview.
    out : path, optional
        Where the result goes that is too large for memory.
    """

    data: Any
    name: str
    place: dict[str, Any]
    gap: int
    minimum_slices: int
    minimum_iou: float
    longest: int
    out: Path | None = None

    @property
    def voxels(self) -> int:
        """How many voxels the result has."""
        return int(np.prod(self.data.shape, dtype=object))


@dataclass(frozen=True, eq=False)
class Preview:
    """A downsampled volume (z, y, x) int32, and where it lies."""

    labels: NDArray[np.int32]
    place: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Linked:
    """Specimens and their preview.

    Attributes
    ----------
    labels : (z, y, x) int32, numpy or dask
        One number a specimen.
    links : Links
        Their first and last slices, and the merges and splits.
    features : dict
        Columns for napari: number, first slice, number of slices, voxels.
    """

    job: LinkJob
    labels: Any
    links: Links
    preview: Preview
    features: dict[str, list[Any]]

    @property
    def words(self) -> str:
        """What was found, in a sentence."""
        slices = self.links.slices
        count = self.links.count
        several = int((slices > 1).sum())
        left = self.links.left_out
        out = f" {left} shorter {'one was' if left == 1 else 'ones were'} left out." if left else ""
        return (
            f"{count} specimen{'' if count == 1 else 's'}; {several} of them in two or more "
            f"slices, the longest in {int(slices.max())}.{out}"
        )


class _Slices:
    """The slices of a label array, copied one by one."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[NDArray[np.integer]]:
        for z in range(len(self._data)):
            yield np.array(self._data[z])


def link_and_preview_task(job: LinkJob) -> Task[Linked]:
    """Link the slices of a label array, and make the preview on the way.

    Raises
    ------
    InputError
        Nothing to link, or specimens too large for memory and no place on disk for them.
    """
    from napari_fossiledit import volume

    settings = {
        "gap": job.gap,
        "minimum_slices": job.minimum_slices,
        "minimum_iou": job.minimum_iou,
    }
    if job.out is None:
        labels, links = yield from _in_memory(job, settings)
    else:
        labels, links = yield from _on_disk(job, job.out, settings)
    small, scale = yield from volume.preview_task(
        labels, tuple(job.place["scale"]), max_axis=job.longest
    )
    return Linked(
        job=job,
        labels=labels,
        links=links,
        preview=Preview(small, {**job.place, "scale": np.array(scale)}),
        features=_features(links),
    )


def _in_memory(job: LinkJob, settings: dict[str, Any]) -> Task[tuple[Any, Links]]:
    from napari_fossiledit import volume

    if job.voxels > MOST_IN_MEMORY:
        raise InputError(
            f"The labels '{job.name}' are too large to be linked in memory: choose a folder for "
            "the specimens."
        )
    links = yield from volume.links_task(_Slices(job.data), **settings)
    _check(job, links)
    labels = np.zeros(links.shape, np.int32)
    for z in range(len(labels)):
        checkpoint()
        labels[z] = links.relabel(z, np.asarray(job.data[z]))
        yield Progress(z + 1, len(labels), f"numbering slice {z + 1}")
    return labels, links


def _on_disk(job: LinkJob, out: Path, settings: dict[str, Any]) -> Task[tuple[Any, Links]]:
    from napari_fossiledit import io, volume
    from napari_fossiledit.widgets.measurement_names import unit_name

    if out.exists():
        raise InputError(f"There is something at {out} already: choose a new name.")
    z, y, x = (int(n) for n in job.data.shape)
    in_mm = unit_name(job.place["units"]) == "mm"
    sizes = tuple(float(s) for s in job.place["scale"])
    source = volume.LinkSource(
        read=lambda at: np.asarray(job.data[at]),
        shape=(z, y, x),
        names=[f"slice {at}" for at in range(z)],
        voxel_size=sizes if in_mm else None,  # type: ignore[arg-type]
        about={"layer": job.name},
    )
    store, links = yield from volume.link_to_store_task(
        source, io.LabelStore.resume, out, **settings
    )
    _check(job, links)
    return store.lazy(), links


def _check(job: LinkJob, links: Links) -> None:
    if not links.count:
        raise InputError(_nothing(job, links.left_out))


def _nothing(job: LinkJob, left_out: int) -> str:
    if left_out:
        return (
            f"All {left_out} specimens of '{job.name}' lie in fewer than {job.minimum_slices} "
            "slices: ask for fewer."
        )
    return f"The labels '{job.name}' are empty: segment several slices first (page 3)."


def preview_task(data: Any, name: str, place: dict[str, Any], longest: int) -> Task[Preview]:
    """Downsample labels slice by slice.

    Raises
    ------
    InputError
        The labels are empty.
    """
    from napari_fossiledit import volume

    small, scale = yield from volume.preview_task(data, tuple(place["scale"]), max_axis=longest)
    if not small.any():
        raise InputError(f"The labels '{name}' have nothing to show in 3D: they are empty.")
    return Preview(small, {**place, "scale": np.array(scale)})


def copy_task(data: Any) -> Task[NDArray[np.int32]]:
    """A copy of labels in memory, to be edited.

    Raises
    ------
    InputError
        It would be too large.
    """
    shape = tuple(int(n) for n in data.shape)
    if np.prod(shape, dtype=object) > MOST_IN_MEMORY:
        size = " x ".join(map(str, shape))
        raise InputError(
            f"{size} voxels are too many for a copy in memory: crop the labels to the part that "
            "you want to edit, or edit them slice by slice before linking."
        )
    copy = np.zeros(shape, np.int32)
    for z in range(shape[0]):
        checkpoint()
        copy[z] = np.asarray(data[z])
        yield Progress(z + 1, shape[0], f"copying slice {z + 1}")
    return copy


def _features(links: Links) -> dict[str, list[Any]]:
    table = links.table()
    return {
        "index": [0, *table["id"].tolist()],
        "first slice": [-1, *table["first_slice"].tolist()],
        "slices": [0, *table["slices"].tolist()],
        "voxels": [0, *table["voxels"].tolist()],
    }
