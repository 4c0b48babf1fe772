"""What an image file's first bytes tell: rows, columns, kind and pages, without its pixels.

A stack of 3000 slices is looked through when it is opened, so each file costs one short read
here; whatever these few formats do not cover is left to the libraries that read the pixels.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.images import IMAGE_SUFFIXES, TIFF_SUFFIXES

__all__ = ["Header", "read_header", "read_headers", "tiff_pages"]

_THREADS = 8  # for the latency of network drives; on a local disk one would do
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_COLOURS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG's frame headers
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8}
_TIFF_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_WIDTH, _LENGTH, _BITS, _DESCRIPTION, _SAMPLES, _FORMAT = 256, 257, 258, 270, 277, 339
_LONGEST = 1 << 16  # bytes of a description that are looked at


@dataclass(frozen=True)
class Header:
    """What is known of an image file before its pixels are read.

    Attributes
    ----------
    rows, columns : int
    kind : str
        Such as "8-bit colour"; '' where it is not known.
    pages : int
        Of a TIFF; 1 for all else. 0 where only a closer look can tell.
    """

    rows: int
    columns: int
    kind: str = ""
    pages: int = 1


def read_headers(paths: Sequence[Path]) -> list[Header | InputError]:
    """Headers of many files; an error in place of those that cannot be read."""

    def one(path: Path) -> Header | InputError:
        try:
            return read_header(path)
        except InputError as error:
            return error

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(one, paths))


def read_header(path: Path) -> Header:
    """Header of one image file.

    Raises
    ------
    InputError
        It is damaged, not an image, or may not be read.
    """
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise InputError(f"{path.name} is not an image.")
    try:
        with path.open("rb") as file:
            start = file.read(32)
            found = None
            if start.startswith(_PNG):
                found = _png(start)
            elif start.startswith(b"\xff\xd8"):
                found = _jpeg(file)
            elif suffix in TIFF_SUFFIXES:
                found = _tiff(file)
        return found or _by_library(path)
    except PermissionError as error:
        raise InputError(f"{path} may not be read: ask its owner for access.") from error
    except InputError:
        raise
    except Exception as error:  # a damaged header raises nearly anything
        raise InputError(
            f"Slice {path.name} cannot be read: it is damaged or not an image; export it again."
        ) from error


def tiff_pages(path: Path) -> tuple[list[int], bool]:
    """Where a TIFF's pages begin, and whether the file ends before its last one.

    Returns
    -------
    offsets : list of int
        Of the pages' directories, in the file's order.
    broken : bool
        The chain of pages leads out of the file: it was cut off.
    """
    offsets: list[int] = []
    with path.open("rb") as file:
        size = file.seek(0, 2)
        reader = _Tiff(file)
        offset = reader.first
        while offset:
            following = reader.following(offset) if offset < size else None
            if following is None or offset in offsets[-1:]:
                return offsets, True
            offsets.append(offset)
            offset = following
    return offsets, False


def _png(start: bytes) -> Header | None:
    if len(start) < 26 or start[12:16] != b"IHDR":
        return None
    columns, rows, depth, colour = struct.unpack(">IIBB", start[16:26])
    return Header(rows, columns, _kind(8 if colour == 3 else depth, _PNG_COLOURS.get(colour, 0)))


def _jpeg(file: BinaryIO) -> Header | None:
    file.seek(2)
    while True:
        mark = file.read(4)
        if len(mark) < 4 or mark[0] != 0xFF:
            return None
        if mark[1] == 0xFF:  # fill byte
            file.seek(-3, 1)
            continue
        length = struct.unpack(">H", mark[2:])[0]
        if mark[1] in _SOF:
            depth, rows, columns, samples = struct.unpack(">BHHB", file.read(6))
            return Header(rows, columns, _kind(depth, samples)) if rows else None
        file.seek(length - 2, 1)


class _Tiff:
    """The directories of a classic or big TIFF."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        file.seek(0)
        start = file.read(16)
        self.order = {b"II": "<", b"MM": ">"}[start[:2]]
        version = struct.unpack(self.order + "H", start[2:4])[0]
        self.big = {42: False, 43: True}[version]
        self.first: int = self._number(start[8:16] if self.big else start[4:8])
        self.head = 8 if self.big else 2
        self.entry = 20 if self.big else 12
        self.word = 8 if self.big else 4

    def _number(self, data: bytes) -> int:
        return int(struct.unpack(self.order + ("Q" if self.big else "I"), data)[0])

    def count(self, offset: int) -> int:
        self.file.seek(offset)
        data = self.file.read(self.head)
        return int(struct.unpack(self.order + ("Q" if self.big else "H"), data)[0])

    def following(self, offset: int) -> int | None:
        """Where the next page's directory is: 0 after the last; None when cut off."""
        try:
            self.file.seek(offset + self.head + self.count(offset) * self.entry)
            return self._number(self.file.read(self.word))
        except struct.error:
            return None

    def entries(self, offset: int) -> Iterator[tuple[int, tuple[int, int, bytes]]]:
        """Tag of every entry, and its type, number of values and the value's field."""
        count = self.count(offset)
        data = self.file.read(count * self.entry)
        for i in range(count):
            piece = data[i * self.entry : (i + 1) * self.entry]
            tag, kind = struct.unpack(self.order + "HH", piece[:4])
            yield tag, (kind, self._number(piece[4 : 4 + self.word]), piece[4 + self.word :])

    def values(self, kind: int, count: int, field: bytes) -> bytes:
        """Bytes of an entry's values, from where they lie."""
        length = _TIFF_SIZES[kind] * count
        if length <= self.word:
            return field[:length]
        self.file.seek(self._number(field))
        return self.file.read(min(length, _LONGEST))


