"""Read pickles that hold plain data: containers, numbers, text and numpy arrays.

Python's own unpickler imports and calls whatever a file names. The reader here follows the
same opcodes but has no import at all: a name in the file is looked up in a fixed table
(`plain_values.GLOBALS`); every other name, and every opcode that could lead to one, is refused
with that name. One pass over one open file; arrays of a kilobyte and more stand on the bytes as
they were read, without a copy.
"""

from __future__ import annotations

import os
import pickletools
from collections.abc import Callable, Collection
from typing import Any, BinaryIO

from napari_fossiledit.models.plain_values import (
    GLOBALS,
    PlainArray,
    PlainDtype,
    RefusedError,
    checked_key,
    settle,
)

__all__ = ["load", "scan"]

# Python 2's names of modules, which Python 3 still writes under the protocols 0 to 2.
_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_FREE = 16_000_000  # bytes that calls may be given whatever the file's size
_ITEM = 16  # bytes that an item of a container counts for


def load(file: BinaryIO) -> Any:
    """Read one pickle of plain data.

    Parameters
    ----------
    file : binary file
        Open for reading; it must be seekable. Protocols 0 to 5.

    Returns
    -------
    object
        Dicts, lists, tuples, sets, numbers, text, bytes, None, numpy arrays and numpy scalars.
        Ordered, counting and default dicts come as dicts, paths as text.

    Raises
    ------
    RefusedError
        If the file names anything else; nothing of it was run.
    ValueError
        (or another error that its bytes lead to) if the file is damaged.
    """
    return settle(_Machine().run(_Bounded(file)))


def scan(file: BinaryIO, allowed: Collection[str]) -> None:
    """Rehearse one pickle: follow it without making or calling what it names.

    Parameters
    ----------
    allowed : collection of str
        Names as ``module.name`` that the pickle may use besides those of `GLOBALS`.

    Raises
    ------
    RefusedError
        With the first other name, or if keys nest (hashing those can end the process).
    ValueError
        (or another error that its bytes lead to) if the pickle is damaged.
    """
    _Rehearsal(allowed).run(_Bounded(file))


def _joined(module: str, name: str = "") -> str:
    return f"{_OLD_MODULES.get(module, module)}.{name}"


