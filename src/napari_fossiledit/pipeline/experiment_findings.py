"""What the tables say, in words: counted from the intervals, never from the eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_fossiledit.pipeline.experiment_plan import SOLVERS, TABLES
from napari_fossiledit.pipeline.experiment_tables import APPENDIX, table_rows
from napari_fossiledit.pipeline.experiment_trial import SETS

__all__ = ["WHO", "findings", "tally"]

WHO = {"paper": "The paper's solver", "ours": "Our solver"}


def findings(results: Mapping[str, Any]) -> dict[str, list[str]]:
    """Say what each table shows, for both solvers.

    Parameters
    ----------
    results : dict
        As in ``results.json``.

    Returns
    -------
    dict of str to list of str
        Sentences by the table's number; ``A`` is the appendix, ``all`` is all tables together.
    """
    told: dict[str, list[str]] = {}
    for table in TABLES:
        rows = table_rows(results, table.number)
        told[table.number] = [
            sentence
            for solver in SOLVERS
            for sentence in (
                *_unedited(solver, rows, SETS[0]),
                *_compared(solver, table.number, results["comparisons"]),
            )
        ]
    appendix = table_rows(results, APPENDIX)
    told[APPENDIX] = [line for solver in SOLVERS for line in _unedited(solver, appendix, SETS[1])]
    told["all"] = [line for solver in SOLVERS for line in _in_all(solver, results["rows"])]
    return told


def _in_all(solver: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where all of a solver's edits lie, those shown in two tables counted once."""
    mine = {row["key"]: row[SETS[0]] for row in rows if row["solver"] == solver and row[SETS[0]]}
    if not mine:
        return []
    excess = [one["excess"]["precision"] for one in mine.values()]
    above = sum(i["low"] is not None and i["low"] > 0 for i in excess)
    below = sum(i["high"] is not None and i["high"] < 0 for i in excess)
    return [
        f"{WHO[solver]}: of {len(mine)} different edits, {above} are certainly more precise than a "
        f"raised mask threshold at the same recall, {below} certainly less, and for "
        f"{len(mine) - above - below} the difference is not certain."
    ]


def _unedited(solver: str, rows: Sequence[Mapping[str, Any]], which: str) -> list[str]:
    mine = [row[which] for row in rows if row["solver"] == solver and row[which]]
    if not mine:
        return []
    precision, recall = (
        tally([one["differences"][f"matched_mean.{key}"] for one in mine])
        for key in ("precision", "recall")
    )
    excess = tally([one["excess"]["precision"] for one in mine])
    return [
        f"{WHO[solver]}, against the unedited model: mean precision {precision}; mean recall "
        f"{recall}; precision above the mask threshold's curve at equal recall {excess}."
    ]


def _compared(solver: str, table: str, comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    mine = [c for c in comparisons if c["table"] == table and c["solver"] == solver]
    parts = []
    for against in dict.fromkeys(c["against"] for c in mine):
        chosen = [c["differences"] for c in mine if c["against"] == against]
        precision, recall = (
            tally([one[f"matched_mean.{key}"] for one in chosen]) for key in ("precision", "recall")
        )
        parts.append(f"against {against}, mean precision {precision} and mean recall {recall}")
    return [f"{WHO[solver]}, row against row: {'; '.join(parts)}."] if parts else []


def tally(intervals: Sequence[Mapping[str, Any]]) -> str:
    """Count which differences are certain.

    Parameters
    ----------
    intervals : sequence of dict
        ``value``, ``low``, ``high``, as of `Interval.to_dict`.

    Returns
    -------
    str
        ``up in 5 of 6, uncertain in 1 (+0.011 to +0.043)``; up or down = the 95 % interval leaves
        out 0.
    """
    known = [i for i in intervals if i["value"] is not None]
    if not known:
        return "not known"
    up = sum(i["low"] is not None and i["low"] > 0 for i in known)
    down = sum(i["high"] is not None and i["high"] < 0 for i in known)
    counts = [("up", up), ("down", down), ("uncertain", len(known) - up - down)]
    words = [f"{word} in {count}" for word, count in counts if count]
    words[0] += f" of {len(known)}"
    values = [i["value"] for i in known]
    spread = f"{min(values):+.3f} to {max(values):+.3f}" if len(values) > 1 else f"{values[0]:+.3f}"
    return f"{', '.join(words)} ({spread})"
