"""`Perturbation`: a recipe that can be stored, and what it makes of a slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.perturb.feather import check_feather, feather_edge
from napari_fossiledit.perturb.fills import (
    Fill,
    Median,
    Noise,
    SlowFill,
    fill_from_dict,
    parse_fill,
)
from napari_fossiledit.perturb.recipe_file import read_recipe, write_recipe
from napari_fossiledit.perturb.select import check_choice, choose
from napari_fossiledit.perturb.windows import fossil_share
from napari_fossiledit.progress import Progress, Task, part_of, run

__all__ = ["Perturbation", "Perturbed", "apply", "apply_task"]

TARGETS = ("others", "fossils", "both")
RGB = 3
NEAR = 0.05  # a fraction reached that lies further off than this is said
_WORDS = {"others": "everything but the fossils", "fossils": "the fossils"}


@dataclass(frozen=True)
class Perturbation:
    """A recipe: what to paint, where, and how much of it.

    Parameters
    ----------
    fill : Fill or str
        What to paint; a text as in `parse_fill` is welcome.
    target : "others", "fossils" or "both"
        Paint all but the fossils (the paper's edit target), the fossils (its first probe:
        ideally nothing is detected after it), or all but the fossils with ``fill`` and the
        fossils with ``texture`` (its section 6.1).
    fraction : float
        In ]0, 1]: how much of the target's pixels; whole components in random order until it is
        reached. With both targets, that much of each.
    seed : int, at least 0
    by : "components", "instances" or "pixels"
        Whether whole components, whole instances (equal labels) or single pixels are chosen.
    feather : float
        Pixels, 0 to 16: over how many the paint fades in from the painted area's edge inwards.
    texture : Fill or str, optional
        What the fossils are painted with when both are the target, and only then.

    Raises
    ------
    InputError
        When a setting cannot be used.

    Notes
    -----
    Source: arXiv 2210.03879 (Panigrahi et al.), its perturbations of 1, 35 and 100 %, and its
    sections 5.1 and 6.1 for textures.
    """

    fill: Fill = field(default_factory=Median)
    target: str = "others"
    fraction: float = 1.0
    seed: int = 0
    by: str = "components"
    feather: float = 0.0
    texture: Fill | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "fill", _fill(self.fill))
        if self.texture is not None:
            object.__setattr__(self, "texture", _fill(self.texture))
        _check_target(self.target, self.texture)
        check_feather(self.feather)
        object.__setattr__(self, "feather", float(self.feather))
        check_choice(self.fraction, self.by)
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)):
            raise InputError(f"The seed must be a whole number, not {self.seed!r}.")
        if self.seed < 0:
            raise InputError(f"The seed is {self.seed}: choose 0 or a positive whole number.")
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "fraction", float(self.fraction))

    def apply(self, image: NDArray[np.uint8], fossils: NDArray[Any]) -> Perturbed:
        """Perturb one slice; the input arrays stay as they are.

        Parameters
        ----------
        image : (y, x, 3) uint8
        fossils : (y, x) bool, or integer labels
            True (or above 0) on the fossils.

        Raises
        ------
        InputError
            When image or mask cannot be used: see `apply`.
        """
        return run(self.apply_task(image, fossils))

    def apply_task(self, image: NDArray[np.uint8], fossils: NDArray[Any]) -> Task[Perturbed]:
        """Do as `apply`, step by step: for fills that take a while."""
        yield Progress(0, 0, "painting")
        _check_image(image)
        inside = _fossil_mask(fossils, image)
        labels = np.asarray(fossils)
        out, changed = image.copy(), np.zeros(inside.shape, bool)
        notes: list[str] = []
        parts = self._parts()
        for i, (name, fill) in enumerate(parts):
            area = inside if name == "fossils" else ~inside
            known = labels if name == "fossils" and labels.dtype.kind in "ui" else None
            where, reached = choose(area, self.fraction, seed=self.seed, by=self.by, labels=known)
            notes += self._notes(name, fill, reached, inside)
            if isinstance(fill, SlowFill):
                task = fill.paint_task(out, where, image, inside, seed=self.seed + i)
                yield from part_of(task, i, len(parts))
            else:
                fill.paint(out, where, image, inside)
            feather_edge(out, where, image, self.feather)
            changed |= where
        if len(parts) > 1:
            reached = float(changed.mean())
        return Perturbed(out, changed, self, reached, tuple(notes))

    def _parts(self) -> list[tuple[str, Fill]]:
        """What is painted with what, in order."""
        if self.target == "both" and self.texture is not None:
            return [("others", self.fill), ("fossils", self.texture)]
        return [(self.target, self.fill)]

    def _notes(self, name: str, fill: Fill, reached: float, inside: NDArray[np.bool_]) -> list[str]:
        notes = []
        if abs(reached - self.fraction) > NEAR:
            notes.append(
                f"{100 * self.fraction:g} % of {_WORDS[name]} was asked for, but whole pieces "
                f"reach {100 * reached:.3g} %: choose by pixels to come closer"
            )
        window = getattr(fill, "window", None)
        # A texture for the fossils may come from fossils; what is mud by name may not.
        mud = isinstance(fill, (Median, Noise)) and self.target == "fossils"
        if window is not None and (name == "others" or mud):
            share = fossil_share(inside, window)
            if share > 0:
                notes.append(
                    f"{max(1, round(100 * share))} % of the window {fill} lies in fossils, where "
                    "mud is wanted: choose a window beside them"
                )
        return notes

    def describe(self) -> str:
        """Say the recipe in plain words."""
        share = "" if self.fraction == 1 else f"{100 * self.fraction:g} % of "
        text = " and ".join(
            f"{share}{_WORDS[name]} painted with the {fill.describe()}"
            for name, fill in self._parts()
        )
        if self.fraction < 1 and self.by != "components":
            text += f", chosen by {self.by}"
        if self.feather:
            text += f", the edge faded over {self.feather:g} px"
        return text

    def to_dict(self) -> dict[str, object]:
        """Return the recipe as plain JSON values; `from_dict` is the inverse."""
        return {
            "fill": self.fill.to_dict(),
            "target": self.target,
            "fraction": self.fraction,
            "seed": self.seed,
            "by": self.by,
            "feather": self.feather,
            "texture": None if self.texture is None else self.texture.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Perturbation:
        """Read a recipe from `to_dict`; missing entries take their defaults.

        Raises
        ------
        InputError
            When an entry is unknown or cannot be used.
        """
        if not isinstance(data, Mapping) or "fill" not in data:
            raise InputError("This is not a perturbation's recipe: its fill is missing.")
        unknown = sorted(
            set(map(str, data)) - {"fill", "target", "fraction", "seed", "by", "feather", "texture"}
        )
        if unknown:
            raise InputError(
                f'The perturbation\'s recipe has an unknown entry "{unknown[0]}": '
                "it may come from a newer version."
            )
        rest = dict(data)
        for name in ("fill", "texture"):
            fill = rest.get(name)
            if name == "fill" or fill is not None:
                rest[name] = parse_fill(fill) if isinstance(fill, str) else fill_from_dict(fill)  # type: ignore[arg-type]
        return cls(**rest)

    def save(self, path: str | Path) -> None:
        """Write the recipe to a JSON file; `load` is the inverse.

        Raises
        ------
        OutputError
            When the file cannot be written there.
        """
        write_recipe(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> Perturbation:
        """Read a recipe from a file that `save` wrote, or from a command's ``--json`` file.

        On the same slice it paints the same bytes again.

        Raises
        ------
        InputError
            When the file cannot be read or is no recipe.
        """
        return cls.from_dict(read_recipe(path))


@dataclass(frozen=True, eq=False)
class Perturbed:
    """A perturbed slice.

    Attributes
    ----------
    image : (y, x, 3) uint8
        The painted slice.
    changed : (y, x) bool
        The painted pixels; all others are bit-identical to the original's.
    perturbation : Perturbation
        The recipe that made it.
    fraction_reached : float
        The fraction of the target's pixels that was painted.
    notes : tuple of str
        What the user should know, in plain words: a fraction that whole pieces miss by far, a
        window of mud that lies in fossils.
    """

    image: NDArray[np.uint8]
    changed: NDArray[np.bool_]
    perturbation: Perturbation
    fraction_reached: float
    notes: tuple[str, ...] = ()


def apply(
    image: NDArray[np.uint8],
    mask: NDArray[Any],
    fill: Fill | str,
    *,
    target: str = "others",
    fraction: float = 1.0,
    seed: int = 0,
    by: str = "components",
    feather: float = 0.0,
    texture: Fill | str | None = None,
) -> Perturbed:
    """Paint over part of a slice.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB slice; left as it is.
    mask : (y, x) bool, or integer labels
        True (or above 0) on the fossils.
    fill : Fill or str
        `Colour`, `Median`, `Noise`, `Tile`, `Quilt`, `Inpaint`, or a text as in `parse_fill`.
    target : "others", "fossils" or "both"
    fraction : float
        In ]0, 1]: how much of the target's pixels to paint.
    seed : int
    by : "components", "instances" or "pixels"
    feather : float
        Pixels over which the paint fades in from its edge inwards.
    texture : Fill or str, optional
        What the fossils are painted with when both are the target.

    Returns
    -------
    Perturbed

    Raises
    ------
    InputError
        When the image is not RGB uint8 or holds NaN; when the mask has another shape, no fossil
        or nothing but fossils; when a setting cannot be used.
    """
    recipe = Perturbation(fill, target, fraction, seed, by, feather, texture)  # type: ignore[arg-type]
    return recipe.apply(image, mask)


def apply_task(
    image: NDArray[np.uint8], mask: NDArray[Any], fill: Fill | str, **settings: Any
) -> Task[Perturbed]:
    """Do as `apply`, with its settings, step by step: for fills that take a while."""
    return (yield from Perturbation(fill, **settings).apply_task(image, mask))  # type: ignore[arg-type]


def _fill(fill: object) -> Fill:
    if isinstance(fill, str):
        return parse_fill(fill)
    if not isinstance(fill, Fill) or isinstance(fill, type):
        raise InputError(
            f"{fill!r} is not a fill: use Colour((r, g, b)), Median() or a text such as "
            '"median" or "colour:120,70,58".'
        )
    return fill


def _check_target(target: str, texture: Fill | None) -> None:
    if target not in TARGETS:
        raise InputError(f'A perturbation paints "others", "fossils" or "both", not "{target}".')
    if target == "both" and texture is None:
        raise InputError(
            "To paint both, the fossils need a texture of their own: give one, e.g. "
            '"tile:y0,x0,y1,x1" around rock of that texture, or choose another target.'
        )
    if target != "both" and texture is not None:
        raise InputError(
            f'The texture {texture} is for painting both, but the target is "{target}": choose '
            'the target "both", or leave the texture out.'
        )


def _check_image(image: NDArray[Any]) -> None:
    if not isinstance(image, np.ndarray):
        raise InputError("The image to paint must be a numpy array (y, x, 3).")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError(
            "The image holds values that are not numbers (NaN or infinite): replace them first."
        )
    if image.ndim != RGB or image.shape[2] != RGB or image.dtype != np.uint8:
        shape = " x ".join(map(str, image.shape))
        raise InputError(
            f"The image must be RGB with 8 bits a channel (y, x, 3), but it is {shape} of "
            f"{image.dtype}: convert it, e.g. with io.to_rgb8."
        )


def _fossil_mask(fossils: NDArray[Any], image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    mask = np.asarray(fossils)
    if mask.shape != image.shape[:2]:
        raise InputError(
            f"The fossil mask has {' x '.join(map(str, mask.shape))} pixels, the image "
            f"{image.shape[0]} x {image.shape[1]}: choose the mask made on this very image."
        )
    if mask.dtype.kind == "f" and np.isnan(mask).any():
        raise InputError("The fossil mask holds values that are not numbers (NaN): mend it first.")
    if mask.dtype.kind not in "bui":
        raise InputError(
            f"The fossil mask must be True and False, or whole-number labels, not {mask.dtype}."
        )
    inside = mask if mask.dtype.kind == "b" else mask > 0
    if not inside.any():
        raise InputError(
            "The mask marks no fossil in this slice: choose a slice with labelled fossils, "
            "or label one."
        )
    if inside.all():
        raise InputError(
            "The mask marks the whole slice as fossil, so nothing else is left: "
            "check that the background of the labels is 0."
        )
    return np.asarray(inside, bool)
