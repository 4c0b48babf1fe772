"""Linking slices of 2000 x 2000 pixels, beside connected-components-3d on a volume that fits.

``python benchmarks/linking.py 3000`` links a stack of that many slices, and says how long it took.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from common import Row

SIDE = 2000
STORED = 60  # slices; connected-components-3d gets a volume of so many
SIZES = (60, 120, 240)
REPEATS = 3


class Discs:
    """A stack of drifting discs of 28 to 55 pixels, other labels in every slice.

    Some 700 to a slice, on a fifth of its pixels. Sixty slices are drawn once, outside all
    timing; a taller stack goes through them to and fro.
    """

    def __init__(self, slices: int = STORED, *, copies: bool = False) -> None:
        self.slices, self.copies = slices, copies
        self.held = self.most = 0

    def __len__(self) -> int:
        return self.slices

    def __getitem__(self, z: int) -> np.ndarray:
        turn = z % (2 * STORED)
        labels = _drawn()[min(turn, 2 * STORED - 1 - turn)]
        if not self.copies:
            return labels
        labels = labels.copy()
        self.held += 1
        self.most = max(self.most, self.held)
        weakref.finalize(labels, self._gone)
        return labels

    def _gone(self) -> None:
        self.held -= 1


_cache: list[np.ndarray] = []


def _drawn() -> list[np.ndarray]:
    if not _cache:
        random = np.random.default_rng(0)
        count = 710
        radius = random.uniform(14, 27.5, count)
        place = random.uniform(30, SIDE - 30, (count, 2))
        drift = random.normal(0, 0.8, (count, 2))
        rows, columns = np.mgrid[-28:29, -28:29]
        discs = [rows**2 + columns**2 < r**2 for r in radius]
        for z in range(STORED):
            labels = np.zeros((SIDE, SIDE), np.int32)
            names = random.permutation(count) + 1
            centres = np.clip(place + z * drift, 28, SIDE - 29).astype(int)
            for name, disc, (y, x) in zip(names, discs, centres, strict=True):
                labels[y - 28 : y + 29, x - 28 : x + 29][disc] = name
            _cache.append(labels)
    return _cache


@dataclass(frozen=True)
class Took:
    """Seconds by the clock, and of all processors together, for one slice."""

    wall: float
    cpu: float


def timed(work: Callable[[], Any], slices: int) -> Took:
    """Run it once."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Took((time.perf_counter() - wall) / slices, (time.process_time() - cpu) / slices)


def link(stack: Any) -> Any:
    """Both passes: find the links, number every slice."""
    from napari_fossiledit import volume
    from napari_fossiledit.progress import run
    from napari_fossiledit.volume.ahead import in_order

    links = run(volume.links_task(stack))
    for linked in in_order(lambda z: links.relabel(z, stack[z]), range(len(stack))):
        del linked
    return links


def measure() -> list[Row]:
    """Rates, ratios, growth with the number of slices, slices held."""
    import cc3d

    whole = np.stack([Discs()[z] for z in range(STORED)])
    volumes = {"int32": whole, "two values": whole > 0}
    ours: dict[int, list[Took]] = {n: [] for n in SIZES}
    others: dict[str, list[Took]] = {kind: [] for kind in volumes}
    # By turns, so that other work on the machine falls on both alike.
    for _ in range(REPEATS):
        for n in SIZES:
            ours[n].append(timed(partial(link, Discs(n)), n))
            for kind, labels in volumes.items():
                others[kind].append(timed(partial(cc3d.connected_components, labels), STORED))
    best = {n: min(t.wall for t in times) for n, times in ours.items()}
    fastest = min(best.values())
    cpu = min(t.cpu for times in ours.values() for t in times)
    rate = SIDE**2 / fastest / 1e6
    rows = [Row(f"linking slices of {SIDE} x {SIDE}", rate, "million voxels/s", None, HOW)]
    for kind, times in others.items():
        other = min(t.wall for t in times)
        work = 1000 * min(t.cpu for t in times)
        note = f"{SIDE**2 / other / 1e6:.0f} million voxels/s on {STORED} slices; processor time "
        note += f"{work:.1f} ms a slice, linking {1000 * cpu:.1f} ms on two threads"
        what = f"connected-components-3d ({kind}) / linking, voxels a second"
        rows.append(Row(what, fastest / other, "ratio", 1.0 if kind == "int32" else None, note))
    each = ", ".join(f"{n}: {1000 * t:.1f}" for n, t in best.items())
    work = {n: min(t.cpu for t in times) for n, times in ours.items()}
    growth = work[max(SIZES)] / work[min(SIZES)]
    note = f"processor time; by the clock, ms a slice of stacks of {each}"
    rows.append(Row("linking, a slice of the tallest / lowest stack", growth, "ratio", 1.15, note))
    stack = Discs(60, copies=True)
    link(stack)
    rows.append(Row("slices held while linking", stack.most, "slices", 4.5, "at most four wanted"))
    return rows


HOW = f"both passes, two threads, best of {REPEATS} for each size; slices drawn beforehand"

if __name__ == "__main__":
    if len(sys.argv) > 1:
        tall = int(sys.argv[1])
        took = timed(partial(link, Discs(tall)), tall)
        print(f"{tall} slices: {took.wall * tall:.1f} s, {1000 * took.wall:.1f} ms a slice")
    else:
        print("\n".join(row.line() for row in measure()))
