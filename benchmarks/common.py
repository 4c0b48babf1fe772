"""Rows of the benchmarks' table."""

from __future__ import annotations

from dataclasses import dataclass


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
