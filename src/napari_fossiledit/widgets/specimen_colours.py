"""Colours of specimens: by a measurement, and only those that are selected. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scale", "colours_by", "only", "scale_of"]

# Few colours: napari's direct colormaps become slow with as many as there are specimens.
_STEPS = 64
_UNKNOWN = (0.55, 0.55, 0.55, 1.0)
_HIDDEN = (0.0, 0.0, 0.0, 0.0)
_OUTLIERS = 2.0  # per cent at either end that share the end's colour
_MANY = 50  # with fewer specimens each one counts

Colours = dict[int | None, Any]


@dataclass(frozen=True)
class Scale:
    """From a measurement to colours.

    Attributes
    ----------
    low, high : float
        The values at the ends.
    axial : bool
        Whether both ends mean the same, as 0 and 180 degrees of an axis.
    below, above : bool
        Whether some values lie beyond that end.
    """

    low: float
    high: float
    axial: bool = False
    below: bool = False
    above: bool = False

    @property
    def table(self) -> NDArray[np.float64]:
        """The colours from low to high, (64, 4) RGBA in [0, 1]."""
        from matplotlib import colormaps

        # Both even in lightness' order, and told apart by colour-blind readers.
        name = "twilight" if self.axial else "viridis"
        table: NDArray[np.float64] = colormaps[name](np.linspace(0, 1, _STEPS))
        return table

    def steps(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """Rows of `table` for values; -1 where a value is not known."""
        known = np.isfinite(values)
        share = np.zeros(len(values))
        span = self.high - self.low
        share[known] = (values[known] - self.low) / span if span > 0 else 0.5
        steps = np.clip(np.round(share * (_STEPS - 1)), 0, _STEPS - 1).astype(np.intp)
        steps[~known] = -1
        return steps


def scale_of(values: Sequence[float] | NDArray[Any], *, axial: bool = False) -> Scale:
    """The scale on which values are told apart; a few outliers do not flatten it."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    if axial:
        return Scale(0.0, 180.0, axial=True)
    if not known.size:
        return Scale(0.0, 1.0)
    low, high = float(known.min()), float(known.max())
    if known.size >= _MANY:
        inner = np.percentile(known, [_OUTLIERS, 100 - _OUTLIERS])
        if inner[1] > inner[0]:
            below, above = bool(low < inner[0]), bool(high > inner[1])
            return Scale(float(inner[0]), float(inner[1]), below=below, above=above)
    return Scale(low, high)


def colours_by(ids: Sequence[int] | NDArray[Any], values: Any, scale: Scale) -> Colours:
    """A colour for every specimen by its value; grey where it is not known.

    Returns
    -------
    dict of int or None to (4,) float RGBA
        As napari's `DirectLabelColormap` takes it; what is not listed (None) is grey.
    """
    table = scale.table
    steps = scale.steps(np.asarray(values, float))
    colours: Colours = {None: np.array(_UNKNOWN), 0: np.array(_HIDDEN)}
    for number, step in zip(np.asarray(ids).tolist(), steps.tolist(), strict=True):
        colours[int(number)] = np.array(_UNKNOWN) if step < 0 else table[step]
    return colours


def only(ids: Collection[int], colours: Mapping[int | None, Any] | Callable[[int], Any]) -> Colours:
    """Colours that show these specimens and hide all others.

    Parameters
    ----------
    ids : collection of int
    colours : mapping or callable
        Their colours otherwise.
    """
    shown: Colours = {None: np.array(_HIDDEN), 0: np.array(_HIDDEN)}
    for number in ids:
        if callable(colours):
            shown[number] = colours(number)
        else:
            shown[number] = colours.get(number, np.array(_UNKNOWN))
    return shown
