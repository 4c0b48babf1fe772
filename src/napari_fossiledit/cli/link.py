"""``fossiledit link``."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import drive, note, report
from napari_fossiledit.cli.outputs import check_outputs
from napari_fossiledit.cli.specimens import VoxelSize

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_fossiledit.io import LabelVolume
    from napari_fossiledit.volume import Links, LinkSource

__all__ = ["link"]


def link(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS",
            help="What `segment` wrote (.ome.zarr), a TIFF, or a folder of label images.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="A new .ome.zarr, with tables of specimens and events beside the labels, or .tif. "
            "An .ome.zarr that an interrupted run left is taken up.",
        ),
    ],
    gap: Annotated[
        int,
        typer.Option(
            "--gap",
            help="How many slices on a partner is sought: 2 = also across one slice that misses a "
            "fossil.",
        ),
    ] = 2,
    min_slices: Annotated[
        int, typer.Option("--min-slices", help="Leave out specimens seen in fewer slices.")
    ] = 1,
    min_voxels: Annotated[
        int, typer.Option("--min-voxels", help="Leave out specimens of fewer voxels.")
    ] = 1,
    min_iou: Annotated[
        float,
        typer.Option(
            "--min-iou", help="Least intersection over union of two sections of one specimen."
        ),
    ] = 0.1,
    min_overlap: Annotated[
        float,
        typer.Option("--min-overlap", help="Least part of the smaller of the two that they share."),
    ] = 0.5,
    join_branches: Annotated[
        bool,
        typer.Option(
            "--join-branches", help="Let merges and splits join specimens to one, as in colonies."
        ),
    ] = False,
    voxel: VoxelSize = None,
    unfinished: Annotated[
        bool,
        typer.Option(
            "--unfinished", help="Link a segmentation that is not finished, as far as it goes."
        ),
    ] = False,
    device: options.NoDevice = options.DeviceName.auto,
    seed: options.NoSeed = 0,
    json: options.Json = None,
) -> None:
    """Give the sections of one fossil in neighbouring slices one number: its specimen's."""
    from napari_fossiledit import io
    from napari_fossiledit.io.voxels import checked_voxel_size
    from napari_fossiledit.volume.link_graph import LinkRules
    from napari_fossiledit.volume.link_store import link_to_store_task

    del device, seed
    rules = asdict(LinkRules(gap, min_iou, min_overlap, join_branches))  # refuses wrong ones
    settings = {**rules, "minimum_slices": min_slices, "minimum_voxels": min_voxels}
    size = None if voxel is None else checked_voxel_size(voxel.split(","))  # type: ignore[arg-type]
    as_tiff = _is_tiff(out)
    check_outputs([labels], [out, json])
    if json is not None:
        io.check_writable(json)
    found = io.open_labels(labels, whole=not unfinished, voxel_size=size)
    note(found.notes)
    source = _source(found, unfinished)
    if as_tiff:
        links = _to_tiff(source, out, settings)
    else:
        _check_store(out, source, rules)
        _, links = drive(link_to_store_task(source, io.LabelStore.resume, out, **settings))
    report(json, _figures(links, settings))
    typer.echo(_told(links, out))


def _is_tiff(out: Path) -> bool:
    from napari_fossiledit import io
    from napari_fossiledit.errors import InputError

    suffix = out.suffix.lower()
    if suffix not in {".tif", ".tiff", ".zarr"}:
        raise InputError(
            f"Specimens are written as .ome.zarr or .tif, not as {out.name}: rename it."
        )
    if suffix == ".zarr":
        return False
    io.check_writable(out)
    if out.exists():
        raise InputError(
            f"{out} is there already and is never written over: choose another name, or remove it "
            "yourself."
        )
    return True


def _check_store(out: Path, source: LinkSource, rules: dict[str, Any]) -> None:
    """Refuse another result before hours go into it; `LabelStore.resume` refuses the rest."""
    from napari_fossiledit import io
    from napari_fossiledit.errors import InputError

    if not out.exists() or not any(out.iterdir() if out.is_dir() else [out]):
        return
    about = io.LabelStore.open(out).about if io.is_zarr(out) else {}
    wanted = {"kind": "specimens", "labels": dict(source.about), "rules": rules}
    if {key: about.get(key) for key in wanted} != wanted:
        raise InputError(
            f"{out} is there already and belongs to other labels or settings; it is never written "
            "over: choose another name, or remove it yourself."
        )


def _source(found: LabelVolume, unfinished: bool) -> LinkSource:
    from napari_fossiledit.volume import LinkSource

    if found.store is not None:
        source = LinkSource.of_store(found.store, unfinished=unfinished)
        return replace(source, voxel_size=found.voxel_size)
    about = {"kind": "labels"}
    return LinkSource(found.slices.slice, found.shape, found.names, found.voxel_size, about)


def _to_tiff(source: LinkSource, out: Path, settings: dict[str, Any]) -> Links:
    from napari_fossiledit import io
    from napari_fossiledit.volume import links_task

    links = drive(links_task(source, **settings))

    def numbered() -> Iterator[NDArray[np.int32]]:
        for z in range(len(source)):
            yield links.relabel(z, source[z])

    io.write_label_slices(out, numbered(), source.shape, voxel_size=source.voxel_size)
    return links


def _figures(links: Links, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "slices": links.shape[0],
        "specimens": links.count,
        "left_out": links.left_out,
        "splits": sum(event.kind == "split" for event in links.events),
        "merges": sum(event.kind == "merge" for event in links.events),
        "in_one_slice": int((links.slices == 1).sum()),
        "settings": settings,
        "events": [asdict(event) for event in links.events],
        "table": links.table().to_dict("list"),
    }


def _told(links: Links, out: Path) -> str:
    figures = _figures(links, {})
    left = f", {links.left_out} left out" if links.left_out else ""
    return (
        f"{links.count} specimens in {links.shape[0]} slices ({figures['in_one_slice']} of them in "
        f"one slice only{left}; {figures['splits']} splits, {figures['merges']} merges), "
        f"written to {out}."
    )
