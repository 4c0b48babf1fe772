"""Tables with many columns: CSV for spreadsheets, Parquet for programs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.save import write_bytes

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["check_frame_file", "read_frame", "write_frame"]

_SUFFIXES = {".csv", ".parquet"}


def check_frame_file(path: str | Path) -> str:
    """Return the suffix of a table's file, in small letters.

    Raises
    ------
    InputError
        Neither .csv nor .parquet.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise InputError(f"Tables are .csv or .parquet, not {Path(path).name}: rename it.")
    return suffix


def write_frame(path: str | Path, frame: DataFrame) -> None:
    """Write a table, atomically; unknown values stay empty.

    Parameters
    ----------
    path : path
        ``.csv`` (comma, UTF-8, floats with all digits) or ``.parquet``.
    frame : DataFrame

    Raises
    ------
    InputError
        Another suffix.
    OutputError
        See `io.atomic`.
    """
    path = Path(path)
    if check_frame_file(path) == ".csv":
        write_bytes(path, frame.to_csv(index=False, lineterminator="\n").encode())
        return
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    write_bytes(path, buffer.getvalue())


def read_frame(path: str | Path) -> DataFrame:
    """Read a table that `write_frame` or a spreadsheet wrote.

    Raises
    ------
    InputError
        It is missing, no table, or of another kind.
    """
    import pandas as pd

    path = Path(path)
    suffix = check_frame_file(path)
    try:
        if suffix == ".parquet":
            return pd.read_parquet(path)
        # Commas, semicolons or tabs, as spreadsheets write them.
        return pd.read_csv(path, sep=None, engine="python", encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"There is no table {path}: check the name.") from error
    except Exception as error:  # parsers raise nearly anything
        raise InputError(
            f"{path.name} cannot be read as a table: save it again as CSV (UTF-8) or Parquet."
        ) from error
