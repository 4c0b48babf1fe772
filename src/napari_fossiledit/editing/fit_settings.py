"""Settings of the solvers that fit the network itself: `distil`, `labels`, `agreement`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from napari_fossiledit.errors import InputError

__all__ = ["Agreement", "Distil", "Labels"]


@dataclass(frozen=True)
class Distil:
    """Solver `distil`: the heads' own outputs on the painted slice, taught on the original.

    Parameters
    ----------
    steps : int
    lr : float
        Adam's highest learning rate; it warms up over 5 steps and falls as a cosine.
    biases : bool
        Fit the chosen layers' biases, too.
    heads : bool
        Fit the heads (region proposals, boxes, masks), too.
    """

    steps: int = 30
    lr: float = 2e-5
    biases: bool = False
    heads: bool = False

    def __post_init__(self) -> None:
        _check_fit(self.steps, self.lr)

    @property
    def uses_keep_set(self) -> bool:
        """Never: the heads see the whole slice."""
        return False

    @property
    def uses_context(self) -> bool:
        """Never: every direction is free."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """Name and settings."""
        return {"name": "distil", **asdict(self)}


@dataclass(frozen=True)
class Labels:
    """Solver `labels`: the network's own losses on views of slices corrected by hand.

    Parameters
    ----------
    steps : int
        Of the box and mask heads, or of all free tensors where pyramid layers are among them.
    lr : float
        Adam's learning rate after a warm-up of 5 steps; the weights of the last steps are averaged.
        Where pyramid layers are fitted: 0.4 of it, falling as a cosine.
    proposal_steps : int
        Of the region proposals before that, where the heads alone are fitted.
    heads : bool
        Fit the heads (region proposals, boxes, masks); detectron2 models do not allow it.
    biases : bool
        Fit the biases of chosen pyramid layers, too.
    views : int
        Random views of the corrected slices, and as many of those of the training.
    crop : int
        Largest side of a view, in pixels as the network sees the slice.
    scale : (float, float)
        Range of the views' zoom.
    gain : float
        Each channel of a view is multiplied by 1 +- this.
    seed : int
        The same seed gives the same edit on one machine with the same number of threads.
    """

    steps: int = 45
    lr: float = 8e-4
    proposal_steps: int = 120
    heads: bool = True
    biases: bool = False
    views: int = 12
    crop: int = 256
    scale: tuple[float, float] = (0.5, 1.3)
    gain: float = 0.12
    seed: int = 0

    def __post_init__(self) -> None:
        _check_fit(self.steps, self.lr)
        _check_fit(self.proposal_steps, self.lr)
        if self.views < 1 or self.crop < 32:
            raise InputError(
                "The solver labels needs at least one view, of at least 32 pixels' side, not "
                f"{self.views} of {self.crop}."
            )
        if not 0 <= self.gain < 1 or self.seed < 0:
            raise InputError(
                "The views' gain must lie between 0 and 1, and the seed be 0 or more, not "
                f"{self.gain:g} and {self.seed}."
            )
        low, high = self.scale
        if not 0.1 <= low <= high <= 10:
            raise InputError(
                f"The views' zoom must lie between 0.1 and 10, the lower first, not {low:g} to "
                f"{high:g}."
            )
        object.__setattr__(self, "scale", (float(low), float(high)))  # lists come from files

    def to_dict(self) -> dict[str, Any]:
        """Name and settings."""
        return {"name": "labels", **asdict(self), "scale": list(self.scale)}


@dataclass(frozen=True)
class Agreement:
    """Solver `agreement`: as `labels`, on labels that the model gives itself.

    Parameters
    ----------
    sure : float
        Mean confidence over the eight orientations from which a detection is a fossil.
    doubtful : float
        And from which it is left undecided; below, it is rock.
    zooms : tuple of float
        Input zooms of the orientations in turn, times the model's: seen larger, small fossils are
        found that the model misses else.
    steps, lr, proposal_steps, views, seed
        As in `Labels`.
    """

    sure: float = 0.6
    doubtful: float = 0.25
    zooms: tuple[float, ...] = (1.0, 1.5)
    steps: int = 45
    lr: float = 8e-4
    proposal_steps: int = 120
    views: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.doubtful <= self.sure <= 1:
            raise InputError(
                "Doubtful and sure must lie between 0 and 1, the lower first, not "
                f"{self.doubtful:g} and {self.sure:g}."
            )
        if not self.zooms or not all(0.1 <= zoom <= 10 for zoom in self.zooms):
            raise InputError(
                "The views need one zoom or more, each between 0.1 and 10, times the model's own."
            )
        object.__setattr__(self, "zooms", tuple(float(z) for z in self.zooms))  # lists from files
        _ = self.fit  # checks the rest

    @property
    def fit(self) -> Labels:
        """The fit to the labels that were agreed on."""
        return Labels(
            steps=self.steps,
            lr=self.lr,
            proposal_steps=self.proposal_steps,
            views=self.views,
            seed=self.seed,
        )

    def to_dict(self) -> dict[str, Any]:
        """Name and settings."""
        return {"name": "agreement", **asdict(self), "zooms": list(self.zooms)}


def _check_fit(steps: int, lr: float) -> None:
    if steps < 1:
        raise InputError(f"At least one step is needed, not {steps}.")
    if not 0 < lr < 1:
        raise InputError(f"The rate must lie above 0 and below 1, not {lr}.")
