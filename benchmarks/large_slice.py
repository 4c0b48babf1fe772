"""Painting and scoring a slice of 2000 x 3000 pixels with 400 instances."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from common import Row


def best(work: Callable[[], object], runs: int = 3) -> float:
    """Seconds of the quickest of several runs."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def measure() -> list[Row]:
    """Best of three each."""
    from napari_fossiledit import metrics, perturb
    from napari_fossiledit.instances import Instances

    image = np.random.default_rng(0).integers(0, 256, (2000, 3000, 3), np.uint8)
    labels = np.zeros((2000, 3000), np.int32)
    for i in range(400):
        y, x = 100 * (i // 20), 150 * (i % 20)
        labels[y : y + 60, x : x + 80] = i + 1
    found = Instances.from_labels(labels)
    scores = metrics.score_instances([labels, labels], [found, found])
    fossils = labels > 0
    return [
        Row(
            "fill `colour`, 2000 x 3000",
            best(lambda: perturb.apply(image, fossils, perturb.Colour((120, 70, 58)))),
            "s",
            0.1,
        ),
        Row(
            "fill `median`, 2000 x 3000",
            best(lambda: perturb.apply(image, fossils, perturb.Median())),
            "s",
        ),
        Row(
            "scoring 400 instances, 2000 x 3000",
            best(lambda: metrics.score_instances(labels, found)),
            "s",
        ),
        Row(
            "2000 bootstrap resamples of 800 instances",
            best(lambda: metrics.difference(scores, scores)),
            "s",
        ),
    ]


if __name__ == "__main__":
    print("\n".join(row.line() for row in measure()))
