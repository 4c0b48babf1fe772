"""What every kind of stack tells of itself, before it is made into a `Stack`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """Slices as they are stored.

    Attributes
    ----------
    raw : callable
        Takes a slice's number; gives its pixels as they are stored, and notes on what reading
        changed. Raises `InputError` naming the slice. May be called from several threads.
    names : list of str
    size : (int, int)
        Rows and columns.
    place : Path
        Where a voxel size is looked for when ``voxel_size`` is None.
    voxel_size : (z, y, x) in mm, or None
    notes : sequence of str
    kinds : sequence of str or None, optional
        Each slice's kind of pixels as its header tells; None for a header that cannot be read.
    """

    raw: Callable[[int], tuple[NDArray[Any], tuple[str, ...]]]
    names: list[str]
    size: Sequence[int]
    place: Path
    voxel_size: tuple[float, float, float] | None = None
    notes: Sequence[str] = ()
    kinds: Sequence[str | None] | None = field(default=None, repr=False)
