"""``fossiledit segment``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import drive, load_model, note, note_limit, report
from napari_fossiledit.cli.model_choice import DEMO, ModelChoice, takes_model
from napari_fossiledit.cli.outputs import check_outputs, file_stems
from napari_fossiledit.cli.specimens import VoxelSize, given_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_fossiledit.instances import Instances
    from napari_fossiledit.io import Stack

__all__ = ["segment"]


@takes_model
def segment(
    images: options.Images,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="A .ome.zarr, which goes on where it was stopped; or a .tif for all slices, a "
            ".png for one, or a folder: a .tif each.",
        ),
    ],
    model: ModelChoice = DEMO,
    score: Annotated[
        float, typer.Option("--score", min=0, max=1, help="Least confidence of a detection.")
    ] = 0.5,
    edit: Annotated[
        Path | None, typer.Option("--edit", help="Apply this edit to the model first.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option("--strength", help="The edit's strength; default: its own.")
    ] = None,
    link: Annotated[
        bool,
        typer.Option(
            "--link", help="Give one fossil the same label in neighbouring slices (.tif, folder)."
        ),
    ] = False,
    tile: Annotated[
        int | None,
        typer.Option(
            "--tile",
            metavar="PIXELS",
            help="Predict in overlapping tiles of at most this side; default: only where a slice "
            "is too large for the memory (.ome.zarr).",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            metavar="ADDRESS",
            help="Predict on the workers of this Dask cluster, e.g. tcp://10.0.0.5:8786 "
            "(.ome.zarr).",
        ),
    ] = None,
    voxel: VoxelSize = None,
    seed: options.Seed = 0,
    json: options.Json = None,
) -> None:
    """Find the fossils of every slice and write them as labels."""
    from napari_fossiledit import io
    from napari_fossiledit.cli.edits import apply_edit
    from napari_fossiledit.cli.segment_whole import check_whole, is_whole, whole
    from napari_fossiledit.pipeline import segment_task

    check_whole(out, link=link, tile=tile, scheduler=scheduler)
    stack = io.open_stack(images, voxel_size=given_size(voxel))
    note(stack.notes)
    targets = [out] if is_whole(out) else _targets(out, stack.names)
    check_outputs([images, *model.files, edit], [*targets, json])
    _check_out(out, len(stack), json)
    segmenter = load_model(model)
    applied = None if edit is None else apply_edit(segmenter, edit, strength)
    made_by = {
        "model": segmenter.name,
        "fingerprint": segmenter.fingerprint(),
        "edit": applied,
        "score": score,
        "linked": link,
        "seed": seed,
    }
    if is_whole(out):
        figures = whole(segmenter, stack, out, score=score, tile=tile, scheduler=scheduler)
        report(json, figures | made_by)
        return
    slices = cast("Sequence[NDArray[np.uint8]]", stack.images)
    found = drive(segment_task(segmenter, slices, stack.names, score_threshold=score))
    note_limit(segmenter, found)
    _write(out, stack, _labels(found, link))
    report(json, _figures(stack, found, segmenter.class_names) | made_by)
    total = sum(len(item) for item in found)
    typer.echo(f"{total} instances in {len(stack)} slices, written to {out}.")


def _check_out(out: Path, count: int, json: Path | None) -> None:
    from napari_fossiledit import io
    from napari_fossiledit.errors import InputError

    suffix = out.suffix.lower()
    if suffix == ".png" and count > 1:
        raise InputError(
            f"{out.name}: a PNG holds one slice, but there are {count}: write a .tif, or give a "
            "folder."
        )
    if suffix in {".tif", ".tiff", ".png"}:
        io.check_writable(out)
    elif suffix and suffix != ".zarr":
        raise InputError(
            f"Labels are written as .ome.zarr, .tif or .png, not as {out.name}: rename it."
        )
    if json is not None:
        io.check_writable(json)


def _targets(out: Path, names: Sequence[str]) -> list[Path]:
    """Files that will be written: ``out``, or one a slice in that folder."""
    return [out] if out.suffix else [out / f"{stem}_labels.tif" for stem in file_stems(names)]


def _labels(found: list[Instances], link: bool) -> Iterator[NDArray[np.int32]]:
    """Label images one by one: all slices of a stack together may not fit into memory."""
    labels = (item.to_labels() for item in found)
    if not link:
        return labels
    from napari_fossiledit.volume import iter_linked

    return iter_linked(labels)


def _write(out: Path, stack: Stack, labels: Iterator[NDArray[np.int32]]) -> None:
    from napari_fossiledit import io

    if out.suffix and len(stack) == 1:
        io.write_labels(out, next(labels))
        return
    if out.suffix:
        z, y, x, _ = stack.images.shape
        io.write_label_slices(out, labels, (z, y, x), voxel_size=stack.voxel_size)
        return
    with io.atomic_folder(out) as folder:
        for target, image in zip(_targets(out, stack.names), labels, strict=True):
            io.write_labels(folder / target.name, image)


def _figures(stack: Stack, found: list[Instances], names: Sequence[str]) -> dict[str, Any]:
    return {
        "slices": [
            {
                "name": name,
                "instances": len(item),
                "share_of_pixels": float(item.union().mean()),
                "scores": item.scores,
                "classes": [names[kind] for kind in item.classes],
            }
            for name, item in zip(stack.names, found, strict=True)
        ],
        "instances": sum(len(item) for item in found),
    }
