"""An experiment's folder: what it is of, and one file a trial, each whole or not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_fossiledit.errors import InputError

__all__ = ["MANIFEST", "RESULTS", "ExperimentFolder"]

MANIFEST = "experiment.json"
RESULTS = "results.json"
KIND = "napari-fossiledit experiment"
_SAME = (
    ("suite", "another suite", "give --suite as it was"),
    ("model", "another model", "give the model that it was made with"),
    ("slices", "other slices or labels", "give those that it was made with"),
    ("layers", "other layers of the model", "use the version of the program that made it"),
    ("settings", "other settings", "give those that it was made with"),
    ("baseline", "trials of another version of the program", "use that version"),
)


@dataclass(frozen=True)
class ExperimentFolder:
    """Where an experiment keeps its trials.

    Attributes
    ----------
    path : Path
    manifest : dict
        Model, slices, settings, rows.
    """

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def start(cls, path: str | Path, manifest: Mapping[str, Any]) -> ExperimentFolder:
        """Make the folder, or go on with one of the very same experiment.

        Raises
        ------
        InputError
            When the folder holds anything else; nothing in it is changed.
        OutputError
            When it cannot be written.
        """
        from napari_fossiledit import io

        path = Path(path)
        wanted: dict[str, Any] = json.loads(json.dumps({"kind": KIND, **manifest}))
        if path.is_dir() and (path / MANIFEST).exists():
            _require_same(path, _read_manifest(path), wanted)
        elif path.is_dir() and any(not f.name.startswith(".") for f in path.iterdir()):
            raise InputError(
                f"The folder {path} holds other files and no experiment: choose an empty or a new "
                "folder."
            )
        io.make_folder(path / "trials")
        io.write_json(path / MANIFEST, wanted)
        for left in (path / "trials").glob(".*.part*"):  # by a run that was killed
            left.unlink(missing_ok=True)
        return cls(path, wanted)

    @classmethod
    def open(cls, path: str | Path) -> ExperimentFolder:
        """Open the folder of an experiment that was begun.

        Raises
        ------
        InputError
            When there is none.
        """
        path = Path(path)
        if not (path / MANIFEST).is_file():
            raise InputError(
                f"The folder {path} holds no experiment ({MANIFEST} is missing): give the folder "
                "that was the --out of one."
            )
        return cls(path, _read_manifest(path))

    def read(self, key: str) -> dict[str, Any] | None:
        """A trial's record; None when it is not there, or damaged (and has to be run again)."""
        try:
            text = (self.path / "trials" / f"{key}.json").read_text(encoding="utf-8")
            record = json.loads(text)
        except (OSError, ValueError):
            return None
        known = isinstance(record, dict) and record.get("key") == key
        return record if known else None

    def write(self, key: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a trial's record, atomically, and give it as `read` would."""
        from napari_fossiledit import io

        io.write_json(self.path / "trials" / f"{key}.json", {"key": key, **record})
        kept = self.read(key)
        if kept is None:
            raise InputError(f"The trial {key} was changed by another program: run it again.")
        return kept


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = None
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise InputError(
            f"The file {path / MANIFEST} is damaged or of another program: choose an empty or a "
            "new folder."
        )
    return manifest


def _require_same(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for key, what, remedy in _SAME:
        if _essence(found.get(key)) != _essence(wanted[key]):
            name = _name(found) if key == "model" else ""
            raise InputError(
                f"The folder {path} holds an experiment with {what}{name}, and is left as it is: "
                f"{remedy}, or choose another folder."
            )


def _essence(value: Any) -> Any:
    """A model is told by its weights, whatever it is called."""
    return value["fingerprint"] if isinstance(value, dict) and "fingerprint" in value else value


def _name(found: Mapping[str, Any]) -> str:
    model = found.get("model")
    return f" ({model['name']})" if isinstance(model, dict) and "name" in model else ""
