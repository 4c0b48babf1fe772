"""``fossiledit edit``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import drive, labelled, load_model, report
from napari_fossiledit.cli.edits import parse_strength
from napari_fossiledit.cli.model_choice import DEMO, ModelChoice, takes_model
from napari_fossiledit.cli.outputs import check_outputs

if TYPE_CHECKING:
    from napari_fossiledit.editing import Edit, StrengthChoice
    from napari_fossiledit.instances import LabelledSlice
    from napari_fossiledit.io import Labelled
    from napari_fossiledit.models import Segmenter

__all__ = ["edit"]


class SolverName(StrEnum):
    """How the deltas are found."""

    ridge = "ridge"
    adam = "adam"


@takes_model
def edit(
    images: options.Images,
    labels: options.Labels,
    out: Annotated[Path, typer.Option("--out", help="The edit file (.safetensors).")],
    slice_name: Annotated[
        str | None,
        typer.Option(
            "--slice",
            help="The slice to edit with: its name, or number from 0; "
            "default: the first with fossils.",
        ),
    ] = None,
    confusers: options.Confusers = None,
    model: ModelChoice = DEMO,
    solver: Annotated[
        SolverName, typer.Option("--solver", help="ridge is exact and quick; adam is the paper's.")
    ] = SolverName.ridge,
    fill: options.Fill = "median",
    target: options.Target = options.TargetName.others,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            help="Names as in `model layers`, with commas; default: the "
            "pyramid's finest output convolution (P2) alone.",
        ),
    ] = None,
    strength: Annotated[
        str,
        typer.Option(
            "--strength", help="A number, or 'auto': chosen on the other labelled slices."
        ),
    ] = "auto",
    seed: options.Seed = 0,
    json: options.Json = None,
) -> None:
    """Rewrite the model's convolutions with one slice and its painted version."""
    from napari_fossiledit import editing, io
    from napari_fossiledit.perturb import Perturbation, parse_fill

    asked = parse_strength(strength)
    recipe = Perturbation(parse_fill(fill), target=target.value, seed=seed)
    check_outputs([images, labels, confusers, *model.files], [out, json])
    found = labelled(images, labels, confusers)
    i = _chosen(found, slice_name)
    piece, others = found.slices[i], [p for j, p in enumerate(found.slices) if j != i]
    _require_others(asked, others)
    io.check_writable(out)
    if json is not None:
        io.check_writable(json)
    segmenter = load_model(model)
    made = drive(
        editing.rewrite_task(
            segmenter,
            piece.image,
            recipe.apply(piece.image, piece.fossils),
            piece.fossils,
            layers=_names(layers),
            solver=editing.Adam() if solver is SolverName.adam else editing.Ridge(),
            name=f"{solver.value}, {piece.name}",
        )
    )
    choice = None
    if asked is None:
        choice = drive(editing.choose_strength_task(segmenter, made, others))
    # What is known only here goes into the file: which slice it was, and who chose the strength.
    made.provenance["slice"] = piece.name
    if choice is None:
        made = made.with_strength(cast("float", asked))
    else:
        made = made.with_choice(choice, [p.image for p in others])
    made.save(out)
    report(json, _figures(made, choice, segmenter, seed))
    typer.echo(choice.sentence if choice is not None else f"The strength is {made.strength:g}.")
    if not made.worth_it:
        typer.echo(f"The edit was written to {out}, but it is not worth applying.")
        return
    typer.echo(
        f"The edit was written to {out}; measure it with this command, with images and labels that "
        "it has not seen in place of these:"
    )
    typer.echo(_command(images, labels, confusers, model, out))


def _command(
    images: Path, labels: Path, confusers: Path | None, model: ModelChoice, out: Path
) -> str:
    """Give the command that measures the edit, ready for a shell."""
    import shlex

    words = ["fossiledit", "evaluate", str(images), str(labels)]
    words += [] if confusers is None else ["--confusers", str(confusers)]
    return shlex.join([*words, *model.words(), "--edit", str(out)])


def _chosen(found: Labelled, name: str | None) -> int:
    from napari_fossiledit.errors import InputError

    if name is None:
        with_fossils = [i for i, piece in enumerate(found.slices) if piece.fossils.any()]
        if not with_fossils:
            raise InputError(
                "None of the labelled slices has a fossil: choose labels in which at least one "
                "instance is drawn."
            )
        return with_fossils[0]
    i = found.index(name)
    if not found.slices[i].fossils.any():
        raise InputError(
            f"The slice {found.slices[i].name} has no labelled fossil: choose one that has, as an "
            "edit must know what to keep."
        )
    return i


def _require_others(asked: float | None, others: list[LabelledSlice]) -> None:
    from napari_fossiledit.errors import InputError

    if asked is None and not any(piece.fossils.any() for piece in others):
        raise InputError(
            "The strength is chosen on other labelled slices, but there are none: label one more "
            "slice, or give a number, e.g. --strength 0.1."
        )


def _names(layers: str | None) -> list[str] | None:
    return None if layers is None else [name.strip() for name in layers.split(",") if name.strip()]


def _figures(
    made: Edit, choice: StrengthChoice | None, segmenter: Segmenter, seed: int
) -> dict[str, Any]:
    return {
        "name": made.name,
        "strength": made.strength,
        "layers": list(made.deltas),
        "losses": made.losses,
        "choice": None if choice is None else choice.to_dict(),
        "provenance": made.provenance,
        "model": segmenter.name,
        "seed": seed,
    }
