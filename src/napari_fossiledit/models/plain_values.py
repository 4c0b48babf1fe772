"""The plain values that a file of weights may hold: containers, numbers, text and numpy arrays.

`GLOBALS` is the table of all names that such a file may use, and what each means here: this
module's own functions, which check what they are given. numpy's functions are never handed to
a file.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import unicodedata
from collections.abc import Callable
from typing import Any, Literal, cast

import numpy as np

__all__ = [
    "GLOBALS",
    "PlainArray",
    "PlainDtype",
    "RefusedError",
    "checked_key",
    "clean",
    "numpy_only",
    "settle",
]

_DTYPE = re.compile(r"[?]|[biufcSU][0-9]{1,9}")
_KEYS = (str, int, float, bool, bytes, type(None))
_LATIN = ("latin1", "latin-1")
_LONGEST_KEY = 8  # values of a tuple that is a key
# Python hashes integers modulo 2^61 - 1: larger ones can be chosen to hash alike by the thousand,
# and in tuples smaller ones too.
_LARGEST_INT = 2**61 - 2
_LARGEST_PART = 2**32


def clean(text: str, most: int = 120) -> str:
    """Text that a file chose, made fit for a terminal or a notification.

    Parameters
    ----------
    text : str
    most : int
        Characters; a longer text is cut and ends in "...".

    Returns
    -------
    str
        Without control characters, marks that turn the direction of writing, or line ends.
    """
    kept = (
        c if c.isprintable() else " "
        for c in text[: 8 * most + 8]
        if c.isprintable() or unicodedata.category(c) == "Zs"
    )
    short = "".join(kept)
    return short if len(short) <= most else short[: most - 3] + "..."


class RefusedError(ValueError):
    """The file holds something that is no plain data.

    Parameters
    ----------
    what : str
        Its name, e.g. ``posix.system``; cleaned of control characters and shortened here,
        because the file chose it.
    """

    def __init__(self, what: str) -> None:
        self.what = clean(what, 80)
        super().__init__(self.what)


class PlainDtype:
    """Stands in for ``numpy.dtype``: booleans, numbers and fixed-width text only."""

    def __init__(self, text: Any, align: Any = False, copy: Any = True) -> None:
        text = text.decode("ascii") if isinstance(text, bytes) else text
        if not isinstance(text, str):
            raise ValueError("a dtype without a name")
        if text.startswith("O"):
            raise RefusedError("arrays of Python objects")
        if not _DTYPE.fullmatch(text):
            raise RefusedError(f"arrays of the type {text}")
        self.dtype: np.dtype[Any] = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        """Take the byte order; structured types are refused."""
        if not isinstance(state, tuple) or not 5 <= len(state) <= 9:
            raise ValueError("a dtype's state of another form")
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "=", "|"):
            raise ValueError("an unknown byte order")
        if any(part is not None for part in state[2:5]):
            raise RefusedError("structured arrays")
        self.dtype = self.dtype.newbyteorder(cast(Literal["<"], order))


class PlainArray:
    """Stands in for ``numpy.ndarray`` while a pickle is read; `array` is the array."""

    def __init__(self) -> None:
        self.array: np.ndarray[Any, Any] = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        """Take shape, type and bytes as ``ndarray.__reduce__`` writes them."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise ValueError("an array's state of another form")
        shape, dtype, fortran, raw = state[-4:]
        self.array = _array(raw, dtype, shape, bool(fortran))


def _array(raw: Any, dtype: Any, shape: Any, fortran: bool) -> np.ndarray[Any, Any]:
    """The array of the given bytes, in this machine's byte order, writable."""
    if type(dtype) is not PlainDtype:
        raise ValueError("an array without a dtype")
    if isinstance(raw, list):
        raise RefusedError("arrays of Python objects")
    if isinstance(raw, str):  # Python 2 wrote bytes as text
        raw = raw.encode("latin-1")
    if (
        not isinstance(shape, tuple)
        or len(shape) > 32
        or not all(type(n) is int and n >= 0 for n in shape)
    ):
        raise ValueError("an array without a shape")
    kind = dtype.dtype
    if not isinstance(raw, bytes | bytearray) or math.prod(shape) * kind.itemsize != len(raw):
        raise ValueError("an array with more or fewer bytes than its shape needs")
    if isinstance(raw, bytearray) and raw:
        array = np.frombuffer(raw, kind).reshape(shape, order="F" if fortran else "C")
    else:
        # numpy's own way from bytes to an array: it keeps the bytes, and the array is writable.
        array = np.zeros(0, kind)
        array.__setstate__((1, shape, kind, cast(Any, fortran), bytes(raw)))
    return array if kind.isnative else array.astype(kind.newbyteorder("="))


def _reconstruct(kind: Any, shape: Any, code: Any) -> PlainArray:
    if kind is not PlainArray or shape != (0,):
        raise ValueError("an array that is no plain array")
    return PlainArray()


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> PlainArray:
    made = PlainArray()
    made.array = _array(raw, dtype, shape, order == "F")
    return made


