"""Fit chosen tensors of a network's copy to a loss; the model itself stays as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models.device import plain_memory_errors
from napari_fossiledit.progress import Progress, Task, checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_fossiledit.editing.settings import Distil, Labels
    from napari_fossiledit.models.segmenter import Segmenter
    from napari_fossiledit.models.student import Student

__all__ = ["Fit", "fit_task", "free_names"]

_WARM_UP = 5  # steps
_CLIP = 5.0  # largest norm of the gradient


class _Regime(Protocol):
    @property
    def steps(self) -> int: ...

    @property
    def lr(self) -> float: ...


@dataclass(frozen=True, eq=False)
class Fit:
    """What a fit found.

    Attributes
    ----------
    deltas : dict of str to tensor on the CPU
        By the tensors' names.
    losses : list of float
        The total loss of every step.
    seconds : float
        Wall time, pauses of the driver left out.
    """

    deltas: dict[str, Tensor]
    losses: list[float]
    seconds: float


def free_names(segmenter: Segmenter, layers: Iterable[str], settings: Labels | Distil) -> list[str]:
    """Names of the tensors to be fitted: the layers' weights, their biases, the heads."""
    layers = list(layers)
    shapes = segmenter.editable_tensors()
    names = [name for name in layers if name in shapes]
    if settings.biases:
        names += [f"{layer}.bias" for layer in layers if f"{layer}.bias" in shapes]
    if settings.heads:
        editable = {layer.name for layer in segmenter.editable_layers()}
        heads = [n for n in shapes if n.removesuffix(".bias") not in editable]
        if not heads:
            raise ModelError(
                f"The heads of {segmenter.name} cannot be fitted, only its feature pyramid: "
                "leave the heads as they are."
            )
        names += heads
    return names


def fit_task(
    student: Student,
    step_losses: Callable[[int], Mapping[str, Tensor]],
    settings: _Regime,
    title: str,
    *,
    only: str = "",
    averaged: float = 0.0,
) -> Task[Fit]:
    """Minimise the sum of the losses by Adam, with a warm-up and a rate that falls as a cosine.

    Parameters
    ----------
    student : Student
        Its free tensors are changed.
    step_losses : callable
        Losses by name of the step with this number; called with gradients on.
    settings : Labels or Distil
        Steps and rate.
    title : str
        For the progress bar.
    only : str
        Change only free tensors whose names begin so.
    averaged : float
        Above 0, the rate stays what it is after the warm-up, and the result is the mean of the
        weights over this share of the steps, the last ones (Polyak and Juditsky 1992).

    Raises
    ------
    ModelError
        If the loss is not finite.
    """
    free = [tensor for name, tensor in student.free.items() if name.startswith(only)]
    optimiser = torch.optim.Adam(free, lr=settings.lr)
    falls = averaged <= 0
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda i: _rate(i, settings.steps, falls=falls)
    )
    mean = _Mean(free, settings.steps * (1 - averaged) if averaged > 0 else settings.steps)
    losses: list[float] = []
    seconds = 0.0
    for step in range(settings.steps):
        checkpoint()
        begun = perf_counter()
        with plain_memory_errors(student.device, "fitting the edit"), torch.enable_grad():
            total = torch.stack(list(step_losses(step).values())).sum()
            loss = float(total.detach())
            if not math.isfinite(loss):
                raise _diverged(step)
            optimiser.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(free, _CLIP)
            optimiser.step()
            schedule.step()
        mean.add(step)
        losses.append(loss)
        seconds += perf_counter() - begun
        yield Progress(step + 1, settings.steps, f"{title}, loss {loss:.4g}", loss)
    mean.put()
    return Fit(student.deltas(), losses, seconds)


def _diverged(step: int) -> ModelError:
    if step == 0:
        return ModelError(
            "The model's own loss is not a number before the first step: its weights are damaged, "
            "load another model."
        )
    return ModelError(f"The loss became infinite at step {step + 1}: choose a smaller rate.")


class _Mean:
    """The running mean of tensors from a certain step on."""

    def __init__(self, tensors: Sequence[Tensor], first: float) -> None:
        self._tensors, self._first = tensors, first
        self._sums: list[Tensor] = []
        self._count = 0

    @torch.no_grad()
    def add(self, step: int) -> None:
        """Count the tensors as they are now."""
        if step < self._first:
            return
        if not self._sums:
            self._sums = [torch.zeros_like(tensor) for tensor in self._tensors]
        for total, tensor in zip(self._sums, self._tensors, strict=True):
            total.add_(tensor)
        self._count += 1

    @torch.no_grad()
    def put(self) -> None:
        """Write the mean into the tensors, if any was counted."""
        for tensor, total in zip(self._tensors, self._sums, strict=False):
            tensor.copy_(total / self._count)


def _rate(step: int, steps: int, *, falls: bool) -> float:
    warm = min((step + 1) / _WARM_UP, 1.0)
    if not falls:
        return warm
    return warm * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))
