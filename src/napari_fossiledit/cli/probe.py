"""``fossiledit probe``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_fossiledit.cli import options, recipe_options
from napari_fossiledit.cli.console import drive, labelled, load_model, note, report, table
from napari_fossiledit.cli.model_choice import DEMO, ModelChoice, takes_model
from napari_fossiledit.cli.outputs import check_outputs

if TYPE_CHECKING:
    from napari_fossiledit.instances import LabelledSlice
    from napari_fossiledit.io import Textures
    from napari_fossiledit.metrics import Interval
    from napari_fossiledit.pipeline import ProbeResult, ProbeRow

__all__ = ["probe"]

_WORST = 5


@takes_model
def probe(
    context: typer.Context,
    images: options.Images,
    labels: options.Labels,
    confusers: options.Confusers = None,
    model: ModelChoice = DEMO,
    fill: options.Fill = "median",
    target: recipe_options.Target = recipe_options.TargetName.others,
    fraction: recipe_options.Fraction = 1.0,
    by: recipe_options.By = recipe_options.Unit.components,
    feather: recipe_options.Feather = 0.0,
    texture: recipe_options.Texture = None,
    recipe: recipe_options.RecipeFile = None,
    textures: Annotated[
        Path | None,
        typer.Option(
            "--textures",
            help="CSV with the columns id and texture (and slice, if ids differ from slice to "
            "slice): figures by texture as well.",
        ),
    ] = None,
    seed: options.Seed = 0,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Also write a table of all instances, the worst first."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Also draw all instances, original against painted (PNG)."),
    ] = None,
    json: options.Json = None,
) -> None:
    """Compare what the model says of slices as they are, and painted over, to see how it errs."""
    from napari_fossiledit import io
    from napari_fossiledit.errors import InputError
    from napari_fossiledit.pipeline import probe_task

    how = recipe_options.recipe_of(
        context,
        recipe,
        fill,
        target,
        fraction,
        by,
        feather,
        texture,
        seed,
        seed_is_the_recipes=False,
    )
    outputs = [json, csv, plot]
    if plot is not None and plot.suffix.lower() != ".png":
        raise InputError(f"The plot is written as PNG, not as {plot.name}: let it end in .png.")
    check_outputs([images, labels, confusers, recipe, textures, *model.files], outputs)
    classes = None if textures is None else io.read_textures(textures)
    found = labelled(images, labels, confusers)
    texture_of = None if classes is None else _by_slice(classes, found.slices)
    for path in outputs:
        if path is not None:
            io.check_writable(path)
    segmenter = load_model(model)
    result = drive(
        probe_task(
            segmenter,
            found.slices,
            perturbation=how,
            textures=texture_of,
            keep_images=False,
            seed=seed,
        )
    )
    note(result.notes)
    figures = {
        **result.to_dict(),
        "fill": how.fill.to_dict(),
        "model": segmenter.name,
        "seed": seed,
    }
    report(json, figures)
    if csv is not None:
        _write_csv(csv, result)
    if plot is not None:
        _write_plot(plot, figures)
    typer.echo("\n\n".join(_told(result)))


def _by_slice(classes: Textures, slices: Sequence[LabelledSlice]) -> list[dict[int, str]]:
    """Textures of every slice's labels; ids that no slice has are said."""
    import numpy as np

    from napari_fossiledit.errors import InputError

    texture_of = [classes.of_slice(piece.name) for piece in slices]
    seen: set[int] = set()
    for piece, own in zip(slices, texture_of, strict=True):
        seen |= set(np.unique(piece.labels).tolist()) & set(own)
    if not seen:
        raise InputError(
            f"None of the {len(classes.ids)} ids of {classes.name} is a label of these slices: "
            "give the table that belongs to these labels."
        )
    left = len(classes.ids - seen)
    note([f"{left} of the ids of {classes.name} are in none of these slices"] if left else [])
    return texture_of


def _write_csv(path: Path, result: ProbeResult) -> None:
    from napari_fossiledit import io
    from napari_fossiledit.pipeline.probe_instances import instance_table

    versions = [row.version for row in result.rows]
    io.write_table(path, *instance_table(result.worst(), versions))


