"""From the trials' files to tables: rows, comparisons between rows, CSV."""

from __future__ import annotations

import csv
import io as text_io
from collections.abc import Iterable, Mapping
from typing import Any

from napari_fossiledit.errors import InputError
from napari_fossiledit.pipeline.experiment_folder import ExperimentFolder
from napari_fossiledit.pipeline.experiment_plan import TABLES
from napari_fossiledit.pipeline.experiment_trial import CURVE, SETS, scores_from_plain

__all__ = ["APPENDIX", "FIGURES", "assemble", "seconds_csv", "tables_csv"]

VERSION = 1
APPENDIX = "A"
FIGURES = (
    "matched_mean.precision",
    "matched_mean.recall",
    "matched_mean.iou",
    "all_mean.precision",
    "all_mean.recall",
    "all_mean.iou",
    "spurious_fraction",
    "false_detections",
    "true_detections",
    "confuser_share",
)
"""What every row tells, beside the excess over the mask threshold's curve and AP."""
_COMPARED = (*FIGURES[:6], "false_detections", "confuser_share")
_HEAD = (
    *("table", "row", "solver", "strength", "reached", "scored_on", "figure", "value", "low"),
    *("high", "change", "change_low", "change_high", "note"),
)
_PARTS = ("figures", "differences", "excess", "average_precision")


def assemble(folder: ExperimentFolder) -> dict[str, Any]:
    """Bring together all that the trials on disk have measured.

    Parameters
    ----------
    folder : ExperimentFolder

    Returns
    -------
    dict
        ``results.json``: what tables and report need. The same trials give the same values, but
        for ``seconds`` and ``dates``.

    Raises
    ------
    InputError
        When not even the unedited model was scored.
    """
    manifest = folder.manifest
    baseline = folder.read(manifest["baseline"])
    if baseline is None:
        raise InputError(
            f"No trial of the experiment in {folder.path} is done yet: run it before its tables "
            "are drawn."
        )
    records = {row["key"]: folder.read(row["key"]) for row in manifest["rows"]}
    rows = [_row(row, records[row["key"]], manifest) for row in manifest["rows"]]
    done = {key: record for key, record in records.items() if record is not None}
    return {
        "kind": "napari-fossiledit experiment results",
        "version": VERSION,
        **{key: manifest[key] for key in ("suite", "model", "slices", "layers", "settings")},
        "baseline": {
            which: {
                "figures": baseline["figures"][which],
                "average_precision": baseline["average_precision"][which],
                "threshold_curve": _curve(baseline[CURVE][which]),
            }
            for which in SETS
        },
        "rows": rows,
        "comparisons": _comparisons(manifest, records),
        "unfinished": sum(record is None for record in records.values()),
        "seconds": {key: record.get("seconds", {}) for key, record in done.items()},
        "dates": {key: record.get("date") for key, record in done.items()},
    }


def _row(
    row: Mapping[str, Any], record: Mapping[str, Any] | None, manifest: Mapping[str, Any]
) -> dict[str, Any]:
    names = [piece["name"] for piece in manifest["slices"]["edit"]]
    known = dict(record or {})
    told = {
        **{key: row[key] for key in ("table", "row", "solver", "key", "how", "steps")},
        "images": [names[step["image"]] for step in row["steps"]],
        "done": record is not None,
        **{key: known.get(key) for key in ("failed", "strength", "worth_it", "reached", "layers")},
        "notes": known.get("notes", []),
        "choice": known.get("choice"),
    }
    for which in SETS:
        parts = {part: known.get(part, {}).get(which) for part in _PARTS}
        told[which] = parts if parts["figures"] is not None else None
    return told


def _curve(plain: Mapping[str, Any]) -> list[dict[str, Any]]:
    points = []
    for cut, scores in plain.items():
        means = scores_from_plain(scores).matched_mean
        points.append({"x": float(cut), "recall": means.recall, "precision": means.precision})
    return points


def _comparisons(
    manifest: Mapping[str, Any], records: Mapping[str, dict[str, Any] | None]
) -> list[dict[str, Any]]:
    """Differences between rows that the paper's questions are about."""
    by_steps = {
        (row["solver"], row["how"], _steps(row["steps"])): row["key"] for row in manifest["rows"]
    }
    found = []
    for row in manifest["rows"]:
        for label, steps in _rivals(row):
            rival = by_steps.get((row["solver"], "in sequence", _steps(steps)))
            if rival is None or rival == row["key"]:
                continue
            measured = _between(records.get(rival), records.get(row["key"]), manifest)
            if measured is not None:
                found.append(
                    {
                        "table": row["table"],
                        "row": row["row"],
                        "solver": row["solver"],
                        "against": label,
                        "differences": measured,
                    }
                )
    return found


