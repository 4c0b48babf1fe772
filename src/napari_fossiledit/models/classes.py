"""Names and numbers of a model's classes, as users give them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

from napari_fossiledit.errors import InputError

__all__ = ["check_classes", "check_names", "class_numbers"]

_LONGEST_NUMBER = 9  # digits; more are no class of any model


def check_names(names: Sequence[str] | None, classes: int, model: str) -> None:
    """Refuse names that are not one a class; None is always right.

    Raises
    ------
    InputError
        If they are no list of texts, too few or too many, one is empty, or two are alike.
    """
    if names is None:
        return
    texts = not isinstance(names, str | bytes) and hasattr(names, "__len__")
    if not texts or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"The class names for the model {model} must be a list of texts, one for each class, "
            f"not {_shown(names)}."
        )
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


def check_classes(
    numbers: Sequence[int] | int, names: Sequence[str], model: str
) -> tuple[int, ...]:
    """Sorted numbers of classes that a model has; one number alone is one class.

    Raises
    ------
    InputError
        If there is none, one that the model has not, or one that is no whole number.
    """
    try:
        wanted = tuple(sorted({_whole(number) for number in _several(numbers)}))
    except TypeError as error:
        raise InputError(
            f"The fossil's classes of the model {model} must be whole numbers from 0 to "
            f"{len(names) - 1} ({', '.join(names)}), not {_shown(numbers)}."
        ) from error
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


def class_numbers(wanted: Sequence[int | str] | int, names: Sequence[str], model: str) -> list[int]:
    """Class numbers from names or numbers; a name goes before a number written alike.

    Raises
    ------
    InputError
        If they are no list, or a name is none of the model's.
    """
    try:
        several = list(_several(wanted))
    except TypeError as error:
        raise InputError(
            f"The fossil's classes of the model {model} must be a list of names or numbers, e.g. "
            f"{list(names[:1])}, not {_shown(wanted)}."
        ) from error
    numbers = []
    for one in several:
        text = str(one).strip()
        digits = text.removeprefix("-")
        if text in names:
            numbers.append(list(names).index(text))
        elif digits.isdecimal() and len(digits) <= _LONGEST_NUMBER:
            numbers.append(int(text))
        else:
            raise InputError(
                f"The model {model} has no class {text!r}: choose among "
                f"{', '.join(f'{i} = {n}' for i, n in enumerate(names))}."
            )
    return numbers


def _several(given: Any) -> Iterable[Any]:
    """What was given, as several; a text is none, as its letters are no classes."""
    if isinstance(given, str | bytes):
        raise TypeError("a text")
    try:
        return [_whole(given)]
    except TypeError:
        return list(given)


def _whole(number: Any) -> int:
    """A whole number of Python's or numpy's; neither True nor 1.0 is one."""
    if isinstance(number, bool):
        raise TypeError("a bool")
    return operator.index(number)


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
