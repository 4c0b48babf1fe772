"""YAML as plain data: whatever a tag asks for, nothing is imported, called or built.

The file is only parsed into nodes; the nodes are then turned into mappings, sequences and
scalars here. A tag that would have Python run something is read as the data it carries, and
reported in `PlainYaml.calls`, so that the caller can refuse it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from napari_fossiledit.errors import ModelError

__all__ = ["LARGEST_FILE", "Call", "PlainYaml", "read_plain_yaml"]

LARGEST_FILE = 500_000
"""Bytes. A whole detectron2 config has 6000; PyYAML reads some 50 000 a second."""
_MOST_VALUES = 20_000  # after aliases are expanded: a whole detectron2 config has 400
_DEEPEST = 40
_LONGEST_NUMBER = 100  # longer ones stay text: no number of a setting is as long

_YAML = "tag:yaml.org,2002:"
_PYTHON = _YAML + "python/"
_MERGE = _YAML + "merge"
_SCALARS = {
    "none": "null",
    "bool": "bool",
    "int": "int",
    "long": "int",
    "float": "float",
    "str": "str",
    "unicode": "str",
    "bytes": "str",
    "complex": "str",
}
_CONTAINERS = {"tuple", "list", "dict"}
# No setting is a date or bytes, and JSON, which our own model files keep settings in, has none.
_AS_TEXT = {_YAML + "str", _YAML + "timestamp", _YAML + "binary"}
# Classes that only hold data, as yaml.dump writes them.
_NODE = re.compile(r"object(/new|/apply)?:([\w.]+\.)?(CfgNode|CN|AttrDict)$")
_ORDERED = re.compile(r"object/apply:collections\.OrderedDict$")
_PATH = re.compile(r"object/apply:pathlib(\._local)?\.\w*Path$")


@dataclass(frozen=True)
class Call:
    """A tag that would have Python run something.

    Attributes
    ----------
    setting : str
        Full name of the setting that carries it, e.g. ``MODEL.WEIGHTS``.
    tag : str
        As written, e.g. ``!!python/object/apply:os.system``.
    line : int
        In the file, from 1.
    """

    setting: str
    tag: str
    line: int


@dataclass(frozen=True)
class PlainYaml:
    """What a YAML file holds: plain `data`, and the `calls` that were not made."""

    data: Any
    calls: tuple[Call, ...]


def read_plain_yaml(path: Path) -> PlainYaml:
    """Read a YAML file as dicts, lists, tuples and scalars; nothing in it is executed.

    Parameters
    ----------
    path : Path
        The file, at most `LARGEST_FILE` bytes.

    Raises
    ------
    ModelError
        If it cannot be read, is no YAML, or is larger or deeper than any config.
    """
    text = _text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        reader = _Reader(path.name)
        data = None if node is None else reader.value(node, "", 0)
    except yaml.YAMLError as error:
        raise ModelError(
            f"The config {path.name} is not valid YAML{_place(error)}: choose the config.yaml that "
            "detectron2 wrote, or mend the file in a text editor."
        ) from error
    except RecursionError as error:
        raise _too_deep(path.name) from error
    return PlainYaml(data, tuple(reader.calls))


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder: choose the config file (.yaml) in it.")
        if not path.is_file():
            raise ModelError(f"There is no config file {path}: check the path.")
        size = path.stat().st_size
        content = path.read_bytes() if size <= LARGEST_FILE else b""
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        why = getattr(error, "strerror", None) or str(error)
        raise ModelError(
            f"The config {path.name} cannot be read ({why}): check the path and the permissions."
        ) from error
    if size > LARGEST_FILE:
        raise ModelError(
            f"The config {path.name} has {size // 1000} kB, which is too large for a config (at "
            f"most {LARGEST_FILE // 1000} kB): choose the .yaml file, not the weights."
        )
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_text(path.name) from error
    if "\0" in text:
        raise _no_text(path.name)
    return text


class _Reader:
    """Turns nodes into plain data; counts values, so that aliases cannot explode."""

    def __init__(self, name: str) -> None:
        self.calls: list[Call] = []
        self._name = name
        self._left = _MOST_VALUES
        self._scalars: dict[int, Any] = {}
        self._constructor = yaml.constructor.SafeConstructor()

    def value(self, node: Any, where: str, depth: int) -> Any:
        """Plain data of a node; `where` is the full name of the setting it stands for."""
        self._left -= 1
        if self._left < 0:
            raise ModelError(
                f"The config {self._name} has more than {_MOST_VALUES} values, which no config "
                "has: choose the config.yaml that detectron2 wrote."
            )
        if depth > _DEEPEST:
            raise _too_deep(self._name)
        kind = node.tag.removeprefix(_PYTHON) if node.tag.startswith(_PYTHON) else ""
        if self._runs(node, kind):
            tag = node.tag.replace(_YAML, "!!", 1)
            self.calls.append(Call(where, tag, node.start_mark.line + 1))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, kind)
        if isinstance(node, yaml.SequenceNode):
            items = [self.value(item, where, depth + 1) for item in node.value]
            return _sequence(items, kind)
        return _mapping(self._pairs(node, where, depth, bool(_NODE.match(kind))), kind, node.tag)

    def _runs(self, node: Any, kind: str) -> bool:
        """Whether yaml.unsafe_load would import or call something, or fail, at this tag."""
        if kind:
            plain = kind in _SCALARS or kind in _CONTAINERS
            return not (plain or _NODE.match(kind) or _ORDERED.match(kind) or _PATH.match(kind))
        return not node.tag.startswith(_YAML)

    def _scalar(self, node: Any, kind: str) -> Any:
        # One object a node: an alias used a thousand times is decoded once.
        if id(node) not in self._scalars:
            tag = node.tag
            if kind or not tag.startswith(_YAML):
                tag = _YAML + _SCALARS.get(kind, "str")
            known = tag in self._constructor.yaml_constructors
            if not known or tag in _AS_TEXT or len(node.value) > _LONGEST_NUMBER:
                tag = _YAML + "str"
            plain = yaml.ScalarNode(tag, node.value, node.start_mark, node.end_mark)
            self._scalars[id(node)] = self._decoded(plain)
        return self._scalars[id(node)]

    def _decoded(self, node: Any) -> Any:
        try:
            return self._constructor.construct_object(node)
        except (
            yaml.YAMLError,
            ValueError,
            LookupError,
            AttributeError,
            TypeError,
            OverflowError,
        ):
            # E.g. !!int "two": the check of the setting says what is wrong.
            return node.value

    def _pairs(self, node: Any, where: str, depth: int, wrapper: bool) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                values = self.value(value_node, where, depth + 1)
                for part in values if isinstance(values, list) else [values]:
                    for key, value in part.items() if isinstance(part, dict) else ():
                        merged.setdefault(key, value)
                continue
            # Text always: a tuple may hold a list, and JSON's keys are text.
            key = str(self.value(key_node, where, depth + 1))
            # yaml.dump's own words around a CfgNode are no part of a setting's name.
            inner = wrapper and key in ("dictitems", "state", "args", "listitems", "kwds")
            name = where if inner else (f"{where}.{key}" if where else key)
            own[key] = self.value(value_node, name, depth + 1)
        return {**merged, **own}


def _sequence(items: list[Any], kind: str) -> Any:
    if kind == "tuple":
        return tuple(items)
    if _PATH.match(kind):
        return "/".join(map(str, items))
    if _ORDERED.match(kind):
        pairs = items[0] if items and isinstance(items[0], list) else []
        if all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
            return {str(key): value for key, value in pairs}
    return items


def _mapping(pairs: dict[str, Any], kind: str, tag: str) -> Any:
    if tag == _YAML + "set":
        return list(pairs)
    if not _NODE.match(kind):
        return pairs
    # A dumped CfgNode keeps its settings in dictitems, its own flags (__immutable__) in state.
    for word in ("dictitems", "state"):
        if isinstance(pairs.get(word), dict):
            pairs = pairs[word]
            break
    return {key: value for key, value in pairs.items() if not key.startswith("__")}


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    parts = " ".join(", ".join(part for part in (where, problem) if part).split())
    return f" ({parts})" if parts else ""


def _no_text(name: str) -> ModelError:
    return ModelError(
        f"The config {name} is not a text file: choose the .yaml file, not the weights."
    )


def _too_deep(name: str) -> ModelError:
    return ModelError(
        f"The config {name} is nested more deeply than any config: choose the config.yaml that "
        "detectron2 wrote."
    )
