"""Linking slices of 2000 x 2000 pixels, beside connected-components-3d on a volume that fits.

``python benchmarks/linking.py 3000`` links a stack of that many slices, and says how long it took.
"""

from __future__ import annotations

import sys
import time
import weakref
from typing import Any

import numpy as np
from common import Row

SIDE, STORED = 2000, 60
SIZES = (60, 120, 240)
VOLUME = 60  # slices of the volume that connected-components-3d gets
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


def link(stack: Any) -> tuple[float, Any]:
    """Seconds of both passes: links found, and every slice numbered."""
    from napari_fossiledit import volume
    from napari_fossiledit.progress import run
    from napari_fossiledit.volume.ahead import in_order

    started = time.perf_counter()
    links = run(volume.links_task(stack))
    for linked in in_order(lambda z: links.relabel(z, stack[z]), range(len(stack))):
        del linked
    return time.perf_counter() - started, links


def measure() -> list[Row]:
    """Rates, ratios, growth with the number of slices, slices held."""
    import cc3d

    _drawn()
    seconds = {n: [] for n in SIZES}
    whole = np.stack([Discs()[z] for z in range(VOLUME)])
    kinds = {"int32": whole, "bool": whole > 0}
    others: dict[str, list[float]] = {kind: [] for kind in kinds}
    # By turns, so that other work on the machine falls on both alike.
    for _ in range(REPEATS):
        for n in SIZES:
            seconds[n].append(link(Discs(n))[0])
        for kind, labels in kinds.items():
            started = time.perf_counter()
            cc3d.connected_components(labels)
            others[kind].append(time.perf_counter() - started)
    best = {n: min(times) for n, times in seconds.items()}
    tall = max(SIZES)
    rate = tall * SIDE**2 / best[tall] / 1e6
    rows = [Row(f"linking, {tall} slices of {SIDE} x {SIDE}", rate, "million voxels/s", None, HOW)]
    for kind, times in others.items():
        other = VOLUME * SIDE**2 / min(times) / 1e6
        what = f"connected-components-3d on {VOLUME} slices ({kind}) / linking, voxels a second"
        limit = 1.0 if kind == "int32" else None
        rows.append(Row(what, other / rate, "ratio", limit, f"it: {other:.0f} million voxels/s"))
    growth = (best[tall] / tall) / (best[min(SIZES)] / min(SIZES))
    each = ", ".join(f"{n}: {1000 * t / n:.1f}" for n, t in best.items())
    rows.append(
        Row("linking, time a slice, tallest / lowest stack", growth, "ratio", 1.15, f"ms: {each}")
    )
    stack = Discs(60, copies=True)
    link(stack)
    rows.append(Row("slices held while linking", stack.most, "slices", 4.5, "at most four wanted"))
    return rows


HOW = f"both passes, two threads, best of {REPEATS}; drawing the slices is not in it"

if __name__ == "__main__":
    if len(sys.argv) > 1:
        took, found = link(Discs(int(sys.argv[1])))
        print(f"{len(found._sections)} slices, {found.count} specimens: {took:.1f} s")
    else:
        print("\n".join(row.line() for row in measure()))
