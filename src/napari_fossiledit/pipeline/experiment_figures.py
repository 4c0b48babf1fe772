"""Plots of the experiment's report, drawn from ``results.json`` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari_fossiledit.pipeline.experiment_plan import TABLES
from napari_fossiledit.pipeline.experiment_tables import APPENDIX, table_rows
from napari_fossiledit.pipeline.experiment_trial import SETS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "forest_figure", "overview_figure"]

# Told apart by colour-blind readers.
COLOURS = {"paper": "#D55E00", "ours": "#0072B2"}
_NAMES = {"paper": "paper's solver (adam)", "ours": "our solver (ridge)"}
_MARKERS = dict(zip((t.number for t in TABLES), "os^DvPX", strict=True))
_PANELS = (
    ("differences", "matched_mean.precision", "change of mean precision"),
    ("differences", "matched_mean.recall", "change of mean recall"),
    ("excess", "precision", "precision above the mask\nthreshold's curve, at equal recall"),
)


def overview_figure(results: Mapping[str, Any], which: str = SETS[0]) -> Figure:
    """Draw every row as a point of recall and precision, beside the mask threshold's curve."""
    from matplotlib.figure import Figure

    figure_ = Figure(figsize=(10, 5.4))
    figure_.subplots_adjust(0.08, 0.1, 0.73, 0.98)
    axis = figure_.subplots()
    curve = [p for p in results["baseline"][which]["threshold_curve"] if _known(p)]
    recall, precision = [p["recall"] for p in curve], [p["precision"] for p in curve]
    axis.plot(recall, precision, "-", color="0.45", lw=1.2, label="mask threshold, no edit")
    for point in curve:
        where = (point["recall"], point["precision"])
        axis.plot(*where, ".", color="0.45")
        axis.annotate(
            f"{point['x']:g}",
            where,
            (4, 4),
            textcoords="offset points",
            fontsize=7,
            color="0.45",
            annotation_clip=True,
        )
    shown = [row for row in results["rows"] if row[which]]
    rows = [row[which]["figures"]["matched_mean"] for row in shown]
    for row, means in zip(shown, rows, strict=True):
        if _known(means):
            axis.plot(
                means["recall"],
                means["precision"],
                _MARKERS[row["table"]],
                color=COLOURS[row["solver"]],
                markersize=6,
                alpha=0.75,
                markeredgewidth=0,
            )
    means = results["baseline"][which]["figures"]["matched_mean"]
    if _known(means):
        axis.plot(means["recall"], means["precision"], "*", color="0.1", markersize=14)
    axis.set(xlabel="mean recall", ylabel="mean precision")
    _zoom(axis, [m for m in (*rows, means) if _known(m)])
    _legend(axis)
    _tidy(axis)
    return figure_


def _zoom(axis: Any, points: Sequence[Mapping[str, Any]]) -> None:
    """Show the rows, and as much of the curve as lies around them."""
    for key, limit in (("recall", axis.set_xlim), ("precision", axis.set_ylim)):
        values = [point[key] for point in points]
        if values:
            margin = max(0.02, 0.2 * (max(values) - min(values)))
            limit(min(values) - margin, max(values) + margin)


def _known(point: Mapping[str, Any]) -> bool:
    return point["recall"] is not None and point["precision"] is not None


def _legend(axis: Any) -> None:
    from matplotlib.lines import Line2D

    def entry(marker: str, colour: str, label: str, line: str = "") -> Any:
        return Line2D([], [], marker=marker, color=colour, ls=line, label=label)

    handles = [entry("*", "0.1", "unedited model"), entry(".", "0.45", "mask threshold", "-")]
    handles += [entry("o", colour, _NAMES[solver]) for solver, colour in COLOURS.items()]
    titles = {table.number: table.title for table in TABLES}
    handles += [entry(m, "0.3", f"Tab. {n}: {titles[n].lower()}") for n, m in _MARKERS.items()]
    axis.legend(handles=handles, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))


def forest_figure(results: Mapping[str, Any], number: str) -> Figure | None:
    """Draw a table's changes against the unedited model, with 95 % intervals.

    Parameters
    ----------
    results : dict
    number : str
        The table's; ``A`` for the appendix (Tab. 2 scored on the edit images).

    Returns
    -------
    Figure, or None where no row of the table is done
    """
    from matplotlib.figure import Figure

    which = SETS[1] if number == APPENDIX else SETS[0]
    rows = [row for row in table_rows(results, number) if row[which]]
    if not rows:
        return None
    names = list(dict.fromkeys(row["row"] for row in rows))
    height = 1.35 + 0.42 * len(names)
    figure_ = Figure(figsize=(11, height))
    # Set by hand: matplotlib's own layouts draw everything twice.
    left = min(0.35, 0.02 + 0.0067 * max(map(len, names)))
    figure_.subplots_adjust(left, 0.72 / height, 0.99, 1 - 0.5 / height, wspace=0.1)
    axes = figure_.subplots(1, len(_PANELS), sharey=True)
    for axis, (part, key, title) in zip(axes, _PANELS, strict=True):
        axis.axvline(0, color="0.3", lw=1)
        for solver, shift in (("paper", -0.15), ("ours", 0.15)):
            _intervals(axis, [row for row in rows if row["solver"] == solver], names, shift)(
                lambda row, part=part, key=key: row[which][part][key]
            )
        axis.set_title(title, fontsize=10)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.locator_params(axis="x", nbins=6)
        _tidy(axis)
    axes[0].set_yticks(range(len(names)), names, fontsize=9)
    shown = {row["solver"] for row in rows}
    handles, labels = axes[0].get_legend_handles_labels()
    figure_.legend(handles, labels, loc="lower center", ncols=len(shown), fontsize=9)
    return figure_


def _intervals(axis: Any, rows: Sequence[Mapping[str, Any]], names: list[str], shift: float) -> Any:
    def draw(get: Any) -> None:
        for i, row in enumerate(rows):
            found, y = get(row), names.index(row["row"]) + shift
            if found["value"] is None:
                continue
            colour = COLOURS[row["solver"]]
            if found["low"] is not None:
                axis.plot([found["low"], found["high"]], [y, y], color=colour, lw=2)
            label = _NAMES[row["solver"]] if i == 0 else None
            axis.plot(found["value"], y, "o", color=colour, markersize=5, label=label)

    return draw


def _tidy(axis: Any) -> None:
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=9)
