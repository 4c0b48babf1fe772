"""Solver `ridge`: the edit as one weighted, damped linear regression (default).

With x_p the patch of the key at position p and r_p the residual (target minus present value), the
delta minimises

    sum_p m_p |delta x_p - r_p|^2 / sum m  +  keep_weight * mean over the keep set |delta k|^2
    +  damping * tr(C) / D * |delta|^2,        C = sum_p m_p x_p x_p^T / sum m

A design of this project after Bau et al. (2020), "Rewriting a deep generative model", and Meng et
al. (2022), ROME and MEMIT. Solved by Cholesky in float64, in the D x D (primal) or, where
positions are fewer than D, the n x n (dual) form.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

from napari_fossiledit.editing.solvers.bias import check_bias, solve_with_bias
from napari_fossiledit.editing.solvers.cholesky import factorise
from napari_fossiledit.editing.solvers.moments import moments_task, scaled, wide
from napari_fossiledit.editing.solvers.patches import Stopwatch
from napari_fossiledit.editing.solvers.problem import KeepKeys, Problem, make_problem, timed
from napari_fossiledit.editing.solvers.solution import Solution
from napari_fossiledit.progress import Progress, Task, run

__all__ = ["KeepKeys", "ridge", "ridge_task"]


def ridge(
    key: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    mask: torch.Tensor | None = None,
    damping: float = 0.1,
    keep_keys: KeepKeys | None = None,
    keep_weight: float = 0.0,
    value: torch.Tensor | None = None,
    biases: bool = False,
    form: Literal["auto", "primal", "dual"] = "auto",
    chunk: int = 2048,
) -> Solution:
    """Find the delta that brings the layer's values closest to the target, in one solve.

    Parameters
    ----------
    key : (N, in, h, w) tensor
        The layer's input on the original image.
    target : (N, out, h, w) tensor
        The values wanted, e.g. the layer's output on the perturbed image.
    weight : (out, in, kh, kw) tensor
    bias : (out,) tensor, optional
        Stays as it is, but with ``biases``.
    mask : (N, 1, h, w) tensor, optional
        Weight of every position, 0 or more; positions of weight 0 are never touched.
    damping : float
        Pull of the delta to zero, in units of the keys' mean square.
    keep_keys : tensor or sequence of (key, mask), optional
        The keep set: patches (M, in, kh, kw), or keys with the weights of their positions.
    keep_weight : float
        Weight of the keep set against the edit; 0 leaves it out.
    value : (N, out, h, w) tensor, optional
        The layer's present output for ``key``, if known: saves one convolution.
    biases : bool
        Edit the bias as well, without a pull to zero.
    form : {"auto", "primal", "dual"}
        Auto takes the smaller system; with ``biases`` the primal one.
    chunk : int
        Positions unfolded at once.

    Returns
    -------
    Solution

    Raises
    ------
    InputError
        Empty mask, NaN, shapes that do not fit, or a singular system.
    """
    return run(
        ridge_task(
            key,
            target,
            weight,
            bias,
            mask=mask,
            damping=damping,
            keep_keys=keep_keys,
            keep_weight=keep_weight,
            value=value,
            biases=biases,
            form=form,
            chunk=chunk,
        )
    )


def ridge_task(
    key: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    mask: torch.Tensor | None = None,
    damping: float = 0.1,
    keep_keys: KeepKeys | None = None,
    keep_weight: float = 0.0,
    value: torch.Tensor | None = None,
    biases: bool = False,
    form: Literal["auto", "primal", "dual"] = "auto",
    chunk: int = 2048,
) -> Task[Solution]:
    """`ridge` as a task; the last `Progress` has the loss as its ``data``."""
    watch = Stopwatch()
    if biases:
        check_bias(bias)
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
    rows, columns = problem.rows, problem.patches.width
    dual = form == "dual" or (form == "auto" and rows < columns)
    shift = None
    if biases:
        dual = False
        solution, before, after, shift = yield from timed(solve_with_bias(problem), watch)
    else:
        solver = _solve_dual if dual else _solve_primal
        solution, before, after = yield from timed(solver(problem), watch)
    delta = problem.patches.as_weight(solution).to(dtype=weight.dtype, device=weight.device)
    watch.stop()
    size = rows if dual else columns
    cost = f"{rows} positions, one {size} x {size} system"
    yield Progress(1, 1, cost, data=after)
    if shift is not None:
        shift = shift.to(dtype=weight.dtype, device=weight.device)
    return Solution(delta, [before, after], watch.seconds, cost, shift)


_Solved: TypeAlias = tuple[torch.Tensor, float, float]


def _solve_primal(problem: Problem) -> Task[_Solved]:
    found = yield from moments_task(problem.patches, problem.residual, problem.chunk)
    total = problem.total
    gram, right = found.gram.div_(total), found.right.div_(total)
    before = found.square / total
    pull = problem.damping * float(gram.diagonal().mean())
    keep = yield from problem.keep_gram_task()
    if keep is not None:
        gram += keep
    gram.diagonal().add_(pull)
    yield Progress(1, 1, "solving", data=before)
    solution = factorise(gram, problem.residual.dtype).solve(right)
    # From (C + keep + pull) delta = right: the data term without another pass over the positions.
    after = before - float((solution * right).sum()) - pull * float(solution.square().sum())
    if keep is not None:
        full = keep + keep.triu(1).T
        after -= float((solution * (full @ solution)).sum())
    return solution, before, max(after, 0.0)


def _solve_dual(problem: Problem) -> Task[_Solved]:
    patches = problem.patches
    n = len(patches)
    yield Progress(0, 2, "normal equations")
    x = problem.stacked_rows()
    root = problem.total**-0.5
    r = scaled(patches.at_positions(problem.residual, 0, n), patches, 0, n, 0.5) * root
    gram = wide(x @ x.T)
    pull = problem.damping * float(gram.diagonal()[:n].sum()) / patches.width
    right = torch.zeros((len(x), r.shape[1]), dtype=torch.float64, device=gram.device)
    right[:n] = wide(r)
    gram.diagonal().add_(pull)
    yield Progress(1, 2, "solving")
    alpha = factorise(gram, x.dtype).solve(right)
    solution = wide(x).T @ alpha
    before = float(right.square().sum())
    # (X X^T + pull) alpha = right: what is left of the residual is pull * alpha.
    return solution, before, pull**2 * float(alpha[:n].square().sum())
