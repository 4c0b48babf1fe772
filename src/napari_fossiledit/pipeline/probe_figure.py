"""The probe's plot of instances, drawn from its JSON. No pyplot, no display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari_fossiledit.errors import InputError
from napari_fossiledit.pipeline.probe_instances import SCORES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TEXTURE_COLOURS", "UNKNOWN", "probe_figure", "texture_colours"]

# Okabe and Ito's colours: told apart by colour-blind readers, on light and dark ground.
TEXTURE_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2")
UNKNOWN = "#9aa0a8"


def texture_colours(textures: Sequence[str | None]) -> dict[str | None, str]:
    """One colour for each texture, in order of their names; grey for None, the last.

    Where no texture is known at all, there is nothing to tell apart, and None is blue.
    """
    names: list[str | None] = [*sorted({name for name in textures if name is not None})]
    found = {name: TEXTURE_COLOURS[i % len(TEXTURE_COLOURS)] for i, name in enumerate(names)}
    if None in textures:
        found[None] = UNKNOWN if names else TEXTURE_COLOURS[1]
    return found


def probe_figure(probe: Mapping[str, Any], *, score: str = "iou") -> Figure:
    """One point for each instance: its score as it is, and painted over.

    Parameters
    ----------
    probe : mapping
        What `ProbeResult.to_dict` gave, or the same read from JSON.
    score : "precision", "recall" or "iou"

    Returns
    -------
    matplotlib Figure
        A panel for each painted version; points above the diagonal gain from the paint.

    Raises
    ------
    InputError
        When the score is unknown, or it is no probe's JSON.
    """
    from matplotlib.figure import Figure

    if score not in SCORES:
        raise InputError(f'The plot shows precision, recall or iou, not "{score}".')
    if not {"versions", "instances"} <= set(probe):
        raise InputError("This is no probe's result: its versions or instances are missing.")
    painted = [version for version in probe["versions"] if version != "original"]
    figure = Figure(figsize=(4.4 * len(painted), 4.6), layout="constrained")
    instances = probe["instances"]
    colours = texture_colours([one["texture"] for one in instances])
    name = "IoU" if score == "iou" else score
    for axis, version in zip(
        figure.subplots(1, len(painted), squeeze=False)[0], painted, strict=True
    ):
        axis.plot([0, 1], [0, 1], color="0.6", linewidth=1)
        for texture, colour in colours.items():
            own = [one["scores"] for one in instances if one["texture"] == texture]
            x, y = ([s[v][score] for s in own] for v in ("original", version))
            words = texture or ("texture not known" if len(colours) > 1 else "fossils")
            axis.scatter(x, y, s=18, color=colour, alpha=0.75, label=f"{words} ({len(own)})")
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        axis.set(xlabel=f"{name}, original", ylabel=f"{name}, {version}")
        axis.legend(fontsize=8, frameon=False)
    return figure
