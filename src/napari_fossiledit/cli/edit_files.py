"""``fossiledit edits``: look into edit files, and make one of several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import report
from napari_fossiledit.cli.outputs import check_outputs
from napari_fossiledit.cli.plain_command import PlainCommand

__all__ = ["app"]

app = typer.Typer(
    help="Look into edit files, or make one of several.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("info", cls=PlainCommand)
def info(
    file: Annotated[Path, typer.Argument(metavar="EDIT", help="An edit file (.safetensors).")],
    device: options.NoDevice = options.DeviceName.auto,
    seed: options.NoSeed = 0,
    json: options.Json = None,
) -> None:
    """Say where an edit comes from: model, slice, painting, solver, loss, strength."""
    from napari_fossiledit import editing
    from napari_fossiledit.editing.provenance_words import provenance_rows

    check_outputs([file], [json])
    edit = editing.load_edit(file)
    rows = [("Name", edit.name), *provenance_rows(edit)]
    report(json, _figures(edit))
    width = max(len(title) for title, _ in rows)
    for title, text in rows:
        typer.echo(f"{title.ljust(width)}  {text}")


@app.command("merge", cls=PlainCommand)
def merge(
    files: Annotated[list[Path], typer.Argument(metavar="EDIT", help="Two or more edit files.")],
    out: Annotated[Path, typer.Option("--out", help="The merged edit's file (.safetensors).")],
    strengths: Annotated[
        str | None,
        typer.Option("--strengths", metavar="A,B", help="The strength of each; default: its own."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The merged edit's name.")] = None,
    device: options.NoDevice = options.DeviceName.auto,
    seed: options.NoSeed = 0,
    json: options.Json = None,
) -> None:
    """Make one edit of several: at strength 1 it does what they do together."""
    from napari_fossiledit import editing, io

    weights = _strengths(strengths, len(files))
    check_outputs(files, [out, json])
    io.check_writable(out)
    if json is not None:
        io.check_writable(json)
    edits = [editing.load_edit(file) for file in files]
    parts = [(e, e.strength if w is None else w) for e, w in zip(edits, weights, strict=True)]
    merged = editing.merge_edits(parts, name=name)
    merged.save(out)
    report(json, _figures(merged))
    words = ", ".join(f"{edit.name} at {weight:g}" for edit, weight in parts)
    typer.echo(f"{words}: written to {out} as one edit, to be used at strength 1.")


def _strengths(text: str | None, count: int) -> list[float | None]:
    from napari_fossiledit.cli.edits import parse_strength
    from napari_fossiledit.errors import InputError

    if text is None:
        return [None] * count
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != count:
        raise InputError(
            f"--strengths has {len(parts)} numbers for {count} edits: give one for each, with "
            "commas."
        )
    found = []
    for part in parts:
        if part == "auto":
            raise InputError("--strengths takes numbers, not auto: give one for each edit.")
        found.append(parse_strength(part))
    return found


def _figures(edit: Any) -> dict[str, Any]:
    return {
        "name": edit.name,
        "strength": edit.strength,
        "identity": edit.identity,
        "layers": list(edit.layers),
        "provenance": edit.provenance,
    }
