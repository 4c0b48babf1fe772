"""The regression of `ridge` with the bias as one more unknown.

With g the weighted mean of the patches (keep set included), s the sum of all weights and q the mean
residual, the bias that is best for a given delta is b = (q - delta g) / s. Put into the normal
equations it leaves a system of the same size, with the means taken out:

    delta (G - g g^T / s) = c - q g^T / s
"""

from __future__ import annotations

import torch

from napari_fossiledit.editing.solvers.cholesky import factorise
from napari_fossiledit.editing.solvers.moments import moments_task, scaled, wide
from napari_fossiledit.editing.solvers.patches import Patches
from napari_fossiledit.editing.solvers.problem import Problem
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, checkpoint

__all__ = ["check_bias", "solve_with_bias"]


def check_bias(bias: torch.Tensor | None) -> None:
    """Raise `InputError` unless there is a bias."""
    if bias is None:
        raise InputError(
            "This layer has no bias that could be edited: leave the biases as they are."
        )


def solve_with_bias(
    problem: Problem,
) -> Task[tuple[torch.Tensor, float, float, torch.Tensor]]:
    """Delta (D, out), loss before and after, and the bias's change (out,); float64."""
    found = yield from moments_task(problem.patches, problem.residual, problem.chunk)
    total = problem.total
    gram, right = found.gram.div_(total), found.right.div_(total)
    before = found.square / total
    pull = problem.damping * float(gram.diagonal().mean())
    keep = yield from problem.keep_gram_task()
    mean, rest = _means(problem.patches, problem.residual, problem.chunk)
    mean, rest = mean / total, rest / total
    weighted, weight = mean.clone(), 1.0
    if keep is not None:
        gram += keep
        share = problem.keep_weight / problem.keep_total
        for source in problem.keep:
            weighted += share * _means(source, None, problem.chunk)[0]
        weight += problem.keep_weight
    gram -= torch.outer(weighted, weighted).triu() / weight
    gram.diagonal().add_(pull)
    yield Progress(1, 1, "solving", data=before)
    centred = right - torch.outer(weighted, rest) / weight
    solution = factorise(gram, problem.residual.dtype).solve(centred)
    bias = (rest - solution.T @ weighted) / weight
    # From (C + keep + pull) delta + g b = right: no other pass over the positions.
    after = before - float((solution * right).sum()) - pull * float(solution.square().sum())
    after += float(bias.square().sum()) - 2 * float(bias @ rest)
    after += float(bias @ (solution.T @ (2 * mean - weighted)))
    if keep is not None:
        full = keep + keep.triu(1).T
        after -= float((solution * (full @ solution)).sum())
    return solution, before, max(after, 0.0), bias


def _means(
    patches: Patches, residual: torch.Tensor | None, chunk: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sums of the patches (D,) and of the residuals (out,), float64."""
    out = 0 if residual is None else residual.shape[1]
    where = wide(patches.weights).device
    sums = torch.zeros(patches.width, dtype=torch.float64, device=where)
    rests = torch.zeros(out, dtype=torch.float64, device=where)
    for start in range(0, len(patches), chunk):
        checkpoint()
        stop = min(start + chunk, len(patches))
        sums += wide(scaled(patches.gather(start, stop), patches, start, stop, 1.0).sum(0))
        if residual is not None:
            rows = patches.at_positions(residual, start, stop)
            rests += wide(scaled(rows, patches, start, stop, 1.0).sum(0))
    return sums, rests
