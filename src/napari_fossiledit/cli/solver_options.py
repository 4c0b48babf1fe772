"""The options that say how an edit's deltas are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Annotated, Any

import typer

__all__ = [
    "Biases",
    "Damping",
    "Heads",
    "Iterations",
    "KeepWeight",
    "Rank",
    "Rate",
    "Solver",
    "SolverName",
    "Steps",
    "solver_of",
]


class SolverName(StrEnum):
    """How the deltas are found."""

    ridge = "ridge"
    l1 = "l1"
    low_rank = "low_rank"
    adam = "adam"
    distil = "distil"
    labels = "labels"
    agreement = "agreement"


Solver = Annotated[
    SolverName,
    typer.Option(
        "--solver",
        help="ridge: one exact solve; l1: the same, robust to gross errors; low_rank: in few "
        "directions; adam: the paper's, step by step; distil: fits what the model finds to what "
        "it finds on the painted slice; labels: fits the model to corrected labels, paints "
        "nothing; agreement: fits it to what it finds itself in every orientation of an unlabelled "
        "slice.",
    ),
]
Rank = Annotated[
    int | None,
    typer.Option("--rank", help="low_rank, adam: in how many directions a layer may change."),
]
Damping = Annotated[
    float | None,
    typer.Option("--damping", help="ridge, l1, low_rank: more of it gives a milder edit."),
]
KeepWeight = Annotated[
    float | None,
    typer.Option(
        "--keep-weight", help="ridge, l1, low_rank: above 0, features inside fossils are held."
    ),
]
Iterations = Annotated[int | None, typer.Option("--iterations", help="l1: at most so many.")]
Steps = Annotated[
    int | None, typer.Option("--steps", help="adam, distil, labels, agreement: so many.")
]
Rate = Annotated[
    float | None, typer.Option("--lr", help="adam, distil, labels, agreement: how far a step goes.")
]
Heads = Annotated[
    bool | None,
    typer.Option("--heads/--no-heads", help="distil, labels: train the model's heads, too."),
]
Biases = Annotated[
    bool | None, typer.Option("--biases/--no-biases", help="Change the layers' biases, too.")
]


def solver_of(solver: SolverName, given: Mapping[str, Any], seed: int) -> Any:
    """The library's settings of a solver.

    Parameters
    ----------
    solver : SolverName
    given : mapping
        The options' values by the settings' names; None for those that were not given.
    seed : int
        For solvers that take one.

    Raises
    ------
    InputError
        If the solver does not take an option that was given, or cannot use its value.
    """
    from napari_fossiledit import editing
    from napari_fossiledit.errors import InputError

    kinds = {
        "ridge": editing.Ridge,
        "l1": editing.L1,
        "low_rank": editing.LowRank,
        "adam": editing.Adam,
        "distil": editing.Distil,
        "labels": editing.Labels,
        "agreement": editing.Agreement,
    }
    known = {kind: {f.name for f in fields(made)} for kind, made in kinds.items()}
    values = {name: value for name, value in given.items() if value is not None}
    taken = [name for name in given if name in known[solver.value]]
    for name in values:
        if name not in taken:
            others = [kind for kind in kinds if name in known[kind]]
            raise InputError(
                f"The solver {solver.value} takes no {_option(name)}, only "
                f"{_listed([_option(n) for n in taken])}: leave it out, or choose the solver "
                f"{_listed(others, 'or')}."
            )
    if "seed" in known[solver.value]:
        values["seed"] = seed
    return kinds[solver.value](**values)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _listed(words: list[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
