"""Tables as CSV: figures out, and the textures of labelled fossils in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.save import write_bytes

__all__ = ["Textures", "read_textures", "write_table"]

_COLUMNS = "a table with the columns id and texture (and slice, where ids mean another fossil "
_COLUMNS += "in every slice)"


@dataclass(frozen=True)
class Textures:
    """The texture of labelled fossils.

    Attributes
    ----------
    everywhere : dict of int to str
        By label value, in all slices.
    by_slice : dict of str to dict
        The same for single slices, by their name; it goes before ``everywhere``.
    name : str
        The file's name, for messages.
    """

    everywhere: Mapping[int, str] = field(default_factory=dict)
    by_slice: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    name: str = ""

    def of_slice(self, name: str) -> dict[int, str]:
        """Textures by label value in the slice of this name."""
        own = self.by_slice.get(name, self.by_slice.get(Path(name).stem, {}))
        return {**self.everywhere, **own}

    @property
    def ids(self) -> set[int]:
        """All label values that have a texture."""
        return set(self.everywhere).union(*self.by_slice.values())


def read_textures(path: str | Path) -> Textures:
    """Read the texture of labelled fossils.

    Parameters
    ----------
    path : path
        A CSV file (comma, semicolon or tab) whose first line names the columns: ``id`` and
        ``texture``, and ``slice`` where an id means another fossil in every slice; or a JSON file
        ``{"id": "texture"}``, as ``fossiledit sample`` writes one.

    Raises
    ------
    InputError
        The file is missing or no such table, an id is no whole number above 0, or the same id is
        given two textures.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"The textures {path} cannot be read ({reason}): give {_COLUMNS}."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name} is no text in UTF-8: save it from the spreadsheet as CSV (UTF-8)."
        ) from error
    rows = _json_rows(text, path.name) if path.suffix.lower() == ".json" else _rows(text, path.name)
    everywhere: dict[int, str] = {}
    by_slice: dict[str, dict[int, str]] = {}
    for line, (piece, number, texture) in rows:
        where = f"Line {line} of {path.name}" if line else f"An entry of {path.name}"
        into = by_slice.setdefault(piece, {}) if piece else everywhere
        key = _id(number, where)
        if into.setdefault(key, texture) != texture:
            raise InputError(
                f"{where} gives {number} the texture {texture}, but it had {into[key]} before: "
                "an id has one texture; add a column slice if ids differ from slice to slice."
            )
    if not everywhere and not by_slice:
        raise InputError(f"{path.name} names no texture: give {_COLUMNS}.")
    return Textures(everywhere, by_slice, path.name)


def write_table(path: str | Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV table, atomically; what is None stays empty, floats have six digits.

    Parameters
    ----------
    path : path
    head : sequence of str
        Names of the columns.
    rows : iterable of sequences, as long as ``head``

    Raises
    ------
    OutputError
        See `io.atomic`.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    write_bytes(path, buffer.getvalue().encode())


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _rows(text: str, name: str) -> list[tuple[int, tuple[str, str, str]]]:
    """Line number, slice, id and texture of every line with a texture."""
    first = text.split("\n", 1)[0]
    mark = max(",;\t", key=first.count)
    lines = list(csv.reader(io.StringIO(text), delimiter=mark))
    head = [cell.strip().lower() for cell in lines[0]] if lines else []
    number = next((head.index(word) for word in ("id", "label", "index") if word in head), None)
    if number is None or "texture" not in head:
        raise InputError(f"The first line of {name} does not name its columns: give {_COLUMNS}.")
    piece, texture = (head.index(w) if w in head else None for w in ("slice", "texture"))

    def cell(line: list[str], at: int | None) -> str:
        return line[at].strip() if at is not None and at < len(line) else ""

    return [
        (i, (cell(line, piece), cell(line, number), cell(line, texture)))
        for i, line in enumerate(lines[1:], start=2)
        if cell(line, texture)
    ]


def _json_rows(text: str, name: str) -> list[tuple[int, tuple[str, str, str]]]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InputError(f"{name} is no JSON file: give {_COLUMNS}.") from error
    if not isinstance(data, dict) or not all(isinstance(v, str) for v in data.values()):
        raise InputError(f'{name} does not hold textures by id, as {{"12": "porous"}}: correct it.')
    return [(0, ("", key, value)) for key, value in data.items()]


def _id(text: str, where: str) -> int:
    number = text.removesuffix(".0")  # as spreadsheets write whole numbers
    if not number.isdecimal() or int(number) < 1:
        raise InputError(f'{where} has the id "{text}": ids are whole numbers above 0.')
    return int(number)
