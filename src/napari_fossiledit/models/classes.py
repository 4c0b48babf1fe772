"""Names and numbers of a model's classes, as users give them."""

from __future__ import annotations

from collections.abc import Sequence

from napari_fossiledit.errors import InputError

__all__ = ["check_classes", "check_names", "class_numbers"]


def check_names(names: Sequence[str] | None, classes: int, model: str) -> None:
    """Refuse names that are not one a class; None is always right.

    Raises
    ------
    InputError
        If there are too few or too many, one is empty, or two are alike.
    """
    if names is None:
        return
    if len(names) != classes:
        raise InputError(
            f"The model {model} needs {classes} class names, not {len(names)}: give one name for "
            "each class, in the order of the training's labels."
        )
    if len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise InputError(
            f"Two class names for the model {model} are alike, or one is empty: name each class "
            "differently."
        )


def check_classes(numbers: Sequence[int], names: Sequence[str], model: str) -> tuple[int, ...]:
    """Sorted numbers of classes that a model has.

    Raises
    ------
    InputError
        If there is none, or one that the model has not.
    """
    wanted = tuple(sorted({int(number) for number in numbers}))
    if not wanted:
        raise InputError(
            f"No class of the model {model} is chosen as the fossil: choose at least one of "
            f"{', '.join(names)}."
        )
    if wanted[0] < 0 or wanted[-1] >= len(names):
        number = wanted[0] if wanted[0] < 0 else wanted[-1]
        raise InputError(
            f"The model {model} has no class {number}: its classes are numbered 0 to "
            f"{len(names) - 1} ({', '.join(names)})."
        )
    return wanted


def class_numbers(wanted: Sequence[int | str], names: Sequence[str], model: str) -> list[int]:
    """Class numbers from names or numbers; a name goes before a number written alike.

    Raises
    ------
    InputError
        If a name is none of the model's.
    """
    numbers = []
    for one in wanted:
        text = str(one).strip()
        if text in names:
            numbers.append(list(names).index(text))
        elif text.lstrip("-").isdigit():
            numbers.append(int(text))
        else:
            raise InputError(
                f"The model {model} has no class {text!r}: choose among "
                f"{', '.join(f'{i} = {n}' for i, n in enumerate(names))}."
            )
    return numbers
