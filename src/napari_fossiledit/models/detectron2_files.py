"""The files of a detectron2 config: ``_BASE_`` chains, and the config beside a weights file."""

from __future__ import annotations

import contextlib
import copy
import os
import re
from pathlib import Path
from typing import Any

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models.detectron2_settings import SETTINGS, inline, shown
from napari_fossiledit.models.plain_yaml import LARGEST_FILE, read_plain_yaml

__all__ = ["config_files", "find_config", "load_files"]

_BASE = "_BASE_"
_MOST_FILES = 50
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_HAS_MODEL = re.compile(rb"""^[\s{]*["']?MODEL["']?\s*:""", re.MULTILINE)


def load_files(path: Path) -> dict[str, Any]:
    """Read a config and the files that it builds on (``_BASE_``), as fvcore merges them.

    Parameters
    ----------
    path : Path
        A YAML file.

    Returns
    -------
    dict
        Plain data: the settings that the files say, unchecked.

    Raises
    ------
    ModelError
        If a file is missing or no config, the files form a loop, or a tag would run code.
    """
    files = _Files()
    loaded = _load(path, (), files)
    _check_calls(loaded, files)
    return loaded


def config_files(path: Path) -> list[Path]:
    """Files that reading a config reads: itself, then those that it builds on (``_BASE_``).

    Parameters
    ----------
    path : Path
        A YAML file; of one that cannot be read, the files up to the fault.
    """
    files = _Files()
    with contextlib.suppress(ModelError):  # said once the config is read in earnest
        _load(path, (), files)
    return list(dict.fromkeys([path, *files.paths]))


def find_config(weights_path: str | os.PathLike[str]) -> Path | None:
    """Find the config that lies beside a weights file.

    Parameters
    ----------
    weights_path : str or path
        E.g. ``model_final.pth``: looked for are ``model_final.yaml`` (or ``.yml``), then
        ``config.yaml``, then the only YAML file of the folder with a ``MODEL:`` section.

    Returns
    -------
    Path or None
        None if there is none, or more than one candidate.
    """
    weights = Path(weights_path).expanduser()
    try:
        for stem in (weights.stem, "config"):
            for suffix in (".yaml", ".yml"):
                beside = weights.parent / f"{stem}{suffix}"
                if beside.is_file():
                    return beside
        others = [p for p in weights.parent.iterdir() if p.suffix.lower() in {".yaml", ".yml"}]
        found = [p for p in others if _looks_like_config(p)]
    except (OSError, ValueError):
        return None
    return found[0] if len(found) == 1 else None


def _looks_like_config(path: Path) -> bool:
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_FILE:
            return False
        return _HAS_MODEL.search(path.read_bytes()) is not None
    except OSError:
        return False


class _Files:
    """What was read for one config: file by file, and the calls that were not made."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.calls: list[ModelError] = []


def _load(path: Path, chain: tuple[Path, ...], files: _Files) -> dict[str, Any]:
    """Settings of a file over those of its ``_BASE_``; `chain` of files leads here."""
    if path.suffix.lower() == ".py":
        raise ModelError(
            f"The config {path.name} is Python and would have to be executed to be read: choose "
            "the config.yaml that detectron2 wrote beside the weights, or save it as YAML."
        )
    if chain and not path.is_file():
        raise ModelError(
            f"The config {chain[-1].name} builds on {path} (_BASE_), which does not exist: put "
            "that file there, or use the whole config.yaml that training wrote."
        )
    real = Path(os.path.realpath(path))
    if real in [Path(os.path.realpath(p)) for p in chain]:
        names = " -> ".join(p.name for p in (*chain, path))
        raise ModelError(
            f"The configs build on each other in a loop (_BASE_: {names}): take it out of one."
        )
    files.paths.append(path)
    if len(files.paths) > _MOST_FILES:
        raise ModelError(
            f"The config {files.paths[0].name} builds on more than {_MOST_FILES} files (_BASE_): "
            "use the whole config.yaml that training wrote."
        )
    data = _one_file(path, files)
    merged: dict[str, Any] = {}
    for base in _bases(path, data.pop(_BASE, [])):
        _lay_over(path.name, merged, _load(base, (*chain, path), files))
    _lay_over(path.name, merged, data)
    return merged


def _one_file(path: Path, files: _Files) -> dict[str, Any]:
    plain = read_plain_yaml(path)
    name, data = path.name, plain.data
    files.calls += [
        ModelError(
            f"The config {name} would have Python run something on loading, at "
            f"{inline(call.setting) or 'its start'} in line {call.line} ({inline(call.tag)}); "
            "nothing was run: write the value itself there, if you trust the file."
        )
        for call in plain.calls
    ]
    if data is None:
        raise ModelError(f"The config {name} is empty: choose the config.yaml of the model.")
    if not isinstance(data, dict):
        raise next(iter(files.calls), None) or ModelError(
            f"The config {name} is no list of settings: choose the config.yaml that detectron2 "
            "wrote beside the weights."
        )
    if isinstance(data.get("model"), dict) and "MODEL" not in data:
        raise ModelError(
            f"The config {name} has a section model, but none called MODEL (it may be a LazyConfig,"
            " which is not supported): choose the config.yaml of a Mask R-CNN."
        )
    return data


def _check_calls(loaded: dict[str, Any], files: _Files) -> None:
    # detectron2's own RetinaNet configs call eval: there the architecture is what to name.
    model = loaded.get("MODEL")
    kind = model.get("META_ARCHITECTURE") if isinstance(model, dict) else None
    setting = SETTINGS["MODEL.META_ARCHITECTURE"]
    if files.calls and (not isinstance(kind, str) or kind == setting.default):
        raise files.calls[0]


def _bases(path: Path, value: Any) -> list[Path]:
    """Files that a config builds on, first to last; fvcore allows one or a list."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    for base in values:
        if not isinstance(base, str) or not base or "\0" in base:
            raise ModelError(
                f"The config {path.name} has _BASE_ = {shown(value)}: it should be the path of "
                "another config."
            )
        if _URL.match(base):
            raise ModelError(
                f"The config {path.name} builds on {inline(base)} (_BASE_): download that file, "
                "put it beside this one and write its name there."
            )
    try:
        return [path.parent / Path(base).expanduser() for base in values]
    except RuntimeError as error:  # no such user's home
        raise ModelError(
            f"The config {path.name} has _BASE_ = {shown(value)}, whose home folder is unknown: "
            "write the whole path."
        ) from error


def _lay_over(name: str, below: dict[str, Any], above: dict[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and key in below:
            if not isinstance(below[key], dict):
                raise ModelError(
                    f"The config {name} has a section {inline(str(key))}, which is a value in the "
                    "config it builds on (_BASE_): take it out of one."
                )
            _lay_over(name, below[key], value)
        else:
            below[key] = copy.deepcopy(value)
