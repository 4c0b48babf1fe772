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
        if self.limit is None:
            verdict = ""
        else:
            verdict = "yes" if self.value < self.limit else "**no**"
        limit = "" if self.limit is None else f"{self.limit:g}"
        return f"| {self.what} | {self.value:.3g} {self.unit} | {limit} | {verdict} | {self.note} |"
