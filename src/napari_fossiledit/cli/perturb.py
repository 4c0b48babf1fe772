"""``fossiledit perturb``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import drive, labelled, note, report
from napari_fossiledit.cli.outputs import check_outputs, file_stems

__all__ = ["perturb"]


class AnyTarget(StrEnum):
    """What this command paints."""

    others = "others"
    fossils = "fossils"
    both = "both"


class Unit(StrEnum):
    """What a fraction is chosen by."""

    components = "components"
    instances = "instances"
    pixels = "pixels"


RECIPE = ("fill", "target", "fraction", "by", "feather", "texture", "seed")


def perturb(
    context: typer.Context,
    images: options.Images,
    labels: options.Labels,
    out: Annotated[Path, typer.Option("--out", help="Folder for the painted images (PNG).")],
    fill: options.Fill = "median",
    target: Annotated[
        AnyTarget,
        typer.Option(
            "--target",
            help="Paint all but the fossils, the fossils, or both (the fossils with --texture).",
        ),
    ] = AnyTarget.others,
    fraction: Annotated[
        float, typer.Option("--fraction", help="How much of the target is painted, up to 1.")
    ] = 1.0,
    by: Annotated[
        Unit,
        typer.Option(
            "--by", help="Choose the fraction by whole pieces, by labelled instances or by pixels."
        ),
    ] = Unit.components,
    feather: Annotated[
        float,
        typer.Option("--feather", help="Pixels over which the paint fades in from its edge."),
    ] = 0.0,
    texture: Annotated[
        str | None,
        typer.Option("--texture", help="With --target both: what the fossils are painted with."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe",
            help="Paint as in this recipe (or --json file) instead of by the options above.",
        ),
    ] = None,
    save_recipe: Annotated[
        Path | None, typer.Option("--save-recipe", help="Also write the recipe to this file.")
    ] = None,
    device: options.NoDevice = options.DeviceName.auto,
    seed: options.Seed = 0,
    json: options.Json = None,
) -> None:
    """Paint over everything but the fossils, the fossils, or both, and write the images."""
    from napari_fossiledit import io
    from napari_fossiledit.errors import InputError
    from napari_fossiledit.perturb import Perturbation, parse_fill

    if out.resolve() in {images.resolve(), labels.resolve()}:
        raise InputError(f"{out} holds the originals: choose another folder for painted images.")
    if recipe is not None:
        asked = _given(context, RECIPE)
        if asked:
            raise InputError(
                f"The recipe {recipe.name} already says what to paint: leave out "
                f"{' and '.join(asked)}, or the recipe."
            )
        how = Perturbation.load(recipe)
    else:
        how = Perturbation(
            parse_fill(fill),
            target=target.value,
            fraction=fraction,
            seed=seed,
            by=by.value,
            feather=feather,
            texture=None if texture is None else parse_fill(texture),
        )
    found = labelled(images, labels)
    stems = file_stems([piece.name for piece in found.slices])
    painted_files = [out / f"{stem}.png" for stem in stems]
    check_outputs([images, labels, recipe], [*painted_files, json, save_recipe])
    for path in (json, save_recipe):
        if path is not None:
            io.check_writable(path)
    rows = []
    with io.atomic_folder(out) as folder:
        for stem, piece in zip(stems, found.slices, strict=True):
            painted = drive(how.apply_task(piece.image, piece.labels))
            note(f"{piece.name}: {line}" for line in painted.notes)
            io.write_image(folder / f"{stem}.png", painted.image)
            rows.append(
                {
                    "name": piece.name,
                    "share_painted": float(painted.changed.mean()),
                    "fraction_reached": painted.fraction_reached,
                }
            )
    report(json, {"perturbation": how.to_dict(), "slices": rows})
    if save_recipe is not None:
        how.save(save_recipe)
    typer.echo(f"{len(rows)} painted images written to {out}.")


def _given(context: typer.Context, names: tuple[str, ...]) -> list[str]:
    """Which of these options stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [f"--{n}" for n, source in sources.items() if source and source.name == "COMMANDLINE"]
