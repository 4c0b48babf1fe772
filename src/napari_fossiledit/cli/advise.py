"""``fossiledit advise``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import drive, labelled, load_model, report, table
from napari_fossiledit.cli.model_choice import DEMO, ModelChoice, takes_model
from napari_fossiledit.cli.outputs import check_outputs
from napari_fossiledit.cli.slices import chosen_slices

if TYPE_CHECKING:
    from napari_fossiledit.metrics import Interval
    from napari_fossiledit.pipeline.advice import Advice

__all__ = ["advise"]

_NONE = "-"


@takes_model
def advise(
    images: options.Images,
    labels: options.Labels,
    confusers: options.Confusers = None,
    model: ModelChoice = DEMO,
    trained_on: Annotated[
        str | None,
        typer.Option(
            "--trained-on",
            metavar="A,B",
            help="Slices (names, or numbers from 0) that the model was trained on: rehearsed, "
            "never judged.",
        ),
    ] = None,
    made_from: Annotated[
        int,
        typer.Option(
            "--made-from", min=1, help="From how many slices each remedy is made in turn."
        ),
    ] = 3,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Draw the gains and curves into this PNG.")
    ] = None,
    seed: options.Seed = 0,
    json: options.Json = None,
) -> None:
    """Try every remedy on labelled slices held out in turn, and say which one to take."""
    from napari_fossiledit import io
    from napari_fossiledit.pipeline.advisor import advise_task

    check_outputs([images, labels, confusers, *model.files], [json, figure])
    found = labelled(images, labels, confusers)
    known = chosen_slices(found, trained_on, "--trained-on")
    for path in (json, figure):
        if path is not None:
            io.check_writable(path)
    segmenter = load_model(model)
    advice = drive(
        advise_task(
            segmenter,
            [piece for i, piece in enumerate(found.slices) if i not in known],
            trained_on=[found.slices[i] for i in known],
            most_made_from=made_from,
            seed=seed,
        )
    )
    report(json, advice.to_dict())
    if figure is not None:
        from napari_fossiledit.pipeline.advice_figure import advice_figure
        from napari_fossiledit.pipeline.figures import png_bytes

        io.write_bytes(figure, png_bytes(advice_figure(advice)))
    typer.echo(_lines(advice))


def _lines(advice: Advice) -> str:
    rows = [["", "AP50", "precision", "recall", "false detections", "best at", "seconds"]]
    for judged in advice.remedies:
        if judged.problem:
            rows.append([judged.title, *[_NONE] * 6])
            continue
        rows.append(
            [
                judged.title,
                _shown(judged.gain),
                _shown(judged.precision),
                _shown(judged.recall),
                _shown(judged.false_detections, digits=0),
                f"{judged.best:g}" + (f" ({judged.detail})" if judged.detail else ""),
                f"{judged.seconds:.1f}",
            ]
        )
    problems = [f"{j.title} was not tried: {j.problem}" for j in advice.remedies if j.problem]
    return "\n".join([table(rows), *problems, advice.sentence])


def _shown(change: Interval | None, digits: int = 3) -> str:
    if change is None or change.value != change.value:
        return _NONE
    text = f"{change.value:+.{digits}f}"
    if change.low != change.low:
        return text
    return f"{text} ({change.low:+.{digits}f} to {change.high:+.{digits}f})"
