"""The examples and the README's Python run as they are written, from files outside the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_segment_a_stack() -> None:
    lines = run(str(ROOT / "examples" / "segment_a_stack.py")).splitlines()
    assert lines[0].startswith("id")
    assert len(lines) > 3


def test_mend_a_model() -> None:
    said = run(str(ROOT / "examples" / "mend_a_model.py"))
    assert "painted over" in said
    assert "mean recall" in said
    assert "mask threshold" in said


def test_the_readmes_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 1
    monkeypatch.chdir(tmp_path)
    run("-W", "error::DeprecationWarning", "-c", blocks[0])
    assert (tmp_path / "mud.safetensors").exists()
