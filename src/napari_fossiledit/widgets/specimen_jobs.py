"""The task of page 7: link, and make a preview. No Qt; run in a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task

__all__ = ["Linked", "link_task"]


@dataclass(frozen=True, eq=False)
class Linked:
    """Specimens and their preview.

    Attributes
    ----------
    labels : (z, y, x) int32
        One number a specimen.
    preview : (z, y, x) int32
        The same, downsampled.
    place, preview_place : dict
        Where the two layers lie.
    features : dict
        Columns for napari: number, first slice, number of slices, voxels.
    count, long, longest : int
        Specimens; those seen in two or more slices; most slices of one.
    """

    name: str
    labels: NDArray[np.int32]
    preview: NDArray[np.int32]
    place: dict[str, Any]
    preview_place: dict[str, Any]
    features: dict[str, list[Any]]
    count: int
    long: int
    longest: int


def link_task(
    data: Any, name: str, place: dict[str, Any], *, gap: int, longest: int
) -> Task[Linked]:
    """Link the slices of a label array and make its preview."""
    from napari_fossiledit import volume

    labels = yield from volume.link_task(_Slices(data), gap=gap)
    yield Progress(len(data), len(data), "making the 3D preview")
    small, scale = volume.preview(labels, tuple(place["scale"]), max_axis=longest)
    features = _features(labels)
    slices = features["slices"][1:]
    if not slices:
        raise InputError(f"The labels '{name}' are empty: segment several slices first (page 3).")
    return Linked(
        name=name,
        labels=labels,
        preview=small,
        place=place,
        preview_place={**place, "scale": np.array(scale)},
        features=features,
        count=len(slices),
        long=sum(n > 1 for n in slices),
        longest=max(slices),
    )


class _Slices:
    """The slices of a label array, copied one by one."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Any:
        for z in range(len(self._data)):
            yield np.array(self._data[z])


def _features(labels: NDArray[np.int32]) -> dict[str, list[Any]]:
    slices: dict[int, int] = {}
    voxels: dict[int, int] = {}
    first: dict[int, int] = {}
    for z, piece in enumerate(labels):
        values, counts = np.unique(piece, return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            if value:
                slices[value] = slices.get(value, 0) + 1
                voxels[value] = voxels.get(value, 0) + count
                first.setdefault(value, z)
    ids = sorted(slices)
    return {
        "index": [0, *ids],
        "first slice": [-1, *(first[i] for i in ids)],
        "slices": [0, *(slices[i] for i in ids)],
        "voxels": [0, *(voxels[i] for i in ids)],
    }