class _Bounded:
    """A file that is never asked for more bytes than it has: such a read would reserve them."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        here = file.tell()
        self.left = file.seek(0, os.SEEK_END) - here
        file.seek(here)

    def read(self, size: int) -> bytes:
        if size > self.left:
            raise ValueError("the file ends early")
        self.left -= size
        return self.file.read(size)

    def readline(self) -> bytes:
        line = self.file.readline()
        self.left -= len(line)
        return line


class _Machine:
    """pickle's stack machine without its imports. One method an opcode, by the opcode's name."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.left = _FREE

    def run(self, file: _Bounded) -> Any:
        self.left = 4 * file.left + _FREE
        for opcode, argument, _ in pickletools.genops(file):  # type: ignore[arg-type]
            code = opcode.name
            if code in _PUSHED:
                self.stack.append(argument)
            elif code in _EMPTY:
                self.stack.append(_EMPTY[code]())
            elif code == "STOP":
                break
            else:
                method = getattr(self, f"op_{code.lower()}", None)
                if method is None:
                    raise RefusedError(f"an object of another program ({code})")
                method(argument)
        return self.stack.pop()

    def _since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def op_proto(self, version: int) -> None:
        if not 0 <= version <= 5:
            raise ValueError(f"the pickle protocol {version}")

    def op_frame(self, size: int) -> None:
        """Frames only help readers that buffer."""

    def op_none(self, _: Any) -> None:
        self.stack.append(None)

    def op_newtrue(self, _: Any) -> None:
        self.stack.append(True)

    def op_newfalse(self, _: Any) -> None:
        self.stack.append(False)

    def op_mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def op_pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._since_mark()

    def op_pop_mark(self, _: Any) -> None:
        self._since_mark()

    def op_dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def op_put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    op_binput = op_long_binput = op_put

    def op_memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def op_get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    op_binget = op_long_binget = op_get

    def op_list(self, _: Any) -> None:
        items = self._since_mark()
        self.stack.append(items)

    def op_append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def op_appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("items for something that is no list")
        self.stack[-1].extend(items)

    def op_tuple(self, _: Any) -> None:
        items = tuple(self._since_mark())
        self.stack.append(items)

    def op_tuple1(self, _: Any) -> None:
        self.stack[-1:] = [(self.stack[-1],)]

    def op_tuple2(self, _: Any) -> None:
        self.stack[-2:] = [(self.stack[-2], self.stack[-1])]

    def op_tuple3(self, _: Any) -> None:
        self.stack[-3:] = [(self.stack[-3], self.stack[-2], self.stack[-1])]

    def op_dict(self, _: Any) -> None:
        items = self._since_mark()
        self.stack.append({})
        self._set_items(items)

    def op_setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def op_setitems(self, _: Any) -> None:
        self._set_items(self._since_mark())

    def _set_items(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not dict:
            raise ValueError("items for something that is no dict")
        pairs = zip(items[::2], items[1::2], strict=True)
        self.stack[-1].update((checked_key(key), value) for key, value in pairs)

    def op_additems(self, _: Any) -> None:
        items = self._since_mark()
        if type(self.stack[-1]) is not set:
            raise ValueError("items for something that is no set")
        self.stack[-1].update(checked_key(item) for item in items)

    def op_frozenset(self, _: Any) -> None:
        items = self._since_mark()
        self.stack.append(frozenset(checked_key(item) for item in items))

    def op_global(self, name: str) -> None:
        self._name(*name.split(" ", 1))

    def op_stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a name that is no text")
        self._name(module, name)

    def _name(self, module: str, name: str = "") -> None:
        full = _joined(module, name)
        self.stack.append(self._named(full))

    def _named(self, full: str) -> Any:
        if full not in GLOBALS:
            raise RefusedError(full)
        return GLOBALS[full]

    def op_inst(self, name: str) -> None:
        raise RefusedError(_joined(*name.split(" ", 1)))

    def _charge(self, given: Any, *, inside: bool = False) -> None:
        """Count what a call is given: one text can be copied again and again from the memo."""
        if isinstance(given, str | bytes | bytearray):
            self.left -= len(given)
        elif isinstance(given, tuple | list | dict | set | frozenset):
            self.left -= _ITEM * len(given)
        if self.left < 0:
            raise ValueError("a file that makes far more than it holds")
        if type(given) is tuple and not inside:
            for item in given:
                self._charge(item, inside=True)

    def op_reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self._charge(arguments)
        if not any(function is known for known in GLOBALS.values()):
            raise RefusedError(f"a call of {type(function).__name__}")
        if type(arguments) is not tuple:
            raise ValueError("a call without arguments")
        self.stack.append(function(*arguments))

    def op_build(self, _: Any) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        self._charge(state)
        if type(target) in (PlainArray, PlainDtype):
            target.__setstate__(state)
        elif type(target) is not dict:  # a state dict's version numbers are not needed
            raise RefusedError(f"a {type(target).__name__} with attributes")


class _Blank:
    """Whatever an allowed name stands for."""


class _Rehearsal(_Machine):
    """Follows a pickle of torch: its tensors and storages are blanks."""

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__()
        self.allowed = allowed

    def _named(self, full: str) -> Any:
        if full not in self.allowed:
            return super()._named(full)
        return GLOBALS.get(full) or _Blank()

    def op_reduce(self, argument: Any) -> None:
        if type(self.stack[-2]) is _Blank:
            self._charge(self.stack.pop())
        else:
            super().op_reduce(argument)

    op_newobj = op_reduce

    def op_build(self, argument: Any) -> None:
        if type(self.stack[-2]) is _Blank:
            self._charge(self.stack.pop())
        else:
            super().op_build(argument)

    def op_binpersid(self, _: Any) -> None:
        self.stack[-1] = _Blank()


_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
}
# fmt: off
_PUSHED = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
    "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
})
# fmt: on
