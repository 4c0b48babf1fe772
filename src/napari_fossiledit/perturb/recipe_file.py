"""Recipes of perturbations as files, to replay them bit for bit."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_fossiledit.errors import InputError, OutputError

__all__ = ["read_recipe", "write_recipe"]

FORMAT = "fossiledit perturbation"
VERSION = 1


def write_recipe(path: str | Path, recipe: Mapping[str, Any]) -> None:
    """Write a recipe (`Perturbation.to_dict`) as JSON; the file is whole or as it was before.

    Raises
    ------
    OutputError
        When the file cannot be written there.
    """
    path = Path(path)
    content = {"format": FORMAT, "version": VERSION, **recipe}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"The recipe cannot be written to {path} ({error.strerror or error}): choose another "
            "file or folder."
        ) from error
    finally:
        with suppress(OSError):  # the folder itself may be what is missing
            temporary.unlink(missing_ok=True)


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe file, or the recipe in a file of figures (``--json``) or an edit's provenance.

    Returns
    -------
    dict
        For `Perturbation.from_dict`.

    Raises
    ------
    InputError
        When the file cannot be read or holds no recipe.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"The recipe {path} cannot be read ({error.strerror or error}): check its name."
        ) from error
    except (ValueError, RecursionError):
        raise InputError(
            f"{path.name} is no recipe of a perturbation (no JSON): choose a file that "
            "`fossiledit perturb --save-recipe` wrote."
        ) from None
    if isinstance(content, dict) and isinstance(content.get("perturbation"), dict):
        content = content["perturbation"]
    if not isinstance(content, dict) or "fill" not in content:
        raise InputError(
            f"{path.name} is no recipe of a perturbation (its fill is missing): choose a file that "
            "`fossiledit perturb --save-recipe` wrote."
        )
    if content.get("format", FORMAT) != FORMAT or content.get("version", VERSION) != VERSION:
        raise InputError(
            f"{path.name} was written in a form that this version does not know: update "
            "napari-fossiledit, or make the recipe again."
        )
    return {key: value for key, value in content.items() if key not in {"format", "version"}}
