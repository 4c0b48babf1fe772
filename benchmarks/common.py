"""Rows of the benchmarks' table."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes
    ----------
    what : str
    value : float
    unit : str
        ``s``, ``ms``, ``ratio``...
    limit : float or None
        The design's limit: the value should lie below it.
    note : str
        How it was measured.
    """

    what: str
    value: float
    unit: str
    limit: float | None = None
    note: str = ""

    def line(self) -> str:
        """A row of a Markdown table."""
        limit = verdict = ""
        if self.limit is not None:
            limit = f"{self.limit:g}"
            verdict = "yes" if self.value < self.limit else "**no**"
        return f"| {self.what} | {self.value:.3g} {self.unit} | {limit} | {verdict} | {self.note} |"


def peak_gb() -> float:
    """Most memory that this process ever held, in GB, with everything it imported and loaded."""
    try:  # Linux's ru_maxrss begins with what the parent process held
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(ln.split()[1]) / 1024**2 for ln in lines if ln.startswith("VmHWM"))
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (1024**3 if sys.platform == "darwin" else 1024**2)
