"""``fossiledit perturb``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import labelled, report
from napari_fossiledit.cli.outputs import check_outputs, file_stems

__all__ = ["perturb"]


def perturb(
    images: options.Images,
    labels: options.Labels,
    out: Annotated[Path, typer.Option("--out", help="Folder for the painted images (PNG).")],
    fill: options.Fill = "median",
    target: options.Target = options.TargetName.others,
    fraction: Annotated[
        float, typer.Option("--fraction", help="How much of the target is painted, up to 1.")
    ] = 1.0,
    device: options.NoDevice = options.DeviceName.auto,
    seed: options.Seed = 0,
    json: options.Json = None,
) -> None:
    """Paint over everything but the fossils, or the fossils, and write the images."""
    from napari_fossiledit import io
    from napari_fossiledit.errors import InputError
    from napari_fossiledit.perturb import Perturbation, parse_fill

    if out.resolve() in {images.resolve(), labels.resolve()}:
        raise InputError(f"{out} holds the originals: choose another folder for painted images.")
    recipe = Perturbation(parse_fill(fill), target=target.value, fraction=fraction, seed=seed)
    found = labelled(images, labels)
    stems = file_stems([piece.name for piece in found.slices])
    check_outputs([images, labels], [*(out / f"{stem}.png" for stem in stems), json])
    if json is not None:
        io.check_writable(json)
    rows = []
    with io.atomic_folder(out) as folder:
        for stem, piece in zip(stems, found.slices, strict=True):
            painted = recipe.apply(piece.image, piece.fossils)
            io.write_image(folder / f"{stem}.png", painted.image)
            rows.append(
                {
                    "name": piece.name,
                    "share_painted": float(painted.changed.mean()),
                    "fraction_reached": painted.fraction_reached,
                }
            )
    report(json, {"perturbation": recipe.to_dict(), "slices": rows})
    typer.echo(f"{len(rows)} painted images written to {out}.")
