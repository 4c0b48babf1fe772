"""The demo's report: one HTML file that can be mailed, and the figures beside it."""

from __future__ import annotations

import base64
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit import __version__
from napari_fossiledit.instances import Instances
from napari_fossiledit.pipeline import figures
from napari_fossiledit.pipeline.demo_result import shown_slice

if TYPE_CHECKING:
    from napari_fossiledit.metrics import Interval
    from napari_fossiledit.pipeline.curves import Comparison
    from napari_fossiledit.pipeline.demo_result import DemoResult

__all__ = ["REMOVED_COLOUR", "change_image", "comparison_table", "write_report"]

REMOVED_COLOUR = (213, 94, 0)
ADDED_COLOUR = (0, 158, 115)


def write_report(folder: Path, result: DemoResult) -> Path:
    """Write ``report.html``, ``metrics.json``, figures, edit, slices and label volumes.

    All files, or none: a report never stands beside the figures of another run.

    Parameters
    ----------
    folder : path
        Made when it is missing.
    result : DemoResult

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    OutputError
        When the folder cannot be written, or the disk is full.
    """
    from napari_fossiledit.io import atomic_folder

    pictures = {name: figures.png_bytes(figure) for name, figure in _figures(result).items()}
    html = _html(result, pictures)
    with atomic_folder(folder) as part:
        _write_files(part, result, pictures, html)
    return folder / "report.html"


