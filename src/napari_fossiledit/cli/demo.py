"""``fossiledit demo``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import drive, load_model, report, scores_lines
from napari_fossiledit.cli.model_choice import ModelChoice

__all__ = ["demo"]


def demo(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the report, figures and volumes.")
    ] = Path("fossiledit-demo"),
    device: options.Device = options.DeviceName.auto,
    seed: options.NoSeed = 0,
    viewer: Annotated[
        bool, typer.Option("--viewer/--no-viewer", help="Open napari on the specimens after it.")
    ] = False,
    json: options.Json = None,
) -> None:
    """Show the whole loop on the sample reef: what the model errs on, the edit, what it changes."""
    from napari_fossiledit import io
    from napari_fossiledit.pipeline.demo import demo_task

    io.make_folder(out)
    if json is not None:
        io.check_writable(json)
    result = drive(demo_task(out, segmenter=load_model(ModelChoice(device=device.value))))
    figures = result.to_dict()
    report(json, figures)
    typer.echo(result.probe.diagnosis)
    typer.echo(scores_lines({"before": figures["before"], "after": figures["after"]}))
    typer.echo(result.comparison.sentence)
    typer.echo(f"The report is {out / 'report.html'}: open it in a browser.")
    if viewer:
        _open_viewer(out)


def _open_viewer(out: Path) -> None:
    # A process of its own: a viewer that cannot open takes nothing of the demo with it.
    command = [sys.executable, "-m", "napari_fossiledit.widgets.demo_viewer", str(out)]
    if subprocess.run(command, check=False).returncode:
        typer.echo(
            "The viewer did not open: is a screen there, a Qt (napari[all]), and "
            "on Linux the system packages that .ci/system-packages names?",
            err=True,
        )
