"""Where an edit comes from, as a small table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["provenance_html"]


def provenance_html(rows: Sequence[tuple[str, str]]) -> str:
    """The rows as a small table for a label; texts are escaped."""
    lines = (
        f"<tr><td style='padding-right: 8px'><b>{escape(title)}</b></td>"
        f"<td>{escape(text)}</td></tr>"
        for title, text in rows
    )
    return f"<table cellspacing='0' cellpadding='2'>{''.join(lines)}</table>"
