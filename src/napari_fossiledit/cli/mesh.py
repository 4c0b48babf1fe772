"""``fossiledit mesh``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import drive, note, report
from napari_fossiledit.cli.outputs import check_outputs
from napari_fossiledit.cli.specimens import (
    Specimens,
    VoxelSize,
    chosen_ids,
    open_specimens,
    voxel_size,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fossiledit.io import LabelVolume
    from napari_fossiledit.progress import Task
    from napari_fossiledit.volume import Mesh

__all__ = ["mesh"]

_VOLUMES = {".nrrd", ".tif", ".tiff"}


class MeshFormat(StrEnum):
    """Formats of a mesh."""

    stl = "stl"
    ply = "ply"
    obj = "obj"
    glb = "glb"


def mesh(
    specimens: Specimens,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="A folder: a file for every specimen; or one .obj, .glb, .ply or .stl for all.",
        ),
    ],
    ids: Annotated[
        str | None,
        typer.Option("--ids", metavar="1,2,7-9", help="Only these specimens; default: all."),
    ] = None,
    format: Annotated[
        MeshFormat, typer.Option("--format", help="Of the files in a folder.")
    ] = MeshFormat.stl,
    smooth: Annotated[
        bool,
        typer.Option(" /--no-smooth", help="Keep the steps of pixels and sections."),
    ] = True,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--volume", help="Also the whole label volume, for Slicer, Avizo, ...: .nrrd or .tif."
        ),
    ] = None,
    voxel: VoxelSize = None,
    device: options.NoDevice = options.DeviceName.auto,
    seed: options.NoSeed = 0,
    json: options.Json = None,
) -> None:
    """Write specimens as closed meshes in mm, for Blender, Slicer or a printer."""
    from napari_fossiledit import io
    from napari_fossiledit.volume import write_volume_task

    del device, seed
    wanted = chosen_ids(ids)
    _check(out, labels)
    check_outputs([specimens], [out, labels, json])
    for path in (out if out.suffix else None, labels, json):
        if path is not None:
            io.check_writable(path)
    found = open_specimens(specimens, voxel)
    size = voxel_size(found, specimens, "take voxels as the unit with --voxel-size 1,1,1")
    made = drive(_write_task(found, size, wanted, out, format.value, smooth))
    note(_thin(made) if smooth else [])
    if labels is not None:
        drive(write_volume_task(labels, found, size))
    figures = {"meshes": made, "smooth": smooth, "voxel_size_mm": list(size)}
    report(json, figures)
    where = f"{out}{'' if labels is None else f', the volume to {labels}'}"
    typer.echo(f"{len(made)} meshes written to {where}.")


def _check(out: Path, labels: Path | None) -> None:
    from napari_fossiledit.errors import InputError
    from napari_fossiledit.volume.mesh_files import mesh_suffix

    if out.suffix:
        mesh_suffix(out)
    if labels is not None and labels.suffix.lower() not in _VOLUMES:
        raise InputError(f"A label volume is written as .nrrd or .tif, not as {labels.name}.")


def _write_task(
    found: LabelVolume,
    size: tuple[float, float, float],
    ids: Sequence[int] | None,
    out: Path,
    kind: str,
    smooth: bool,
) -> Task[list[dict[str, Any]]]:
    """Mesh and write: a folder as the meshes come, a scene at the end."""
    from napari_fossiledit.errors import InputError
    from napari_fossiledit.progress import Progress
    from napari_fossiledit.volume import write_mesh, write_meshes
    from napari_fossiledit.volume.mesh import boxes_task, iter_meshes

    boxes = yield from boxes_task(found, ids)
    if not boxes:
        raise InputError("There is nothing to mesh: all is background.")
    scene: dict[int, Mesh] = {}
    rows: list[dict[str, Any]] = []
    for i, made in iter_meshes(found, size, boxes, smooth=smooth):
        row: dict[str, Any] = {"id": i, "file": None}
        if made is not None:
            row |= {"volume_mm3": made.volume, "surface_mm2": made.area, "thin": made.thin}
            row |= {"triangles": len(made.faces)}
            if out.suffix:
                scene[i] = made
                row["file"] = out.name
            else:
                row["file"] = write_meshes(out, {i: made}, format=kind)[0].name
        rows.append(row)
        yield Progress(len(rows), len(boxes), f"Mesh of specimen {i}")
    if out.suffix:
        yield Progress(len(rows), len(boxes), f"Writing {out.name}")
        write_mesh(out, dict(sorted(scene.items())))
    return sorted(rows, key=lambda row: int(row["id"]))


def _thin(made: list[dict[str, Any]]) -> list[str]:
    """What was smoothed less, or could not be meshed."""
    notes = []
    thin = [row for row in made if row.get("thin", 0) > 0.05]
    if thin:
        most = max(thin, key=lambda row: float(row["thin"]))
        notes.append(
            f"{len(thin)} specimens are so thin in places that these were not smoothed, or they "
            f"would have vanished (most of all {most['id']}: {most['thin']:.0%} of its voxels)"
        )
    without = [row["id"] for row in made if row["file"] is None]
    if without:
        notes.append(f"Too large and thin to be meshed: {', '.join(map(str, without[:5]))}")
    return notes
