"""The synthetic reef: a deterministic block of archaeocyathid reef rock, slice by slice."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_fossiledit.progress import checkpoint
from napari_fossiledit.sample.clots import place_clots
from napari_fossiledit.sample.debris import place_debris
from napari_fossiledit.sample.growth import place_cups
from napari_fossiledit.sample.render import Scene, draw
from napari_fossiledit.sample.textures import I32, PIXEL_MM, SLICE_MM, U8, rng

VOXEL_SIZE = (SLICE_MM, PIXEL_MM, PIXEL_MM)


@dataclass(frozen=True)
class ReefSlice:
    """One slice of the reef.

    Attributes
    ----------
    image : (y, x, 3) uint8
    labels : (y, x) int32
        Id of the cup, from wall to cavity; 0 elsewhere.
    confusers : (y, x) int32
        Id of the calcimicrobe clot; 0 elsewhere. Never where `labels` is not 0.
    """

    image: U8
    labels: I32
    confusers: I32


@dataclass(frozen=True)
class Reef:
    """A block of reef rock; numpy arrays, or dask arrays from `lazy_reef`.

    Attributes
    ----------
    image : (z, y, x, 3) uint8
    labels : (z, y, x) int32
        One id per individual through all slices, 0 = background.
    textures : dict of int to str
        ``"porous"`` or ``"mud-filled"`` for every id.
    confusers : (z, y, x) int32
        Ids of calcimicrobe clots; they never share a pixel with `labels`.
    voxel_size : tuple of float
        (z, y, x), mm.
    """

    image: Any
    labels: Any
    textures: dict[int, str]
    confusers: Any
    voxel_size: tuple[float, float, float] = VOXEL_SIZE


class ReefModel:
    """The scene from which any slice is drawn alone.

    Parameters
    ----------
    seed : int
        Not negative; the same seed gives the same bytes.
    shape : (int, int, int)
        Slices, rows, columns.
    stage : {"poor", "rich"}, optional
        How many calcimicrobe clots there are: about 1 % or 12 % of the pixels. By default a
        poor bed (the first slices, again every 66) passes smoothly into rich rock. All else is
        the same rock in every stage.
    """

    def __init__(
        self,
        seed: int = 0,
        shape: tuple[int, int, int] = (48, 384, 384),
        *,
        stage: str | None = None,
    ) -> None:
        z, y, x = (int(n) for n in shape)
        if seed < 0 or min(z, y, x) < 1:
            raise ValueError(f"seed {seed} and shape {shape} must not be negative or empty")
        self.shape = (z, y, x)
        self.seed, self.stage = int(seed), stage
        cups = place_cups(rng(self.seed, 1), self.shape)
        checkpoint()
        clots = place_clots(rng(self.seed, 2), self.shape, cups, stage)
        checkpoint()
        debris = place_debris(rng(self.seed, 3), self.shape)
        checkpoint()
        self._scene = Scene(self.seed, self.shape, cups, clots, debris)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """What the scene is made from: dask would hash its every array, for each slice."""
        return ("ReefModel", self.seed, self.shape, self.stage)

    def slice(self, z: int) -> ReefSlice:
        """Return slice `z`; it does not depend on which slices were drawn before."""
        if not 0 <= z < self.shape[0]:
            raise IndexError(f"slice {z} is outside the reef of {self.shape[0]} slices")
        return ReefSlice(*draw(self._scene, int(z)))

    @property
    def textures(self) -> dict[int, str]:
        """Texture of every individual whose id may occur, ``{id: "porous" | "mud-filled"}``."""
        names = ("porous", "mud-filled")
        return {i + 1: names[int(m)] for i, m in enumerate(self._scene.cups.mud_filled)}


def reef(
    seed: int = 0,
    shape: tuple[int, int, int] = (48, 384, 384),
    *,
    stage: str | None = None,
) -> Reef:
    """Return a reef in memory.

    Parameters
    ----------
    seed, shape, stage
        As for `ReefModel`.

    Returns
    -------
    Reef
        Numpy arrays; `textures` lists the ids that occur.
    """
    model = ReefModel(seed, shape, stage=stage)
    image = np.empty((*model.shape, 3), np.uint8)
    labels = np.empty(model.shape, np.int32)
    confusers = np.empty(model.shape, np.int32)

    def put(z: int) -> None:
        one = model.slice(z)
        image[z], labels[z], confusers[z] = one.image, one.labels, one.confusers

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(put, range(model.shape[0])))
    textures = model.textures
    seen = np.unique(labels).tolist()
    return Reef(image, labels, {i: textures[i] for i in seen if i}, confusers)


def lazy_reef(
    seed: int = 0,
    shape: tuple[int, int, int] = (300, 1500, 1500),
    *,
    stage: str | None = None,
) -> Reef:
    """Return a reef whose arrays are dask arrays, one chunk a slice, drawn when asked for.

    Parameters
    ----------
    seed, shape, stage
        As for `ReefModel`.

    Returns
    -------
    Reef
        Dask arrays; `textures` lists all cups of the scene, also those that show in no slice.
    """
    import dask
    import dask.array as da

    model = ReefModel(seed, shape, stage=stage)
    drawn = [dask.delayed(model.slice, pure=True)(z) for z in range(model.shape[0])]

    def stacked(name: str, tail: tuple[int, ...], dtype: type) -> Any:
        chunks = [
            da.from_delayed(getattr(one, name), (*model.shape[1:], *tail), dtype) for one in drawn
        ]
        return da.stack(chunks)

    return Reef(
        stacked("image", (3,), np.uint8),
        stacked("labels", (), np.int32),
        model.textures,
        stacked("confusers", (), np.int32),
    )
