"""``fossiledit evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import (
    drive,
    labelled,
    load_model,
    note,
    note_limit,
    report,
    scores_lines,
)
from napari_fossiledit.cli.model_choice import DEMO, ModelChoice, takes_model
from napari_fossiledit.cli.outputs import check_outputs

if TYPE_CHECKING:
    from napari_fossiledit.editing import Edit
    from napari_fossiledit.instances import LabelledSlice
    from napari_fossiledit.pipeline import Evaluation

__all__ = ["evaluate"]


@takes_model
def evaluate(
    images: options.Images,
    labels: options.Labels,
    confusers: options.Confusers = None,
    model: ModelChoice = DEMO,
    edit: Annotated[
        Path | None,
        typer.Option(
            "--edit",
            help="Compare the model with and without this edit, on slices that it has not seen.",
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            "--strength", min=0, help="The edit's strength; default: the one chosen for it."
        ),
    ] = None,
    seed: options.Seed = 0,
    json: options.Json = None,
) -> None:
    """Score the model on labelled slices, as it is or before and after an edit."""
    from napari_fossiledit import io

    check_outputs([images, labels, confusers, *model.files, edit], [json])
    found = labelled(images, labels, confusers)
    if json is not None:
        io.check_writable(json)
    segmenter = load_model(model)
    if edit is None:
        from napari_fossiledit.pipeline import evaluate_task

        evaluation = drive(evaluate_task(segmenter, found.slices))
        note_limit(segmenter, evaluation.predictions)
        figures = _figures(evaluation, seed)
        columns, sentence = {"model": figures}, ""
    else:
        from napari_fossiledit import editing
        from napari_fossiledit.cli.edits import say_worth
        from napari_fossiledit.editing.edit import check_strength
        from napari_fossiledit.pipeline.curves import compare_task

        loaded = editing.load_edit(edit)
        editing.EditStack.of(segmenter).check(loaded)  # before anything is said of its slices
        weight = loaded.strength if strength is None else check_strength(strength)
        say_worth(loaded)
        slices, left_out = _unseen(loaded, found.slices)
        result = drive(compare_task(segmenter, loaded, weight, slices, seed=seed))
        note_limit(segmenter, result.after.predictions)
        before, after = _figures(result.before, seed), _figures(result.after, seed)
        columns, sentence = {"before": before, "after": after}, result.sentence
        # What a raised mask threshold gives without an edit stands beside it.
        figures = result.to_dict() | after | {"before": before, "after": after}
        figures["edit"] = {"file": edit.name, "name": loaded.name, "strength": weight}
        figures |= {"seen_by_edit": not left_out and loaded.has_seen(slices[0].image)}
        figures |= {"left_out": left_out}
    report(json, figures | {"model": segmenter.name, "seed": seed})
    typer.echo(scores_lines(columns))
    if sentence:
        typer.echo(sentence)


def _unseen(edit: Edit, slices: list[LabelledSlice]) -> tuple[list[LabelledSlice], list[str]]:
    """Slices that did not choose the edit, and the others' names; all, if there are no such."""
    unseen = [piece for piece in slices if not edit.has_seen(piece.image)]
    if not unseen:
        note(
            [
                "The figures are on slices that chose the edit (it was made from them, or its "
                "strength chosen on them): on others it may do worse"
            ]
        )
        return slices, []
    kept = {id(piece) for piece in unseen}
    names = [piece.name for piece in slices if id(piece) not in kept]
    if names:
        some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        note([f"Left out, as the edit was made from it or its strength chosen on it: {some}"])
    return unseen, names


def _figures(evaluation: Evaluation, seed: int) -> dict[str, Any]:
    return {
        **evaluation.scores.to_dict(seed=seed),
        "average_precision": dict(evaluation.average_precision),
    }
