"""Textures of labelled fossils, as a labels layer carries them. No Qt and no napari.

A labels layer's ``features`` table says what is known of every label: its column ``texture`` holds
the class. With a column ``index`` a row belongs to the label in it, else to the label of its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_fossiledit.errors import InputError

if TYPE_CHECKING:
    from napari_fossiledit.io import Textures

__all__ = ["texture_map", "with_textures", "without_slices"]

_COLUMN, _INDEX = "texture", "index"


def texture_map(features: Any) -> dict[int, str]:
    """Read the texture of every label that has one.

    Parameters
    ----------
    features : pandas.DataFrame
        Of a labels layer.

    Returns
    -------
    dict of int to str
        By label value; empty without a column ``texture``.
    """
    column = next((c for c in features.columns if str(c).strip().lower() == _COLUMN), None)
    if column is None:
        return {}
    numbers = features[_INDEX] if _INDEX in features.columns else range(len(features))
    return {
        int(number): str(texture).strip()
        for number, texture in zip(numbers, features[column], strict=True)
        if isinstance(texture, str) and texture.strip() and number == number and int(number) > 0
    }


def with_textures(features: Any, textures: Mapping[int, str]) -> Any:
    """Add textures to a labels layer's table; all else in it stays.

    Parameters
    ----------
    features : pandas.DataFrame
        Left as it is.
    textures : dict of int to str
        By label value; labels without one keep theirs, if they have any.

    Returns
    -------
    pandas.DataFrame
        With the columns ``index`` and ``texture``.
    """
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]

    known = {**texture_map(features), **textures}
    table = features.copy()
    if _INDEX not in table.columns:
        table.insert(0, _INDEX, range(len(table)))
    have = {int(number) for number in table[_INDEX]}
    missing = sorted(number for number in {0, *known} if number not in have)
    more = pd.DataFrame({_INDEX: missing})
    table = pd.concat([table, more], ignore_index=True) if len(table) else more
    words = [known.get(int(number), "") for number in table[_INDEX]]
    return table.assign(**{_COLUMN: pd.Series(words, dtype=object)})


def without_slices(textures: Textures) -> dict[int, str]:
    """Textures by label value alone, as a labels layer can carry them.

    Raises
    ------
    InputError
        When they differ from slice to slice.
    """
    if textures.by_slice:
        raise InputError(
            f"{textures.name} has a column slice, but in a labels layer a label has one texture "
            "in all slices: give a table with the columns id and texture only."
        )
    return dict(textures.everywhere)
