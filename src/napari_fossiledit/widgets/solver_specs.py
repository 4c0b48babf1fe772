"""The solvers as the page offers them: names, one-line explanations, settings. No Qt.

Defaults come from the library's settings, so that page, command line and scripts agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["SOLVERS", "Setting", "SolverChoice", "SolverSpec", "offered"]


@dataclass(frozen=True)
class Setting:
    """One number (or tick) of a solver.

    Attributes
    ----------
    name : str
        The field of the library's settings.
    title, tip : str
    low, high, step : float
    digits : int
        After the point; 0 for whole numbers, -1 for a tick box.
    unit : float
        What one on the page is worth, e.g. 1e-5.
    suffix : str
    none : str
        What the page shows, at ``low``, for None; '' where None is no choice.
    """

    name: str
    title: str
    tip: str
    low: float = 0.0
    high: float = 1.0
    step: float = 1.0
    digits: int = 0
    unit: float = 1.0
    suffix: str = ""
    none: str = ""


@dataclass(frozen=True)
class SolverSpec:
    """A solver of the page.

    Attributes
    ----------
    kind : str
        The library's name for it.
    library : str
        Name of its settings in `napari_fossiledit.editing`.
    title, words : str
        For the list, and one line of explanation.
    settings : tuple of Setting
    strength : float
        Usual strength where none is chosen: some solve to the end and are used in part.
    paints : bool
        Whether it needs a painted slice.
    usual : {"finest", "pyramid", "none"}
        Its usual layers: the pyramid's finest output convolution, all of them, or none, as the
        heads alone are fitted.
    auto : bool
        Whether its strength is usually chosen on other labelled slices. Those are mostly slices
        that the model was trained on: they cannot tell what a corrected slice gains.
    button : str
        What the main button says.
    reads_labels : bool
        Whether it needs the labels of the slices that it learns from.
    """

    kind: str
    library: str
    title: str
    words: str
    settings: tuple[Setting, ...]
    strength: float = 0.15
    paints: bool = True
    usual: str = "finest"
    auto: bool = True
    button: str = "Mend this weakness"
    reads_labels: bool = True

    def defaults(self) -> dict[str, Any]:
        """The library's values of the settings that it knows."""
        from napari_fossiledit import editing

        kind = getattr(editing, self.library)
        made = kind()
        known = {f.name for f in fields(kind)}
        return {s.name: getattr(made, s.name) for s in self.settings if s.name in known}


_DAMPING = Setting(
    "damping", "Damping", "More damping gives a milder edit.", 0.0001, 10.0, 0.05, digits=4
)
_KEEP = Setting(
    "keep_weight",
    "Keep weight",
    "Above 0, the features inside the fossils are held where they are.",
    0.0,
    100.0,
    0.5,
    digits=2,
)
_STEPS = Setting("steps", "Steps", "More steps change the model more.", 1, 20_000, 10)
_RATE = Setting(
    "lr",
    "Rate",
    "How far one step goes.",
    0.1,
    1000.0,
    1.0,
    digits=1,
    unit=1e-5,
    suffix=" × 10⁻⁵",
)
_RANK = "In how many directions the layer may change; at most its channels."

_BIASES = Setting("biases", "Biases too", "Also change the layers' biases.", digits=-1)
_HEADS = Setting("heads", "Heads", "Train the heads (proposals, boxes, masks) as well.", digits=-1)
_FIRST_STEPS = Setting(
    "proposal_steps",
    "First steps",
    "Steps of the region proposals before that, where no layer is ticked.",
    1,
    20_000,
    10,
)
_SEED = Setting("seed", "Seed", "Of the order of the views.", 0, 9999, 1)

SOLVERS: tuple[SolverSpec, ...] = (
    SolverSpec(
        "ridge",
        "Ridge",
        "Ridge: one solve (default)",
        "Least squares: the painted slice's features in one solve. Seconds; used in part.",
        (_DAMPING, _KEEP, _BIASES),
    ),
    SolverSpec(
        "l1",
        "L1",
        "L1: shrugs off gross errors",
        "As ridge, but the sum of errors counts, not of squares: wrong labels draw it less.",
        (
            _DAMPING,
            _KEEP,
            Setting("iterations", "Iterations", "At most so many; it stops earlier.", 1, 2000, 10),
            _BIASES,
        ),
    ),
    SolverSpec(
        "low_rank",
        "LowRank",
        "Low rank: few directions only",
        "As ridge, but the layer changes only in the directions that tell the painted area apart.",
        (Setting("rank", "Rank", _RANK, 1, 4096, 1), _DAMPING, _KEEP, _BIASES),
    ),
    SolverSpec(
        "adam",
        "Adam",
        "Adam: step by step (the paper's)",
        "The paper's way: many small steps, stopped early and used whole.",
        (_STEPS, _RATE, Setting("rank", "Rank", _RANK, 0, 4096, 1, none="full"), _BIASES),
        strength=1.0,
    ),
    SolverSpec(
        "distil",
        "Distil",
        "Distil: what the model says when painted",
        "Fits what the model finds on the slice to what it finds on the painted one. Some 10 s.",
        (_STEPS, _RATE, _HEADS, _BIASES),
        strength=1.0,
        usual="pyramid",
    ),
    SolverSpec(
        "labels",
        "Labels",
        "Correct: fit to this slice's labels",
        "Trains the heads (and ticked layers) on this slice's labels, for seconds. Correct them "
        "first, best on a slice that the model was not trained on; nothing is painted.",
        (
            _STEPS,
            _RATE,
            _FIRST_STEPS,
            _HEADS,
            _BIASES,
            _SEED,
        ),
        strength=1.0,
        paints=False,
        usual="none",
        auto=False,
        button="Correct the model with this slice's labels",
    ),
    SolverSpec(
        "agreement",
        "Agreement",
        "Agreement: learn without labels",
        "Turns and mirrors the slice eight ways, takes what the model finds in all of them for "
        "fossils, and trains the heads on that. No labels are needed: take a slice that the "
        "model was not trained on.",
        (
            Setting(
                "sure",
                "Sure from",
                "Mean confidence over the eight ways from which a find is taken for a fossil.",
                0.01,
                1.0,
                0.05,
                digits=2,
            ),
            Setting(
                "doubtful",
                "Doubtful from",
                "And from which it is left undecided; below, it is taken for rock.",
                0.01,
                1.0,
                0.05,
                digits=2,
            ),
            _STEPS,
            _RATE,
            _FIRST_STEPS,
            _SEED,
        ),
        strength=1.0,
        paints=False,
        usual="none",
        auto=False,
        button="Let the model learn from this slice",
        reads_labels=False,
    ),
)


def offered() -> tuple[SolverSpec, ...]:
    """The solvers that this library has."""
    from napari_fossiledit import editing

    return tuple(spec for spec in SOLVERS if hasattr(editing, spec.library))


@dataclass(frozen=True)
class SolverChoice:
    """A solver and its settings, as chosen on the page."""

    kind: str = "ridge"
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> SolverSpec:
        """What the page knows of the solver."""
        return next(spec for spec in SOLVERS if spec.kind == self.kind)

    def settings(self) -> Any:
        """The library's settings.

        Raises
        ------
        InputError
            If one of them cannot be used.
        """
        from napari_fossiledit import editing

        return getattr(editing, self.spec.library)(**self.values)
