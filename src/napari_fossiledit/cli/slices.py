"""Slices that the user names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_fossiledit.instances import LabelledSlice
    from napari_fossiledit.io import Labelled

__all__ = ["chosen_slices", "context_images", "unlabelled_slices"]


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
    places: list[int] = []
    for name in _names(text, option):
        place = found.index(name)
        if place in places:
            raise InputError(f"The slice {name} is named twice in {option}: name it once.")
        places.append(place)
    return places


def unlabelled_slices(
    images: Path, found: Labelled, name: str | None, several: str | None, trained: list[int]
) -> tuple[list[LabelledSlice], list[int]]:
    """Slices to learn from without labels; the first new one where none is named.

    Parameters
    ----------
    images : path
        The whole stack; slices without labels are not in ``found``.
    found : Labelled
    name, several : str, optional
        As the user named them: one, or some with commas between.
    trained : list of int
        Places in ``found`` of the slices that the model was trained on.

    Returns
    -------
    slices : list of LabelledSlice
        With empty labels.
    places : list of int
        Of those that are in ``found``, too.

    Raises
    ------
    InputError
        As `chosen_slices`, or when the model was trained on all slices.
    """
    import numpy as np

    from napari_fossiledit import io
    from napari_fossiledit.errors import InputError
    from napari_fossiledit.instances import LabelledSlice

    stack = io.open_stack(images)
    known = {found.indices[i] for i in trained}
    new = [z for z in range(len(stack)) if z not in known]
    if several is not None:
        chosen = _each_once([stack.index(one) for one in _names(several, "--slices")], "--slices")
    elif name is not None:
        chosen = [stack.index(name)]
    elif new:
        chosen = new[:1]
    else:
        raise InputError(
            "The model was trained on all these slices: name another one to learn from, with "
            "--slice."
        )
    read = [stack[z] for z in chosen]
    slices = [
        LabelledSlice(image, np.zeros(image.shape[:2], np.int32), name=stack.names[z])
        for z, image in zip(chosen, read, strict=True)
    ]
    return slices, [found.indices.index(z) for z in chosen if z in found.indices]


def context_images(images: Path, several: str | None, solver: Any) -> list[NDArray[np.uint8]]:
    """Slices of the context, by their names in the whole stack; none for None.

    Raises
    ------
    InputError
        An unknown name, one given twice, or a solver that takes no context.
    """
    from napari_fossiledit import io
    from napari_fossiledit.errors import InputError

    if several is None:
        return []
    if not getattr(solver, "uses_context", False):
        raise InputError(
            "--context has a say only where a layer may change in few directions: choose the "
            "solver low_rank, or adam with --rank, or leave it out."
        )
    stack = io.open_stack(images)
    names = _names(several, "--context")
    return [stack[z] for z in _each_once([stack.index(name) for name in names], "--context")]


def _names(text: str, option: str) -> list[str]:
    from napari_fossiledit.errors import InputError

    names = [part.strip() for part in text.split(",")]
    if not all(names):
        raise InputError(f"{option} has an empty name in '{text}': put one comma between two.")
    return names


def _each_once(places: list[int], option: str) -> list[int]:
    from napari_fossiledit.errors import InputError

    if len(set(places)) < len(places):
        raise InputError(f"A slice is named twice in {option}: name it once.")
    return places
