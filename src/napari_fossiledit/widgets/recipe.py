"""`Recipe`: how the next perturbation is made, as chosen on page 4. No Qt and no napari."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fossiledit.errors import InputError

if TYPE_CHECKING:
    from napari_fossiledit.perturb import Fill, Perturbation

__all__ = ["FILLS", "SLOW", "FillChoice", "Recipe", "clicked_window", "drawn_window"]

RGB = tuple[int, int, int]
Window = tuple[int, int, int, int]

FILLS = ("median", "colour", "noise", "tile", "quilt", "inpaint")
SLOW = frozenset({"quilt", "inpaint"})  # too slow to follow a spin box
WITH_WINDOW = frozenset({"median", "noise", "tile", "quilt"})
RANDOM = frozenset({"noise", "quilt"})
_CLICK_SIDE = {"median": 16}  # px of the window round a click
_CLICK_SIDE_ELSE = 64


@dataclass(frozen=True)
class FillChoice:
    """One fill with its settings; those that do not matter for its kind wait for another.

    Attributes
    ----------
    kind : {"median", "colour", "noise", "tile", "quilt", "inpaint"}
    colour : (r, g, b) of 0..255, optional
        For ``colour``, which needs it.
    window : (y0, x0, y1, x1), optional
        The patch that median, noise, tile and quilt take colours or texture from; without it the
        library's own choice.
    mirrored : bool
        For ``tile``.
    patch : int, optional
        For ``quilt``: px of the pieces that are sewn together.
    needs_window : bool
        Whether the library's own choice of a patch will not do.
    """

    kind: str = "median"
    colour: RGB | None = None
    window: Window | None = None
    mirrored: bool = False
    patch: int | None = None
    needs_window: bool = False

    @property
    def takes_window(self) -> bool:
        """Whether this kind of fill takes colours or texture from a patch."""
        return self.kind in WITH_WINDOW

    @property
    def missing(self) -> str:
        """What must be picked first, as a sentence; '' when nothing is missing."""
        if self.kind == "colour" and self.colour is None:
            if self.needs_window:
                return (
                    "To paint both, pick the colour that the fossils get first: press "
                    "'Pick in image' (page 4) and click on it."
                )
            return "No mud colour was picked yet: press 'Pick in image' (page 4) and click on mud."
        if self.needs_window and self.takes_window and self.window is None:
            return (
                "To paint both, the fossils need a texture of their own: press 'Pick patch' below "
                "'Fossils get' (page 4) and draw a rectangle round it."
            )
        return ""

    def fill(self) -> Fill:
        """The library's fill.

        Raises
        ------
        InputError
            When something was not picked yet, or a setting cannot be used.
        """
        from napari_fossiledit import perturb

        if self.missing:
            raise InputError(self.missing)
        settings: dict[str, Any] = {"kind": self.kind, "rgb": self.colour, "window": self.window}
        settings |= {"mirrored": self.mirrored, "patch": self.patch}
        return perturb.fill_from_dict(settings)

    @classmethod
    def of(cls, fill: Fill) -> FillChoice:
        """The choice that makes the library's ``fill`` again."""
        plain: Any = fill.to_dict()
        colour, window = plain.get("rgb"), plain.get("window")
        return cls(
            kind=plain["kind"],
            colour=None if colour is None else tuple(colour),
            window=None if window is None else tuple(window),
            mirrored=plain.get("mirrored", False),
            patch=plain.get("patch"),
        )


