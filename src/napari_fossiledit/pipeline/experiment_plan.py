"""The paper's tables as a list of small trials, each with a stable key.

Source of the tables: Panigrahi et al. (arXiv 2210.03879), Tab. 2 to 8 and the appendix.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.perturb.windows import Window

__all__ = [
    "SOLVERS",
    "TABLES",
    "Settings",
    "Step",
    "Table",
    "Trial",
    "paper_trials",
    "quick",
    "slice_sha",
    "trial_key",
]

How: TypeAlias = Literal["jointly", "in sequence"]

SOLVERS = ("paper", "ours")
FORMAT = 1
"""Goes up whenever the same settings would give other figures."""


@dataclass(frozen=True)
class Table:
    """One of the paper's tables.

    Attributes
    ----------
    number : str
        As in the paper.
    title : str
    question : str
        What it asks, for the report.
    """

    number: str
    title: str
    question: str


TABLES = (
    Table(
        "2",
        "Each edit image alone",
        "Everything but the fossils is painted as mud on ONE labelled slice. Does one slice do, "
        "and does it matter which?",
    ),
    Table(
        "3",
        "How much of the rock",
        "Only a part of the rock is painted, and only that part is edited. Is more better?",
    ),
    Table(
        "4",
        "Several images",
        "One image after the other, each solved on top of those before. Do more images help, or "
        "does the last one win?",
    ),
    Table(
        "5",
        "Texture mapping",
        "The rock stays; the fossils are painted with a tile of fossil texture. Does that help "
        "the model to see fossils of another preservation?",
    ),
    Table("6", "Texture on how many fossils", "The texture goes on a part of the fossils only."),
    Table(
        "7", "Both at once", "Mud on the rock and texture on the fossils, in one painted picture."
    ),
    Table(
        "8",
        "Both, one after the other",
        "First the mud and then the texture, or the other way round. Does the order matter?",
    ),
)


@dataclass(frozen=True)
class Step:
    """One perturbed slice of a trial.

    Attributes
    ----------
    image : int
        Which edit slice, from 0.
    target : "others", "fossils" or "both"
        Mud on the rock, texture on the fossils, or both at once.
    fraction : float
        How much of the target is painted and edited.
    """

    image: int
    target: str = "others"
    fraction: float = 1.0


@dataclass(frozen=True)
class Trial:
    """One row of a table.

    Attributes
    ----------
    table, row : str
        Where it is shown; they do not enter its key, so equal trials are run once.
    solver : "paper" or "ours"
    steps : tuple of Step
    how : "in sequence" or "jointly"
    """

    table: str
    row: str
    solver: str
    steps: tuple[Step, ...]
    how: How = "in sequence"

    @property
    def images(self) -> tuple[int, ...]:
        """The edit slices that it uses, each once, in order."""
        return tuple(dict.fromkeys(step.image for step in self.steps))


@dataclass(frozen=True)
class Settings:
    """How much the suite tries, and with what.

    Attributes
    ----------
    fill : str
        What the rock is painted with, as in `parse_fill`.
    texture : (y0, x0, y1, x1), optional
        The crop of fossil texture, on every edit slice; by default the square inside a fossil
        whose colour is least like the rock's (see `texture_window`).
    images : int
        How many edit slices the tables 3, 6, 7 and 8 take.
    fractions, texture_fractions : tuple of float
        Of Tab. 3 and Tab. 6; the paper's.
    strength_slices : int
        On how many other edit slices our solver's strength is chosen, at most.
    paper_solver, our_solver : dict
        As ``to_dict`` of a solver gives it.
    resamples, seed : int
        Of the bootstrap; the seed also chooses the parts that are painted.
    """

    fill: str = "median"
    texture: Window | None = None
    images: int = 2
    fractions: tuple[float, ...] = (0.01, 0.35, 1.0)
    texture_fractions: tuple[float, ...] = (0.06, 0.49, 1.0)
    strength_slices: int = 3
    paper_solver: dict[str, Any] = field(
        default_factory=lambda: {"name": "adam", "steps": 70, "lr": 5e-5}
    )
    our_solver: dict[str, Any] = field(default_factory=lambda: {"name": "ridge", "damping": 0.1})
    resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        from napari_fossiledit.perturb.windows import checked_window

        object.__setattr__(self, "texture", checked_window(self.texture, "texture crop"))
        for value in (*self.fractions, *self.texture_fractions):
            if not 0 < value <= 1:
                raise InputError(f"A fraction must lie above 0 and up to 1, not {value:g}.")
        for name in ("images", "strength_slices", "resamples"):
            if getattr(self, name) < 1:
                raise InputError(f"The experiment's setting {name} must be at least 1.")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    def solver(self, which: str) -> dict[str, Any]:
        """The settings of ``paper`` or ``ours``."""
        return self.paper_solver if which == "paper" else self.our_solver


def quick(settings: Settings) -> Settings:
    """The same with one image a table, few steps and few resamples: for tests, not for figures."""
    return replace(
        settings,
        images=1,
        strength_slices=1,
        resamples=100,
        paper_solver={**settings.paper_solver, "steps": 3},
    )


def paper_trials(settings: Settings, names: Sequence[str]) -> list[Trial]:
    """Lay out the paper's tables for these edit slices.

    Parameters
    ----------
    settings : Settings
    names : sequence of str
        The edit slices' names, for the rows.

    Returns
    -------
    list of Trial
        For both solvers, by table. Table 4 needs two edit slices and is left out with one.
    """
    rows: list[Trial] = []
    for table in TABLES:
        made = _LAYOUTS[table.number](settings, list(names))
        for row, steps in made:
            rows += [Trial(table.number, row, solver, steps) for solver in SOLVERS]
        if table.number == "4" and len(names) > 1:
            everything = tuple(Step(i) for i in range(len(names)))
            row = f"all {len(names)} jointly"
            rows.append(Trial("4", row, "ours", everything, how="jointly"))
    return rows


_Rows: TypeAlias = list[tuple[str, tuple[Step, ...]]]


def _alone(target: str) -> Any:
    def layout(settings: Settings, names: list[str]) -> _Rows:
        return [(name, (Step(i, target),)) for i, name in enumerate(names)]

    return layout


def _fractions(target: str, which: str) -> Any:
    def layout(settings: Settings, names: list[str]) -> _Rows:
        parts = sorted(getattr(settings, which))
        return [
            (f"{100 * part:g} % of {names[i]}", (Step(i, target, part),))
            for i in _some(settings, names)
            for part in parts
        ]

    return layout


def _sequences(settings: Settings, names: list[str]) -> _Rows:
    count = len(names)
    orders: list[tuple[int, ...]] = []
    for length in sorted({2, 3, count}):
        if 2 <= length <= count:
            orders += [tuple(range(length)), tuple(reversed(range(length)))]
    short = _short(names)
    return [
        (" → ".join(short[i] for i in order), tuple(Step(i) for i in order)) for order in orders
    ]


def _both(settings: Settings, names: list[str]) -> _Rows:
    return [(names[i], (Step(i, "both"),)) for i in _some(settings, names)]


def _orders(settings: Settings, names: list[str]) -> _Rows:
    rows: _Rows = []
    for i in _some(settings, names):
        mud, texture = Step(i, "others"), Step(i, "fossils")
        rows += [
            (f"mud → texture, {names[i]}", (mud, texture)),
            (f"texture → mud, {names[i]}", (texture, mud)),
        ]
    return rows


_LAYOUTS: dict[str, Any] = {
    "2": _alone("others"),
    "3": _fractions("others", "fractions"),
    "4": _sequences,
    "5": _alone("fossils"),
    "6": _fractions("fossils", "texture_fractions"),
    "7": _both,
    "8": _orders,
}


def _some(settings: Settings, names: list[str]) -> range:
    return range(min(settings.images, len(names)))


def _short(names: list[str]) -> list[str]:
    """Names without the words that they all begin with: ``z 4`` for ``reef 1000, z 4``."""
    words = [name.split(", ") for name in names]
    while len(words[0]) > 1 and len({word[0] for word in words}) == 1 and min(map(len, words)) > 1:
        words = [word[1:] for word in words]
    return [", ".join(word) for word in words]


def slice_sha(piece: LabelledSlice) -> str:
    """Sha256 of a slice's image, labels, confusers, name and group."""
    digest = hashlib.sha256(json.dumps([piece.name, piece.group]).encode())
    for array in (piece.image, piece.labels, piece.confusers):
        if array is None:
            digest.update(b"none")
            continue
        # Labels of another integer type are the same labels.
        whole = np.ascontiguousarray(array if array is piece.image else array.astype(np.int64))
        digest.update(str(whole.shape).encode())
        digest.update(whole.tobytes())
    return digest.hexdigest()


def trial_key(trial: Trial | None, settings: Settings, made_of: dict[str, Any]) -> str:
    """Say a trial in sixteen hexadecimal digits: its settings, the model and all slices.

    Parameters
    ----------
    trial : Trial, or None
        None is the unedited model.
    settings : Settings
    made_of : dict
        Fingerprint of the model, layers, and hashes of all slices; plain JSON values.
    """
    work: dict[str, Any] = {"format": FORMAT, "made_of": made_of, "resamples": settings.resamples}
    work["seed"] = settings.seed
    if trial is not None:
        work |= {
            "solver": settings.solver(trial.solver),
            "which": trial.solver,
            "steps": [asdict(step) for step in trial.steps],
            "how": trial.how if len(trial.steps) > 1 else "alone",
            "fill": settings.fill,
            "texture": settings.texture,
            "strength_slices": settings.strength_slices,
        }
    text = json.dumps(work, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
