"""What the advisor found, shown: a table that fits the dock, and the picture in its colours."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from napari_fossiledit.widgets.figure_picture import FigurePicture
from napari_fossiledit.widgets.tables import FigureTable, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_fossiledit.metrics import Interval
    from napari_fossiledit.pipeline.advice import Advice, Judged

__all__ = ["AdvicePicture", "AdviceTable", "dock_figure"]

_HEAD = ("", "AP50\n95 % interval", "preci-\nsion", "recall", "false\nfinds", "best\nat", "s")
_TIPS = (
    "The remedy; bold is the one that the advisor recommends.",
    "Change in AP50 on slices held out in turn, with its 95 % interval.",
    "Change in mean precision.",
    "Change in mean recall.",
    "Change in the number of false detections.",
    "The setting of the highest AP50: a strength, or a threshold.",
    "Seconds that it takes.",
)
_HEIGHT = 620  # px
_SMALL = "QTableWidget, QHeaderView::section { font-size: 8pt; }"
_LETTERS = 13  # in a line of the first column
_DPI = 100


class AdviceTable(FigureTable):
    """One line a remedy."""

    def __init__(self) -> None:
        super().__init__()
        self.setStyleSheet(_SMALL)  # seven columns in the dock's width

    def show_advice(self, advice: Advice | None) -> None:
        """Fill the table; what there is no room for stands in tooltips."""
        remedies = () if advice is None else advice.remedies
        self.fill(_HEAD if remedies else (), [_cells(judged) for judged in remedies])
        for row, judged in enumerate(remedies):
            for column, tip in enumerate(_tips(judged)):
                item = self.item(row, column)
                item.setToolTip(tip)
                if advice is not None and judged.key == advice.recommended:
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
        for column, tip in enumerate(_TIPS if remedies else ()):
            self.horizontalHeaderItem(column).setToolTip(tip)


def _cells(judged: Judged) -> list[str]:
    if judged.problem:
        return [f"{_title(judged)}\n(not tried)", *["–"] * (len(_HEAD) - 1)]
    return [
        _title(judged),
        _with_interval(judged.gain),
        _change(judged.precision),
        _change(judged.recall),
        _change(judged.false_detections, 0),
        f"{judged.best:g}",
        f"{judged.seconds:.0f}",
    ]


def _title(judged: Judged) -> str:
    """The remedy's name, in lines of the first column's width."""
    name = judged.title.removeprefix("Edit: ")
    return "\n".join(wrap(name[:1].upper() + name[1:], _LETTERS)) or judged.key


def _change(change: Interval | None, digits: int = 3) -> str:
    return _short(None if change is None else change.value, digits)


def _short(value: float | None, digits: int) -> str:
    """A change without the zero before the point."""
    words = signed(value, digits=digits)
    return words.replace("0.", ".", 1) if words[1:3] == "0." else words


def _with_interval(change: Interval | None, digits: int = 3) -> str:
    """The change above its interval."""
    words = _change(change, digits)
    if change is None or change.low != change.low:
        return words
    return f"{words}\n[{_short(change.low, digits)}, {_short(change.high, digits)}]"


def _tips(judged: Judged) -> list[str]:
    if judged.problem:
        return [f"Not tried: {judged.problem}"] * len(_HEAD)
    seconds = f"{judged.seconds:.1f} s on a slice" if judged.seconds else "Takes no time."
    unchanged = " (changes nothing)" if judged.best == judged.neutral else ""
    return [
        judged.detail or judged.title,
        _in_one_line("AP50", judged.gain),
        _in_one_line("Mean precision", judged.precision),
        _in_one_line("Mean recall", judged.recall),
        _in_one_line("False detections", judged.false_detections, 0),
        f"{judged.setting} {judged.best:g}{unchanged}",
        seconds,
    ]


def _in_one_line(what: str, change: Interval | None, digits: int = 3) -> str:
    return f"{what}: {_with_interval(change, digits)}".replace("\n", ", 95 % interval ")


class AdvicePicture(FigurePicture):
    """The advisor's picture, gains above curves."""

    def __init__(self) -> None:
        super().__init__(_HEIGHT)

    def show_advice(self, advice: Advice | None) -> None:
        """Show another advice; None hides the picture."""
        tried = advice is not None and any(j.gain is not None for j in advice.remedies)
        if advice is None or not tried:
            self.show_figure(None)
            return
        shown = advice
        self.show_figure(lambda *look: dock_figure(shown, *look))


def dock_figure(advice: Advice, width: int, height: int, ink: str, ratio: float = 1.0) -> Figure:
    """The advisor's picture for a narrow place, on no ground of its own.

    Parameters
    ----------
    advice : Advice
    width, height : int
        Pixels of the screen.
    ink : str
        Colour of text and axes.
    ratio : float
        Real pixels a pixel of the screen.
    """
    from matplotlib.figure import Figure

    from napari_fossiledit.pipeline.advice_figure import draw_curves, draw_gains

    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI * ratio, layout="constrained")
    figure.set_facecolor("none")
    above, below = figure.subplots(2, 1, height_ratios=(1.0, 1.25))
    draw_gains(above, advice)
    draw_curves(below, advice)
    above.set_xlabel("Change in AP50, 95 % interval")  # the longer caption is too wide
    legend = below.get_legend()
    if legend is not None:  # over the curves there is no room for it
        legend.remove()
    handles, names = below.get_legend_handles_labels()
    for axis in (above, below):
        _recolour(axis, ink)
    outside: Any = "outside lower center"
    figure.legend(handles, names, loc=outside, ncols=2, fontsize=8, frameon=False, labelcolor=ink)
    return figure


def _recolour(axis: Any, ink: str) -> None:
    axis.set_facecolor("none")
    axis.tick_params(colors=ink, labelsize=8)
    for label in (axis.xaxis.label, axis.yaxis.label):
        label.set_color(ink)
        label.set_fontsize(8.5)
    for spine in axis.spines.values():
        spine.set_edgecolor(ink)
    for line in axis.lines:
        if line.get_color() == "black":  # the model as it is, unseen on a dark ground
            line.set_color(ink)