@dataclass(frozen=True)
class Recipe:
    """How the next perturbation is made.

    Attributes
    ----------
    target : {"others", "fossils", "both"}
        What is painted over.
    fill : str
        With what: see `FillChoice.kind`.
    colour, window, mirrored, patch
        The fill's settings: see `FillChoice`.
    texture : FillChoice
        With what the fossils are painted when both are the target.
    fraction : float
        Share of the target's pixels that is painted, in (0, 1].
    by : {"components", "instances", "pixels"}
        What the share is chosen by.
    feather : float
        Pixels over which the paint fades in from its edge.
    seed : int
        For the order of pieces when ``fraction`` is below 1, and for noise and quilt.
    """

    target: str = "others"
    fill: str = "median"
    colour: RGB | None = None
    fraction: float = 1.0
    seed: int = 0
    by: str = "components"
    feather: float = 0.0
    window: Window | None = None
    mirrored: bool = False
    patch: int | None = None
    texture: FillChoice = field(default_factory=lambda: FillChoice("tile", needs_window=True))

    @property
    def main(self) -> FillChoice:
        """The fill and its settings: of all that is painted, or of all but the fossils."""
        return FillChoice(self.fill, self.colour, self.window, self.mirrored, self.patch)

    @property
    def choices(self) -> tuple[FillChoice, ...]:
        """The fills in use: one, or two when both are the target."""
        return (self.main, self.texture) if self.target == "both" else (self.main,)

    @property
    def slow(self) -> bool:
        """Whether painting takes so long that it shows its progress."""
        return any(choice.kind in SLOW for choice in self.choices)

    @property
    def random(self) -> bool:
        """Whether the seed matters."""
        return self.fraction < 1 or any(choice.kind in RANDOM for choice in self.choices)

    @property
    def missing(self) -> str:
        """What must be picked before anything can be painted, as a sentence; '' when nothing."""
        return next((choice.missing for choice in self.choices if choice.missing), "")

    def perturbation(self) -> Perturbation:
        """The library's perturbation.

        Raises
        ------
        InputError
            When a colour or a texture is wanted but none was picked, or a setting cannot be used.
        """
        from napari_fossiledit import perturb

        fills = [choice.fill() for choice in self.choices]
        return perturb.Perturbation(
            fills[0],
            target=self.target,
            fraction=self.fraction,
            seed=self.seed,
            by=self.by,
            feather=self.feather,
            texture=fills[1] if len(fills) > 1 else None,
        )

    @classmethod
    def of(cls, made: Perturbation) -> Recipe:
        """The recipe that makes the library's perturbation again, bit for bit."""
        main = FillChoice.of(made.fill)
        texture = {} if made.texture is None else {"texture": FillChoice.of(made.texture)}
        return cls(
            target=made.target,
            fill=main.kind,
            colour=main.colour,
            fraction=made.fraction,
            seed=made.seed,
            by=made.by,
            feather=made.feather,
            window=main.window,
            mirrored=main.mirrored,
            patch=main.patch,
            **texture,
        )

    def save(self, path: str | Path) -> None:
        """Write the recipe to a file, also for ``fossiledit perturb --recipe``.

        Raises
        ------
        InputError, OutputError
            When something was not picked yet, or the file cannot be written there.
        """
        self.perturbation().save(path)

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a recipe file; on the same slice it paints the same bytes again.

        Raises
        ------
        InputError
            When the file cannot be read or is no recipe.
        """
        from napari_fossiledit.perturb import Perturbation

        return cls.of(Perturbation.load(path))

    @property
    def words(self) -> str:
        """The recipe in plain words."""
        if not self.missing:
            return self.perturbation().describe()
        what = {"others": "everything but the fossils", "fossils": "the fossils"}
        how = "a colour" if self.main.missing else "a texture for the fossils"
        return f"{what.get(self.target, 'all')} painted with {how} still to be picked"


def clicked_window(at: tuple[float, float], shape: tuple[int, int], kind: str) -> Window:
    """A small window round a click, moved inside the slice where it would reach over the edge.

    Parameters
    ----------
    at : (y, x)
        Pixels, whole numbers at their centres.
    shape : (rows, columns)
    kind : str
        The fill's kind: a median needs less than a texture.

    Raises
    ------
    InputError
        When the click lies outside the slice.
    """
    if not all(-0.5 <= place < n - 0.5 for place, n in zip(at, shape, strict=True)):
        raise InputError("That click lies outside the slice: click on mud inside the image.")
    side = _CLICK_SIDE.get(kind, _CLICK_SIDE_ELSE)
    sides = [min(side, n) for n in shape]
    y, x = (
        min(max(round(place) - size // 2, 0), n - size)
        for place, size, n in zip(at, sides, shape, strict=True)
    )
    return y, x, y + sides[0], x + sides[1]


def drawn_window(
    start: tuple[float, float], end: tuple[float, float], shape: tuple[int, int]
) -> Window:
    """The window of whole pixels between two opposite corners of a drawn rectangle.

    Parameters
    ----------
    start, end : (y, x)
        Pixels, whole numbers at their centres.
    shape : (rows, columns)

    Raises
    ------
    InputError
        When it has no area, is larger than the slice or reaches outside it.
    """
    (y0, y1), (x0, x1) = (
        sorted((math.floor(a + 0.5), math.floor(b + 0.5))) for a, b in zip(start, end, strict=True)
    )
    rows, columns = shape
    if y1 == y0 or x1 == x0:
        raise InputError(
            "That rectangle has no area: drag from one corner of the patch to the opposite one, or "
            "click once."
        )
    size = f"{y1 - y0} × {x1 - x0} pixels"
    if y1 - y0 > rows or x1 - x0 > columns:
        raise InputError(
            f"That rectangle of {size} is larger than the slice of {rows} × {columns}: draw a "
            "smaller one inside it."
        )
    if y0 < 0 or x0 < 0 or y1 > rows or x1 > columns:
        raise InputError(
            f"That rectangle of {size} reaches outside the slice of {rows} × {columns}: draw it "
            "inside the image."
        )
    return y0, x0, y1, x1
