"""Alternating directions for `l1`: Z stands for E = sqrt(m) (r - delta x), U for the duals.

The delta's step minimises |E - Z + U|^2 with `ridge`'s factor of C + P, P being the damping and the
keep set: the first one, from zero, is `ridge`'s solution. Later ones need C + share * P, with a
share of at most 1; what is too much of P pulls to the step before instead of to zero (a proximal
term), so that the same factor serves for every weight of the splitting, and the fixed point stays.
Where positions are fewer than unknowns all is done in the span of their patches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import torch

from napari_fossiledit.editing.solvers.cholesky import Factor, factorise
from napari_fossiledit.editing.solvers.moments import moments_task, scaled, wide
from napari_fossiledit.editing.solvers.problem import Problem
from napari_fossiledit.progress import Progress, Task, checkpoint

__all__ = ["Splitting", "System", "system_task"]

_RELAX = 1.6
_STIFFNESS = 1.0  # weight of the splitting times the size of what the first step left

_Update: TypeAlias = Callable[[int, int, torch.Tensor], torch.Tensor | None]


class System(Protocol):
    """The delta with the factor of its normal equations."""

    @property
    def size(self) -> int:
        """Rows of the factor."""

    def sweep(self, update: _Update) -> None:
        """Show every chunk's rows E to ``update``; what it returns, if any, is the next aim."""

    def step(self, share: float) -> None:
        """Move the delta towards the aim, with ``share`` of damping and keep set."""

    def penalty(self) -> float:
        """Damping and keep terms of the present delta."""

    def solution(self) -> torch.Tensor:
        """A copy of the delta, (D, out) float64."""


def system_task(problem: Problem) -> Task[System]:
    """Accumulate and factorise; the first aim is the residual itself."""
    if problem.rows < problem.patches.width:
        return (yield from _dual_task(problem))
    return (yield from _primal_task(problem))


class Splitting:
    """Z and U at the masked positions, and the weight that binds Z to E.

    Attributes
    ----------
    before : float
        The L1 norm of E before the edit.
    scale : float
        The s of the objective.
    share : float
        What one step takes of damping and keep set.
    gap : float
        Norm of E - Z as a share of E's (at least of a hundredth of what it was before the edit);
        0 at the solution.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.before = 0.0
        square = 0.0
        for start, stop in _chunks(problem):
            e = _rows(problem, start, stop)
            self.before += float(e.abs().sum())
            square += float(e.square().sum())
        self.scale = square / self.before if self.before else 1.0
        self.share = 1.0
        self.gap = 1.0
        self._width = self.scale / 2
        shape = (len(problem.patches), problem.residual.shape[1])
        self._z = problem.residual.new_zeros(shape)
        self._u = problem.residual.new_zeros(shape)
        self._relax = 1.0

    def set_penalty(self, system: System) -> None:
        """Choose the splitting's weight by the size of what the first step leaves."""
        total = 0.0

        def add(start: int, stop: int, e: torch.Tensor) -> None:
            nonlocal total
            total += float(e.abs().sum())

        system.sweep(add)
        mean = total / self._z.numel()
        # Below this weight the factor's own damping would not do (share above 1).
        self._width = min(self.scale / 2, max(mean / _STIFFNESS, 1e-6 * self.scale))
        self.share = 2 * self._width / self.scale

    def sweep(self, system: System) -> float:
        """Bring Z and U up to date; the L1 norm of E."""
        total = apart = 0.0

        def update(start: int, stop: int, e: torch.Tensor) -> torch.Tensor:
            nonlocal total, apart
            z, u = self._z[start:stop], self._u[start:stop]
            total += float(e.abs().sum())
            relaxed = torch.lerp(z, e, self._relax).add_(u)
            torch.clamp(relaxed, -self._width, self._width, out=u)
            torch.sub(relaxed, u, out=z)
            e.sub_(z)
            apart += float(e.abs().sum())
            return e.add_(u)

        system.sweep(update)
        self._relax = _RELAX
        self.gap = apart / max(total, 0.01 * self.before)
        return total


def _chunks(problem: Problem) -> list[tuple[int, int]]:
    count = len(problem.patches)
    return [(i, min(i + problem.chunk, count)) for i in range(0, count, problem.chunk)]


def _rows(problem: Problem, start: int, stop: int) -> torch.Tensor:
    """The residual's rows times the roots of the weights, (n, out)."""
    rows = problem.patches.at_positions(problem.residual, start, stop)
    return scaled(rows, problem.patches, start, stop, 0.5)


