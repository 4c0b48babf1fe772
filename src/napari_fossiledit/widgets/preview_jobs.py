"""Painting a slice to look at: once, or for the live preview. No Qt; run in a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.perturb import Fill, Median, Noise, Perturbed, Tile
from napari_fossiledit.perturb.windows import calm_square
from napari_fossiledit.progress import Progress, Task
from napari_fossiledit.widgets.recipe import Recipe

if TYPE_CHECKING:
    from napari_fossiledit.widgets.layers import LabelSource, StackSource

__all__ = ["Painter", "Preview", "Wanted", "preview_task"]

_MOST_FIELDS = 3  # with both targets two are in use, and the next seed's is made ahead
_WORDS = {"others": "others painted", "fossils": "fossils painted", "both": "both painted"}


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is to be painted: one slice, by a recipe."""

    stack: StackSource
    labels: LabelSource
    z: int
    recipe: Recipe


@dataclass(frozen=True, eq=False)
class Preview:
    """A painted slice and where it belongs.

    Attributes
    ----------
    image : (y, x, 3) uint8
    stack : StackSource
    z : int
    words : str
        For the name of its layer.
    said : tuple of str
        What the user should know: how much was painted, the library's notes.
    """

    image: NDArray[np.uint8]
    stack: StackSource
    z: int
    words: str
    said: tuple[str, ...] = ()


def preview_task(wanted: Wanted) -> Task[Preview]:
    """Paint over part of one slice."""
    yield Progress(0, 0, f"reading slice {wanted.z}")
    image, labels = wanted.stack.read(wanted.z), wanted.labels.read(wanted.z)
    made = yield from wanted.recipe.perturbation().apply_task(image, labels)
    return _preview(wanted, made)


def _preview(wanted: Wanted, made: Perturbed) -> Preview:
    target = made.perturbation.target
    whole = {"others": "of the rock", "fossils": "of the fossils", "both": "of the slice"}[target]
    said = tuple(f"{note[0].upper()}{note[1:]}." for note in made.notes)
    reached = f"{100 * made.fraction_reached:.3g}"
    if reached != "100":
        said = (f"{reached} % {whole} is painted.", *said)
    return Preview(made.image, wanted.stack, wanted.z, _WORDS[target], said)


@dataclass
class _Memory:
    """What fills found in one slice or made of it, as that takes most of their time."""

    found: dict[Any, Any] = field(default_factory=dict)
    fields: dict[Any, list[NDArray[np.uint8]]] = field(default_factory=dict)

    def once(self, key: object, find: Callable[[], Any]) -> Any:
        if key not in self.found:
            self.found[key] = find()
        return self.found[key]

    def field_task(
        self, fill: Noise, image: NDArray[np.uint8], fossils: NDArray[np.bool_], seed: int
    ) -> Task[list[NDArray[np.uint8]]]:
        from napari_fossiledit.perturb.noise import synthesise_task

        key = (fill.window, seed)
        if key not in self.fields:
            texture = self.once(("noise", fill.window), lambda: fill.texture(image, fossils))
            made = yield from synthesise_task(texture, image.shape[:2], seed=seed)
            while len(self.fields) >= _MOST_FIELDS:
                del self.fields[next(iter(self.fields))]
            self.fields[key] = made
        return self.fields[key]

    def remembered(self, fill: Fill | None) -> Any:
        """A fill that paints the same bytes, from memory where it can."""
        if isinstance(fill, Noise):
            return _RememberedNoise(fill.window, memory=self)
        if isinstance(fill, Median) and fill.window is None:
            return _RememberedMedian(memory=self)
        if isinstance(fill, Tile) and fill.window is None:
            return _RememberedTile(mirrored=fill.mirrored, memory=self)
        return fill


@dataclass(frozen=True)
class _RememberedNoise(Noise):
    memory: _Memory = field(default_factory=_Memory, compare=False, repr=False)

    def paint_task(
        self,
        out: NDArray[np.uint8],
        where: NDArray[np.bool_],
        image: NDArray[np.uint8],
        fossils: NDArray[np.bool_],
        *,
        seed: int = 0,
    ) -> Task[None]:
        yield Progress(0, 5, "measuring the mud's texture")
        noise = yield from self.memory.field_task(self, image, fossils, seed)
        for channel in range(3):
            np.copyto(out[..., channel], noise[channel], where=where)


@dataclass(frozen=True)
class _RememberedMedian(Median):
    memory: _Memory = field(default_factory=_Memory, compare=False, repr=False)

    def colour(self, image: NDArray[np.uint8], fossils: NDArray[np.bool_]) -> tuple[int, int, int]:
        find = super().colour
        return tuple(self.memory.once("median", lambda: find(image, fossils)))


@dataclass(frozen=True)
class _RememberedTile(Tile):
    memory: _Memory = field(default_factory=_Memory, compare=False, repr=False)

    def paint(
        self,
        out: NDArray[np.uint8],
        where: NDArray[np.bool_],
        image: NDArray[np.uint8],
        fossils: NDArray[np.bool_],
    ) -> None:
        window = self.memory.once("tile", lambda: calm_square(image, fossils, "tile"))
        Tile(window, self.mirrored).paint(out, where, image, fossils)


class Painter:
    """Paints slice after slice for the live preview; used by one thread at a time.

    What takes long and does not depend on the setting that was changed is kept: the slice itself
    when its stack is lazy, the statistics and fields of noise, the median, the calmest square.
    """

    def __init__(self) -> None:
        self._data: Any = None
        self._z = -1
        self._image = np.zeros((0, 0, 3), np.uint8)
        self._labels = np.zeros((0, 0), np.int32)
        self._memory = _Memory()

    def paint_task(self, wanted: Wanted) -> Task[Preview]:
        """Do as `preview_task`, to the byte."""
        yield Progress(0, 0, f"reading slice {wanted.z}")
        self._read(wanted)
        plain, remembered = wanted.recipe.perturbation(), self._memory.remembered
        quick = replace(plain, fill=remembered(plain.fill), texture=remembered(plain.texture))
        made = yield from quick.apply_task(self._image, self._labels)
        return _preview(wanted, made)

    def warm_task(self, wanted: Wanted) -> Task[None]:
        """Make the noise that is likely to be wanted next: the first, or that of the next seed."""
        yield Progress(0, 0, "measuring the mud's texture")
        self._read(wanted)
        inside, recipe = self._labels > 0, wanted.recipe
        if not inside.any() or inside.all():
            return
        seed, window = recipe.seed, None
        if recipe.fill == "noise":
            seed, window = seed + 1, recipe.window
        yield from self._memory.field_task(Noise(window), self._image, inside, seed)

    def _read(self, wanted: Wanted) -> None:
        data, z = wanted.stack.data, wanted.z
        known = self._data is data and self._z == z
        # Pixels in memory may have been painted on, at 2 ms to see; lazy ones cannot.
        image = self._image if known and not isinstance(data, np.ndarray) else wanted.stack.read(z)
        labels = wanted.labels.read(z)
        same = known and _equal(image, self._image) and _equal(labels, self._labels)
        if not same:
            self._memory = _Memory()
            # A copy: what was remembered must not change with the layer.
            self._image = image if image is self._image else np.array(image)
            self._labels = labels
        self._data, self._z = data, z


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one is other or (one.shape == other.shape and np.array_equal(one, other))
