"""Solver `adam`: gradient steps on the L1 loss, as the reference does it.

Santurkar et al. (2021), "Editing a classifier by rewriting its prediction rules" (arXiv
2112.01008), with the low-rank projection of Bau et al. (2020). The gradient is written out, not
taken by autograd: features made in inference mode serve as they are, and no graph is kept.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch.nn.grad import conv2d_weight

from napari_fossiledit.editing.solvers.bias import check_bias
from napari_fossiledit.editing.solvers.context import check_context
from napari_fossiledit.editing.solvers.patches import Stopwatch, check_level, level_mask
from napari_fossiledit.editing.solvers.solution import Solution
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, checkpoint, run

__all__ = ["adam", "adam_task"]

_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8


def adam(
    key: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    mask: torch.Tensor | None = None,
    steps: int = 35,
    lr: float = 5e-5,
    context: torch.Tensor | None = None,
    projection_every: int = 10,
    biases: bool = False,
) -> Solution:
    """Find the delta by Adam on ``l1_loss(target * sqrt(m), f(key) * sqrt(m)) / N``.

    Parameters
    ----------
    key : (N, in, h, w) tensor
        The layer's input on the original image.
    target : (N, out, h, w) tensor
        The values wanted.
    weight : (out, in, kh, kw) tensor
    bias : (out,) tensor, optional
        Stays as it is, but with ``biases``.
    mask : (N, 1, h, w) tensor, optional
        Weight m of every position, e.g. an average-pooled image mask. The mean is taken over all
        elements, masked or not, as in the reference.
    steps : int
        Gradient steps. The reference takes 20,000 at 1e-4; an edit of a segmentation model needs
        few.
    lr : float
        Adam's learning rate.
    context : (rank, in) tensor, optional
        Orthonormal context directions, e.g. from `context_directions`: the delta stays within
        their span.
    projection_every : int
        With ``context``: project at every such step (the first included) and after the last.
    biases : bool
        Edit the bias as well.

    Returns
    -------
    Solution

    Raises
    ------
    InputError
        Empty mask, NaN, shapes that do not fit, settings out of range.
    """
    return run(
        adam_task(
            key,
            target,
            weight,
            bias,
            mask=mask,
            steps=steps,
            lr=lr,
            context=context,
            projection_every=projection_every,
            biases=biases,
        )
    )


def adam_task(
    key: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    mask: torch.Tensor | None = None,
    steps: int = 35,
    lr: float = 5e-5,
    context: torch.Tensor | None = None,
    projection_every: int = 10,
    biases: bool = False,
) -> Task[Solution]:
    """`adam` as a task: every step yields a `Progress` with the loss as its ``data``."""
    watch = Stopwatch()
    _check_settings(weight, steps, lr, context, projection_every)
    if biases:
        check_bias(bias)
    with torch.no_grad():
        check_level(key, target, weight, bias)
        root = level_mask(mask, key).sqrt()
        original = weight.detach().clone()
        now = original.clone()
        moments = torch.zeros_like(now), torch.zeros_like(now)
        shift = None if bias is None else bias.detach().clone()
        bias_moments = None
        if biases and shift is not None:
            bias_moments = torch.zeros_like(shift), torch.zeros_like(shift)
        if context is not None:
            context = context.to(dtype=weight.dtype, device=weight.device)
            orthogonal = original - _project(original, context)
    losses: list[float] = []
    for step in range(steps):
        checkpoint()
        with torch.no_grad():
            error = _error(key, target, now, shift, root)
            losses.append(_loss(error))
            outer = _outer(error, root)
            _adam_step(now, _gradient(key, outer, now), *moments, step + 1, lr)
            if bias_moments is not None and shift is not None:
                _adam_step(shift, outer.sum(dim=(0, 2, 3)), *bias_moments, step + 1, lr)
            if context is not None and step % projection_every == 0:
                now = orthogonal + _project(now, context)
        watch.stop()
        yield Progress(step + 1, steps, f"step {step + 1} of {steps}", data=losses[-1])
        watch.start()
    with torch.no_grad():
        if context is not None:
            now = orthogonal + _project(now, context)
        losses.append(_loss(_error(key, target, now, shift, root)))
        delta = now - original
        moved = shift - bias if biases and shift is not None and bias is not None else None
    watch.stop()
    positions = int(key.shape[0] * key.shape[2] * key.shape[3])
    cost = f"{steps} steps over {positions} positions"
    return Solution(delta, losses, watch.seconds, cost, moved)


def _error(
    key: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    root: torch.Tensor,
) -> torch.Tensor:
    padding = (weight.shape[2] // 2, weight.shape[3] // 2)
    return (F.conv2d(key, weight, bias, padding=padding) - target) * root


def _loss(error: torch.Tensor) -> float:
    # The reference divides the mean over all elements by the batch size once more.
    return float(error.abs().mean()) / error.shape[0]


def _outer(error: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
    """The loss's derivative by the layer's values."""
    return error.sign() * root / (error.numel() * error.shape[0])


def _gradient(key: torch.Tensor, outer: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    padding = (weight.shape[2] // 2, weight.shape[3] // 2)
    gradient: torch.Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
        key, list(weight.shape), outer, padding=padding
    )
    return gradient


def _adam_step(
    weight: torch.Tensor,
    gradient: torch.Tensor,
    mean: torch.Tensor,
    square: torch.Tensor,
    step: int,
    lr: float,
) -> None:
    """One step of Adam in place, the arithmetic of ``torch.optim.Adam``.

    That class makes its step counter without a device, so it is not used here.
    """
    mean.lerp_(gradient, 1 - _BETA1)
    square.mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
    scale = (1 - _BETA2**step) ** 0.5
    weight.addcdiv_(mean, (square.sqrt() / scale).add_(_EPS), value=-lr / (1 - _BETA1**step))


def _project(weight: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """The part of ``weight`` (o, i, y, x) within the span of ``directions`` (d, i)."""
    cosines = torch.einsum("oiyx,di->odyx", weight, directions)
    return torch.einsum("odyx,di->oiyx", cosines, directions)


def _check_settings(
    weight: torch.Tensor,
    steps: int,
    lr: float,
    context: torch.Tensor | None,
    projection_every: int,
) -> None:
    if steps < 1:
        raise InputError(f"There must be at least one step, not {steps}.")
    if not 0 < lr < float("inf"):
        raise InputError(f"The learning rate must be above 0, not {lr}.")
    if projection_every < 1:
        raise InputError(f"The projection must come every 1 or more steps, not {projection_every}.")
    if context is not None:
        check_context(context, weight)
