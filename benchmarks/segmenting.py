"""Segmenting a stack into a result on disk, against bare prediction of the same slices in a loop.

Both in one process, in turn, so that a busy machine slows both. The slices are PNG files: the
whole-stack run reads, predicts and writes them, the loop predicts slices that are in memory.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import Row

SLICES, SIDE, ROUNDS = 12, 384, 3
LIMIT = 0.9


@contextmanager
def _stack() -> Iterator[tuple[Path, object]]:
    from napari_fossiledit import io, sample

    reef = sample.reef(seed=2002, shape=(SLICES, SIDE, SIDE))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "slices"
        folder.mkdir()
        for z, image in enumerate(reef.image):
            io.write_image(folder / f"slice_{z:04d}.png", image)
        yield Path(temporary), io.open_stack(folder)


def measure() -> list[Row]:
    """The best of some rounds in turn: what else the machine does slows single rounds."""
    from napari_fossiledit import models
    from napari_fossiledit.pipeline import segment_stack

    segmenter = models.load("demo")
    bare, whole = [], []
    with _stack() as (folder, stack):
        images = list(stack)
        segmenter.predict(images[0])
        out = folder / "out.ome.zarr"
        for _ in range(ROUNDS):
            bare.append(_timed(lambda: _loop(segmenter, images)))
            whole.append(_timed(lambda: segment_stack(segmenter, stack, out)))
            shutil.rmtree(out)
    what = f"best of {ROUNDS} in turn, {SLICES} slices of {SIDE} x {SIDE}, demo model"
    (seconds, cpu), (bare_seconds, bare_cpu) = (
        map(min, zip(*x, strict=True)) for x in (whole, bare)
    )
    rate = bare_seconds / seconds
    return [
        Row("segmenting a stack to disk", SLICES / seconds, "slices/s", note=what),
        Row(
            "time of a whole-stack run / bare prediction",
            1 / rate,
            "ratio",
            1 / LIMIT,
            f"{rate:.3f} of the rate; {what}; from PNG files to the finished table",
        ),
        Row(
            "processor time of a whole-stack run / bare prediction",
            cpu / bare_cpu,
            "ratio",
            None,
            "all threads; hardly depends on what else the machine does",
        ),
    ]


def _loop(segmenter: Any, images: list[Any]) -> None:
    for image in images:
        segmenter.predict(image, score_threshold=0.5, max_detections=500)


def _timed(job: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of the processor."""
    clock, cpu = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - clock, time.process_time() - cpu


if __name__ == "__main__":
    print("\n".join(row.line() for row in measure()))