class _Primal:
    """D x D; patches are gathered anew at every sweep."""

    def __init__(
        self,
        problem: Problem,
        factor: Factor,
        right: torch.Tensor,
        keep: torch.Tensor | None,
        pull: float,
    ) -> None:
        self._problem = problem
        self._factor = factor
        self._aim = right
        self._keep = keep
        self._pull = pull
        self._delta = torch.zeros_like(right)
        self._total = problem.total

    @property
    def size(self) -> int:
        return len(self._delta)

    def sweep(self, update: _Update) -> None:
        problem = self._problem
        residual = problem.residual
        delta = self._delta.to(dtype=residual.dtype, device=residual.device)
        self._aim = torch.zeros_like(self._delta)
        for start, stop in _chunks(problem):
            checkpoint()
            x = scaled(problem.patches.gather(start, stop), problem.patches, start, stop, 0.5)
            e = torch.addmm(_rows(problem, start, stop), x, delta, alpha=-1)
            aim = update(start, stop, e)
            if aim is not None:
                self._aim += wide(x.T @ aim)
        self._aim /= self._total

    def step(self, share: float) -> None:
        if share:
            self._aim -= share * self._pulled()
        self._delta = self._delta + self._factor.solve(self._aim)

    def _pulled(self) -> torch.Tensor:
        pulled = self._pull * self._delta
        return pulled if self._keep is None else pulled + self._keep @ self._delta

    def penalty(self) -> float:
        return float((self._delta * self._pulled()).sum())

    def solution(self) -> torch.Tensor:
        return self._delta.clone()


def _primal_task(problem: Problem) -> Task[System]:
    found = yield from moments_task(problem.patches, problem.residual, problem.chunk)
    total = problem.total
    gram, right = found.gram.div_(total), found.right.div_(total)
    pull = problem.damping * float(gram.diagonal().mean())
    keep = yield from problem.keep_gram_task()
    if keep is not None:
        gram += keep
        keep = keep + keep.triu(1).T
    gram.diagonal().add_(pull)
    factor = factorise(gram, problem.residual.dtype)
    return _Primal(problem, factor, right, keep, pull)


class _Dual:
    """n x n, in float64: the delta is ``rows.T @ alpha``, and nothing else is ever needed."""

    def __init__(
        self, problem: Problem, rows: torch.Tensor, gram: torch.Tensor, factor: Factor, pull: float
    ) -> None:
        self._count = len(problem.patches)
        self._root = problem.total**-0.5
        self._dtype = problem.residual.dtype
        self._device = problem.residual.device
        self._base = wide(_rows(problem, 0, self._count))
        self._rows = rows
        self._gram = gram
        self._factor = factor
        self._pull = pull
        self._alpha = gram.new_zeros((len(gram), self._base.shape[1]))
        self._aim = torch.zeros_like(self._alpha)
        self._aim[: self._count] = self._base * self._root
        self._moved = torch.zeros_like(self._alpha)

    @property
    def size(self) -> int:
        return len(self._gram)

    def sweep(self, update: _Update) -> None:
        checkpoint()
        n = self._count
        e = self._base - self._moved[:n] / self._root
        aim = update(0, n, e.to(dtype=self._dtype, device=self._device))
        if aim is not None:
            self._aim[:n] = wide(aim) * self._root

    def step(self, share: float) -> None:
        aim = self._aim - (share * self._pull) * self._alpha
        aim[self._count :] = -share * (
            self._moved[self._count :] + self._pull * self._alpha[self._count :]
        )
        self._alpha = self._alpha + self._factor.solve(aim)
        self._moved = self._gram @ self._alpha

    def penalty(self) -> float:
        kept = self._moved[self._count :].square().sum()
        return float(kept + self._pull * (self._alpha * self._moved).sum())

    def solution(self) -> torch.Tensor:
        return wide(self._rows).T @ self._alpha


def _dual_task(problem: Problem) -> Task[System]:
    yield Progress(0, 2, "normal equations")
    rows = problem.stacked_rows()
    gram = wide(rows @ rows.T)
    n = len(problem.patches)
    pull = problem.damping * float(gram.diagonal()[:n].sum()) / problem.patches.width
    damped = gram.clone()
    damped.diagonal().add_(pull)
    yield Progress(1, 2, "solving")
    return _Dual(problem, rows, gram, factorise(damped, rows.dtype), pull)
