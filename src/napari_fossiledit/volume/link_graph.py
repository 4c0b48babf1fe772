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

__all__ = ["BRANCH_OVERLAP", "Branches", "LinkGraph", "LinkRules"]

BRANCH_OVERLAP = 0.5
"""Least overlap, over the smaller of two sections, of a merge or split."""
_NEARER = 0.9  # what an overlap counts, for each further slice between


@dataclass(frozen=True)
class LinkRules:
    """When two instances of different slices are one specimen.

    Attributes
    ----------
    gap : int
        How many slices on a partner is sought: 1 = in the neighbouring slice only, 2 = also
        across one slice that misses it.
    minimum_iou : float
        Least intersection over union of two sections of one specimen.
    minimum_overlap : float
        Least part of the smaller of them that they share.
    join_branches : bool
        Whether merges and splits join specimens to one.

    Raises
    ------
    InputError
        A setting out of range.
    """

    gap: int = 2
    minimum_iou: float = 0.1
    minimum_overlap: float = 0.5
    join_branches: bool = False

    def __post_init__(self) -> None:
        if self.gap < 1:
            raise InputError(
                f"gap is {self.gap}, but must be 1 or more: 1 links neighbouring slices only, 2 "
                "also across one slice that misses a fossil."
            )
        for name, value in (("IoU", self.minimum_iou), ("overlap", self.minimum_overlap)):
            if not 0 < value <= 1:
                raise InputError(f"The least {name} is {value:g}: take one above 0, at most 1.")


@dataclass(eq=False)
class _Section:
    """A slice in the window: its pieces, and which instances still lack a link."""

    pieces: Pieces
    first_piece: int
    first_instance: int
    no_next: NDArray[np.bool_]
    no_previous: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Overlaps:
    """Overlaps of the instances of a slice (a) with those of a later one (b).

    Attributes
    ----------
    i, j : (n,) int64
        Pairs of instances, numbered in their slices.
    iou, over_smaller : (n,) float
        Their shared pixels over those of the union, and of the smaller.
    pieces : (2, m) int64
        Pairs of their pieces that overlap, numbered through all slices.
    of_pair : (m,) int64
        The pair of instances of each pair of pieces.
    linked : (n,) bool
        False until they are linked.
    """

    a: _Section
    b: _Section
    distance: int
    i: Ints
    j: Ints
    iou: NDArray[np.float64]
    over_smaller: NDArray[np.float64]
    pieces: Ints
    of_pair: Ints
    linked: NDArray[np.bool_]

    @classmethod
    def of(
        cls, a: _Section, b: _Section, distance: int, some_a: Pieces, some_b: Pieces
    ) -> _Overlaps:
        """Overlaps among some of the instances of two slices."""
        p, q, pixels = shared_pixels(some_a, some_b)
        width = max(len(b.pieces.label), 1)
        key, of_pair = np.unique(
            a.pieces.instance[p] * width + b.pieces.instance[q], return_inverse=True
        )
        of_pair = of_pair.reshape(-1)
        i, j = np.divmod(key, width)
        shared = np.bincount(of_pair, weights=pixels, minlength=len(key))
        one, two = a.pieces.instance_area[i], b.pieces.instance_area[j]
        return cls(
            a=a,
            b=b,
            distance=distance,
            i=i,
            j=j,
            iou=shared / (one + two - shared),
            over_smaller=shared / np.minimum(one, two),
            pieces=np.stack([p + a.first_piece, q + b.first_piece]),
            of_pair=of_pair,
            linked=np.zeros(len(key), bool),
        )


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

    Holds the runs of ``gap`` slices and the new one, and of all others which pieces were linked.

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
        self._window: deque[_Section] = deque(maxlen=rules.gap)
        self._branches: list[Branches] = []
        self._branch_pieces: list[Ints] = []  # rows: before, after (instances), and the pieces
        self._no_next: list[NDArray[np.bool_]] = []
        self._no_previous: list[NDArray[np.bool_]] = []

    def add(self, pieces: Pieces) -> None:
        """Take the next slice, and link it to those before it."""
        count = len(pieces.label)
        free = [np.ones(count, bool) for _ in range(2)]
        new = _Section(pieces, self.pieces, self.instances, *free)
        earlier = list(enumerate(reversed(self._window), start=1))
        found = []
        for distance, section in earlier:
            # Further back, only those count that ended there; none did in the slice before.
            open_ = section.pieces if distance == 1 else section.pieces.only(section.no_next)
            found.append(_Overlaps.of(section, new, distance, open_, pieces))
        self._link(found)
        for distance, section in earlier[1:]:
            if new.no_previous.any():  # what may they have branched off?
                gone_on = section.pieces.only(~section.no_next)
                loose = pieces.only(new.no_previous)
                found.append(_Overlaps.of(section, new, distance, gone_on, loose))
        for pairs in found:
            self._remember_branches(pairs)
        self._window.append(new)
        self._no_next.append(new.no_next)
        self._no_previous.append(new.no_previous)
        self.pieces += len(pieces)
        self.instances += count

    def _link(self, found: list[_Overlaps]) -> None:
        """Assign the new slice's instances to those before, all distances together."""
        candidates = []
        for pairs in found:
            possible = pairs.iou >= self.rules.minimum_iou
            possible &= pairs.over_smaller >= self.rules.minimum_overlap
            # IoU alone would let a large neighbour push a specimen's own small last section
            # aside; the share of the smaller alone, any speck within a section.
            weight = (pairs.iou + pairs.over_smaller) / 2 * _NEARER ** (pairs.distance - 1)
            candidates.append((pairs, np.flatnonzero(possible), weight))
        if not candidates:  # the first slice
            return
        left = np.concatenate([p.i[n] + p.a.first_instance for p, n, _ in candidates])
        right = np.concatenate([p.j[n] for p, n, _ in candidates])
        chosen = assign(left, right, np.concatenate([w[n] for _, n, w in candidates]))
        parts = np.split(chosen, np.cumsum([len(n) for _, n, _ in candidates])[:-1])
        for (pairs, n, _), part in zip(candidates, parts, strict=True):
            linked = n[part]
            pairs.linked[linked] = True
            pairs.a.no_next[pairs.i[linked]] = False
            pairs.b.no_previous[pairs.j[linked]] = False
            self.links.append(pairs.pieces[:, pairs.linked[pairs.of_pair]])

    def _remember_branches(self, pairs: _Overlaps) -> None:
        """Keep pairs that overlap much, where one of the two is without a link as yet."""
        loose = pairs.a.no_next[pairs.i] | pairs.b.no_previous[pairs.j]
        kept = ~pairs.linked & loose & (pairs.over_smaller >= BRANCH_OVERLAP)
        if not kept.any():
            return
        before, after = pairs.i + pairs.a.first_instance, pairs.j + pairs.b.first_instance
        far = np.full(len(before), pairs.distance)
        self._branches.append(Branches(before, after, far, pairs.over_smaller).taken(kept))
        if self.rules.join_branches:
            rows = np.stack([before[pairs.of_pair], after[pairs.of_pair], *pairs.pieces])
            self._branch_pieces.append(rows[:, kept[pairs.of_pair]])

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


def _nearest(pairs: Branches, which: Ints) -> Ints:
    """For each value of ``which`` the pair of least distance and then of largest overlap."""
    order = np.lexsort((-pairs.overlap, pairs.distance, which))
    return order[np.append(True, np.diff(which[order]) > 0)] if len(order) else order