def _html(result: DemoResult, pictures: dict[str, bytes]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("napari_fossiledit", "pipeline"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("report.html.jinja").render(**_context(result, pictures))


def _write_files(folder: Path, result: DemoResult, pictures: dict[str, bytes], html: str) -> None:
    from napari_fossiledit import io

    io.make_folder(folder / "figures")
    for name, data in pictures.items():
        io.write_bytes(folder / "figures" / f"{name}.png", data)
    io.write_json(folder / "metrics.json", result.to_dict())
    result.edit.save(folder / "edit.safetensors")
    io.write_stack(folder / "slices.tif", result.block, voxel_size=result.voxel_size)
    for name in ("before", "after", "truth"):
        labels = getattr(result, f"volume_{name}")
        io.write_labels(folder / f"labels_{name}.tif", labels, voxel_size=result.voxel_size)
    io.write_bytes(folder / "report.html", html.encode())


def _context(result: DemoResult, pictures: dict[str, bytes]) -> dict[str, Any]:
    shown = result.slices[shown_slice(result)]
    comparison = result.comparison
    return {
        "verdict": verdict(comparison),
        "before": comparison.before.scores,
        "shown": shown,
        "probe": result.probe,
        "probed": result.probed[0],
        "edit_slice": result.edit_slice,
        "layers": " and ".join(result.edit.layers),
        "seconds": result.seconds,
        "choice": result.choice,
        "total": comparison.before.scores.total,
        "count": len(result.slices),
        "table": comparison_table(comparison),
        "sentence": comparison.sentence,
        "depth": result.volume_before.shape[0],
        "model": result.model,
        "names": "; ".join(piece.name for piece in result.slices),
        "version": __version__,
        "images": {
            name: "data:image/png;base64," + base64.b64encode(data).decode()
            for name, data in pictures.items()
        },
        "f3": lambda value: f"{value:.3f}",
        "pct": percent,
    }


def percent(value: float | None) -> str:
    """A share as a percentage, or a dash where there is none."""
    return "–" if value is None else f"{value:.0%}"


def verdict(comparison: Comparison) -> str:
    """The report's first sentence, from the figures."""
    before, after = comparison.before.scores, comparison.after.scores
    old, new = before.matched_mean, after.matched_mean
    gain = comparison.differences["matched_mean.precision"]
    change = "too few to tell whether that is certain"
    if isfinite(gain.low):
        certain = "certain" if gain.clear else "not certain"
        change = f"95 % interval {gain.low:+.3f} to {gain.high:+.3f}: the change is {certain}"
    return (
        f"On {before.total} fossil sections of reefs that the model never saw, the edit at "
        f"strength {comparison.strength:g} takes mean precision from {old.precision:.3f} to "
        f"{new.precision:.3f} ({gain.value:+.3f}, {change}), recall from {old.recall:.3f} to "
        f"{new.recall:.3f}, false detections from {before.false_detections} to "
        f"{after.false_detections}, and the clots' pixels that it claims from "
        f"{percent(before.confuser_share)} to {percent(after.confuser_share)}."
    )


_ROWS = (
    ("mean precision", "matched_mean.precision"),
    ("mean recall", "matched_mean.recall"),
    ("mean IoU", "matched_mean.iou"),
    ("mean precision, missed fossils as 0", "all_mean.precision"),
    ("mean recall, missed fossils as 0", "all_mean.recall"),
    ("mean IoU, missed fossils as 0", "all_mean.iou"),
    ("pixels claimed outside fossils", "spurious_fraction"),
    ("false detections", "false_detections"),
    ("confuser pixels claimed", "confuser_share"),
)
_RELATIVE = {"false_detections", "confuser_share"}


def comparison_table(comparison: Comparison) -> list[dict[str, str]]:
    """Rows of the before-and-after table, as text: ``name before after change interval``."""
    rows = []
    for name, key in _ROWS:
        before, after = (_figure(e.scores, key) for e in (comparison.before, comparison.after))
        if before is None or after is None:
            continue
        interval = comparison.differences.get(key)
        form = "{:+.0%}" if key in _RELATIVE else "{:+.3f}"
        whole = key == "false_detections"
        rows.append(
            {
                "name": name,
                "before": f"{before:d}" if whole else f"{before:.3f}",
                "after": f"{after:d}" if whole else f"{after:.3f}",
                "change": form.format(interval.value) if interval else "–",
                "interval": _between(form, interval),
            }
        )
    rows.append(_true_detections(comparison))
    return rows


def _between(form: str, interval: Interval | None) -> str:
    if interval is None or not isfinite(interval.low):
        return "–"
    return f"{form} to {form}".format(interval.low, interval.high)


def _true_detections(comparison: Comparison) -> dict[str, str]:
    before, after = (e.scores.true_detections for e in (comparison.before, comparison.after))
    change = f"{after - before:+d}"
    return {
        "name": "true detections",
        "before": str(before),
        "after": str(after),
        "change": change,
        "interval": "–",
    }


def _figure(scores: Any, key: str) -> Any:
    for part in key.split("."):
        scores = getattr(scores, part)
    return scores


def change_image(
    image: NDArray[np.uint8], before: Instances, after: Instances, *, score: float = 0.5
) -> NDArray[np.uint8]:
    """The slice in grey, with the pixels that are no longer claimed and the new ones in colour."""
    grey = image.mean(axis=2, keepdims=True).repeat(3, axis=2) * 0.8 + 40
    old, new = before.above(score).union(), after.above(score).union()
    for where, colour in ((old & ~new, REMOVED_COLOUR), (new & ~old, ADDED_COLOUR)):
        grey[where] = 0.25 * grey[where] + 0.75 * np.array(colour)
    return np.asarray(grey.clip(0, 255), np.uint8)


def _figures(result: DemoResult) -> dict[str, Any]:
    index = shown_slice(result)
    shown = result.slices[index]
    before = result.comparison.before.predictions[index]
    after = result.comparison.after.predictions[index]
    marked_before = figures.outlines(shown, before)
    probed = result.probed[0]
    probe_panels = [(row.version, row.images[0]) for row in result.probe.rows]
    for row in result.probe.rows:
        piece = type(probed)(row.images[0], probed.labels, probed.confusers)
        title = f"{row.version}: detections"
        probe_panels.append((title, figures.outlines(piece, row.predictions[0])))
    truth = result.volume_truth
    volumes: list[tuple[str, NDArray[np.integer]]] = [
        ("before", figures.as_labelled(result.volume_before, truth)),
        ("after", figures.as_labelled(result.volume_after, truth)),
        ("as labelled", truth),
    ]
    return {
        "wrong": figures.slices_figure(
            [("the slice", shown.image), ("what the model says", marked_before)], width=5.0
        ),
        "probe": figures.slices_figure(probe_panels),
        "edit": figures.slices_figure(
            [
                ("before", marked_before),
                ("after", figures.outlines(shown, after)),
                ("change", change_image(shown.image, before, after)),
            ]
        ),
        "curves": figures.curves_figure(result.comparison),
        "volume": figures.specimens_figure(volumes, result.voxel_size),
    }
