"""Killed at random moments, and resumed, the result is that of an unbroken run, to the byte."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from whole_stack_parts import Discs, contents, disc_stack

from napari_fossiledit.io import LabelStore
from napari_fossiledit.pipeline.whole_stack import segment_stack

# Forked from one interpreter that has everything imported: a kill then takes no second.
CODE = """
import os, sys
sys.path.insert(0, {here!r})
from whole_stack_parts import Discs, disc_stack
from napari_fossiledit.pipeline.whole_stack import segment_stack
import napari_fossiledit.io.label_store, scipy.ndimage, dask.array, pandas
assert "torch" not in sys.modules
stack = disc_stack(30)
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        segment_stack(Discs(seconds=0.005), stack, line.strip())
        os._exit(0)
    print(pid, flush=True)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
KILLS = 10


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_ten_kills_change_no_byte(tmp_path) -> None:
    stack = disc_stack(30)
    segment_stack(Discs(), stack, tmp_path / "whole.zarr")
    whole = contents(tmp_path / "whole.zarr")
    rng = random.Random(0)
    out, killed = tmp_path / "killed.zarr", 0
    code = CODE.format(here=str(Path(__file__).parent))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as runner:
        assert runner.stdin is not None
        assert runner.stdout is not None
        for attempt in range(100):
            runner.stdin.write(f"{out}\n")
            runner.stdin.flush()
            pid = int(runner.stdout.readline())
            if killed < KILLS:
                time.sleep(rng.uniform(0.0, 0.12))
                with suppress(ProcessLookupError):  # it was done already
                    os.kill(pid, signal.SIGKILL)
            code_of = int(runner.stdout.readline())
            killed += code_of == -signal.SIGKILL
            if code_of == 0:
                assert contents(out) == whole
                out = tmp_path / f"killed{attempt}.zarr"
                if killed >= KILLS:
                    break
            elif (out / ".zattrs").exists():  # nothing half is shown as whole
                store = LabelStore.open(out)
                # Killed after its last byte and before its end, it is whole.
                assert not store.complete or store.done().all()
                for z in range(0, 30, 1 if store.complete else 7):
                    if store.is_done(z):
                        expected = Discs().predict(stack[z]).above(0.5).to_labels()
                        assert (store[z] == expected).all()
        runner.stdin.close()
    assert killed >= KILLS
