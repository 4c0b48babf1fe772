"""Kill a program that writes a label volume, at random moments, and look at what it left.

Run by test_label_store_kills.py as a program of its own, which forks the victims: starting a whole
interpreter for every kill would take most of the time. Prints the number of kills that met a
program at work, and how many volumes were finished.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from napari_fossiledit.errors import InputError
from napari_fossiledit.io import LabelStore

SHAPE = (6, 1100, 1300)
ABOUT = {"kind": "segmentation", "model": "a1b2"}


def labels_of(z: int) -> np.ndarray:
    out = np.zeros(SHAPE[1:], np.int32)
    if z != 3:
        out[100 : 200 + 50 * z, 300 : 1100 + z] = np.arange(800 + z) % (z + 2)
        out[1030:1090, 1100:1290] = z + 1
    return out


LABELS = [labels_of(z) for z in range(SHAPE[0])]


def work(path: Path) -> None:
    """What a segmentation does: take up what is there, write what is missing, finish."""
    store = LabelStore.resume(path, shape=SHAPE, voxel_size=(1, 0.5, 0.5), about=ABOUT)
    if store.complete:
        return

    def one(z: int) -> None:
        if z == 4:
            store.mark_failed(z, "Slice 4 cannot be read: export it again.")
        else:
            ids = [int(i) for i in np.unique(LABELS[z]) if i]
            store.write(z, LABELS[z], {"id": ids, "score": [0.1 * i for i in ids]})

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, [z for z in range(SHAPE[0]) if not store.is_done(z)]))
    store.finish()


def check(path: Path) -> None:
    """What is called done is whole."""
    try:
        store = LabelStore.open(path)
    except InputError:  # killed while it was made: it must not look like a volume
        return
    done = store.done()
    assert not store.complete or done.all()
    for z in np.flatnonzero(done):
        wanted = np.zeros(SHAPE[1:], int) if z == 4 else LABELS[z]
        assert np.array_equal(store[int(z)], wanted), f"slice {z} is wrong"
    assert set(store.table().get("slice", [])) <= set(np.flatnonzero(done))
    if store.complete:
        assert len(store.read_table("instances")) == len(store.table())


def tree(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def killed(path: Path, after: float) -> bool:
    """Start a writer and kill it; whether it was still at work."""
    victim = os.fork()
    if victim == 0:
        try:
            work(path)
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(3)
        os._exit(0)
    time.sleep(after)
    os.kill(victim, signal.SIGKILL)
    _, status = os.waitpid(victim, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def main(folder: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    started = time.perf_counter()
    work(folder / "unbroken.zarr")
    whole = time.perf_counter() - started
    wanted = tree(folder / "unbroken.zarr")
    path = folder / "killed ünd wieder.zarr"
    met = finished = 0
    while met < kills:
        met += killed(path, rng.uniform(0, 0.4 * whole))
        check(path)
        if path.exists() and rng.random() < 0.3:
            work(path)
            assert tree(path) == wanted, "the resumed volume differs from the unbroken one"
            shutil.rmtree(path)
            finished += 1
    print(met, finished)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
