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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from scipy.linalg import lapack

from napari_fossiledit.editing.solvers.moments import moments_task, scaled, wide
from napari_fossiledit.editing.solvers.patches import (
    Patches,
    Stopwatch,
    check_finite,
    check_level,
    level_mask,
)
from napari_fossiledit.editing.solvers.solution import Solution
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, checkpoint, run

__all__ = ["KeepKeys", "ridge", "ridge_task"]

KeepKeys: TypeAlias = torch.Tensor | Sequence[tuple[torch.Tensor, torch.Tensor]]
"""Patches (M, in, kh, kw), or pairs of a key (N, in, h, w) and a mask (N, 1, h, w)."""


@dataclass
class _Problem:
    """The checked input."""

    patches: Patches
    residual: torch.Tensor
    damping: float
    keep: list[Patches]
    keep_weight: float
    chunk: int

    @property
    def total(self) -> float:
        """Sum of the weights of all positions."""
        return float(wide(self.patches.weights).sum())

    @property
    def keep_total(self) -> float:
        """The same of the keep set."""
        return sum(float(wide(source.weights).sum()) for source in self.keep)


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
        Stays as it is.
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
    form : {"auto", "primal", "dual"}
        Auto takes the smaller system.
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
    form: Literal["auto", "primal", "dual"] = "auto",
    chunk: int = 2048,
) -> Task[Solution]:
    """`ridge` as a task; the last `Progress` has the loss as its ``data``."""
    watch = Stopwatch()
    _check_settings(damping, keep_weight, chunk)
    with torch.no_grad():
        check_level(key, target, weight, bias)
        weights = level_mask(mask, key)
        kernel = (weight.shape[2], weight.shape[3])
        if value is None:
            padding = (kernel[0] // 2, kernel[1] // 2)
            value = F.conv2d(key, weight, bias, padding=padding)
        problem = _Problem(
            patches=Patches(key, kernel, weights),
            residual=target - value,
            damping=damping,
            keep=_keep_sources(keep_keys, weight) if keep_weight else [],
            keep_weight=keep_weight,
            chunk=chunk,
        )
    rows = len(problem.patches) + sum(len(source) for source in problem.keep)
    columns = problem.patches.width
    dual = form == "dual" or (form == "auto" and rows < columns)
    solver = _solve_dual if dual else _solve_primal
    solution, before, after = yield from _timed(solver(problem), watch)
    delta = problem.patches.as_weight(solution).to(dtype=weight.dtype, device=weight.device)
    watch.stop()
    size = rows if dual else columns
    cost = f"{rows} positions, one {size} x {size} system"
    yield Progress(1, 1, cost, data=after)
    return Solution(delta, [before, after], watch.seconds, cost)


_Solved: TypeAlias = tuple[torch.Tensor, float, float]


def _timed(task: Task[_Solved], watch: Stopwatch) -> Task[_Solved]:
    """Pass ``task`` on with the watch stopped, and checkpoints made, at every yield."""
    while True:
        try:
            with torch.no_grad():  # entered anew: grad mode must not leak to the driver
                progress = next(task)
        except StopIteration as stop:
            solved: _Solved = stop.value
            return solved
        watch.stop()
        yield progress
        checkpoint()
        watch.start()


def _solve_primal(problem: _Problem) -> Task[_Solved]:
    found = yield from moments_task(problem.patches, problem.residual, problem.chunk)
    total = problem.total
    gram, right = found.gram.div_(total), found.right.div_(total)
    before = found.square / total
    pull = problem.damping * float(gram.diagonal().mean())
    keep = yield from _keep_gram(problem)
    if keep is not None:
        gram += keep
    gram.diagonal().add_(pull)
    yield Progress(1, 1, "solving", data=before)
    solution = _cholesky_solve(gram, right, problem.residual.dtype)
    # From (C + keep + pull) delta = right: the data term without another pass over the positions.
    after = before - float((solution * right).sum()) - pull * float(solution.square().sum())
    if keep is not None:
        full = keep + keep.triu(1).T
        after -= float((solution * (full @ solution)).sum())
    return solution, before, max(after, 0.0)


def _keep_gram(problem: _Problem) -> Task[torch.Tensor | None]:
    """keep_weight times the second moment of the keep set (upper triangle), or None."""
    if not problem.keep:
        return None
    width = problem.patches.width
    grams = []
    for source in problem.keep:
        found = yield from moments_task(source, None, problem.chunk)
        grams.append(found.gram)
        if len(grams) == 2:  # two at most are held
            grams = [grams[0] + grams[1]]
    gram: torch.Tensor = grams[0].reshape(width, width).triu()
    return gram * (problem.keep_weight / problem.keep_total)


def _solve_dual(problem: _Problem) -> Task[_Solved]:
    patches = problem.patches
    n = len(patches)
    yield Progress(0, 2, "normal equations")
    root = problem.total**-0.5
    rows = [scaled(patches.gather(0, n), patches, 0, n, 0.5) * root]
    r = scaled(patches.at_positions(problem.residual, 0, n), patches, 0, n, 0.5) * root
    for source in problem.keep:
        root = (problem.keep_weight / problem.keep_total) ** 0.5
        rows.append(scaled(source.gather(0, len(source)), source, 0, len(source), 0.5) * root)
    x = torch.cat(rows) if len(rows) > 1 else rows[0]
    gram = wide(x @ x.T)
    pull = problem.damping * float(gram.diagonal()[:n].sum()) / patches.width
    right = torch.zeros((len(x), r.shape[1]), dtype=torch.float64, device=gram.device)
    right[:n] = wide(r)
    gram.diagonal().add_(pull)
    yield Progress(1, 2, "solving")
    alpha = _cholesky_solve(gram, right, x.dtype)
    solution = wide(x).T @ alpha
    before = float(right.square().sum())
    # (X X^T + pull) alpha = right: what is left of the residual is pull * alpha.
    return solution, before, pull**2 * float(alpha[:n].square().sum())


def _cholesky_solve(gram: torch.Tensor, right: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Solve ``gram @ z = right`` (upper triangle, overwritten) or say why it cannot be."""
    checkpoint()
    largest = float(gram.diagonal().max())
    if gram.device.type == "cpu":
        # In place, and by SciPy's LAPACK: torch's copies, and is slow on some processors.
        factor, info = lapack.dpotrf(gram.numpy().T, lower=1, overwrite_a=1, clean=0)
        diagonal = torch.from_numpy(factor.diagonal().copy())
    else:
        factor, info = torch.linalg.cholesky_ex(gram.mT)
        diagonal = factor.diagonal()
    # A pivot at the input's own rounding noise means that the data do not determine the delta.
    noise = 1e-14 if dtype == torch.float64 else 1e-7
    if int(info) != 0 or not float(diagonal.min()) ** 2 > noise * largest:
        raise InputError(
            "The edit cannot be solved, because the features of the chosen area are not varied "
            "enough (the system is singular): raise the damping, e.g. to 0.1."
        )
    checkpoint()
    if gram.device.type == "cpu":
        return torch.from_numpy(lapack.dpotrs(factor, right.numpy(), lower=1)[0])
    return torch.cholesky_solve(right, factor)


def _keep_sources(keep: KeepKeys | None, weight: torch.Tensor) -> list[Patches]:
    """The keep set as sources of patches; the empty ones are left out."""
    kernel = (weight.shape[2], weight.shape[3])
    if keep is None:
        raise InputError("A keep weight was given without a keep set: give both or neither.")
    sources: list[Patches] = []
    if isinstance(keep, torch.Tensor):
        if keep.shape[1:] != weight.shape[1:]:
            expected = ("M", *weight.shape[1:])
            raise InputError(f"The keep set's shape is {tuple(keep.shape)}, not {expected}.")
        check_finite(keep, "The keep set's keys")
        if len(keep):
            sources.append(Patches.of_patches(keep))
    else:
        for key, mask in keep:
            check_finite(key, "The keep set's keys")
            if key.shape[1] != weight.shape[1]:
                raise InputError(
                    f"The keep set has {key.shape[1]} channels, the weight takes {weight.shape[1]}."
                )
            if bool((mask > 0).any()):
                sources.append(Patches(key, kernel, level_mask(mask, key)))
    if not sources:
        raise InputError("The keep set is empty: label fossils on the slices to keep.")
    return sources


def _check_settings(damping: float, keep_weight: float, chunk: int) -> None:
    if not 0 <= damping < float("inf"):
        raise InputError(f"The damping must be 0 or more, not {damping}.")
    if not 0 <= keep_weight < float("inf"):
        raise InputError(f"The keep weight must be 0 or more, not {keep_weight}.")
    if chunk < 1:
        raise InputError(f"The chunk must be at least one position, not {chunk}.")
