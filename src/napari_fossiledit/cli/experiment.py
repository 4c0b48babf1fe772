"""``fossiledit experiment``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import drive, labelled, load_model, note, report, table
from napari_fossiledit.cli.model_choice import DEMO, ModelChoice, takes_model
from napari_fossiledit.cli.outputs import check_outputs

if TYPE_CHECKING:
    from napari_fossiledit.instances import LabelledSlice
    from napari_fossiledit.io import Labelled
    from napari_fossiledit.pipeline import Experiment
    from napari_fossiledit.pipeline.experiment_plan import Settings

__all__ = ["experiment"]

_MOST_EDIT_SLICES = 6


class SuiteName(StrEnum):
    """Which tables."""

    paper = "paper"


@takes_model
def experiment(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for tables, report and trials: new, or one to go on with."
        ),
    ] = None,
    suite: Annotated[
        SuiteName, typer.Option("--suite", help="The tables of Panigrahi et al. (2022).")
    ] = SuiteName.paper,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Your slices: a folder or a TIFF; default: the sample reef."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Their labels: a TIFF or a folder of files.")
    ] = None,
    confusers: options.Confusers = None,
    edit_slices: Annotated[
        str | None,
        typer.Option(
            "--edit-slices",
            metavar="A,B",
            help="Slices that make the edits: names, or numbers from 0; all others score them. "
            "Default: the first half of those with fossils, at most six.",
        ),
    ] = None,
    evaluate_slices: Annotated[
        str | None,
        typer.Option(
            "--evaluate-slices", metavar="A,B", help="Score on these only; default: all others."
        ),
    ] = None,
    reefs: Annotated[
        str | None,
        typer.Option(
            "--reefs",
            metavar="A-B",
            help="Without --images: seeds of the sample reefs to evaluate on; default: 3000-3009.",
        ),
    ] = None,
    model: ModelChoice = DEMO,
    fill: options.Fill = "median",
    texture: Annotated[
        str | None,
        typer.Option(
            "--texture",
            metavar="Y0,X0,Y1,X1",
            help="The crop of fossil texture; default: found in each edit slice.",
        ),
    ] = None,
    seed: options.Seed = 0,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Few slices and steps: to see that it runs, not for figures."),
    ] = False,
    redraw: Annotated[
        Path | None,
        typer.Option(
            "--redraw", metavar="DIR", help="Draw the report of this folder anew; nothing is run."
        ),
    ] = None,
    json: options.Json = None,
) -> None:
    """Run the tables of the paper for its solver and ours, on any model and labelled slices."""
    from napari_fossiledit.pipeline.experiment import experiment_task
    from napari_fossiledit.pipeline.experiment import redraw as drawn_anew

    if redraw is not None:
        _refuse_beside_redraw(context)
        _check_json(json, redraw)
        _tell(drawn_anew(redraw), json)
        return
    folder = _require_out(out)
    _check_json(json, folder)
    check_outputs([images, labels, confusers, *model.files], [json])
    settings = _settings(fill, texture, seed, quick)
    edits, unseen = _slices(images, labels, confusers, edit_slices, evaluate_slices, reefs, quick)
    task = experiment_task(
        folder,
        segmenter=load_model(model),
        edit_slices=edits,
        unseen=unseen,
        settings=settings,
        suite=suite.value,
    )
    _tell(drive(task), json)


def _refuse_beside_redraw(context: typer.Context) -> None:
    from napari_fossiledit.errors import InputError

    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in {"redraw", "json", "device", "suite"}
        and str(context.get_parameter_source(parameter.name or "")).endswith("COMMANDLINE")
    ]
    if given:
        raise InputError(
            "--redraw DIR draws a finished experiment again and runs nothing: leave out "
            f"{' and '.join(given)}."
        )


def _check_json(json: Path | None, folder: Path) -> None:
    """The figures must not go over what the report is drawn from."""
    from napari_fossiledit import io
    from napari_fossiledit.errors import InputError

    if json is None:
        return
    if json.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"--json {json.name} would lie in the experiment's own folder, which holds its figures "
            "already: choose a file elsewhere."
        )
    io.check_writable(json)


def _require_out(out: Path | None) -> Path:
    from napari_fossiledit.errors import InputError

    if out is None:
        raise InputError("Where shall the tables go? Give a folder with --out.")
    return out


def _settings(fill: str, texture: str | None, seed: int, quick: bool) -> Settings:
    from napari_fossiledit.perturb import parse_fill
    from napari_fossiledit.pipeline import experiment_plan as plan

    window: Any = None if texture is None else _numbers(texture)
    settings = plan.Settings(fill=str(parse_fill(fill)), texture=window, seed=seed)
    return plan.quick(settings) if quick else settings


def _numbers(text: str) -> tuple[int, ...]:
    from napari_fossiledit.errors import InputError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--texture {text} cannot be read: give four whole numbers y0,x0,y1,x1 with commas."
        ) from None


def _slices(
    images: Path | None,
    labels: Path | None,
    confusers: Path | None,
    edit_slices: str | None,
    evaluate_slices: str | None,
    reefs: str | None,
    quick: bool,
) -> tuple[list[LabelledSlice], list[LabelledSlice]]:
    from napari_fossiledit.errors import InputError

    if images is None:
        if labels is not None or confusers is not None or edit_slices or evaluate_slices:
            raise InputError(
                "Labels or slices were given, but no images: give --images too, or leave them out "
                "for the sample reef."
            )
        return _sample(reefs, quick)
    if labels is None:
        raise InputError("Images were given, but no labels: add --labels.")
    if reefs is not None:
        raise InputError("--reefs is for the sample reef: leave it out with your own --images.")
    found = labelled(images, labels, confusers)
    edits = _edit_slices(found, edit_slices)
    used = {id(piece) for piece in edits}
    if evaluate_slices is None:
        unseen = [piece for piece in found.slices if id(piece) not in used]
    else:
        unseen = _named(found, evaluate_slices)
    return (edits[:2], unseen[:2]) if quick else (edits, unseen)


def _edit_slices(found: Labelled, names: str | None) -> list[LabelledSlice]:
    if names is not None:
        return _named(found, names)
    able = [piece for piece in found.slices if piece.fossils.any()]
    edits = able[: max(1, min(_MOST_EDIT_SLICES, len(able) // 2))]
    note(["The edit slices are " + ", ".join(p.name for p in edits) + ": see --edit-slices"])
    return edits


def _named(found: Labelled, names: str) -> list[LabelledSlice]:
    parts = [part.strip() for part in names.split(",") if part.strip()]
    return [found.slices[i] for i in dict.fromkeys(found.index(part) for part in parts)]


def _sample(reefs: str | None, quick: bool) -> tuple[list[LabelledSlice], list[LabelledSlice]]:
    from napari_fossiledit.sample import splits

    seeds = list(splits.REPORTING_SEEDS) if reefs is None else _seeds(reefs)
    edits = splits.training_slices()
    if quick:
        return edits[:2], splits.unseen_slices(seeds[:1], (8, 40))
    return edits, splits.unseen_slices(seeds, (8, 40))


def _seeds(text: str) -> list[int]:
    from napari_fossiledit.errors import InputError

    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.strip().isdecimal() or not (last or first).strip().isdecimal():
            raise InputError(f"--reefs {text} cannot be read: write e.g. 2000,2001 or 2000-2009.")
        found += range(int(first), int(last or first) + 1)
    if not found:
        raise InputError(f"--reefs {text} names no reef: write the smaller number first.")
    return list(dict.fromkeys(found))


def _tell(done: Experiment, json: Path | None) -> None:
    from napari_fossiledit.pipeline.experiment_findings import findings

    report(json, {**done.results, "findings": findings(done.results)})
    note(f"{row['row']}, {row['solver']}: {row['failed'].rstrip('.')}" for row in done.failed)
    typer.echo(_lines(done.results))
    if done.results["unfinished"]:
        typer.echo(f"{done.results['unfinished']} rows are not run yet.")
    typer.echo(f"The report is {done.folder / 'report.html'}: open it in a browser.")


def _lines(results: dict[str, Any]) -> str:
    rows = [["", "solver", "precision", "recall", "IoU", "false", "above curve"]]
    before = results["baseline"]["unseen"]["figures"]
    rows.append(["unedited", "", *_figures(before), ""])
    for row in results["rows"]:
        if row["unseen"]:
            excess = row["unseen"]["excess"]["precision"]["value"]
            above = "-" if excess is None else f"{excess:+.3f}"
            figures = _figures(row["unseen"]["figures"])
            name = f"{row['table']}  {row['row']}"
            rows.append([name, row["solver"], *figures, above])
    return table(rows)


def _figures(figures: dict[str, Any]) -> list[str]:
    means = (figures["matched_mean"][key] for key in ("precision", "recall", "iou"))
    return [
        *("-" if mean is None else f"{mean:.3f}" for mean in means),
        str(figures["false_detections"]),
    ]