def _steps(steps: Iterable[Mapping[str, Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple((step["image"], step["target"], step["fraction"]) for step in steps)


def _rivals(row: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """What a row is compared with: a label, and the rival's steps."""
    steps = [dict(step) for step in row["steps"]]
    last, table = steps[-1], row["table"]
    if table in {"3", "6"}:
        return [("painting all of it", [{**last, "fraction": 1.0}])]
    if table == "4":
        return [("the last image alone", [last]), ("the first image alone", [steps[0]])]
    if table == "7":
        alone = (("mud alone", "others"), ("texture alone", "fossils"))
        return [(label, [{**last, "target": target}]) for label, target in alone]
    if table == "8":
        rivals = [
            ("the last mapping alone", [last]),
            ("both at once", [{**last, "target": "both"}]),
        ]
        if last["target"] == "fossils":  # one of the two orders is compared, not both
            rivals.append(("the other order", steps[::-1]))
        return rivals
    return []


def _between(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, manifest: Mapping[str, Any]
) -> dict[str, Any] | None:
    from napari_fossiledit.metrics import difference

    if not (before and after) or before.get("failed") or after.get("failed"):
        return None
    which = SETS[0]
    settings = manifest["settings"]
    measured = difference(
        scores_from_plain(before["scores"][which]),
        scores_from_plain(after["scores"][which]),
        resamples=settings["resamples"],
        seed=settings["seed"],
    )
    return {key: measured[key].to_dict() for key in _COMPARED}


def figure(figures: Mapping[str, Any], key: str) -> Any:
    """A figure by its key, as ``matched_mean.precision``; None where there is none."""
    value: Any = figures
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def tables_csv(results: Mapping[str, Any]) -> str:
    """All tables as one tidy CSV: a line for every figure of every row; no times, no dates.

    Columns: table, row, solver, strength, fraction reached, slices that it was scored on, figure,
    its value with its 95 % interval, the change against the unedited model with its interval
    (false detections and confuser share: relative change), and a note.
    """
    buffer = text_io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_HEAD)
    for which in SETS:
        told = {**results["baseline"][which], "differences": {}, "excess": {}}
        _lines(writer, ["unedited", "unedited", "none", "", ""], which, told, "")
    for row in results["rows"]:
        reached = " ".join(_number(value) for value in row["reached"] or ())
        head = [row["table"], row["row"], row["solver"], _number(row["strength"]), reached]
        note = "; ".join(row["notes"])
        if not row["done"] or row["failed"]:
            why = row["failed"] or "not run yet"
            writer.writerow([*head, "", "", "", "", "", "", "", "", why])
            continue
        for which in SETS:
            _lines(writer, head, which, row[which], note)
    return buffer.getvalue()


def _lines(writer: Any, head: list[str], which: str, told: Mapping[str, Any], note: str) -> None:
    for key in FIGURES:
        value = figure(told["figures"], key)
        own = told["figures"].get("intervals", {}).get(key, {})
        change = told["differences"].get(key, {})
        cells = [value, own.get("low"), own.get("high")]
        cells += [change.get(name) for name in ("value", "low", "high")]
        writer.writerow([*head, which, key, *map(_number, cells), note])
    for key, value in told["average_precision"].items():
        writer.writerow([*head, which, key, _number(value), "", "", "", "", "", note])
    for key, value in told["excess"].items():
        cells = [value[name] for name in ("value", "low", "high")]
        name = f"{key}_above_threshold_curve"
        writer.writerow([*head, which, name, *map(_number, cells), "", "", "", note])


def seconds_csv(results: Mapping[str, Any]) -> str:
    """How long each row took, by part: beside the tables, as no two runs take equally long."""
    buffer = text_io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["table", "row", "solver", "part", "seconds"])
    for row in results["rows"]:
        for part, seconds in results["seconds"].get(row["key"], {}).items():
            cells = [row["table"], row["row"], row["solver"], part, f"{seconds:.2f}"]
            writer.writerow(cells)
    return buffer.getvalue()


def _number(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def table_rows(results: Mapping[str, Any], number: str) -> list[dict[str, Any]]:
    """The rows of one table; the appendix has those of Tab. 2."""
    wanted = TABLES[0].number if number == APPENDIX else number
    return [row for row in results["rows"] if row["table"] == wanted]
