"""The result of linking: which specimen every piece of every slice belongs to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.volume.link_graph import Branches, LinkGraph, LinkRules
from napari_fossiledit.volume.pieces import Pieces, pieces_again, places_of, summed
from napari_fossiledit.volume.runs import Ints, paint, runs_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Event", "Links", "LinksBuilder"]

LARGEST_ID = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Event:
    """A specimen that begins in another one, or ends in it.

    Attributes
    ----------
    kind : {"split", "merge"}
    slice : int
        The first slice of the branch (split), or the first without the one that ended (merge).
    ids : (int, int)
        Split: the specimen that goes on, and the branch. Merge: the specimen that ends, and the
        one that goes on. Twice the same where merges and splits join ids.
    overlap : float
        Shared pixels over those of the smaller section.
    """

    kind: str
    slice: int
    ids: tuple[int, int]
    overlap: float


@dataclass(frozen=True, eq=False)
class Links:
    """Specimens of a stack, and how its slices are numbered by them.

    Attributes
    ----------
    shape : (z, y, x)
    count : int
        Specimens; their ids are 1, 2, ... in the order in which they first appear.
    left_out : int
        Specimens that were too short or too small, and became background.
    events : list of Event
        Merges and splits, by slice.
    rules : LinkRules
    slices, first_slice, last_slice, voxels : (count,) int64
        Of each specimen.
    """

    shape: tuple[int, int, int]
    count: int
    left_out: int
    events: list[Event]
    rules: LinkRules
    slices: Ints
    first_slice: Ints
    last_slice: Ints
    voxels: Ints
    _sections: list[_Section] = field(repr=False)
    _ids: NDArray[np.int32] = field(repr=False)

    def relabel(self, z: int, labels: NDArray[np.integer]) -> NDArray[np.int32]:
        """Give the instances of a slice their specimens' ids.

        Parameters
        ----------
        z : int
        labels : (y, x) integer
            The slice that was linked, unchanged.

        Returns
        -------
        (y, x) int32
            0 = background, and what was left out.

        Raises
        ------
        InputError
            Other labels than those that were linked.
        """
        section = self._sections[z]
        labels = np.asarray(labels)
        runs = runs_of(labels, f"Slice {z} of the labels")
        label, place = places_of(runs.value)
        same = runs.shape == self.shape[1:] and np.array_equal(label, section.label)
        if same:
            piece = pieces_again(runs, place, len(label), section.several)
            same = np.array_equal(summed(piece, runs.length, 0), section.area)
        if not same:
            raise InputError(
                f"Slice {z} of the labels has changed since it was linked: link them again."
            )
        return paint(runs, self.piece_ids(z)[piece])

    def piece_ids(self, z: int) -> NDArray[np.int32]:
        """Ids of the pieces of slice ``z``, 0 where left out; the order is that of `pieces_of`."""
        first = self._sections[z].first_piece
        return self._ids[first : first + len(self._sections[z].area)]

    def instance_ids(self, z: int) -> tuple[Ints, NDArray[np.int32]]:
        """Labels of the instances of slice ``z``, and the id of each one's largest piece."""
        label = self._sections[z].label
        return label.astype(np.int64), self.piece_ids(z)[: len(label)]

    def digest(self) -> str:
        """SHA-256 of what was linked and how: equal for equal labels and settings."""
        total = hashlib.sha256(repr(self.shape).encode())
        for section in self._sections:
            for array in (section.label, section.area):
                total.update(array.astype("<i8").tobytes())
        total.update(self._ids.astype("<i8").tobytes())
        return total.hexdigest()

    def table(self) -> pd.DataFrame:
        """One row a specimen: id, first_slice, last_slice, slices, voxels; slices from 0."""
        import pandas as pd

        return pd.DataFrame(
            {
                "id": np.arange(1, self.count + 1),
                "first_slice": self.first_slice,
                "last_slice": self.last_slice,
                "slices": self.slices,
                "voxels": self.voxels,
            }
        )

    def events_table(self) -> pd.DataFrame:
        """One row a merge or split: kind, slice, id, other_id, overlap, as in `Event`."""
        import pandas as pd

        rows = [(e.kind, e.slice, *e.ids, e.overlap) for e in self.events]
        columns = ["kind", "slice", "id", "other_id", "overlap"]
        kinds = {"slice": "int64", "id": "int64", "other_id": "int64", "overlap": "float64"}
        return pd.DataFrame(rows, columns=columns).astype(kinds)


