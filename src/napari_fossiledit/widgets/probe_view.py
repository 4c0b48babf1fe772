"""What the page shows of a probe, as texts and numbers. No Qt, so it is testable alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_fossiledit.metrics import Interval
    from napari_fossiledit.pipeline import ProbedInstance, ProbeResult, ProbeRow

__all__ = [
    "SCORE_NAMES",
    "figure_table",
    "instance_words",
    "legend_words",
    "place_words",
    "slice_number",
    "texture_table",
    "version_words",
]

SCORE_NAMES = {"IoU": "iou", "Precision": "precision", "Recall": "recall"}
_DASH = "–"


def slice_number(name: str) -> int:
    """Number of the stack's slice of this name, e.g. 24 of "slice 24"."""
    return int(name.split()[-1])


def version_words(version: str) -> str:
    """A version as a column's head, in two lines."""
    return version.replace(" ", "\n", 1)


def place_words(slices: Sequence[str]) -> str:
    """The probed slices, for the start of a sentence."""
    numbers = [str(slice_number(name)) for name in slices]
    if len(numbers) == 1:
        return f"Slice {numbers[0]}"
    some = ", ".join(numbers[:8]) + (", …" if len(numbers) > 8 else "")
    return f"{len(numbers)} slices ({some})"


def figure_table(result: ProbeResult) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the figures; under each the 95 % interval of its change."""
    rows = result.rows
    head = ["", *(version_words(row.version) for row in rows)]
    table = []
    for title, key in (
        ("Precision", "matched_mean.precision"),
        ("Recall", "matched_mean.recall"),
        ("IoU", "matched_mean.iou"),
        ("IoU, missed\ncount 0", "all_mean.iou"),
    ):
        kind, score = key.split(".")
        values = [_figure(getattr(getattr(row.scores, kind), score)) for row in rows]
        table.append(_line(title, rows, values, key))
    total = rows[0].scores.total
    found = [f"{row.found} of {total}" for row in rows]
    table.append(["Fossils found", *found])
    counts = [str(row.scores.false_detections) for row in rows]
    table.append(_line("False\ndetections", rows, counts, "false_detections_difference", digits=0))
    shares = [_share(row.scores.spurious_fraction) for row in rows]
    table.append(_line("Spurious\npixels", rows, shares, "spurious_fraction", percent=True))
    if rows[0].scores.confuser_share is not None:
        shares = [_share(row.scores.confuser_share) for row in rows]
        key = "confuser_share_difference"
        table.append(_line("Confusers\nclaimed", rows, shares, key, percent=True))
    return head, table


def texture_table(result: ProbeResult) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the figures by texture; no rows where no texture is known."""
    versions = [row.version for row in result.rows]
    head = ["IoU by\ntexture", "fossils", *(version_words(version) for version in versions)]
    table = []
    for one in result.textures:
        cells = [one.texture, str(one.total)]
        for version in versions:
            mean = _figure(one.scores[version].all_mean.iou)
            cells.append(f"{mean}\n{one.found[version]} found")
        table.append(cells)
    return head, table


def instance_words(one: ProbedInstance, version: str, score: str) -> str:
    """Say what a point of the plot is."""
    texture = f", {one.texture}" if one.texture else ""
    name = "IoU" if score == "iou" else score
    return (
        f"{one.slice}, fossil {one.instance}{texture}: {name} "
        f"{one.score('original', score):.2f} as it is, {one.score(version, score):.2f} {version}"
    )


def legend_words(result: ProbeResult) -> dict[str | None, str]:
    """Name of each texture in the legend, with its number of fossils."""
    counts: dict[str | None, int] = {}
    for one in result.instances:
        counts[one.texture] = counts.get(one.texture, 0) + 1
    return {name: f"{name or 'texture not known'} ({count})" for name, count in counts.items()}


def _line(
    title: str,
    rows: Sequence[ProbeRow],
    values: Sequence[str],
    key: str,
    **options: Any,
) -> list[str]:
    cells = [values[0]]
    for row, value in zip(rows[1:], values[1:], strict=True):
        span = _span(row.change.get(key), **options)
        cells.append(f"{value}\n{span}" if span else value)
    return [title, *cells]


def _span(interval: Interval | None, *, digits: int = 2, percent: bool = False) -> str:
    """The interval of a change, short: +0.08…+0.14."""
    if interval is None or math.isnan(interval.low):
        return ""
    factor, digits = (100, 0) if percent else (1, digits)
    # Adding 0 makes a plain zero of a negative one.
    ends = (round(factor * value, digits) + 0.0 for value in (interval.low, interval.high))
    low, high = (f"{value:+.{digits}f}" for value in ends)
    return f"{low} … {high}"


def _figure(value: float) -> str:
    return _DASH if math.isnan(value) else f"{value:.3f}"


def _share(value: float | None) -> str:
    return _DASH if value is None else f"{100 * value:.0f} %"
