"""Measuring specimens, and writing their table. No Qt; run in a worker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Task

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["save_table", "specimen_table_task"]

_SUFFIXES = {".csv", ".parquet"}


def specimen_table_task(
    data: Any, name: str, voxel_size: tuple[float, float, float], unit: str, *, surface: bool
) -> Task[DataFrame]:
    """Measure the specimens of a labels layer, in its unit of length.

    Raises
    ------
    InputError
        The axes have different units, there are no specimens, or whatever `volume.measure` raises.
    """
    from napari_fossiledit import volume

    if not unit:
        raise InputError(
            f"The axes of '{name}' have different units, so that no volume can be told: set them "
            "to one, e.g. mm."
        )
    table = yield from volume.measure_task(data, voxel_size, unit=unit, surface=surface)
    if not len(table):
        raise InputError(f"The labels '{name}' are empty: there is nothing to measure.")
    # A column of which nothing is known tells nothing.
    return table.dropna(axis="columns", how="all")


def save_table(table: DataFrame, path: str | Path) -> Path:
    """Write a table as CSV or Parquet, by the file's suffix (CSV without one); whole or not at all.

    Raises
    ------
    InputError
        Another suffix.
    OutputError
        It cannot be written there.
    """
    import io as buffers

    from napari_fossiledit import io

    target = Path(path)
    if not target.suffix:
        target = target.with_name(f"{target.name}.csv")
    if target.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{target.name}: tables are saved as .csv or .parquet: name it so.")
    if target.suffix.lower() == ".csv":
        io.write_bytes(target, table.to_csv(index=False).encode())
        return target
    buffer = buffers.BytesIO()
    table.to_parquet(buffer, index=False)
    io.write_bytes(target, buffer.getvalue())
    return target
