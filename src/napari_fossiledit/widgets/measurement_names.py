"""What the columns of a table of specimens are called, and what they mean. No Qt."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["axial_columns", "column_tip", "column_title", "numeric_columns", "unit_name"]

# The longest suffix first: a unit may hold an underscore, a power never does.
_TITLES = {
    "id": "id",
    "voxels": "voxels",
    "volume": "volume",
    "surface": "surface",
    "equivalent_diameter": "equivalent diameter",
    "z_first": "first slice",
    "z_last": "last slice",
    "slices": "slices",
    "length": "length",
    "width": "width",
    "height": "height",
    "elongation": "elongation",
    "flatness": "flatness",
    "plunge": "plunge",
    "azimuth": "azimuth",
    "mean_section": "mean section",
    "max_section": "largest section",
    "mean_score": "mean score",
}
_TIPS = {
    "id": "The specimen's number: its label value.",
    "voxels": "How many voxels it has.",
    "volume": "Voxels times the volume of one.",
    "surface": "Area of its mesh.",
    "equivalent_diameter": "Diameter of the sphere of its volume.",
    "z_first": "First slice that has it, counted from 0.",
    "z_last": "Last slice that has it, counted from 0.",
    "slices": "How many slices have it.",
    "length": "Longest axis of the ellipsoid with its second moments.",
    "width": "Middle axis of that ellipsoid.",
    "height": "Shortest axis of that ellipsoid.",
    "elongation": "Length over width: 1 or more.",
    "flatness": "Width over height: 1 or more.",
    "plunge": "Angle of its longest axis against the section: 0 lies in it, 90 stands upright.",
    "azimuth": "Direction of the longest axis' trace in the section, clockwise from the upper "
    "edge: 0 to 180, as an axis has two ends.",
    "mean_section": "Mean area of its sections.",
    "max_section": "Area of its largest section.",
    "mean_score": "Mean confidence of the detections that it was linked from.",
}
_GROUPS = {
    r"bbox_([zyx])_(min|max)": ("{0} {1}", "Edge of its bounding box along {0}."),
    r"centroid_([zyx])": ("centroid {0}", "Centre of its voxels along {0}."),
    r"axis_([zyx])": ("axis {0}", "Part along {0} of the unit vector of its longest axis."),
}
_POWERS = {"": "", "2": "²", "3": "³"}
_NO_FIGURES = {"id"}


def unit_name(units: Iterable[object]) -> str:
    """The one unit of a layer's axes as columns name it: "mm", "um", "pixel".

    Returns
    -------
    str
        "" where the axes have different units, so that no volume can be told.
    """
    names = {_plain(f"{unit:~}" if hasattr(unit, "dimensionality") else unit) for unit in units}
    return names.pop() if len(names) == 1 else ""


def _plain(unit: object) -> str:
    text = str(unit).replace("µ", "u").replace("μ", "u")
    return {"": "pixel", "px": "pixel", "millimeter": "mm", "micrometer": "um"}.get(text, text)


def column_title(name: str, unit: str) -> str:
    """A column's head in two lines: what it is, and its unit."""
    base, words = _parted(name, unit)
    title = _TITLES.get(base)
    for pattern, (text, _) in _GROUPS.items():
        found = re.fullmatch(pattern, base)
        if found:
            title = text.format(*found.groups())
    title = title or base.replace("_", " ")
    return f"{title}\n{words}" if words else title


def column_tip(name: str, unit: str) -> str:
    """What a column means, in a sentence."""
    base, _ = _parted(name, unit)
    for pattern, (_, text) in _GROUPS.items():
        found = re.fullmatch(pattern, base)
        if found:
            return text.format(*found.groups())
    return _TIPS.get(base, "")


def _parted(name: str, unit: str) -> tuple[str, str]:
    """A column's name without its unit, and the unit in words."""
    if name.endswith("_deg"):
        return name.removesuffix("_deg"), "°"
    if unit:
        found = re.fullmatch(rf"(.+)_{re.escape(unit)}([23]?)", name)
        if found:
            sign = "µm" if unit == "um" else unit
            return found.group(1), sign + _POWERS[found.group(2)]
    return name, ""


def numeric_columns(names: Iterable[str]) -> list[str]:
    """Columns whose values can be drawn and coloured by: all but the specimens' numbers."""
    return [name for name in names if name not in _NO_FIGURES]


def axial_columns(names: Iterable[str]) -> set[str]:
    """Columns of directions that have no front and back: 0 and 180 degrees are the same."""
    return {name for name in names if name == "azimuth_deg"}
