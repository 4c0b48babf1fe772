"""A solver with its settings, as `rewrite` takes it and an edit's provenance records it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Task

if TYPE_CHECKING:
    import torch

    from napari_fossiledit.editing.features import Captured
    from napari_fossiledit.editing.solvers.solution import Solution

__all__ = ["Adam", "KeepPairs", "Ridge", "SolverSettings", "solver_from_dict"]

KeepPairs = Sequence[tuple["torch.Tensor", "torch.Tensor"]]


class SolverSettings(Protocol):
    """A solver and its settings."""

    @property
    def uses_keep_set(self) -> bool:
        """Whether `solve_task` wants a keep set."""

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
    """

    damping: float = 0.1
    keep_weight: float = 0.0

    @property
    def uses_keep_set(self) -> bool:
        """Whether the keep set has weight."""
        return self.keep_weight > 0

    def solve_task(self, captured: Captured, mask: torch.Tensor, keep: KeepPairs) -> Task[Solution]:
        """Solve one layer."""
        from napari_fossiledit.editing.solvers.ridge import ridge_task

        return ridge_task(
            captured.original.key,
            captured.target,
            captured.weight,
            captured.bias,
            mask=mask,
            damping=self.damping,
            keep_keys=list(keep) if self.uses_keep_set else None,
            keep_weight=self.keep_weight,
            value=captured.original.value,
        )

    def to_dict(self) -> dict[str, Any]:
        """Name and settings."""
        return {"name": "ridge", **asdict(self)}


@dataclass(frozen=True)
class Adam:
    """Solver `adam` (Santurkar et al. 2021), full rank.

    Parameters
    ----------
    steps : int
    lr : float
        Adam's learning rate.
    """

    steps: int = 70
    lr: float = 5e-5

    @property
    def uses_keep_set(self) -> bool:
        """Never: the method has none."""
        return False

    def solve_task(self, captured: Captured, mask: torch.Tensor, keep: KeepPairs) -> Task[Solution]:
        """Solve one layer; ``keep`` is empty."""
        from napari_fossiledit.editing.solvers.adam import adam_task

        return adam_task(
            captured.original.key,
            captured.target,
            captured.weight,
            captured.bias,
            mask=mask,
            steps=self.steps,
            lr=self.lr,
        )

    def to_dict(self) -> dict[str, Any]:
        """Name and settings."""
        return {"name": "adam", **asdict(self)}


_SOLVERS: dict[str, type[Ridge] | type[Adam]] = {"ridge": Ridge, "adam": Adam}


def solver_from_dict(data: Mapping[str, Any]) -> Ridge | Adam:
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
