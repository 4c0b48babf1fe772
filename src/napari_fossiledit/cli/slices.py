"""Slices that the user names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_fossiledit.io import Labelled

__all__ = ["chosen_slices"]


def chosen_slices(found: Labelled, text: str | None, option: str) -> list[int]:
    """Places of the slices named in ``text``, with commas between; none for None.

    Raises
    ------
    InputError
        An empty name, an unknown one, or one given twice; the sentence names the option.
    """
    from napari_fossiledit.errors import InputError

    if text is None:
        return []
    names = [part.strip() for part in text.split(",")]
    if not all(names):
        raise InputError(f"{option} has an empty name in '{text}': put one comma between two.")
    places: list[int] = []
    for name in names:
        place = found.index(name)
        if place in places:
            raise InputError(f"The slice {name} is named twice in {option}: name it once.")
        places.append(place)
    return places
