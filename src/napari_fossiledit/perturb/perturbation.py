"""`Perturbation`: a recipe that can be stored, and what it makes of a slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.perturb.fills import Fill, Median, fill_from_dict, parse_fill
from napari_fossiledit.perturb.select import check_choice, choose

__all__ = ["Perturbation", "Perturbed", "apply"]

TARGETS = ("others", "fossils")
RGB = 3


@dataclass(frozen=True)
class Perturbation:
    """A recipe: what to paint, where, and how much of it.

    Parameters
    ----------
    fill : Fill or str
        What to paint; a text as in `parse_fill` is welcome.
    target : "others" or "fossils"
        Paint all but the fossils (the paper's edit target), or the fossils (its first probe:
        ideally nothing is detected after it).
    fraction : float
        In ]0, 1]: how much of the target's pixels; whole components in random order until it is
        reached.
    seed : int, at least 0
    by : "components" or "pixels"
        Whether whole components or single pixels are chosen.

    Raises
    ------
    InputError
        When a setting cannot be used.

    Notes
    -----
    Source: arXiv 2210.03879 (Panigrahi et al.), its perturbations of 1, 35 and 100 %.
    """

    fill: Fill = field(default_factory=Median)
    target: str = "others"
    fraction: float = 1.0
    seed: int = 0
    by: str = "components"

    def __post_init__(self) -> None:
        if isinstance(self.fill, str):
            object.__setattr__(self, "fill", parse_fill(self.fill))
        elif not isinstance(self.fill, Fill) or isinstance(self.fill, type):
            raise InputError(
                f"{self.fill!r} is not a fill: use Colour((r, g, b)), Median() or a text such as "
                '"median" or "colour:120,70,58".'
            )
        if self.target not in TARGETS:
            raise InputError(f'A perturbation paints "others" or "fossils", not "{self.target}".')
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
        _check_image(image)
        inside = _fossil_mask(fossils, image)
        target = inside if self.target == "fossils" else ~inside
        where, reached = choose(target, self.fraction, seed=self.seed, by=self.by)
        out = image.copy()
        self.fill.paint(out, where, image, inside)
        return Perturbed(out, where, self, reached)

    def describe(self) -> str:
        """Say the recipe in plain words."""
        what = "the fossils" if self.target == "fossils" else "everything but the fossils"
        share = "" if self.fraction == 1 else f"{100 * self.fraction:g} % of "
        return f"{share}{what} painted with the {self.fill.describe()}"

    def to_dict(self) -> dict[str, object]:
        """Return the recipe as plain JSON values; `from_dict` is the inverse."""
        return {
            "fill": self.fill.to_dict(),
            "target": self.target,
            "fraction": self.fraction,
            "seed": self.seed,
            "by": self.by,
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
        unknown = sorted(set(data) - {"fill", "target", "fraction", "seed", "by"})
        if unknown:
            raise InputError(
                f'The perturbation\'s recipe has an unknown entry "{unknown[0]}": '
                "it may come from a newer version."
            )
        fill = data["fill"]
        rest = {key: value for key, value in data.items() if key != "fill"}
        return cls(parse_fill(fill) if isinstance(fill, str) else fill_from_dict(fill), **rest)


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
    """

    image: NDArray[np.uint8]
    changed: NDArray[np.bool_]
    perturbation: Perturbation
    fraction_reached: float


def apply(
    image: NDArray[np.uint8],
    mask: NDArray[Any],
    fill: Fill | str,
    *,
    target: str = "others",
    fraction: float = 1.0,
    seed: int = 0,
    by: str = "components",
) -> Perturbed:
    """Paint over part of a slice.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB slice; left as it is.
    mask : (y, x) bool, or integer labels
        True (or above 0) on the fossils.
    fill : Fill or str
        `Colour`, `Median`, or a text as in `parse_fill`.
    target : "others" or "fossils"
    fraction : float
        In ]0, 1]: how much of the target's pixels to paint.
    seed : int
    by : "components" or "pixels"

    Returns
    -------
    Perturbed

    Raises
    ------
    InputError
        When the image is not RGB uint8 or holds NaN; when the mask has another shape, no fossil
        or nothing but fossils; when a setting cannot be used.
    """
    return Perturbation(fill, target, fraction, seed, by).apply(image, mask)  # type: ignore[arg-type]


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
