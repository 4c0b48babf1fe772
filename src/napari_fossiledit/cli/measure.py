"""``fossiledit measure``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import drive, note, report, table
from napari_fossiledit.cli.outputs import check_outputs
from napari_fossiledit.cli.specimens import Specimens, VoxelSize, open_specimens, voxel_size

if TYPE_CHECKING:
    from pandas import DataFrame

    from napari_fossiledit.io import LabelVolume

__all__ = ["measure"]


class UnitName(StrEnum):
    """Units of length of a table."""

    mm = "mm"
    um = "um"
    cm = "cm"
    pixel = "pixel"


_PER_MM = {"mm": 1.0, "um": 1000.0, "cm": 0.1}


def measure(
    specimens: Specimens,
    out: Annotated[
        Path, typer.Option("--out", help="The table: .csv or .parquet, one row a specimen.")
    ],
    voxel: VoxelSize = None,
    unit: Annotated[
        UnitName,
        typer.Option("--unit", help="Unit of the table; pixel counts voxels, without their size."),
    ] = UnitName.mm,
    scores: Annotated[
        Path | None,
        typer.Option(
            "--scores",
            help="The table of instances (instances.csv) for the specimens' mean score; found by "
            "itself in what `link` wrote.",
        ),
    ] = None,
    sections: Annotated[
        Path | None,
        typer.Option(
            "--sections", help="Also the area of every section by slice: .csv or .parquet."
        ),
    ] = None,
    surface: Annotated[
        bool, typer.Option(" /--no-surface", help="Leave out the surface area: it is faster.")
    ] = True,
    device: options.NoDevice = options.DeviceName.auto,
    seed: options.NoSeed = 0,
    json: options.Json = None,
) -> None:
    """Measure linked specimens: volume, surface, axes, shape, orientation, sections."""
    from napari_fossiledit import io
    from napari_fossiledit.io.frames import check_frame_file, read_frame, write_frame
    from napari_fossiledit.volume import measure_task, section_areas_task

    del device, seed
    for path in (out, sections):
        if path is not None:
            check_frame_file(path)
    check_outputs([specimens, scores], [out, sections, json])
    for path in (out, sections, json):
        if path is not None:
            io.check_writable(path)
    found = open_specimens(specimens, voxel)
    size = _size(found, specimens, unit)
    instances = _instances(found) if scores is None else read_frame(scores)
    measured = drive(measure_task(found, size, unit=unit.value, surface=surface, scores=instances))
    note(_notes(measured, found, size, unit.value, surface))
    write_frame(out, measured)
    if sections is not None:
        write_frame(sections, drive(section_areas_task(found, size, unit=unit.value)))
    report(json, _figures(measured, size, unit.value))
    typer.echo(_summary(measured, unit.value))
    typer.echo(f"{len(measured)} specimens measured, written to {out}.")


def _size(found: LabelVolume, path: Path, unit: UnitName) -> tuple[float, float, float]:
    if unit is UnitName.pixel:
        return 1.0, 1.0, 1.0
    z, y, x = voxel_size(found, path, "measure in voxels with --unit pixel")
    factor = _PER_MM[unit.value]
    return z * factor, y * factor, x * factor


def _instances(found: LabelVolume) -> DataFrame | None:
    """The instances that `link` has put beside the specimens, if it has."""
    if found.store is None:
        return None
    instances = found.store.table()
    return instances if {"specimen", "score"} <= set(instances) else None


def _notes(
    measured: DataFrame,
    found: LabelVolume,
    size: tuple[float, float, float],
    unit: str,
    surface: bool,
) -> list[str]:
    notes = []
    cut = sum(_touches_edge(row, found.shape, size, unit) for _, row in measured.iterrows())
    if cut:
        notes.append(
            f"{cut} of {len(measured)} specimens touch the edge of the volume: what lies beyond is "
            "not measured"
        )
    without = int(measured[f"surface_{unit}2"].isna().sum()) if surface else 0
    if without:
        notes.append(f"{without} specimens are too large and thin to be meshed: no surface area")
    if len(measured) and "mean_score" in measured and measured["mean_score"].notna().any():
        unknown = int(measured["mean_score"].isna().sum())
        if unknown:
            notes.append(f"{unknown} specimens have no instance in the table of scores")
    return notes


def _touches_edge(
    row: Any, shape: tuple[int, int, int], size: tuple[float, float, float], unit: str
) -> bool:
    for axis, count, side in zip("zyx", shape, size, strict=True):
        # A volume of a single slice is cut along z in any case.
        low, high = row[f"bbox_{axis}_min_{unit}"] / side, row[f"bbox_{axis}_max_{unit}"] / side
        if low < 0 or high > count - 1:
            return True
    return False


def _figures(measured: DataFrame, size: tuple[float, float, float], unit: str) -> dict[str, Any]:
    return {
        "specimens": len(measured),
        "unit": unit,
        "voxel_size": list(size),
        "table": measured.to_dict("list"),
    }


def _summary(measured: DataFrame, unit: str) -> str:
    """Smallest, median and largest of the main figures."""
    columns = [f"volume_{unit}3", f"surface_{unit}2", f"length_{unit}", "elongation", "flatness"]
    columns += ["plunge_deg", "slices", "mean_score"]
    rows = [["", "least", "median", "most"]]
    for name in columns:
        values = measured[name].dropna()
        if len(values):
            rows.append(
                [name, *(f"{v:.4g}" for v in (values.min(), values.median(), values.max()))]
            )
    return table(rows) if len(rows) > 1 else "There is nothing to measure: all is background."
