"""The overlap graph of the instances of neighbouring slices, built slice by slice."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.volume.assign import assign
from napari_fossiledit.volume.pieces import Pieces, shared_pixels
from napari_fossiledit.volume.runs import Ints

__all__ = ["BRANCH_OVERLAP", "MEASURES", "Branches", "LinkGraph", "LinkRules"]

MEASURES = ("iou", "smaller")
BRANCH_OVERLAP = 0.5
"""Least overlap, over the smaller of two sections, of a merge or split."""


@dataclass(frozen=True)
class LinkRules:
    """When two instances of different slices are one specimen.

    Attributes
    ----------
    gap : int
        How many slices on a partner is sought: 1 = in the neighbouring slice only, 2 = also
        across one slice that misses it.
    minimum_overlap : float
        Least overlap of two sections of one specimen.
    measure : {"iou", "smaller"}
        Overlap as intersection over union, or over the smaller section.
    join_branches : bool
        Whether merges and splits join specimens to one.

    Raises
    ------
    InputError
        A setting out of range.
    """

    gap: int = 2
    minimum_overlap: float = 0.2
    measure: str = "iou"
    join_branches: bool = False

    def __post_init__(self) -> None:
        if self.gap < 1:
            raise InputError(
                f"gap is {self.gap}, but must be 1 or more: 1 links neighbouring slices only, 2 "
                "also across one slice that misses a fossil."
            )
        if not 0 < self.minimum_overlap <= 1:
            raise InputError(
                f"The least IoU is {self.minimum_overlap:g}, but must be above 0 and at most 1."
            )
        if self.measure not in MEASURES:
            raise InputError(f"The overlap '{self.measure}' is not known: take iou or smaller.")


@dataclass(eq=False)
class _Section:
    """A slice in the window: its pieces, and which instances still lack a link."""

    pieces: Pieces
    first_piece: int
    first_instance: int
    no_next: NDArray[np.bool_]
    no_previous: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Branches:
    """Pairs of instances that overlap, but were not linked.

    Attributes
    ----------
    before, after : (n,) int64
        Instances, numbered through all slices.
    distance : (n,) int64
        Slices between them.
    overlap : (n,) float
        Shared pixels over those of the smaller.
    """

    before: Ints
    after: Ints
    distance: Ints
    overlap: NDArray[np.float64]

    def taken(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> Branches:
        """Some of the pairs."""
        return Branches(
            self.before[which], self.after[which], self.distance[which], self.overlap[which]
        )


class LinkGraph:
    """Links instances of slices that come one after the other.

    Holds the runs of ``gap + 1`` slices, and of all others only which pieces were linked.

    Attributes
    ----------
    pieces, instances : int
        How many there are so far; both are numbered through all slices, from 0.
    links : list of (2, n) int64
        Pairs of pieces that are one specimen, an array a pair of slices.
    """

    def __init__(self, rules: LinkRules) -> None:
        self.rules = rules
        self.pieces = self.instances = 0
        self.links: list[Ints] = []
        self._window: deque[_Section] = deque(maxlen=rules.gap + 1)
        self._branches: list[Branches] = []
        self._branch_pieces: list[Ints] = []  # rows: before, after (instances), and the pieces
        self._no_next: list[NDArray[np.bool_]] = []
        self._no_previous: list[NDArray[np.bool_]] = []

    def add(self, pieces: Pieces) -> None:
        """Take the next slice, and link it to those before it, the nearest first."""
        count = len(pieces.label)
        free = [np.ones(count, bool) for _ in range(2)]
        section = _Section(pieces, self.pieces, self.instances, *free)
        self._window.append(section)
        for distance in range(1, len(self._window)):
            earlier = self._window[-1 - distance]
            if earlier.no_next.any() or section.no_previous.any():
                self._connect(earlier, section, distance)
        self._no_next.append(section.no_next)
        self._no_previous.append(section.no_previous)
        self.pieces += len(pieces)
        self.instances += count

    def _connect(self, a: _Section, b: _Section, distance: int) -> None:
        p, q, pixels = _relevant_pairs(a, b)
        i, j, of_pair, shared = _instance_pairs(a.pieces.instance[p], b.pieces.instance[q], pixels)
        area = a.pieces.instance_area[i], b.pieces.instance_area[j]
        over_smaller = shared / np.minimum(*area)
        union = area[0] + area[1] - shared
        overlap = over_smaller if self.rules.measure == "smaller" else shared / union
        possible = overlap >= self.rules.minimum_overlap
        possible &= a.no_next[i] & b.no_previous[j]
        chosen = np.zeros(len(i), bool)
        chosen[possible] = assign(i[possible], j[possible], overlap[possible])
        a.no_next[i[chosen]] = b.no_previous[j[chosen]] = False
        linked = chosen[of_pair]
        pair = np.stack([p + a.first_piece, q + b.first_piece])
        self.links.append(pair[:, linked])
        self._remember_branches(a, b, distance, (i, j), over_smaller, ~chosen, (of_pair, pair))

    def _remember_branches(
        self,
        a: _Section,
        b: _Section,
        distance: int,
        pairs: tuple[Ints, Ints],
        overlap: NDArray[np.float64],
        unlinked: NDArray[np.bool_],
        pieces: tuple[Ints, Ints],
    ) -> None:
        """Keep pairs that overlap much, where one of the two is without a link as yet."""
        i, j = pairs
        loose = a.no_next[i] | b.no_previous[j]
        kept = unlinked & loose & (overlap >= BRANCH_OVERLAP)
        if not kept.any():
            return
        before, after = i + a.first_instance, j + b.first_instance
        far = np.full(len(i), distance)
        self._branches.append(Branches(before, after, far, overlap).taken(kept))
        if self.rules.join_branches:
            of_pair, pair = pieces
            rows = np.stack([before[of_pair], after[of_pair], *pair])
            self._branch_pieces.append(rows[:, kept[of_pair]])

    def splits_and_merges(self) -> tuple[Branches, Branches]:
        """Which instances branched off another (splits), and which ended in one (merges).

        Of several candidates the nearest slice counts, and there the largest overlap.
        """
        if not self._branches:
            none = np.empty(0, np.int64)
            empty = Branches(none, none, none, np.empty(0))
            return empty, empty
        no_next = np.concatenate(self._no_next)
        no_previous = np.concatenate(self._no_previous)
        parts = self._branches
        found = Branches(
            np.concatenate([b.before for b in parts]),
            np.concatenate([b.after for b in parts]),
            np.concatenate([b.distance for b in parts]),
            np.concatenate([b.overlap for b in parts]),
        )
        starts = no_previous[found.after] & ~no_next[found.before]
        ends = no_next[found.before] & ~no_previous[found.after]
        splits, merges = found.taken(starts), found.taken(ends)
        return splits.taken(_nearest(splits, splits.after)), merges.taken(
            _nearest(merges, merges.before)
        )

    def joining_links(self, *branches: Branches) -> Ints:
        """Pairs of pieces (2, n) that these branches join."""
        if not self._branch_pieces:
            return np.empty((2, 0), np.int64)
        rows = np.concatenate(self._branch_pieces, axis=1)
        wanted = np.concatenate([b.before * self.instances + b.after for b in branches])
        return rows[2:, np.isin(rows[0] * self.instances + rows[1], wanted)]


def _relevant_pairs(a: _Section, b: _Section) -> tuple[Ints, Ints, Ints]:
    """Overlapping pieces, but of those pairs only in which an instance lacks its link."""
    if a.no_next.all() or b.no_previous.all():
        return shared_pixels(a.pieces, b.pieces)
    one = shared_pixels(a.pieces.only(a.no_next), b.pieces)
    two = shared_pixels(a.pieces.only(~a.no_next), b.pieces.only(b.no_previous))
    first, second, pixels = (np.concatenate(part) for part in zip(one, two, strict=True))
    return first, second, pixels


def _instance_pairs(first: Ints, second: Ints, pixels: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Sum pairs of pieces to pairs of instances: first, second, place of each piece's, pixels."""
    width = int(second.max(initial=0)) + 1
    key, place = np.unique(first * width + second, return_inverse=True)
    place = place.reshape(-1)
    shared = np.bincount(place, weights=pixels, minlength=len(key)).astype(np.int64)
    i, j = np.divmod(key, width)
    return i, j, place, shared


def _nearest(pairs: Branches, which: Ints) -> Ints:
    """For each value of ``which`` the pair of least distance and then of largest overlap."""
    order = np.lexsort((-pairs.overlap, pairs.distance, which))
    return order[np.append(True, np.diff(which[order]) > 0)] if len(order) else order
