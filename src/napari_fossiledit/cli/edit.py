"""``fossiledit edit``."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from napari_fossiledit.cli import options, recipe_options, solver_options
from napari_fossiledit.cli.console import drive, labelled, load_model, note, report
from napari_fossiledit.cli.edits import parse_strength
from napari_fossiledit.cli.model_choice import DEMO, ModelChoice, takes_model
from napari_fossiledit.cli.outputs import check_outputs
from napari_fossiledit.cli.slices import chosen_slices, context_images, unlabelled_slices

if TYPE_CHECKING:
    from napari_fossiledit.editing import Edit, Source, StrengthChoice
    from napari_fossiledit.editing.several import How
    from napari_fossiledit.instances import LabelledSlice
    from napari_fossiledit.io import Labelled
    from napari_fossiledit.models import Segmenter
    from napari_fossiledit.perturb import Perturbation

__all__ = ["edit"]

_PAINT = ("fill", "target", "fraction", "by", "feather", "texture", "recipe")
_FITS = (solver_options.SolverName.labels, solver_options.SolverName.agreement)
_AUTO = ("rule", "recall_loss", "recall_floor")


class HowName(StrEnum):
    """How several slices are taken."""

    jointly = "jointly"
    in_sequence = "in-sequence"


class RuleName(StrEnum):
    """Which strength is taken of those that keep recall."""

    most_precise = "most-precise"
    strongest = "strongest"


@takes_model
def edit(
    context: typer.Context,
    images: options.Images,
    labels: options.Labels,
    out: Annotated[Path, typer.Option("--out", help="The edit file (.safetensors).")],
    slice_name: Annotated[
        str | None,
        typer.Option(
            "--slice",
            help="The slice to edit with: its name, or number from 0; "
            "default: the first with fossils; agreement: the first it was not trained on.",
        ),
    ] = None,
    slices: Annotated[
        str | None,
        typer.Option("--slices", metavar="A,B", help="Several slices to edit with, in this order."),
    ] = None,
    how: Annotated[
        HowName,
        typer.Option(
            "--how",
            help="Several slices: jointly (the order does not matter), or in sequence (the last "
            "has the last word).",
        ),
    ] = HowName.jointly,
    trained_on: Annotated[
        str | None,
        typer.Option(
            "--trained-on",
            metavar="A,B",
            help="labels, agreement: slices that the model was trained on, rehearsed so that it "
            "forgets nothing.",
        ),
    ] = None,
    context_slices: Annotated[
        str | None,
        typer.Option(
            "--context",
            metavar="A,B",
            help="low_rank, adam with --rank: slices that tell, with the edited one, what is "
            "ordinary rock; they need no labels.",
        ),
    ] = None,
    confusers: options.Confusers = None,
    model: ModelChoice = DEMO,
    solver: solver_options.Solver = solver_options.SolverName.ridge,
    rank: solver_options.Rank = None,
    damping: solver_options.Damping = None,
    keep_weight: solver_options.KeepWeight = None,
    iterations: solver_options.Iterations = None,
    steps: solver_options.Steps = None,
    lr: solver_options.Rate = None,
    heads: solver_options.Heads = None,
    biases: solver_options.Biases = None,
    fill: options.Fill = "median",
    target: recipe_options.Target = recipe_options.TargetName.others,
    fraction: recipe_options.Fraction = 1.0,
    by: recipe_options.By = recipe_options.Unit.components,
    feather: recipe_options.Feather = 0.0,
    texture: recipe_options.Texture = None,
    recipe: recipe_options.RecipeFile = None,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            help="Names as in `model layers`, with commas; default: the "
            "pyramid's finest output convolution (P2) alone; distil: all of them; labels: the "
            "heads alone; agreement: always the heads.",
        ),
    ] = None,
    strength: Annotated[
        str | None,
        typer.Option(
            "--strength",
            help="A number, or 'auto': chosen on the other labelled slices; default: auto, for "
            "the solvers labels and agreement 1.",
        ),
    ] = None,
    rule: Annotated[
        RuleName,
        typer.Option(
            "--rule", help="'auto' takes this one of the strengths that keep enough recall."
        ),
    ] = RuleName.most_precise,
    recall_loss: Annotated[
        float | None,
        typer.Option("--recall-loss", help="Mean recall that 'auto' may cost; default: 0.035."),
    ] = None,
    recall_floor: Annotated[
        float | None,
        typer.Option("--recall-floor", help="Mean recall that 'auto' must keep, instead."),
    ] = None,
    seed: options.Seed = 0,
    json: options.Json = None,
) -> None:
    """Rewrite the model's convolutions with slices and their painted versions, or with labels."""
    from napari_fossiledit import editing, io
    from napari_fossiledit.editing.correcting import has_heads

    # Other labelled slices are mostly those of the training: they cannot tell what labels gain.
    usual = "1" if solver in _FITS else "auto"
    asked = parse_strength(usual if strength is None else strength)
    given = {"rank": rank, "damping": damping, "keep_weight": keep_weight}
    given |= {"iterations": iterations, "steps": steps, "lr": lr, "heads": heads, "biases": biases}
    settings = solver_options.solver_of(solver, given, seed)
    limits = _limits(context, asked, rule, recall_loss, recall_floor)
    _check_words(context, solver, slice_name, slices)
    painted = recipe_options.recipe_of(
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
    check_outputs([images, labels, confusers, recipe, *model.files], [out, json])
    found = labelled(images, labels, confusers)
    ordinary = context_images(images, context_slices, settings)
    trained = chosen_slices(found, trained_on, "--trained-on")
    if solver is solver_options.SolverName.agreement:
        pieces, chosen = unlabelled_slices(images, found, slice_name, slices, trained)
    else:
        chosen = _chosen(found, slice_name, slices)
        pieces = [found.slices[i] for i in chosen]
    known = [i for i in trained if i not in chosen]
    used = {*chosen, *known}
    others = [piece for i, piece in enumerate(found.slices) if i not in used]
    _require_others(asked, others)
    io.check_writable(out)
    if json is not None:
        io.check_writable(json)
    segmenter = load_model(model)
    name = f"{solver.value}, {' + '.join(piece.name for piece in pieces)}"
    chosen_layers = _names(layers)
    if solver is solver_options.SolverName.agreement:
        task = editing.teach_itself_task(
            segmenter,
            [piece.image for piece in pieces],
            rehearse=[found.slices[i] for i in known],
            solver=settings,
            name=name,
        )
    elif solver is solver_options.SolverName.labels:
        if heads is None and not has_heads(segmenter):
            settings = replace(settings, heads=False)
        task = editing.correct_task(
            segmenter,
            pieces,
            layers=chosen_layers,
            solver=settings,
            rehearse=[found.slices[i] for i in known],
            name=name,
        )
    else:
        task = editing.rewrite_several_task(
            segmenter,
            _sources(pieces, painted),
            how=cast("How", how.value.replace("-", " ")),
            layers=chosen_layers,
            solver=settings,
            context=ordinary,
            name=name,
        )
    made = drive(task)
    _note_skipped(made)
    choice = None
    if asked is None:
        choice = drive(editing.choose_strength_task(segmenter, made, others, **limits))
    # What is known only here goes into the file: which slice it was, and who chose the strength.
    made.provenance["slice"] = ", ".join(piece.name for piece in pieces)
    if choice is None:
        made = made.with_strength(cast("float", asked))
    else:
        made = made.with_choice(choice, [p.image for p in others], names=[p.name for p in others])
    made.save(out)
    report(json, _figures(made, choice, segmenter, seed))
    _say(made, choice, out, _command(images, labels, confusers, model, out))


def _say(made: Edit, choice: StrengthChoice | None, out: Path, command: str) -> None:
    """Say what was chosen, where it stands beside a mask threshold, and what to do next."""
    typer.echo(choice.sentence if choice is not None else f"The strength is {made.strength:g}.")
    if choice is not None and choice.beside:
        typer.echo(choice.beside)
    if not made.worth_it:
        typer.echo(f"The edit was written to {out}, but it is not worth applying.")
        return
    typer.echo(
        f"The edit was written to {out}; measure it with this command, with images and labels that "
        "it has not seen in place of these:"
    )
    typer.echo(command)


def _command(
    images: Path, labels: Path, confusers: Path | None, model: ModelChoice, out: Path
) -> str:
    """Give the command that measures the edit, ready for a shell."""
    import shlex

    words = ["fossiledit", "evaluate", str(images), str(labels)]
    words += [] if confusers is None else ["--confusers", str(confusers)]
    return shlex.join([*words, *model.words(), "--edit", str(out)])


def _sources(pieces: list[LabelledSlice], recipe: Perturbation) -> list[Source]:
    """The slices with their painted versions."""
    from napari_fossiledit import editing

    sources = []
    for piece in pieces:
        painted = drive(recipe.apply_task(piece.image, piece.labels))
        note(f"{piece.name}: {line}" for line in painted.notes)
        sources.append(editing.Source(piece.image, painted, piece.fossils))
    return sources


def _note_skipped(made: Edit) -> None:
    from napari_fossiledit.editing.provenance_words import skipped_words

    words = skipped_words(made)
    note([words.rstrip(".")] if words else [])


def _limits(
    context: typer.Context,
    asked: float | None,
    rule: RuleName,
    recall_loss: float | None,
    recall_floor: float | None,
) -> dict[str, Any]:
    """How ``auto`` chooses; its options are refused beside a strength of the user's."""
    from napari_fossiledit.editing.strength import RECALL_LOSS
    from napari_fossiledit.errors import InputError

    words = _given(context, _AUTO)
    if asked is not None and words:
        raise InputError(
            f"{words[0]} says how the strength is chosen, but it is {asked:g} already: leave out "
            "one of them."
        )
    if recall_loss is not None and recall_floor is not None:
        raise InputError(
            "--recall-loss and --recall-floor both say which recall is kept: give one of them."
        )
    for word, value in (("--recall-loss", recall_loss), ("--recall-floor", recall_floor)):
        if value is not None and not 0 <= value <= 1:
            raise InputError(f"{word} must lie between 0 and 1, not {value:g}.")
    return {
        "rule": rule.value.replace("-", " "),
        "recall_loss": RECALL_LOSS if recall_loss is None else recall_loss,
        "recall_floor": recall_floor,
    }


def _check_words(
    context: typer.Context,
    solver: solver_options.SolverName,
    slice_name: str | None,
    slices: str | None,
) -> None:
    """Refuse options that would have no effect."""
    from napari_fossiledit.errors import InputError

    fits = solver in _FITS
    painting = _given(context, _PAINT) if fits else []
    if painting:
        raise InputError(
            f"The solver {solver.value} paints nothing, so {painting[0]} has no effect: leave it "
            "out, or choose another solver."
        )
    if _given(context, ("trained_on",)) and not fits:
        raise InputError(
            "--trained-on is for the solvers labels and agreement, but "
            f"{solver.value} rehearses nothing: leave it out."
        )
    if _given(context, ("layers",)) and solver is solver_options.SolverName.agreement:
        raise InputError(
            "The solver agreement always fits the heads, so --layers has no effect: leave it out."
        )
    if slice_name is not None and slices is not None:
        raise InputError("--slice names one slice, --slices several: give one of them.")
    if _given(context, ("how",)) and (fits or slices is None):
        why = f"the solver {solver.value} fits to all of them together" if fits else "--slices is"
        more = "" if fits else " not given"
        raise InputError(f"--how says how several slices are taken, but {why}{more}: leave it out.")


def _given(context: typer.Context, names: tuple[str, ...]) -> list[str]:
    """Which of these options stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in names}
    asked = [n for n, source in sources.items() if source and source.name == "COMMANDLINE"]
    return [f"--{name.replace('_', '-')}" for name in asked]


def _chosen(found: Labelled, name: str | None, several: str | None) -> list[int]:
    """Places of the slices to edit with, in the order asked for."""
    from napari_fossiledit.errors import InputError

    if name is None and several is None:
        with_fossils = [i for i, piece in enumerate(found.slices) if piece.fossils.any()]
        if not with_fossils:
            raise InputError(
                "None of the labelled slices has a fossil: choose labels in which at least one "
                "instance is drawn."
            )
        return with_fossils[:1]
    places = [found.index(str(name))] if several is None else []
    places += chosen_slices(found, several, "--slices")
    for i in places:
        if not found.slices[i].fossils.any():
            raise InputError(
                f"The slice {found.slices[i].name} has no labelled fossil: choose one that has, as "
                "an edit must know what to keep."
            )
    return places


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
