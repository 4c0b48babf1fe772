"""What the commands on linked specimens share: labels, voxel size, ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fossiledit.io import LabelVolume

__all__ = ["Specimens", "VoxelSize", "chosen_ids", "given_size", "open_specimens", "voxel_size"]

Specimens = Annotated[
    Path,
    typer.Argument(
        metavar="SPECIMENS",
        help="Linked labels: what `link` wrote (.ome.zarr), a TIFF, or a folder of label images.",
    ),
]
VoxelSize = Annotated[
    str | None,
    typer.Option(
        "--voxel-size",
        metavar="Z,Y,X",
        help="Size of a voxel in mm, e.g. 0.5,0.145,0.145, instead of what the files say.",
    ),
]


def open_specimens(path: Path, size: str | None) -> LabelVolume:
    """Open labels, whose slices are read when they are needed, and say what was noticed."""
    from napari_fossiledit import io
    from napari_fossiledit.cli.console import note

    # Before anything is read: a wrong option is the quicker to be mended.
    found = io.open_labels(path, voxel_size=given_size(size))
    note(found.notes)
    return found


def given_size(text: str | None) -> tuple[float, float, float] | None:
    """A voxel size that was given as ``Z,Y,X``; None for None.

    Raises
    ------
    InputError
        It is not three lengths above 0.
    """
    from napari_fossiledit.io import checked_voxel_size

    return None if text is None else checked_voxel_size(text.split(","))  # type: ignore[arg-type]


def voxel_size(found: LabelVolume, path: Path, otherwise: str) -> tuple[float, float, float]:
    """The voxel size in mm.

    Raises
    ------
    InputError
        Nothing tells it; the sentence ends with what to do ``otherwise``.
    """
    from napari_fossiledit.errors import InputError

    if found.voxel_size is None:
        raise InputError(
            f"{path} does not tell the size of its voxels: give it in mm, e.g. "
            f"--voxel-size 0.5,0.145,0.145 (z,y,x), or {otherwise}."
        )
    return found.voxel_size


def chosen_ids(text: str | None) -> Sequence[int] | None:
    """Ids named as ``1,2,7-9``; None for None, which means all.

    Raises
    ------
    InputError
        Something else.
    """
    from napari_fossiledit.errors import InputError

    if text is None:
        return None
    ids: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError(
                f'"{part.strip()}" in --ids names no specimen: give ids as 1,2 or 1,2,7-9.'
            )
        ids.update(range(int(first), int(last or first) + 1))
    return sorted(ids)
