"""``fossiledit probe``."""

from __future__ import annotations

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import drive, labelled, load_model, report, scores_lines
from napari_fossiledit.cli.model_choice import DEMO, ModelChoice, takes_model
from napari_fossiledit.cli.outputs import check_outputs

__all__ = ["probe"]


@takes_model
def probe(
    images: options.Images,
    labels: options.Labels,
    confusers: options.Confusers = None,
    model: ModelChoice = DEMO,
    fill: options.Fill = "median",
    seed: options.Seed = 0,
    json: options.Json = None,
) -> None:
    """Compare what the model says of slices as they are, and painted over, to see how it errs."""
    from napari_fossiledit import io
    from napari_fossiledit.perturb import parse_fill
    from napari_fossiledit.pipeline import probe_task

    paint = parse_fill(fill)
    check_outputs([images, labels, confusers, *model.files], [json])
    found = labelled(images, labels, confusers)
    if json is not None:
        io.check_writable(json)
    segmenter = load_model(model)
    result = drive(probe_task(segmenter, found.slices, fill=paint))
    figures = {
        "versions": {row.version: row.scores.to_dict(seed=seed) for row in result.rows},
        "diagnosis": result.diagnosis,
        "fill": paint.to_dict(),
        "model": segmenter.name,
        "seed": seed,
    }
    report(json, figures)
    typer.echo(
        scores_lines({row.version: row.scores.to_dict(intervals=False) for row in result.rows})
    )
    typer.echo(result.diagnosis)
