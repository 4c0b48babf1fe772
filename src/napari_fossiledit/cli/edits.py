"""Edit files on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fossiledit.cli.console import note
from napari_fossiledit.errors import InputError

if TYPE_CHECKING:
    from napari_fossiledit.editing import Edit
    from napari_fossiledit.models import Segmenter

__all__ = ["apply_edit", "parse_strength", "say_worth"]


def parse_strength(text: str) -> float | None:
    """Read ``auto`` (None) or a number.

    Raises
    ------
    InputError
    """
    from napari_fossiledit.editing.edit import check_strength

    if text == "auto":
        return None
    try:
        strength = float(text)
    except ValueError as error:
        raise InputError(
            f"The strength {text} is neither 'auto' nor a number: give one such as 0.1."
        ) from error
    return check_strength(strength)


def apply_edit(
    segmenter: Segmenter, path: Path, asked: float | None, edit: Edit | None = None
) -> dict[str, Any]:
    """Load an edit, apply it (at its own strength, if none is asked for), and say which.

    One that was loaded from the file before can be given.

    Raises
    ------
    EditError
        Not an edit, damaged, or made for another model.
    """
    from napari_fossiledit import editing

    edit = editing.load_edit(path) if edit is None else edit
    strength = edit.strength if asked is None else asked
    edit.apply(segmenter, strength=strength)
    say_worth(edit)
    return {"file": path.name, "name": edit.name, "strength": strength}


def say_worth(edit: Edit) -> None:
    """Say so if the choice of its strength found the edit not worth applying."""
    if not edit.worth_it:
        note([f"The edit {edit.name} was found not worth applying when its strength was chosen"])