def _write_plot(path: Path, figures: dict[str, object]) -> None:
    from napari_fossiledit import io
    from napari_fossiledit.pipeline.figures import png_bytes
    from napari_fossiledit.pipeline.probe_figure import probe_figure

    io.write_bytes(path, png_bytes(probe_figure(figures)))


def _told(result: ProbeResult) -> list[str]:
    """The tables and the diagnosis."""
    parts = [_figures(result.rows)]
    if result.textures:
        parts.append(_textures(result))
    parts.append(_worst(result))
    parts.append(result.diagnosis)
    return parts


def _figures(rows: Sequence[ProbeRow]) -> str:
    """The table of figures: under each painted version, the interval of its change."""
    original, *painted = rows
    lines = [["", original.version, *(cell for row in painted for cell in (row.version, "change"))]]
    means = [
        (f"{name} ({kind})", f"{kind}_mean.{score}")
        for kind in ("matched", "all")
        for name, score in (("precision", "precision"), ("recall", "recall"), ("IoU", "iou"))
    ]
    for title, key in [*means, ("spurious fraction", "spurious_fraction")]:
        cells = [_number(_value(original, key))]
        for row in painted:
            cells += [_number(_value(row, key)), _change(row.change.get(key))]
        lines.append([title, *cells])
    for title, name in (("fossils found", "found"), ("false detections", "")):
        counts = [row.found if name else row.scores.false_detections for row in rows]
        key = "" if name else "false_detections_difference"
        cells = [str(counts[0])]
        for row, count in zip(painted, counts[1:], strict=True):
            cells += [str(count), _change(row.change.get(key), digits=0)]
        lines.append([title, *cells])
    lines.append(["fossils labelled", *_spread([str(row.scores.total) for row in rows])])
    if original.scores.confuser_share is not None:
        cells = [_number(original.scores.confuser_share)]
        for row in painted:
            interval = row.change.get("confuser_share_difference")
            cells += [_number(row.scores.confuser_share), _change(interval)]
        lines.append(["confusers claimed", *cells])
    return table(lines)


def _textures(result: ProbeResult) -> str:
    """Mean IoU (unmatched = 0) and fossils found, by texture."""
    versions = [row.version for row in result.rows]
    head = ["texture", "fossils"]
    for version in versions:
        head += [f"IoU, {version}", "found"]
    lines = [head]
    for one in result.textures:
        line = [one.texture, str(one.total)]
        for version in versions:
            line += [_number(one.scores[version].all_mean.iou), str(one.found[version])]
        lines.append(line)
    return table(lines)


def _worst(result: ProbeResult) -> str:
    worst = result.worst(_WORST)
    known = any(one.texture for one in worst)
    head = ["worst instances", "id", *(["texture"] if known else [])]
    lines = [[*head, "IoU", f"IoU, {result.painted}", "change"]]
    for one in worst:
        line = [one.slice, str(one.instance), *([one.texture or "-"] if known else [])]
        line += [_number(one.score("original")), _number(one.score(result.painted))]
        lines.append([*line, f"{one.change(result.painted):+.3f}"])
    return table(lines)


def _value(row: ProbeRow, key: str) -> float:
    value: object = row.scores
    for part in key.split("."):
        value = getattr(value, part)
    return float(value)  # type: ignore[arg-type]


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _change(interval: Interval | None, digits: int = 3) -> str:
    if interval is None or math.isnan(interval.value):
        return ""
    # Adding 0 makes a plain zero of a negative one.
    ends = (interval.value, interval.low, interval.high)
    said, *span = (f"{round(value, digits) + 0.0:+.{digits}f}" for value in ends)
    return said if math.isnan(interval.low) else f"{said} [{', '.join(span)}]"


def _spread(cells: list[str]) -> list[str]:
    """Cells of the versions with an empty one for the change beside each painted version."""
    return [cells[0], *(part for cell in cells[1:] for part in (cell, ""))]
