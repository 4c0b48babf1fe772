"""Solver `l1`: the edit under the L1 norm of the reference, by ADMM over one factorisation.

With x_p the patch of the key at position p and r_p the residual (target minus present value), the
delta minimises

    s * sum_p |sqrt(m_p) (delta x_p - r_p)|_1 / sum m  +  keep_weight * mean over the keep set
    |delta k|^2  +  damping * tr(C) / D * |delta|^2,          C = sum_p m_p x_p x_p^T / sum m

where s = sum m |r|^2 / sum sqrt(m) |r|_1 makes the first term what it is in `ridge` before the
edit, so that damping and keep weight mean the same. The roots of m are those of the loss of
Santurkar et al. (2021, arXiv 2112.01008). A design of this project: alternating directions
(Boyd et al. 2011, "Distributed optimization and statistical learning via the alternating direction
method of multipliers") with over-relaxation; see `splitting`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from napari_fossiledit.editing.solvers.patches import Stopwatch
from napari_fossiledit.editing.solvers.problem import KeepKeys, Problem, make_problem, timed
from napari_fossiledit.editing.solvers.solution import Solution
from napari_fossiledit.editing.solvers.splitting import Splitting, System, system_task
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, mapped, run

__all__ = ["l1", "l1_task"]

_SETUP = 10  # share of the progress bar for the normal equations
_PATIENCE = 5  # iterations over which the gain is judged
_GAP = 100  # the split rows may differ by so many tolerances


def l1(
    key: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    mask: torch.Tensor | None = None,
    damping: float = 0.1,
    iterations: int = 100,
    tolerance: float = 1e-3,
    keep_keys: KeepKeys | None = None,
    keep_weight: float = 0.0,
    value: torch.Tensor | None = None,
    chunk: int = 2048,
) -> Solution:
    """Find the delta that brings most values to the target, whatever the others are.

    Parameters
    ----------
    key : (N, in, h, w) tensor
        The layer's input on the original image.
    target : (N, out, h, w) tensor
        The values wanted.
    weight : (out, in, kh, kw) tensor
    bias : (out,) tensor, optional
        Stays as it is.
    mask : (N, 1, h, w) tensor, optional
        Weight of every position, 0 or more; positions of weight 0 are never touched.
    damping : float
        Pull of the delta to zero, as in `ridge`. 0 gives the plain L1 loss; the first step is
        `ridge`'s solution, so that a singular system is refused all the same.
    iterations : int
        At most. Each costs about as much as one step of `adam`.
    tolerance : float
        Stop once five iterations bring less than this share of the loss (or of a hundredth of the
        loss before the edit, where hardly any is left).
    keep_keys : tensor or sequence of (key, mask), optional
        The keep set: patches (M, in, kh, kw), or keys with the weights of their positions.
    keep_weight : float
        Weight of the keep set against the edit; 0 leaves it out.
    value : (N, out, h, w) tensor, optional
        The layer's present output for ``key``, if known.
    chunk : int
        Positions unfolded at once.

    Returns
    -------
    Solution
        Its losses are `adam`'s, that of each iteration.

    Raises
    ------
    InputError
        Empty mask, NaN, shapes that do not fit, settings out of range, or a singular system.
    """
    return run(
        l1_task(
            key,
            target,
            weight,
            bias,
            mask=mask,
            damping=damping,
            iterations=iterations,
            tolerance=tolerance,
            keep_keys=keep_keys,
            keep_weight=keep_weight,
            value=value,
            chunk=chunk,
        )
    )


def l1_task(
    key: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    mask: torch.Tensor | None = None,
    damping: float = 0.1,
    iterations: int = 100,
    tolerance: float = 1e-3,
    keep_keys: KeepKeys | None = None,
    keep_weight: float = 0.0,
    value: torch.Tensor | None = None,
    chunk: int = 2048,
) -> Task[Solution]:
    """`l1` as a task: every iteration yields a `Progress` with the loss as its ``data``."""
    watch = Stopwatch()
    if iterations < 1:
        raise InputError(f"There must be at least one iteration, not {iterations}.")
    if not 0 <= tolerance < 1:
        raise InputError(f"The tolerance must be at least 0 and below 1, not {tolerance}.")
    with torch.no_grad():
        problem = make_problem(
            key,
            target,
            weight,
            bias,
            mask=mask,
            damping=damping,
            keep_keys=keep_keys,
            keep_weight=keep_weight,
            value=value,
            chunk=chunk,
        )
    found = yield from timed(_solve(problem, iterations, tolerance), watch)
    delta = problem.patches.as_weight(found.solution).to(dtype=weight.dtype, device=weight.device)
    watch.stop()
    steps = len(found.losses) - 2
    cost = f"{problem.rows} positions, one {found.size} x {found.size} system, {steps} iterations"
    yield Progress(1, 1, cost, data=found.losses[-1])
    return Solution(delta, found.losses, watch.seconds, cost)


@dataclass(frozen=True)
class _Found:
    solution: torch.Tensor
    losses: list[float]
    size: int


def _solve(problem: Problem, iterations: int, tolerance: float) -> Task[_Found]:
    steps = iterations + _SETUP

    def early(step: Progress) -> Progress:
        done = _SETUP * step.done // step.total if step.total else 0
        return Progress(done, steps, step.message, step.data)

    # The loss is the mean over all elements, masked or not, divided by the batch once more.
    elements = problem.residual.numel() * problem.residual.shape[0]
    system = yield from mapped(system_task(problem), early)
    split = Splitting(problem)
    losses = [split.before / elements]
    if split.before == 0:
        losses.append(0.0)
        return _Found(system.solution(), losses, system.size)
    system.step(0.0)  # `ridge`
    split.set_penalty(system)
    best = _Best(split.scale * split.before / problem.total)
    for step in range(iterations):
        total = split.sweep(system)
        losses.append(total / elements)
        best.see(system, split.scale * total / problem.total + system.penalty(), losses[-1])
        yield Progress(_SETUP + step + 1, steps, f"iteration {step + 1}", data=losses[-1])
        if split.gap <= _GAP * tolerance and best.stalled(tolerance):
            break
        system.step(split.share)
    losses.append(best.loss)
    return _Found(best.solution, losses, system.size)


class _Best:
    """The iterate of the lowest objective so far, and whether it still falls."""

    def __init__(self, before: float) -> None:
        self.curve: list[float] = []
        self._before = before
        self.loss = 0.0
        self.solution = torch.empty(0, device="cpu")

    def see(self, system: System, objective: float, loss: float) -> None:
        lowest = self.curve[-1] if self.curve else float("inf")
        if objective < lowest:
            self.loss = loss
            self.solution = system.solution()
        self.curve.append(min(objective, lowest))

    def stalled(self, tolerance: float) -> bool:
        if len(self.curve) <= _PATIENCE:
            return self.curve[-1] == 0
        unit = max(self.curve[-1], 0.01 * self._before)
        return self.curve[-1 - _PATIENCE] - self.curve[-1] <= tolerance * unit
