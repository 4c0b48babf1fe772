"""Curves of precision over recall as lines of a plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_fossiledit.widgets.plots import BLUE, ORANGE, Series

__all__ = ["choice_series", "curve_series", "scan_series"]

THRESHOLD, STRENGTH = "mask threshold, no edit", "edit, over its strength"


def curve_series(
    label: str,
    steps: Sequence[float],
    scores: Sequence[Any],
    colour: str,
    chosen: float | None = None,
    *,
    beside: bool = False,
) -> Series:
    """A line through the mean recall and precision of ``scores``, named at its ends.

    Parameters
    ----------
    label : str
    steps : sequence of float
        The setting at every point.
    scores : sequence of InstanceScores
    colour : str
    chosen : float, optional
        The setting whose point is drawn large, and named.
    beside : bool
        Whether it is only drawn as far as it lies beside the other lines.
    """
    means = [score.matched_mean for score in scores]
    marked = next((i for i, step in enumerate(steps) if step == chosen), None)
    return Series(
        label,
        [mean.recall for mean in means],
        [mean.precision for mean in means],
        colour,
        marked,
        _names(steps, marked) if not beside else [f"{step:g}" for step in steps],
        beside,
    )


def choice_series(choice: Any) -> list[Series]:
    """The curve over strength with the chosen point, beside that of the mask threshold."""
    lines = []
    if choice.threshold_points:
        cuts, scores = zip(*choice.threshold_points, strict=True)
        lines.append(curve_series(THRESHOLD, cuts, scores, ORANGE, beside=True))
    if choice.points:
        strengths, scores = zip(*choice.points, strict=True)
        lines.append(curve_series(STRENGTH, strengths, scores, BLUE, choice.strength))
    return lines


def scan_series(points: Sequence[tuple[float, float, float]]) -> list[Series]:
    """A scan that still runs: strength, precision and recall of the points so far."""
    strengths = [point[0] for point in points]
    recall, precision = [point[2] for point in points], [point[1] for point in points]
    return [Series(STRENGTH, recall, precision, BLUE, None, _names(strengths, None))]


def _names(steps: Sequence[float], marked: int | None) -> list[str]:
    told = {0, len(steps) - 1, marked}
    return [f"{step:g}" if i in told else "" for i, step in enumerate(steps)]