@dataclass(frozen=True, eq=False)
class _Section:
    """What is kept of a slice: enough to number it, and to know it again."""

    first_piece: int
    first_instance: int
    label: Ints
    area: NDArray[np.int32]
    several: Ints  # instances of several pieces


class LinksBuilder:
    """Takes slices in order and makes `Links` of them."""

    def __init__(self, graph: LinkGraph) -> None:
        self._graph = graph
        self._sections: list[_Section] = []
        self._size: tuple[int, int] | None = None

    def add(self, pieces: Pieces) -> None:
        """Take the next slice.

        Raises
        ------
        InputError
            It has another size than the first.
        """
        if self._size is None:
            self._size = pieces.runs.shape
        elif pieces.runs.shape != self._size:
            size = " x ".join(map(str, pieces.runs.shape))
            raise InputError(
                f"Slice {len(self._sections)} of the labels has {size} pixels, other than the "
                "slices before it: give (y, x) label images of one size."
            )
        graph = self._graph
        label = pieces.label
        if label.size and label[-1] <= LARGEST_ID:
            label = label.astype(np.int32)
        area = pieces.area.astype(np.int32)
        several = np.unique(pieces.instance[len(label) :])
        self._sections.append(_Section(graph.pieces, graph.instances, label, area, several))
        graph.add(pieces)

    def finish(self, minimum_slices: int, minimum_voxels: int) -> Links:
        """Number the specimens, leaving out those that are too short or too small.

        Raises
        ------
        InputError
            No slices, or more specimens than ids.
        """
        if self._size is None:
            raise InputError("There are no slices to link: segment or label some first.")
        graph = self._graph
        splits, merges = graph.splits_and_merges()
        links = list(graph.links)
        if graph.rules.join_branches:
            links.append(graph.joining_links(splits, merges))
        group = _groups(graph.pieces, links)
        counts = [len(s.area) for s in self._sections]
        z = np.repeat(np.arange(len(counts)), counts)
        area = np.concatenate([s.area for s in self._sections])
        number = int(group.max(initial=-1)) + 1
        voxels = summed(group, area, number)
        first = np.full(number, len(counts))
        np.minimum.at(first, group, z)
        last = np.full(number, -1)
        np.maximum.at(last, group, z)
        slices = np.bincount(np.unique(group * len(counts) + z) // len(counts), minlength=number)
        kept = (slices >= minimum_slices) & (voxels >= minimum_voxels)
        count = int(kept.sum())
        if count > LARGEST_ID:
            raise InputError(
                f"The labels have {count:,} specimens, but ids end at {LARGEST_ID:,}: leave out "
                "the smallest or shortest."
            )
        new = np.zeros(number, np.int32)
        new[kept] = np.arange(1, count + 1)
        ids = new[group]
        return Links(
            shape=(len(counts), *self._size),
            count=count,
            left_out=number - count,
            rules=graph.rules,
            events=self._events(ids, splits, merges),
            slices=slices[kept],
            first_slice=first[kept],
            last_slice=last[kept],
            voxels=voxels[kept],
            _sections=self._sections,
            _ids=ids,
        )

    def _events(self, ids: NDArray[np.int32], splits: Branches, merges: Branches) -> list[Event]:
        """Merges and splits among specimens that were kept."""
        starts = np.array([s.first_instance for s in self._sections])
        firsts = np.array([s.first_piece for s in self._sections])
        events = []
        for kind, branches in (("split", splits), ("merge", merges)):
            both = []
            for instance in (branches.before, branches.after):
                z = np.searchsorted(starts, instance, "right") - 1
                # An instance's largest piece has the instance's own number in its slice.
                both.append(ids[firsts[z] + instance - starts[z]].tolist())
            for slice_, one, other, overlap in zip(
                z.tolist(), *both, branches.overlap.tolist(), strict=True
            ):
                if one and other:
                    events.append(Event(kind, slice_, (one, other), overlap))
        return sorted(events, key=lambda e: (e.slice, e.kind, e.ids))


def _groups(count: int, links: list[Ints]) -> Ints:
    """Number of the connected group that each piece is in, in order of first pieces."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if count == 0:
        return np.empty(0, np.int64)
    pairs = np.concatenate([np.empty((2, 0), np.int64), *links], axis=1)
    ones = np.ones(pairs.shape[1], np.int8)
    graph = coo_array((ones, (pairs[0], pairs[1])), shape=(count, count)).tocsr()
    _, group = connected_components(graph, directed=False)
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[place.reshape(-1)]