def _tiff(file: BinaryIO) -> Header | None:
    reader = _Tiff(file)
    offset = reader.first
    wanted = {_WIDTH, _LENGTH, _BITS, _DESCRIPTION, _SAMPLES, _FORMAT}
    entries = {tag: rest for tag, rest in reader.entries(offset) if tag in wanted}
    numbers: dict[int, int] = {_BITS: 1, _SAMPLES: 1, _FORMAT: 1}
    for tag, (kind, count, field) in entries.items():
        if tag != _DESCRIPTION:
            code = _TIFF_CODES[kind]
            data = reader.values(kind, count, field)
            numbers[tag] = struct.unpack_from(reader.order + code, data)[0]
    text = b""
    if _DESCRIPTION in entries:
        text = reader.values(*entries[_DESCRIPTION])
    several = bool(reader.following(offset))
    rows, columns, samples = numbers[_LENGTH], numbers[_WIDTH], numbers[_SAMPLES]
    unclear = several or _tells_of_more(text, rows * columns * samples)
    kind_words = _kind(numbers[_BITS], samples, floating=numbers[_FORMAT] == 3)
    return Header(rows, columns, kind_words, 0 if unclear else 1)


def _tells_of_more(description: bytes, values: int) -> bool:
    """Whether a TIFF's description tells of more values than its first page has."""
    if description.startswith(b'{"shape"'):
        try:
            shape = json.loads(description.rstrip(b"\0"))["shape"]
        except (ValueError, KeyError):
            return True
        total = 1
        for n in shape:
            total *= int(n)
        return total != values
    if description.startswith(b"ImageJ="):
        found = re.search(rb"^images=(\d+)", description, re.MULTILINE)
        return bool(found and int(found[1]) > 1)
    return b"<OME" in description


def _kind(bits: int, samples: int, *, floating: bool = False) -> str:
    if not samples:
        return ""
    what = "grey" if samples < 3 else "colour"
    return f"{bits}-bit {'floating point ' if floating else ''}{what}"


def _by_library(path: Path) -> Header:
    from PIL import Image

    if path.suffix.lower() in TIFF_SUFFIXES:
        import tifffile

        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            return Header(int(page.imagelength), int(page.imagewidth), pages=0)
    with Image.open(path) as image:
        return Header(image.height, image.width)
