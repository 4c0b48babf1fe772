"""Small segmentations on disk to be linked, and a program that kills the linking.

As a program (see test_link_store.py) it forks victims, kills them at random moments, looks at what
they left, and prints how many kills met a program at work and how many volumes were finished.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

from napari_fossiledit import volume
from napari_fossiledit.errors import InputError
from napari_fossiledit.io import LabelStore
from napari_fossiledit.progress import run

SHAPE = (8, 300, 400)
FAILED = 5


def labels_of(z: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Two dozen drifting squares, numbered anew in every slice; one in ten is missing."""
    rng = np.random.default_rng(z)
    out = np.zeros(shape[1:], np.int32)
    names = rng.permutation(24) + 1
    for n in range(24):
        y, x = 10 + 50 * (n // 6) + z, 10 + 60 * (n % 6) + 2 * z
        if rng.random() > 0.1:
            out[y : y + 30, x : x + 40] = names[n]
    return out


def rows_of(labels: np.ndarray) -> dict[str, list]:
    ids = [int(i) for i in np.unique(labels) if i]
    return {"id": ids, "class": ["cup"] * len(ids), "score": [i / 100 for i in ids]}


def segmentation(path: Path, *, done: int = SHAPE[0], failed: bool = True) -> LabelStore:
    """A store as a segmentation leaves it, its first ``done`` slices done."""
    about = {"kind": "segmentation", "model": "a1b2"}
    store = LabelStore.create(path, shape=SHAPE, voxel_size=(0.5, 0.1, 0.1), about=about)
    for z in range(done):
        if z == FAILED and failed:
            store.mark_failed(z, "Slice 5 cannot be read: export it again.")
        else:
            labels = labels_of(z)
            store.write(z, labels, rows_of(labels))
    if done == SHAPE[0]:
        store.finish()
    return store


def tree(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def _killed(source: Path, path: Path, after: float) -> bool:
    victim = os.fork()
    if victim == 0:
        try:
            run(volume.link_store_task(LabelStore.open(source), path, gap=2))
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(3)
        os._exit(0)
    time.sleep(after)
    os.kill(victim, signal.SIGKILL)
    _, status = os.waitpid(victim, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def _check(path: Path, wanted: np.ndarray) -> None:
    try:
        store = LabelStore.open(path)
    except InputError:  # killed while it was made: it must not look like a volume
        return
    done = store.done()
    assert not store.complete or (done.all() and len(store.read_table("specimens")))
    for z in np.flatnonzero(done):
        assert np.array_equal(store[int(z)], wanted[z]), f"slice {z} is wrong"


def main(folder: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    source = folder / "labels.ome.zarr"
    segmentation(source)
    run(volume.link_store_task(LabelStore.open(source), folder / "warm.zarr", gap=2))
    started = time.perf_counter()
    unbroken = folder / "unbroken.zarr"
    run(volume.link_store_task(LabelStore.open(source), unbroken, gap=2))
    whole = time.perf_counter() - started
    wanted = np.stack(list(LabelStore.open(unbroken)))
    path = folder / "killed ünd linked.zarr"
    met = finished = 0
    while met < kills:
        hit = _killed(source, path, rng.uniform(0, whole))
        met += hit
        _check(path, wanted)
        if hit and met % 5 == 0:  # the others are killed once more
            run(volume.link_store_task(LabelStore.open(source), path, gap=2))
            assert tree(path) == tree(unbroken), "the resumed volume differs from the unbroken one"
            shutil.rmtree(path)
            finished += 1
    print(met, finished)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
