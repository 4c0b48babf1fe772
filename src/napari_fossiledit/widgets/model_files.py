"""Which of some files are a model's weights and config. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_fossiledit.errors import InputError
from napari_fossiledit.models.model_folder import WEIGHTS, weights_in

__all__ = ["CONFIGS", "WEIGHTS", "ModelFiles", "config_beside", "sort_files"]

CONFIGS = (".yaml", ".yml")


@dataclass(frozen=True)
class ModelFiles:
    """Files that were dropped together; at least one of them is there."""

    weights: Path | None = None
    config: Path | None = None


def sort_files(paths: Sequence[Path]) -> ModelFiles:
    """Tell weights and config apart by their suffixes; a folder is looked into for weights.

    Raises
    ------
    InputError
        For a file that is neither, two of a kind, or a folder in which the weights are unclear.
    """
    found: dict[str, Path] = {}
    for path in paths:
        kind, file = _kind(path)
        if kind in found:
            one, other = found[kind], file
            names = [
                f"{p.parent.name}/{p.name}" if one.name == other.name else p.name
                for p in (one, other)
            ]
            raise InputError(f"{' and '.join(names)} are both {kind}: drop one of them only.")
        found[kind] = file
    if not found:
        raise InputError("Nothing on this computer was dropped: drop a model's files or folder.")
    return ModelFiles(found.get("weights"), found.get("a config"))


def config_beside(weights: str) -> Path | None:
    """The config that lies beside a file of weights, or None."""
    from napari_fossiledit.models.detectron2_config import find_config

    try:
        return find_config(Path(weights)) if weights and Path(weights).is_file() else None
    except (OSError, ValueError):  # a folder that may not be read, a name that is none
        return None


def _kind(path: Path) -> tuple[str, Path]:
    if path.is_dir():
        return "weights", weights_in(path)
    suffix = path.suffix.lower()
    if suffix in WEIGHTS:
        return "weights", path
    if suffix in CONFIGS:
        return "a config", path
    raise InputError(
        f"{path.name} is neither a model's weights ({', '.join(WEIGHTS)}) nor its config "
        f"({CONFIGS[0]}): drop one of these, or the folder that holds them."
    )
