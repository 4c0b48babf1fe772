"""The experiment's files for people: ``report.html``, ``tables.csv``, all from ``results.json``."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from napari_fossiledit import __version__
from napari_fossiledit.pipeline import experiment_figures, figures
from napari_fossiledit.pipeline.experiment_findings import findings
from napari_fossiledit.pipeline.experiment_folder import RESULTS, ExperimentFolder
from napari_fossiledit.pipeline.experiment_plan import TABLES, Table
from napari_fossiledit.pipeline.experiment_tables import (
    APPENDIX,
    assemble,
    figure,
    seconds_csv,
    table_rows,
    tables_csv,
)
from napari_fossiledit.pipeline.experiment_trial import SETS

__all__ = ["redraw_tables", "write_tables"]

_APPENDIX = Table(
    APPENDIX,
    "Appendix: the same on the edit images",
    "The edits of Tab. 2, scored on the labelled slices that make edits and choose strengths (the "
    "model may have been trained on them). Does a gain there tell of a gain on unseen slices?",
)


def write_tables(folder: ExperimentFolder) -> dict[str, Any]:
    """Bring the trials together and write ``results.json``, the tables and the report.

    Parameters
    ----------
    folder : ExperimentFolder

    Returns
    -------
    dict
        As in ``results.json``.

    Raises
    ------
    OutputError
        When the folder cannot be written; the old files are then as they were.
    """
    # Through JSON, so that what is drawn now is what is drawn again later, to the byte.
    results: dict[str, Any] = json.loads(json.dumps(_finite({**assemble(folder)})))
    results["version_of_program"] = __version__
    _write(folder, results)
    return results


def redraw_tables(folder: ExperimentFolder) -> dict[str, Any]:
    """Write tables and report anew, from ``results.json`` where it holds every row."""
    try:
        results = json.loads((folder.path / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        results = None
    if not isinstance(results, dict) or "rows" not in results or results.get("unfinished"):
        return write_tables(folder)
    _write(folder, results)
    return results


def _write(folder: ExperimentFolder, results: dict[str, Any]) -> None:
    from napari_fossiledit import io

    html = report_html(results)
    with io.atomic_folder(folder.path) as part:
        io.write_json(part / RESULTS, results)
        io.write_bytes(part / "tables.csv", tables_csv(results).encode())
        io.write_bytes(part / "seconds.csv", seconds_csv(results).encode())
        io.write_bytes(part / "report.html", html.encode())


def report_html(results: Mapping[str, Any]) -> str:
    """The report as one HTML text with its pictures in it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("napari_fossiledit", "pipeline"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    template = environment.get_template("experiment.html.jinja")
    said = findings(results)
    before = results["baseline"][SETS[0]]["figures"]
    return template.render(
        overview=_picture(experiment_figures.overview_figure(results)),
        tables=[_section(results, table, said[table.number]) for table in (*TABLES, _APPENDIX)],
        unedited=_cells(results["baseline"][SETS[0]], None),
        before=before,
        in_all=said["all"],
        columns=_COLUMNS,
        settings=results["settings"],
        in_words={key: _words(results["settings"][key]) for key in ("paper_solver", "our_solver")},
        model=results["model"],
        edit_names="; ".join(piece["name"] for piece in results["slices"]["edit"]),
        unseen_names="; ".join(piece["name"] for piece in results["slices"]["unseen"]),
        layers=results["layers"],
        unfinished=results["unfinished"],
        minutes=sum(sum(parts.values()) for parts in results["seconds"].values()) / 60,
        trials=len(results["seconds"]) + results["unfinished"],
        version=results["version_of_program"],
    )


def _words(solver: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key} {value}" for key, value in solver.items() if key != "name")
    return f"{solver['name']} ({rest})" if rest else str(solver["name"])


def _section(results: Mapping[str, Any], table: Table, said: list[str]) -> dict[str, Any]:
    which = SETS[1] if table.number == APPENDIX else SETS[0]
    drawn = experiment_figures.forest_figure(results, table.number)
    rows = []
    for row in table_rows(results, table.number):
        seconds = results["seconds"].get(row["key"], {})
        spent = seconds.get("edit", 0.0) + seconds.get("strength", 0.0)
        head = {
            "name": row["row"],
            "solver": row["solver"],
            "strength": "–" if row["strength"] is None else f"{row['strength']:g}",
            "notes": "; ".join(row["notes"]),
            "failed": row["failed"] or ("" if row["done"] else "not run yet"),
            "seconds": f"{spent:.1f}",
        }
        head["cells"] = _cells(row[which], row) if row[which] else []
        rows.append(head)
    return {
        "number": table.number,
        "title": table.title,
        "question": table.question,
        "findings": said,
        "picture": "" if drawn is None else _picture(drawn),
        "unedited": _cells(results["baseline"][which], None),
        "rows": rows,
    }


_COLUMNS = (
    ("precision", "matched_mean.precision", "{:.3f}", "{:+.3f}"),
    ("recall", "matched_mean.recall", "{:.3f}", "{:+.3f}"),
    ("IoU", "matched_mean.iou", "{:.3f}", "{:+.3f}"),
    ("false detections", "false_detections", "{:d}", "{:+.0%}"),
    ("confusers claimed", "confuser_share", "{:.1%}", "{:+.0%}"),
)


def _cells(told: Mapping[str, Any], row: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """A row's figures as text: the value, and its change with the interval under it."""
    cells = []
    for _, key, form, change_form in _COLUMNS:
        cell = _cell(told, key, form, change_form if row else "")
        if key.startswith("matched_mean"):
            every = key.replace("matched_mean", "all_mean")
            cell["every"] = _cell(told, every, form, change_form if row else "")
        cells.append(cell)
    excess = told["excess"]["precision"] if row else None
    value = "–" if not excess or excess["value"] is None else f"{excess['value']:+.3f}"
    cells.append({"value": value, "change": "", **_band(excess, "{:+.3f}"), "every": None})
    return cells


def _cell(told: Mapping[str, Any], key: str, form: str, change_form: str) -> dict[str, Any]:
    """One figure as text; with a form for its change, that too."""
    value = figure(told["figures"], key)
    cell = {"value": "–" if value is None else form.format(value), "change": "", "every": None}
    change = told["differences"].get(key) if change_form else None
    if change and change["value"] is not None:
        cell["change"] = change_form.format(change["value"])
    return cell | _band(change, change_form)


def _band(change: Mapping[str, Any] | None, form: str) -> dict[str, str]:
    if not change or change["low"] is None:
        return {"band": "", "certain": ""}
    certain = "yes" if change["low"] > 0 or change["high"] < 0 else ""
    return {"band": f"{form} to {form}".format(change["low"], change["high"]), "certain": certain}


def _picture(drawn: Any) -> str:
    return "data:image/png;base64," + base64.b64encode(figures.png_bytes(drawn)).decode()


def _finite(value: Any) -> Any:
    """NaN as None, as in a file."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value != value else value
