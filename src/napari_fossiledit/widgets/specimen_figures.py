"""The figures of page 7: a histogram of a column, and a rose of azimuths. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.widgets.measurement_names import column_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["axial_mean", "histogram_figure", "rose_counts", "rose_figure"]

_DPI = 100
_PETAL = 15  # degrees
_BARS, _CHOSEN = "#56b4e9", "#e69f00"  # Okabe and Ito's
_MOST_BINS = 40


def histogram_figure(
    values: Any,
    name: str,
    unit: str,
    width: int,
    height: int,
    ink: str,
    ratio: float = 1.0,
    *,
    chosen: Any = (),
) -> Figure:
    """A histogram of one measurement, on no ground of its own.

    Parameters
    ----------
    values : (n,) float
        NaN is left out, and counted below the picture.
    name, unit : str
        The column.
    width, height : int
        Pixels of the screen.
    ink : str
        Colour of text and axes.
    ratio : float
        Real pixels a pixel of the screen.
    chosen : (k,) float
        Values of the selected specimens, marked by lines.
    """
    figure = _blank(width, height, ratio)
    axis: Any = figure.add_subplot()
    known = _known(values)
    if known.size:
        edges = np.histogram_bin_edges(known, "auto")
        if len(edges) > _MOST_BINS + 1:
            edges = np.linspace(known.min(), known.max(), _MOST_BINS + 1)
        axis.hist(known, edges, color=_BARS, edgecolor=ink, linewidth=0.4)
        axis.axvline(float(np.median(known)), color=ink, linestyle="--", linewidth=1)
        for value in _known(chosen):
            axis.axvline(float(value), color=_CHOSEN, linewidth=1.5)
    title, _, words = column_title(name, unit).partition("\n")
    axis.set_xlabel(f"{title} ({words})" if words else title)
    axis.set_ylabel("specimens")
    if known.size:
        axis.set_title(_counted(values, f"median {np.median(known):.4g}"), fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.yaxis.get_major_locator().set_params(integer=True)
    _ink(figure, axis, ink)
    return figure


def rose_figure(azimuth: Any, width: int, height: int, ink: str, ratio: float = 1.0) -> Figure:
    """A rose of axial directions, clockwise from the upper edge of the slices.

    Every axis is drawn at both of its ends (0 to 180 degrees, mirrored), and a petal's *area*
    stands for its number of specimens.

    Parameters
    ----------
    azimuth : (n,) float
        Degrees, 0 to 180; NaN is left out.
    width, height, ink, ratio
        As for `histogram_figure`.
    """
    figure = _blank(width, height, ratio)
    axis: Any = figure.add_subplot(projection="polar")
    axis.set_theta_zero_location("N")
    axis.set_theta_direction(-1)
    counts = rose_counts(azimuth)
    starts = np.radians(np.arange(0, 360, _PETAL))
    radius = np.sqrt(np.concatenate([counts, counts]))
    axis.bar(
        starts, radius, np.radians(_PETAL), align="edge", color=_BARS, edgecolor=ink, linewidth=0.4
    )
    top = max(1.0, float(radius.max(initial=0.0)))
    ticks = sorted({max(1, round(float(top**2) * share)) for share in (1.0,)})
    axis.set_ylim(0, 1.05 * top)
    axis.set_yticks(np.sqrt(ticks), [str(n) for n in ticks])
    axis.set_rlabel_position(112)
    axis.set_thetagrids(range(0, 360, 45))
    mean, strength = axial_mean(azimuth)
    if np.isfinite(mean):
        for end in (mean, mean + 180):
            axis.plot([0, np.radians(end)], [0, top], color=_CHOSEN, linewidth=1.5)
        words = f"mean axis {mean:.0f}°, R = {strength:.2f}"
        axis.set_title(_counted(azimuth, words), fontsize=8, pad=14)
    _ink(figure, axis, ink)
    return figure


def rose_counts(azimuth: Any) -> NDArray[np.intp]:
    """Specimens in each petal of 15 degrees, from 0 to 180."""
    axes = np.mod(_known(azimuth), 180.0)
    # 180 - 1e-14 modulo 180 is 180 in floats: it belongs to the first petal.
    petals = np.floor(axes / _PETAL).astype(np.intp) % (180 // _PETAL)
    return np.bincount(petals, minlength=180 // _PETAL)


def axial_mean(azimuth: Any) -> tuple[float, float]:
    """Mean direction of axes in degrees (0 to 180), and how strongly they agree (0 to 1).

    Doubling the angles makes both ends of an axis one direction (Fisher 1993, Statistical
    Analysis of Circular Data, 2.4 and 3.2).
    """
    axes = _known(azimuth)
    if not axes.size:
        return float("nan"), float("nan")
    both = np.exp(2j * np.radians(axes)).mean()
    if abs(both) < 1e-9:
        return float("nan"), 0.0
    return float(np.degrees(np.angle(both)) / 2 % 180), float(abs(both))


def _known(values: Any) -> NDArray[np.float64]:
    array = np.asarray(values, float)
    known: NDArray[np.float64] = array[np.isfinite(array)]
    return known


def _counted(values: Any, words: str) -> str:
    array = np.asarray(values, float)
    unknown = int((~np.isfinite(array)).sum())
    count = array.size - unknown
    said = f"{count} specimen{'' if count == 1 else 's'}, {words}"
    return f"{said} ({unknown} without a value)" if unknown else said


def _blank(width: int, height: int, ratio: float) -> Figure:
    from matplotlib.figure import Figure

    size = (max(width, 120) / _DPI, max(height, 120) / _DPI)
    figure = Figure(size, dpi=_DPI * ratio, layout="constrained")
    figure.patch.set_alpha(0)
    return figure


def _ink(figure: Figure, axis: Any, ink: str) -> None:
    axis.patch.set_alpha(0)
    axis.tick_params(colors=ink, labelsize=8)
    for text in (axis.xaxis.label, axis.yaxis.label, axis.title):
        text.set_color(ink)
    axis.xaxis.label.set_fontsize(9)
    axis.yaxis.label.set_fontsize(9)
    for spine in axis.spines.values():
        spine.set_color(ink)
    if axis.name == "polar":
        axis.grid(color=ink, alpha=0.25, linewidth=0.6)
