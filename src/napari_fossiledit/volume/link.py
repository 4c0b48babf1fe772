"""Give the instances of neighbouring slices one 3D id, in two passes over the slices.

The first pass builds the graph of links (`links_task`), the second numbers the slices
(`Links.relabel`). Both hold a few slices only, however tall the stack is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, run
from napari_fossiledit.volume.ahead import in_order
from napari_fossiledit.volume.link_graph import LinkGraph, LinkRules
from napari_fossiledit.volume.links import Links, LinksBuilder
from napari_fossiledit.volume.pieces import Pieces, pieces_of
from napari_fossiledit.volume.runs import Runs, paint

__all__ = [
    "GAP",
    "MINIMUM_IOU",
    "MINIMUM_OVERLAP",
    "iter_linked",
    "link",
    "link_task",
    "links_task",
]

GAP = 2
"""How many slices on a partner is sought, unless told otherwise."""
MINIMUM_IOU = 0.1
"""Least intersection over union of two sections of one specimen, unless told otherwise."""
MINIMUM_OVERLAP = 0.5
"""Least part of the smaller section that the two share, unless told otherwise."""

Slices = Iterable[NDArray[np.integer]]


def link(
    slices: Slices,
    *,
    gap: int = GAP,
    minimum_iou: float = MINIMUM_IOU,
    minimum_overlap: float = MINIMUM_OVERLAP,
    minimum_slices: int = 1,
    minimum_voxels: int = 1,
    join_branches: bool = False,
) -> NDArray[np.int32]:
    """Link label images to a volume in which one specimen has one id.

    Parameters
    ----------
    slices : iterable of (y, x) integer label images, 0 = background
        In order of depth; read one after the other.
    gap : int
        How many slices on a partner is sought: 1 = in the neighbouring slice only, 2 = also
        across one slice that misses it.
    minimum_iou : float
        Least intersection over union of two sections of one specimen. In a real archaeocyath
        reef the median is 0.82 at 0.5 mm between sections; first and last sections are small.
    minimum_overlap : float
        Least part of the smaller of the two sections that they share.
    minimum_slices, minimum_voxels : int
        Specimens in fewer slices, or of fewer voxels, become background.
    join_branches : bool
        Give a branch the id of the specimen that it leaves or ends in. Without it, merges and
        splits are events (`Links.events`), and both sides keep their ids.

    Returns
    -------
    (z, y, x) int32
        Ids 1, 2, ... in the order in which specimens first appear.

    Raises
    ------
    InputError
        No slices, slices of different sizes, negative labels, or settings out of range.

    Notes
    -----
    Instances of two slices are linked one to one, so that the summed overlap (the mean of the
    two measures) is largest; across a gap, only those that have no link nearer. An id is one
    connected thing: its sections' pieces are 8-connected, and hang together by linked pieces
    that overlap. A piece of an instance that nothing connects to the others has an id of its own.
    """
    settings = {
        "gap": gap,
        "minimum_iou": minimum_iou,
        "minimum_overlap": minimum_overlap,
        "minimum_slices": minimum_slices,
        "minimum_voxels": minimum_voxels,
        "join_branches": join_branches,
    }
    return run(link_task(slices, **settings))


def link_task(slices: Slices, **settings: Any) -> Task[NDArray[np.int32]]:
    """`link` as a task: one `Progress` a slice."""
    kept: list[_Packed] = []
    links = yield from links_task(slices, **settings, on_slice=lambda p: kept.append(_Packed(p)))
    return np.stack([part.paint(links.piece_ids(z)) for z, part in enumerate(kept)])


def iter_linked(slices: Slices, **settings: Any) -> Iterator[NDArray[np.int32]]:
    """`link`, slice by slice.

    Takes all slices first, and keeps their runs (a few hundredths of the pixels' memory), as the
    last slice may tell what belongs together in the first. What lies on disk is linked with less
    memory by `links_task` and `Links.relabel`, or `link_store_task`.
    """
    kept: list[_Packed] = []
    links = run(links_task(slices, **settings, on_slice=lambda p: kept.append(_Packed(p))))
    for z, part in enumerate(kept):
        yield part.paint(links.piece_ids(z))


def links_task(
    slices: Slices,
    *,
    gap: int = GAP,
    minimum_iou: float = MINIMUM_IOU,
    minimum_overlap: float = MINIMUM_OVERLAP,
    minimum_slices: int = 1,
    minimum_voxels: int = 1,
    join_branches: bool = False,
    on_slice: Any = None,
) -> Task[Links]:
    """Find out which instances are one specimen: the first pass of `link`.

    Parameters
    ----------
    slices, gap, minimum_iou, minimum_overlap, minimum_slices, minimum_voxels, join_branches
        As in `link`. No more than three slices are held at once, whatever the gap.
    on_slice : callable, optional
        Called with the `Pieces` of every slice, in order.

    Returns
    -------
    Links
        ``Links.relabel(z, labels)`` is the second pass.

    Raises
    ------
    InputError
        As `link`.
    """
    graph = LinkGraph(LinkRules(gap, minimum_iou, minimum_overlap, join_branches))
    if minimum_slices < 1 or minimum_voxels < 1:
        raise InputError("The least number of slices and of voxels must be 1 or more.")
    total = len(slices) if isinstance(slices, Sized) else 0
    builder = LinksBuilder(graph)
    for z, pieces in enumerate(in_order(_pieces, _each(slices))):
        builder.add(pieces)
        if on_slice is not None:
            on_slice(pieces)
        yield Progress(z + 1, total, f"Linking slice {z + 1}")
    return builder.finish(minimum_slices, minimum_voxels)


def _each(slices: Any) -> Iterator[tuple[int, Callable[[], Any]]]:
    """Number the slices, each with a function that reads it: the threads do, where they can."""
    if hasattr(slices, "__getitem__") and hasattr(slices, "__len__"):
        for z in range(len(slices)):
            yield z, partial(slices.__getitem__, z)
    else:
        for z, labels in enumerate(slices):
            yield z, partial(np.asarray, labels)


def _pieces(numbered: tuple[int, Callable[[], Any]]) -> Pieces:
    z, read = numbered
    return pieces_of(np.asarray(read()), f"Slice {z} of the labels")


class _Packed:
    """A slice as runs of pieces, in little memory."""

    def __init__(self, pieces: Pieces) -> None:
        runs = pieces.runs
        self.shape = runs.shape
        small = np.int32 if np.prod(runs.shape) <= np.iinfo(np.int32).max else np.int64
        self.start, self.stop = runs.start.astype(small), runs.stop.astype(small)
        self.piece = pieces.piece.astype(small)

    def paint(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the slice, its pieces numbered by ``ids``."""
        start, stop, piece = (a.astype(np.int64) for a in (self.start, self.stop, self.piece))
        return paint(Runs(self.shape, start, stop, piece), ids[piece])
