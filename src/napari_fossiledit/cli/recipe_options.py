"""The options that say what is painted: shared by all commands that paint."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from napari_fossiledit.perturb import Perturbation

__all__ = ["By", "Feather", "Fraction", "RecipeFile", "Target", "TargetName", "Texture", "Unit"]
__all__ += ["recipe_of"]


class TargetName(StrEnum):
    """What is painted."""

    others = "others"
    fossils = "fossils"
    both = "both"


class Unit(StrEnum):
    """What a fraction is chosen by."""

    components = "components"
    instances = "instances"
    pixels = "pixels"


Target = Annotated[
    TargetName,
    typer.Option(
        "--target",
        help="Paint all but the fossils, the fossils, or both (the fossils with --texture).",
    ),
]
Fraction = Annotated[
    float, typer.Option("--fraction", help="How much of the target is painted, up to 1.")
]
By = Annotated[
    Unit,
    typer.Option(
        "--by", help="Choose the fraction by whole pieces, by labelled instances or by pixels."
    ),
]
Feather = Annotated[
    float, typer.Option("--feather", help="Pixels over which the paint fades in from its edge.")
]
Texture = Annotated[
    str | None,
    typer.Option("--texture", help="With --target both: what the fossils are painted with."),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        help="Paint as in this recipe (or --json file) instead of by the options above.",
    ),
]


def recipe_of(
    context: typer.Context,
    recipe: Path | None,
    fill: str,
    target: TargetName,
    fraction: float,
    by: Unit,
    feather: float,
    texture: str | None,
    seed: int,
    *,
    seed_is_the_recipes: bool = True,
) -> Perturbation:
    """Read the recipe of a file, or make one of the options.

    Parameters
    ----------
    context : typer.Context
        Tells which options stand on the command line.
    recipe : path, optional
    fill, target, fraction, by, feather, texture, seed
        The options' values.
    seed_is_the_recipes : bool
        False where ``--seed`` has another use, too, so that it may stand beside a recipe.

    Raises
    ------
    InputError
        Both a recipe and options that it holds are given, or one of them cannot be used.
    """
    from napari_fossiledit.errors import InputError
    from napari_fossiledit.perturb import Perturbation, parse_fill

    if recipe is not None:
        names = ["fill", "target", "fraction", "by", "feather", "texture"]
        asked = _given(context, [*names, "seed"] if seed_is_the_recipes else names)
        if asked:
            raise InputError(
                f"The recipe {recipe.name} already says what to paint: leave out "
                f"{' and '.join(asked)}, or the recipe."
            )
        return Perturbation.load(recipe)
    return Perturbation(
        parse_fill(fill),
        target=target.value,
        fraction=fraction,
        seed=seed,
        by=by.value,
        feather=feather,
        texture=None if texture is None else parse_fill(texture),
    )


def _given(context: typer.Context, names: list[str]) -> list[str]:
    """Which of these options stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [f"--{n}" for n, source in sources.items() if source and source.name == "COMMANDLINE"]
