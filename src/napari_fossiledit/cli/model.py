"""``fossiledit model info`` and ``fossiledit model layers``."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import load_model, report, table
from napari_fossiledit.cli.outputs import check_outputs

__all__ = ["app"]

app = typer.Typer(
    help="Look into a model.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Source = Annotated[
    str, typer.Argument(metavar="[MODEL]", help="'demo', or a model file (.safetensors, .pth).")
]


@app.command("info")
def info(
    source: Source = "demo",
    model: Annotated[
        str | None, typer.Option("--model", help="The same, as other commands take it.")
    ] = None,
    device: options.Device = options.DeviceName.auto,
    seed: options.NoSeed = 0,
    json: options.Json = None,
) -> None:
    """Say what a model is: name, classes, device, editable layers, fingerprint."""
    check_outputs([model or source], [json])
    segmenter = load_model(model or source, device.value)
    layers = segmenter.editable_layers()
    figures = {
        "name": segmenter.name,
        "classes": list(segmenter.class_names),
        "device": str(segmenter.device),
        "editable_layers": [layer.name for layer in layers],
        "fingerprint": segmenter.fingerprint(),
    }
    report(json, figures)
    typer.echo(
        table(
            [
                ["name", segmenter.name],
                ["classes", ", ".join(segmenter.class_names)],
                ["device", str(segmenter.device)],
                ["editable layers", str(len(layers))],
                ["fingerprint", str(figures["fingerprint"])],
            ]
        )
    )


@app.command("layers")
def layers(
    source: Source = "demo",
    model: Annotated[
        str | None, typer.Option("--model", help="The same, as other commands take it.")
    ] = None,
    device: options.Device = options.DeviceName.auto,
    seed: options.NoSeed = 0,
    json: options.Json = None,
) -> None:
    """List the convolutions that an edit may rewrite, finest level first, and which it does.

    Those marked "yes" are rewritten where `edit` is given no --layers.
    """
    from dataclasses import asdict

    from napari_fossiledit.editing import default_layers

    check_outputs([model or source], [json])
    segmenter = load_model(model or source, device.value)
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