def _scalar(dtype: Any, raw: Any = b"") -> Any:
    return _array(raw, dtype, (), False)[()]


def _dict(items: Any = ()) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for key, value in items.items() if isinstance(items, dict) else items:
        made[checked_key(key)] = value
    return made


def _default_dict(factory: Any = None) -> dict[Any, Any]:
    return {}


def _set(items: Any = ()) -> set[Any]:
    return {checked_key(item) for item in items}


def _frozenset(items: Any = ()) -> frozenset[Any]:
    return frozenset(_set(items))


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in _LATIN:
        raise RefusedError("_codecs.encode for something else than bytes")
    return text.encode("latin-1")


def _bytes(*nothing: Any) -> bytes:
    if nothing:
        raise RefusedError("builtins.bytes")
    return b""


def _bytearray(raw: Any = b"", encoding: Any = "latin1") -> bytearray:
    # A number would reserve that many bytes.
    return bytearray(raw if isinstance(raw, bytes | bytearray) else _encode(raw, encoding))


def _path(*parts: Any) -> str:
    return os.path.join(*[str(part) for part in parts if isinstance(part, str)] or [""])


def _factory(*nothing: Any) -> None:
    """Stands for ``list``, ``int``, ... where a defaultdict names them; never called."""
    raise RefusedError("a call of builtins")


def _table() -> dict[str, Callable[..., Any]]:
    table: dict[str, Callable[..., Any]] = {
        "collections.OrderedDict": _dict,
        "collections.Counter": _dict,
        "collections.defaultdict": _default_dict,
        "builtins.set": _set,
        "builtins.frozenset": _frozenset,
        "builtins.bytes": _bytes,
        "builtins.bytearray": _bytearray,
        "_codecs.encode": _encode,
        "numpy.dtype": PlainDtype,
        "numpy.ndarray": PlainArray,
    }
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray._reconstruct"] = _reconstruct
        table[f"{core}.multiarray.scalar"] = _scalar
        table[f"{core}.numeric._frombuffer"] = _from_buffer
    for module in ("pathlib", "pathlib._local"):
        for flavour in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"):
            table[f"{module}.{flavour}"] = _path
    for name in ("list", "dict", "int", "float", "str", "bool", "tuple"):
        table[f"builtins.{name}"] = _factory
    return table


#: Every name a file may use, and what it means here.
GLOBALS = _table()


def numpy_only(leaf: Any) -> Any:
    """Let numpy's arrays and scalars pass, and refuse everything else."""
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf
    raise RefusedError(f"{type(leaf).__module__}.{type(leaf).__qualname__}")


def settle(value: Any, make: Callable[[Any], Any] = numpy_only) -> Any:
    """Replace the stand-ins in what was read by plain values.

    Parameters
    ----------
    value : object
    make : callable
        Called with each numpy array or scalar, and with each value that is no plain one; it
        returns what shall stand there or raises `RefusedError`.
    """
    return _Settler(make).settle(value)


class _Settler:
    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make
        # Shared and circular parts are visited once: a file of 200 bytes can nest 2^40 lists.
        self.seen: dict[int, Any] = {}

    def settle(self, value: Any) -> Any:
        if id(value) not in self.seen:
            self.seen[id(value)] = self._settled(value)
        return self.seen[id(value)]

    def _settled(self, value: Any) -> Any:
        if isinstance(value, argparse.Namespace):
            value = vars(value)
        if isinstance(value, dict):
            made: dict[Any, Any] = {}
            self.seen[id(value)] = made
            made.update((checked_key(key), self.settle(item)) for key, item in value.items())
            return made
        if type(value) is list:
            row: list[Any] = []
            self.seen[id(value)] = row
            row.extend(self.settle(item) for item in value)
            return row
        if type(value) is tuple:
            return tuple(self.settle(item) for item in value)
        return self._leaf(value)

    def _leaf(self, value: Any) -> Any:
        if type(value) in (*_KEYS, bytearray, complex):
            return value
        if type(value) in (set, frozenset):
            return type(value)(checked_key(item) for item in value)
        if type(value) is PlainDtype:
            return str(value.dtype)
        if callable(value):
            names = [name for name, known in GLOBALS.items() if known is value]
            if names:
                raise RefusedError(names[0])
        return self.make(value.array if type(value) is PlainArray else value)


def checked_key(key: Any) -> Any:
    """A dict's key or a set's item: what could hash for years or end the process is refused."""
    nested = type(key) is tuple
    parts = key if nested else (key,)
    if len(parts) > _LONGEST_KEY:
        raise RefusedError(f"a key of {len(parts)} values")
    for part in parts:
        numpy = isinstance(part, np.generic) and part.dtype.kind in "biufSU"
        if type(part) not in _KEYS and not numpy:
            raise RefusedError(f"a key of the type {type(part).__name__}")
        if type(part) is int and abs(part) > (_LARGEST_PART if nested else _LARGEST_INT):
            raise RefusedError("a key that is a number of many digits")
    return key
