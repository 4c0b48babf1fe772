"""Linking the sample reef's true labels, their ids shuffled in every slice.

Seeds 2000 to 2009 chose the defaults; these figures are from 3000 to 3003, which chose nothing.
``python benchmarks/link_reefs.py 2000 2010`` measures other seeds, and names what is not whole.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import mean

import numpy as np
from common import Row

SEEDS = range(3000, 3004)
SHAPE = (48, 384, 384)
DROPPED = 0.1
GAPS = {"all": 2, "dropped": 3}


def shuffled(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Other numbers for the instances of every slice."""
    out = np.zeros_like(labels)
    for z, slice_ in enumerate(labels):
        ids = np.unique(slice_[slice_ > 0])
        table = np.zeros(int(labels.max()) + 1, labels.dtype)
        table[ids] = random.permutation(len(ids)) + 1
        out[z] = table[slice_]
    return out


def dropped(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The labels without a tenth of all instances of all slices, chosen at random."""
    there = [(z, i) for z, slice_ in enumerate(labels) for i in np.unique(slice_[slice_ > 0])]
    out = labels.copy()
    for n in random.choice(len(there), round(DROPPED * len(there)), replace=False):
        z, i = there[n]
        out[z][out[z] == i] = 0
    return out


def truths(seeds: range) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """What is linked, for each reef: ("all" or "dropped", true labels, shuffled labels)."""
    from napari_fossiledit import sample

    for seed in seeds:
        random = np.random.default_rng(seed)
        labels = sample.reef(seed, SHAPE).labels
        yield "all", labels, shuffled(labels, random)
        left = dropped(labels, random)
        yield "dropped", left, shuffled(left, random)


def lost_beyond(labels: np.ndarray, gap: int) -> int:
    """Individuals that are missing in so many slices in a row that no link can span them."""
    count = 0
    for i in np.unique(labels[labels > 0]):
        where = np.flatnonzero((labels == i).any(axis=(1, 2)))
        count += bool((np.diff(where) > gap).any())
    return count


def measure(seeds: range = SEEDS) -> list[Row]:
    """Individuals that are not whole, and adapted Rand errors."""
    from napari_fossiledit import volume
    from napari_fossiledit.metrics import score_volume

    scores: dict[str, list] = {"all": [], "dropped": []}
    lost = {"all": 0, "dropped": 0}
    for kind, labels, mixed in truths(seeds):
        scores[kind].append(score_volume(labels, volume.link(mixed, gap=GAPS[kind])))
        lost[kind] += lost_beyond(labels, GAPS[kind])
    rows = []
    for kind, (limit, what) in {
        "all": (0.01, "true labels, ids shuffled"),
        "dropped": (0.05, "the same without a tenth of the instances"),
    }.items():
        found = scores[kind]
        total = sum(s.individuals for s in found)
        broken = total - sum(s.whole for s in found)
        errors = [s.adapted_rand_error for s in found]
        how = f"seeds {seeds.start} to {seeds.stop - 1}, gap {GAPS[kind]}"
        missed = f"{lost[kind]} of them missing in {GAPS[kind]} slices or more in a row"
        rows += [
            Row(
                f"linking, {what}: adapted Rand error",
                mean(errors),
                "",
                limit,
                f"{how}; largest {max(errors):.4f}; variation of information "
                f"{mean(s.variation_of_information for s in found):.4f} bits",
            ),
            Row(
                f"linking, {what}: individuals not whole",
                100 * broken / total,
                "%",
                2 if kind == "all" else None,
                f"{broken} of {total}; {missed}; {how}",
            ),
        ]
    return rows


if __name__ == "__main__":
    chosen = range(*map(int, sys.argv[1:3])) if len(sys.argv) > 2 else SEEDS
    print("\n".join(row.line() for row in measure(chosen)))
