"""A solver with its settings, as `rewrite` takes it and an edit's provenance records it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from napari_fossiledit.editing.fit_settings import Agreement, Distil, Labels
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Task

if TYPE_CHECKING:
    import torch

    from napari_fossiledit.editing.features import Captured
    from napari_fossiledit.editing.solvers.solution import Solution

__all__ = [
    "L1",
    "Adam",
    "Agreement",
    "Distil",
    "KeepPairs",
    "Labels",
    "LowRank",
    "Ridge",
    "Solver",
    "SolverSettings",
    "solver_from_dict",
]

KeepPairs = Sequence[tuple["torch.Tensor", "torch.Tensor"]]


class SolverSettings(Protocol):
    """A solver and its settings."""

    @property
    def uses_keep_set(self) -> bool:
        """Whether `solve_task` wants a keep set."""

    @property
    def uses_context(self) -> bool:
        """Whether it works in directions that a set of slices tells."""

    def solve_task(self, captured: Captured, mask: torch.Tensor, keep: KeepPairs) -> Task[Solution]:
        """Solve one layer; ``keep`` holds pairs of a key and a mask."""

    def to_dict(self) -> dict[str, Any]:
        """Name and settings as plain values."""


@dataclass(frozen=True)
class Ridge:
    """Solver `ridge`, the default.

    Parameters
    ----------
    damping : float
        Pull of the delta to zero, in units of the keys' mean square.
    keep_weight : float
        Weight of the keep set (the fossils of the edit's slice and of the slices to keep).
    biases : bool
        Edit the layers' biases, too.
    """

    damping: float = 0.1
    keep_weight: float = 0.0
    biases: bool = False

    @property
    def uses_keep_set(self) -> bool:
        """Whether the keep set has weight."""
        return self.keep_weight > 0

    @property
    def uses_context(self) -> bool:
        """Never: every direction is free."""
        return False

    def solve_task(self, captured: Captured, mask: torch.Tensor, keep: KeepPairs) -> Task[Solution]:
        """Solve one layer."""
        from napari_fossiledit.editing.solvers.ridge import ridge_task

        return ridge_task(
            captured.original.key,
            captured.target,
            captured.weight,
            captured.bias,
            mask=mask,
            biases=self.biases,
            damping=self.damping,
            keep_keys=list(keep) if self.uses_keep_set else None,
            keep_weight=self.keep_weight,
            value=captured.original.value,
        )

    def to_dict(self) -> dict[str, Any]:
        """Name and settings; `biases` only where they are edited."""
        return {"name": "ridge", **_without_unused_biases(asdict(self))}


@dataclass(frozen=True)
class L1:
    """Solver `l1`: as `ridge`, but under the L1 norm, which gross errors do not draw away.

    Parameters
    ----------
    damping : float
        Pull of the delta to zero, as in `Ridge`.
    keep_weight : float
        Weight of the keep set.
    iterations : int
        At most; each costs about as much as a step of `Adam`.
    tolerance : float
        Stop once five iterations bring less than this share of the loss.
    """

    damping: float = 0.1
    keep_weight: float = 0.0
    iterations: int = 100
    tolerance: float = 1e-3

    @property
    def uses_keep_set(self) -> bool:
        """Whether the keep set has weight."""
        return self.keep_weight > 0

    @property
    def uses_context(self) -> bool:
        """Never: every direction is free."""
        return False

    def solve_task(self, captured: Captured, mask: torch.Tensor, keep: KeepPairs) -> Task[Solution]:
        """Solve one layer."""
        from napari_fossiledit.editing.solvers.l1 import l1_task

        return l1_task(
            captured.original.key,
            captured.target,
            captured.weight,
            captured.bias,
            mask=mask,
            damping=self.damping,
            iterations=self.iterations,
            tolerance=self.tolerance,
            keep_keys=list(keep) if self.uses_keep_set else None,
            keep_weight=self.keep_weight,
            value=captured.original.value,
        )

    def to_dict(self) -> dict[str, Any]:
        """Name and settings."""
        return {"name": "l1", **asdict(self)}


@dataclass(frozen=True)
class LowRank:
    """Solver `low_rank`: `ridge` within the span of a few context directions.

    They tell the keys of the area to be edited from those of the whole slice (of the context's
    slices, where some are given, and of those to keep, where the keep set has weight).

    Parameters
    ----------
    rank : int
        How many directions.
    damping : float
        Pull of the delta to zero, as in `Ridge`.
    keep_weight : float
        Weight of the keep set.
    """

    rank: int = 8
    damping: float = 0.1
    keep_weight: float = 0.0

    @property
    def uses_keep_set(self) -> bool:
        """Whether the keep set has weight."""
        return self.keep_weight > 0

    @property
    def uses_context(self) -> bool:
        """Always."""
        return True

    def solve_task(self, captured: Captured, mask: torch.Tensor, keep: KeepPairs) -> Task[Solution]:
        """Solve one layer."""
        from napari_fossiledit.editing.solvers.low_rank import low_rank_task

        pairs = list(keep) if self.uses_keep_set else []
        return low_rank_task(
            captured.original.key,
            captured.target,
            captured.weight,
            captured.bias,
            mask=mask,
            context=_context(captured, mask, pairs, self.rank),
            damping=self.damping,
            keep_keys=pairs or None,
            keep_weight=self.keep_weight,
            value=captured.original.value,
        )

    def to_dict(self) -> dict[str, Any]:
        """Name and settings."""
        return {"name": "low_rank", **asdict(self)}


@dataclass(frozen=True)
class Adam:
    """Solver `adam` (Santurkar et al. 2021), of full rank or within context directions.

    Parameters
    ----------
    steps : int
    lr : float
        Adam's learning rate.
    rank : int, optional
        Hold the delta within the span of so many context directions of the slice (and of the
        context's slices), as the reference does (with rank 1); None: full rank.
    projection_every : int
        With a rank: steps between two projections.
    biases : bool
        Edit the layers' biases, too.
    """

    steps: int = 70
    lr: float = 5e-5
    rank: int | None = None
    projection_every: int = 10
    biases: bool = False

    @property
    def uses_keep_set(self) -> bool:
        """Never: the method has none."""
        return False

    @property
    def uses_context(self) -> bool:
        """With a rank."""
        return self.rank is not None

    def solve_task(self, captured: Captured, mask: torch.Tensor, keep: KeepPairs) -> Task[Solution]:
        """Solve one layer; ``keep`` is empty."""
        from napari_fossiledit.editing.solvers.adam import adam_task

        context = None if self.rank is None else _context(captured, mask, [], self.rank)
        return adam_task(
            captured.original.key,
            captured.target,
            captured.weight,
            captured.bias,
            mask=mask,
            steps=self.steps,
            lr=self.lr,
            context=context,
            projection_every=self.projection_every,
            biases=self.biases,
        )

    def to_dict(self) -> dict[str, Any]:
        """Name and settings; those of a rank only where there is one."""
        settings = _without_unused_biases(asdict(self))
        if self.rank is None:
            del settings["rank"], settings["projection_every"]
        return {"name": "adam", **settings}


def _without_unused_biases(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "biases" or value}


def _context(
    captured: Captured, mask: torch.Tensor, keep: Sequence[tuple[Any, Any]], rank: int
) -> torch.Tensor:
    """Context directions of the edited area against the slice and all others that are given."""
    from napari_fossiledit.editing.solvers.context import (
        check_rank,
        context_directions,
        second_moment,
    )

    key = captured.original.key
    check_rank(rank, key.shape[1])
    # The keep set's first pair is the edited slice itself.
    others = [kept for kept, _ in keep[1:]]
    moment = second_moment([key, *others, *captured.ordinary])
    return context_directions(key, mask, moment, rank)


Solver: TypeAlias = Ridge | L1 | LowRank | Adam | Distil | Labels | Agreement

_SOLVERS: dict[str, type[Solver]] = {
    "ridge": Ridge,
    "l1": L1,
    "low_rank": LowRank,
    "adam": Adam,
    "distil": Distil,
    "labels": Labels,
    "agreement": Agreement,
}


def solver_from_dict(data: Mapping[str, Any]) -> Solver:
    """The inverse of ``to_dict``.

    Raises
    ------
    InputError
        If the solver or one of its settings is unknown.
    """
    settings = dict(data)
    name = settings.pop("name", None)
    if name not in _SOLVERS:
        raise InputError(f"There is no solver {name!r}: choose {' or '.join(_SOLVERS)}.")
    kind = _SOLVERS[name]
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise InputError(
            f"The solver {name} has no setting {unknown[0]!r}, only {', '.join(sorted(known))}."
        )
    return kind(**settings)
