"""Disks that refuse: real tiny file systems where root may mount them."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def _mounted(folder: Path, options: str) -> bool:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that has room for 64 KB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = _mounted(folder, "size=64k")
    if not mounted:

        def refuse(path: Path) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("napari_fossiledit.io.save._flush", refuse)
    yield folder
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that cannot be written to."""
    folder = tmp_path / "readonly"
    folder.mkdir()
    mounted = _mounted(folder, "size=64k,ro")
    if not mounted:
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            pytest.skip("root may write everywhere, and nothing can be mounted here")
        folder.chmod(0o555)
    yield folder
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)
    folder.chmod(0o755)
