"""Kill segmenting and linking at random moments, go on, and compare with an unbroken run.

``python benchmarks/kills.py --kills 200`` prints how many of the kills (SIGKILL) were followed by
the unbroken run's result, byte for byte, and in which phase they fell. Linux and macOS only.

One process has everything imported and forks a child for each run, so that a kill does not cost
seconds of imports. The segmenter is a quick stand-in; store, table and linking are the real ones.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "pipeline"))

from whole_stack_parts import Discs, contents, disc_stack

from napari_fossiledit.io import LabelStore
from napari_fossiledit.pipeline.whole_stack import segment_stack
from napari_fossiledit.progress import run
from napari_fossiledit.volume import link_store_task

SLICES, SIDE = 30, 96


def work(stack: object, folder: Path) -> None:
    """What is killed: segment a stack, link the result; both go on where they were."""
    segmenter = Discs(seconds=0.004)
    store = segment_stack(segmenter, stack, folder / "segmented.ome.zarr")
    run(link_store_task(store, folder / "linked.ome.zarr"))


def forked(stack: object, folder: Path, *, kill_after: float | None) -> bool:
    """Run `work` in a child; whether it was killed before its end."""
    pid = os.fork()
    if pid == 0:
        try:
            work(stack, folder)
        except BaseException as error:
            print(f"the run failed: {error!r}", flush=True)
            os._exit(1)
        os._exit(0)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in {0, -signal.SIGKILL}:
        raise SystemExit("A run ended with an error of its own.")
    return code == -signal.SIGKILL


def phase(folder: Path, stack: object) -> str:
    """Where a killed run was; a store that says it is whole must be whole."""
    found = {}
    for name in ("segmented", "linked"):
        path = folder / f"{name}.ome.zarr"
        found[name] = LabelStore.open(path) if (path / ".zattrs").exists() else None
        store = found[name]
        if store is not None and store.complete and not store.done().all():
            raise SystemExit(f"{path} says that it is whole, but it is not.")
    segmented, linked = found["segmented"], found["linked"]
    if segmented is None:
        return "before the first slice"
    if not segmented.complete:
        for z in map(int, segmented.done().nonzero()[0]):
            expected = Discs().predict(stack[z]).above(0.5).to_labels()
            if (segmented[z] != expected).any():
                raise SystemExit(f"Slice {z} is shown as done, but it is not whole.")
        return "segmenting" if not segmented.done().all() else "finishing the segmentation"
    if linked is None:
        return "linking, first pass"
    return "writing the links" if not linked.complete else "after the end"


def main() -> None:
    """Kill, go on, compare, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, phases, same, kills = random.Random(options.seed), Counter(), 0, 0
    stack = disc_stack(SLICES, SIDE)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "whole"
        folder.mkdir()
        started = time.perf_counter()
        forked(stack, folder, kill_after=None)
        seconds = time.perf_counter() - started
        whole = contents(folder)
        print(f"unbroken: {len(whole)} files, {seconds:.2f} s", flush=True)
        folder = Path(temporary) / "killed"
        while kills < options.kills:
            folder.mkdir(exist_ok=True)
            if not forked(stack, folder, kill_after=rng.uniform(0, seconds)):
                shutil.rmtree(folder)
                continue
            kills += 1
            phases[phase(folder, stack)] += 1
            if rng.random() < 0.5:  # half of them are killed again before they get to the end
                continue
            forked(stack, folder, kill_after=None)
            if contents(folder) == whole:
                same = kills
            else:
                raise SystemExit(f"After {kills} kills the result is another one.")
            shutil.rmtree(folder)
        if folder.exists():
            forked(stack, folder, kill_after=None)
            same = kills if contents(folder) == whole else same
    print(f"{same} of {kills} kills were followed by the unbroken result, byte for byte")
    for name, count in phases.most_common():
        print(f"  {count:4d} while {name}")


if __name__ == "__main__":
    main()
