"""Painting a slice of 2000 x 3000 pixels of the sample reef with every fill."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from common import Row

# Text of the fill, the design's limit in seconds, how often it is run.
_FILLS = (
    ("colour:120,70,58", 0.1, 5),
    ("median", None, 5),
    ("tile:0,0,200,200", 0.3, 5),
    ("tile-mirrored", 0.3, 5),
    ("noise", 1.0, 5),
    ("quilt", 60.0, 1),
)


def best(work: Callable[[], object], runs: int) -> float:
    """Seconds of the quickest of several runs."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def measure() -> list[Row]:
    """Everything but the fossils is painted, so some nine tenths of the slice."""
    from napari_fossiledit import perturb, sample

    reef = sample.lazy_reef(seed=0, shape=(4, 2000, 3000))
    image, fossils = np.asarray(reef.image[2]), np.asarray(reef.labels[2]) > 0
    rows = []
    for text, limit, runs in _FILLS:
        seconds = best(lambda text=text: perturb.apply(image, fossils, text), runs)
        note = f"best of {runs}" if runs > 1 else "one run"
        rows.append(Row(f"fill `{text}`, 2000 x 3000", seconds, "s", limit, note))
    soft = best(lambda: perturb.apply(image, fossils, "median", feather=2), 3)
    rows.append(Row("fill `median` feathered over 2 px, 2000 x 3000", soft, "s", None, "best of 3"))
    small = [slice(0, 1500)] * 2
    crop, inside = image[tuple(small)], fossils[tuple(small)]
    for text in ("noise", "tile"):
        seconds = best(lambda text=text: perturb.apply(crop, inside, text), 5)
        rows.append(Row(f"fill `{text}`, 1500 x 1500", seconds, "s", None, "best of 5"))
    holes = np.zeros((1500, 1500), bool)
    for y in range(20, 1460, 60):
        for x in range(20, 1460, 60):
            holes[y : y + 25, x : x + 25] = True
    seconds = best(lambda: perturb.apply(crop, holes, "inpaint", target="fossils"), 1)
    what = f"fill `inpaint`, {24 * 24} holes of 25 x 25"
    rows.append(Row(what, seconds, "s", None, "one run"))
    return rows


if __name__ == "__main__":
    print("\n".join(row.line() for row in measure()))
