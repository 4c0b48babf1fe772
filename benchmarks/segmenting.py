"""Segmenting a stack into a result on disk, against bare prediction of the same slices in a loop.

Both in one process, in turn, so that a busy machine slows both. The slices are PNG files: the
whole-stack run reads, predicts and writes them, the loop predicts slices that are in memory.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import Row

SLICES, SIDE, ROUNDS = 6, 384, 5
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
        for _ in range(ROUNDS):
            started = time.perf_counter()
            for image in images:
                segmenter.predict(image, score_threshold=0.5, max_detections=500)
            bare.append(time.perf_counter() - started)
            out = folder / "out.ome.zarr"
            started = time.perf_counter()
            segment_stack(segmenter, stack, out)
            whole.append(time.perf_counter() - started)
            shutil.rmtree(out)
    what = f"best of {ROUNDS} in turn, {SLICES} slices of {SIDE} x {SIDE}, demo model"
    seconds, ratio = min(whole), min(whole) / min(bare)
    return [
        Row("segmenting a stack to disk", SLICES / seconds, "slices/s", note=what),
        Row(
            "time of a whole-stack run / bare prediction",
            ratio,
            "ratio",
            1 / LIMIT,
            f"{1 / ratio:.3f} of the rate; {what}; from PNG files to the finished table",
        ),
    ]


if __name__ == "__main__":
    print("\n".join(row.line() for row in measure()))
