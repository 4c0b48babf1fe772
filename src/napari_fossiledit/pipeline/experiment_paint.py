"""What a trial paints: mud on a part of the rock, a tile of texture on a part of the fossils."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.perturb import Perturbation, Perturbed, Tile, choose, parse_fill
from napari_fossiledit.perturb.windows import Window, cut

if TYPE_CHECKING:
    from napari_fossiledit.editing import Source
    from napari_fossiledit.pipeline.experiment_plan import Settings, Step

__all__ = ["Painted", "blocks", "check_texture", "paint", "texture_window"]

_BLOCKS = 600  # of a slice, at least: small enough that 1 % of the rock is some of them
_SMALLEST = 16  # px; finer blocks would leave no whole cell to the pyramid's coarser levels
_NEAR = 0.05
_LEAST_TEXTURE = 4  # px


@dataclass(frozen=True, eq=False)
class Painted:
    """A slice as a trial's step uses it.

    Attributes
    ----------
    source : Source
        For the solver: only what was painted is edited.
    reached : float
        The fraction of the target that was painted.
    notes : tuple of str
        What a reader of the row should know.
    """

    source: Source
    reached: float
    notes: tuple[str, ...] = ()


def paint(piece: LabelledSlice, step: Step, settings: Settings) -> Painted:
    """Perturb one edit slice.

    The rock has no pieces of its own (it is all one), so a part of it is made of square blocks, in
    seeded random order (*ours*); a part of the fossils is whole fossils, as in the paper. Cells
    that were not painted are left out of the edit.

    Parameters
    ----------
    piece : LabelledSlice
    step : Step
    settings : Settings

    Raises
    ------
    InputError
        When the texture crop lies outside the slice, or nothing can be painted.
    """
    from napari_fossiledit.editing import Source

    seed = settings.seed + step.image
    mud = parse_fill(settings.fill)
    if step.target == "others":
        whole = Perturbation(mud, seed=seed).apply(piece.image, piece.labels)
        painted = _rock(piece, whole, step.fraction, seed)
        inside = ~painted.changed if step.fraction < 1 else piece.fossils
    else:
        tile = Tile(settings.texture or texture_window(piece))
        if step.target == "both":
            recipe = Perturbation(mud, "both", step.fraction, seed, texture=tile)
        else:
            recipe = Perturbation(tile, "fossils", step.fraction, seed, by="instances")
        painted = recipe.apply(piece.image, piece.labels)
        part = step.target == "fossils" and step.fraction < 1
        inside = painted.changed if part else piece.fossils
    reached = painted.fraction_reached
    notes = _notes(step, reached)
    return Painted(Source(piece.image, painted, inside), reached, notes)


def _rock(piece: LabelledSlice, whole: Perturbed, fraction: float, seed: int) -> Perturbed:
    """Keep the paint on a part of the rock only."""
    if fraction == 1:
        return whole
    changed, reached = choose(
        ~piece.fossils, fraction, seed=seed, by="instances", labels=blocks(piece.labels.shape)
    )
    image = np.where(changed[..., None], whole.image, piece.image)
    return Perturbed(image, changed, whole.perturbation, reached)


def blocks(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Number the square blocks of a slice, (y, x) int64: some 600 of them, 16 px or wider."""
    side = max(_SMALLEST, int(np.sqrt(shape[0] * shape[1] / _BLOCKS)))
    rows, columns = np.arange(shape[0]) // side, np.arange(shape[1]) // side
    return np.asarray(rows[:, None] * (columns[-1] + 1) + columns[None, :], np.int64)


def _notes(step: Step, reached: float) -> tuple[str, ...]:
    asked = step.fraction
    if step.target == "both" or abs(reached - asked) <= max(0.005, min(_NEAR, 0.5 * asked)):
        return ()
    what = "blocks of rock" if step.target == "others" else "fossils"
    return (f"{100 * asked:g} % was asked for; whole {what} reach {100 * reached:.3g} %",)


def texture_window(piece: LabelledSlice) -> Window:
    """Find the crop of fossil texture: the square inside a fossil that is least like the rock.

    Its side is half the square root of the fossils' median area, or as much as fits.

    Parameters
    ----------
    piece : LabelledSlice

    Raises
    ------
    InputError
        When no fossil holds a square of 4 x 4 pixels.
    """
    from scipy.ndimage import minimum_filter, uniform_filter

    labels = np.asarray(piece.labels)
    area = float(np.median(Instances.from_labels(labels).areas()))
    rock = np.median(piece.image[~piece.fossils].reshape(-1, 3), axis=0)
    side = max(_LEAST_TEXTURE, round(np.sqrt(area) / 2))
    # A pixel beside another label lies at an edge: no square crosses it.
    edge = np.zeros(labels.shape, bool)
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    free = (labels > 0) & ~edge
    while side >= _LEAST_TEXTURE:
        # Filters centre even sizes one pixel low: the corner is side // 2 before the centre.
        inside = minimum_filter(free, size=side, mode="constant", cval=False)
        if inside.any():
            mean = uniform_filter(piece.image.astype(float), size=(side, side, 1))
            away = np.where(inside, np.square(mean - rock).sum(axis=2), -1.0)
            y, x = divmod(int(away.argmax()), labels.shape[1])
            top, left = y - side // 2, x - side // 2
            return top, left, top + side, left + side
        side -= 1
    raise InputError(
        f"No fossil of {piece.name or 'the slice'} is wide enough for a crop of texture: give one "
        "with --texture."
    )


def check_texture(settings: Settings, pieces: list[LabelledSlice]) -> None:
    """Refuse a texture crop that reaches outside an edit slice.

    Raises
    ------
    InputError
    """
    for piece in pieces:
        if settings.texture is not None:
            cut(piece.image, settings.texture, f"texture crop for {piece.name or 'the edit slice'}")
