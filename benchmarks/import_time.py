"""Import time of the package in fresh interpreters."""

from __future__ import annotations

import statistics
import subprocess
import sys

from common import Row

CODE = """
import sys, time
started = time.perf_counter()
import napari_fossiledit
seconds = time.perf_counter() - started
heavy = [name for name in ("torch", "qtpy", "PyQt6", "PySide6", "napari") if name in sys.modules]
assert not heavy, heavy
print(seconds)
"""


def measure(runs: int = 7) -> list[Row]:
    """Median over fresh interpreters; the first, cold one is not counted."""
    seconds = [
        float(subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True).stdout)
        for _ in range(runs + 1)
    ][1:]
    return [
        Row(
            "import napari_fossiledit",
            statistics.median(seconds),
            "s",
            0.3,
            f"median of {runs}; neither torch nor Qt imported",
        )
    ]


if __name__ == "__main__":
    print("\n".join(row.line() for row in measure()))
