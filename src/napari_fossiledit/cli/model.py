"""``fossiledit model``: ``info``, ``layers`` and ``export``."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import report, table
from napari_fossiledit.cli.model_choice import DEMO, ModelChoice, takes_model
from napari_fossiledit.cli.model_export import EditsInARow, export
from napari_fossiledit.cli.outputs import check_outputs
from napari_fossiledit.cli.plain_command import PlainCommand

__all__ = ["app"]

app = typer.Typer(
    help="Look into a model, or write it for other programs.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Source = Annotated[str | None, typer.Argument(metavar="MODEL", help="The same as --model.")]
app.command("export", cls=EditsInARow)(takes_model(export))


@app.command("info", cls=PlainCommand)
@takes_model
def info(
    source: Source = None,
    model: ModelChoice = DEMO,
    seed: options.NoSeed = 0,
    json: options.Json = None,
) -> None:
    """Say what a model is: kind, classes, input, limits, editable layers, fingerprint."""
    model = model.named(source)
    check_outputs(model.files, [json])
    segmenter = model.load()
    fingerprint = segmenter.fingerprint()
    names, fossils = segmenter.class_names, segmenter.fossil_classes
    report(
        json,
        {
            "name": segmenter.name,
            "facts": dict(segmenter.facts),
            "classes": list(names),
            "fossil_classes": list(fossils),
            "limits": {
                "score_threshold": segmenter.limits.score_threshold,
                "max_detections": segmenter.limits.max_detections,
            },
            "input_zoom": segmenter.input_zoom,
            "device": str(segmenter.device),
            "editable_layers": [layer.name for layer in segmenter.editable_layers()],
            "fingerprint": fingerprint,
        },
    )
    rows = [["name", segmenter.name]]
    rows += [[what[:1].lower() + what[1:], fact] for what, fact in segmenter.facts.items()]
    rows.append(["classes", ", ".join(f"{i} = {name}" for i, name in enumerate(names))])
    if len(names) > 1:
        chosen = "all" if len(fossils) == len(names) else ", ".join(names[i] for i in fossils)
        rows.append(["fossils are", chosen])
    if segmenter.input_zoom != 1:
        rows.append(["input zoom", f"{segmenter.input_zoom:g}"])
    rows.append(["device", str(segmenter.device)])
    rows.append(["editable layers", str(len(segmenter.editable_layers()))])
    rows.append(["fingerprint", fingerprint])
    width = max(len(row[0]) for row in rows)
    typer.echo("\n".join(f"{what.ljust(width)}  {fact}" for what, fact in rows))


@app.command("layers", cls=PlainCommand)
@takes_model
def layers(
    source: Source = None,
    model: ModelChoice = DEMO,
    seed: options.NoSeed = 0,
    json: options.Json = None,
) -> None:
    """List the convolutions that an edit may rewrite, finest level first, and which it does.

    Those marked "yes" are rewritten where `edit` is given no --layers.
    """
    from dataclasses import asdict

    from napari_fossiledit.editing import default_layers

    model = model.named(source)
    check_outputs(model.files, [json])
    segmenter = model.load()
    found = segmenter.editable_layers()
    usual = {layer.name for layer in default_layers(segmenter)} if found else set()
    listed = [asdict(layer) | {"default": layer.name in usual} for layer in found]
    report(json, {"layers": listed})
    rows = [["layer", "level", "stride", "weight", "default"]]
    rows += [
        [
            layer.name,
            layer.level,
            str(layer.stride),
            " x ".join(map(str, layer.shape)),
            "yes" if layer.name in usual else "",
        ]
        for layer in found
    ]
    typer.echo(table(rows))
