"""A sweep whose process is killed: every file is whole, and the next run goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from experiment_parts import files

CODE = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, {here!r})
from experiment_parts import pieces, settings, tiny
from napari_fossiledit.pipeline.experiment import experiment
experiment(sys.argv[1], segmenter=tiny(), edit_slices=pieces()[:1], unseen=pieces()[2:3],
           settings=settings())
"""


def _start(out: Path) -> subprocess.Popen[bytes]:
    code = CODE.format(here=str(Path(__file__).parent))
    return subprocess.Popen([sys.executable, "-c", code, str(out)], stderr=subprocess.PIPE)


def _finish(process: subprocess.Popen[bytes]) -> None:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_sweep_goes_on(tmp_path) -> None:
    out = tmp_path / "killed"
    for least in (3, 8):  # killed twice, at different places
        process = _start(out)
        until = time.monotonic() + 200
        while len(list((out / "trials").glob("[!.]*.json"))) < least and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.01)
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
        assert process.returncode == -signal.SIGKILL
        kept = {n: d for n, d in files(out / "trials").items() if not n.startswith(".")}
        assert len(kept) >= least
        for name, data in kept.items():
            assert f"{json.loads(data)['key']}.json" == name
        assert not (out / "tables.csv").exists()
    stamps = {name: os.stat(out / "trials" / name).st_mtime_ns for name in kept}
    _finish(_start(out))
    assert stamps == {n: os.stat(out / "trials" / n).st_mtime_ns for n in stamps}
    assert not [name for name in files(out) if ".part" in name]
    whole = tmp_path / "whole"
    _finish(_start(whole))
    assert (out / "tables.csv").read_bytes() == (whole / "tables.csv").read_bytes()
