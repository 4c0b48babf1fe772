"""``fossiledit perturb``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_fossiledit.cli import options, recipe_options
from napari_fossiledit.cli.console import drive, labelled, note, report
from napari_fossiledit.cli.outputs import check_outputs, file_stems

__all__ = ["perturb"]


def perturb(
    context: typer.Context,
    images: options.Images,
    labels: options.Labels,
    out: Annotated[Path, typer.Option("--out", help="Folder for the painted images (PNG).")],
    fill: options.Fill = "median",
    target: recipe_options.Target = recipe_options.TargetName.others,
    fraction: recipe_options.Fraction = 1.0,
    by: recipe_options.By = recipe_options.Unit.components,
    feather: recipe_options.Feather = 0.0,
    texture: recipe_options.Texture = None,
    recipe: recipe_options.RecipeFile = None,
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

    if out.resolve() in {images.resolve(), labels.resolve()}:
        raise InputError(f"{out} holds the originals: choose another folder for painted images.")
    how = recipe_options.recipe_of(
        context, recipe, fill, target, fraction, by, feather, texture, seed
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
