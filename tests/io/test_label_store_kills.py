"""Label volumes survive SIGKILL at any moment, and disks and limits that end in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_fossiledit.io import LabelStore

HERE = Path(__file__).parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_kills_at_random_moments(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "killing.py"), str(tmp_path), "20", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    met, finished = map(int, done.stdout.split())
    assert met == 20
    assert finished > 3


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of this kind")
def test_a_limit_on_files_keeps_what_is_done(tmp_path: Path) -> None:
    code = (
        "import resource, sys, numpy as np\n"
        "from napari_fossiledit.io import LabelStore\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "store = LabelStore.create(sys.argv[1], shape=(3, 200, 200), about={})\n"
        "store.write(0, np.ones((200, 200), int))\n"
        "try:\n"
        "    store.write(1, np.random.default_rng(0).integers(0, 2**30, (200, 200)))\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    path = tmp_path / "r.zarr"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "could not be written (File too large): choose another folder." in done.stdout
    store = LabelStore.open(path)
    assert store.done().tolist() == [True, False, False]
    np.testing.assert_array_equal(store[0], 1)
    assert not [p for p in (path / ".part").rglob("*") if p.is_file()]
