"""The advisor's picture: gains with their intervals, and every remedy's curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fossiledit.pipeline.advice import Advice, Judged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["advice_figure", "draw_curves", "draw_gains"]

# Okabe and Ito's, told apart by colour-blind readers, without their yellow, which is lost on white;
# three more that show on white and on napari's dark ground. Black is the model as it is.
COLOURS = (
    "#999999",
    "#56b4e9",
    "#8f9a27",
    "#e69f00",
    "#d55e00",
    "#009e73",
    "#a87b5c",
    "#0072b2",
    "#8f6bd9",
    "#cc79a7",
)


def advice_figure(advice: Advice) -> Figure:
    """Gains in AP50 on the left, precision over recall on the right.

    Parameters
    ----------
    advice : Advice
        Also one read back from its JSON: nothing else is needed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
    draw_gains(left, advice)
    draw_curves(right, advice)
    return figure


def draw_gains(axis: Any, advice: Advice) -> None:
    """Each remedy's gain in AP50 on held-out slices, with its 95 % interval."""
    tried = _tried(advice)
    for row, (judged, colour) in enumerate(tried):
        gain = judged.gain
        assert gain is not None  # for the type checker: `_tried` leaves out the others
        if gain.low == gain.low:
            axis.plot([gain.low, gain.high], [row, row], color=colour, linewidth=2)
        marker = "D" if judged.key == advice.recommended else "o"
        axis.plot([gain.value], [row], marker, color=colour, markersize=7)
    axis.axvline(0, color="0.5", linewidth=1, zorder=0)
    axis.set_yticks(range(len(tried)), [judged.title for judged, _ in tried])
    axis.invert_yaxis()
    axis.locator_params(axis="x", nbins=5)
    axis.set_xlabel("Change in AP50, held-out slices, 95 % interval")
    axis.spines[["top", "right"]].set_visible(False)


def draw_curves(axis: Any, advice: Advice) -> None:
    """Mean precision over mean recall, one point a setting."""
    for judged, colour in _tried(advice):
        if judged.key == "score threshold":
            continue  # at confidence 0 these means do not depend on it
        points = judged.points
        axis.plot(
            [p.recall for p in points],
            [p.precision for p in points],
            "o-",
            color=colour,
            label=judged.title,
            markersize=3.5,
            linewidth=1.3,
        )
    start = _unedited(advice)
    if start is not None:
        axis.plot(*start, "*", color="black", markersize=11, label="Model as it is", zorder=5)
    axis.set_xlabel("Mean recall")
    axis.set_ylabel("Mean precision")
    axis.legend(fontsize=8, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)


def _tried(advice: Advice) -> list[tuple[Judged, str]]:
    """Remedies with a result, each with a colour that depends on its place alone."""
    coloured = [(j, COLOURS[i % len(COLOURS)]) for i, j in enumerate(advice.remedies)]
    return [(j, colour) for j, colour in coloured if j.gain is not None]


def _unedited(advice: Advice) -> tuple[float, float] | None:
    for judged in advice.remedies:
        for point in judged.points:
            if point.setting == judged.neutral:
                return point.recall, point.precision
    return None
