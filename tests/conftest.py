"""Disks that refuse: real tiny file systems where root may mount them."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_fossiledit.io import folder as io_folder


def _mounted(folder: Path, options: str) -> bool:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _refuse_below(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Let no file be put into a folder: everything is written with `os.replace` at the end."""
    replace, attempt = os.replace, io_folder._try

    def check(path: Path) -> None:
        if path.resolve().is_relative_to(folder.resolve()):
            raise OSError(code, os.strerror(code))

    def checked_replace(source: str | Path, target: str | Path) -> None:
        check(Path(target))
        replace(source, target)

    def checked_attempt(path: Path) -> None:
        if code == errno.EROFS:  # a full disk still takes empty files
            check(path)
        attempt(path)

    monkeypatch.setattr(os, "replace", checked_replace)
    monkeypatch.setattr(io_folder, "_try", checked_attempt)


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that has room for 64 KB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = _mounted(folder, "size=64k")
    if not mounted:
        _refuse_below(folder, monkeypatch, errno.ENOSPC)
    yield folder
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that cannot be written to."""
    folder = tmp_path / "readonly"
    folder.mkdir()
    mounted = _mounted(folder, "size=64k,ro")
    if not mounted:
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            # Root may write everywhere.
            _refuse_below(folder, monkeypatch, errno.EROFS)
        folder.chmod(0o555)
    yield folder
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)
    folder.chmod(0o755)
