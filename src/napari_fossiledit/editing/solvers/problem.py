"""The checked input of the solvers that accumulate normal equations, with its keep set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from napari_fossiledit.editing.solvers.moments import moments_task, scaled, wide
from napari_fossiledit.editing.solvers.patches import (
    Patches,
    Stopwatch,
    check_finite,
    check_level,
    level_mask,
)
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Task, checkpoint

__all__ = ["KeepKeys", "Problem", "make_problem", "timed"]

KeepKeys: TypeAlias = torch.Tensor | Sequence[tuple[torch.Tensor, torch.Tensor]]
"""Patches (M, in, kh, kw), or pairs of a key (N, in, h, w) and a mask (N, 1, h, w)."""

T = TypeVar("T")


@dataclass
class Problem:
    """The checked input.

    Attributes
    ----------
    patches : Patches
    residual : (N, out, h, w) tensor
        Target minus present value.
    damping : float
    keep : list of Patches
    keep_weight : float
    chunk : int
    """

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

    @property
    def rows(self) -> int:
        """Positions to edit and to keep."""
        return len(self.patches) + sum(len(source) for source in self.keep)

    def keep_gram_task(self) -> Task[torch.Tensor | None]:
        """keep_weight times the second moment of the keep set (upper triangle), or None."""
        if not self.keep:
            return None
        width = self.patches.width
        grams: list[torch.Tensor] = []
        for source in self.keep:
            found = yield from moments_task(source, None, self.chunk)
            grams.append(found.gram)
            if len(grams) == 2:  # two at most are held
                grams = [grams[0] + grams[1]]
        gram: torch.Tensor = grams[0].reshape(width, width).triu()
        return gram * (self.keep_weight / self.keep_total)

    def stacked_rows(self) -> torch.Tensor:
        """All patches (edit, then keep) times the roots of their weights in the objective."""
        count = len(self.patches)
        root = self.total**-0.5
        parts = [scaled(self.patches.gather(0, count), self.patches, 0, count, 0.5) * root]
        for source in self.keep:
            root = (self.keep_weight / self.keep_total) ** 0.5
            part = source.gather(0, len(source))
            parts.append(scaled(part, source, 0, len(source), 0.5) * root)
        return torch.cat(parts) if len(parts) > 1 else parts[0]


def make_problem(
    key: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    mask: torch.Tensor | None,
    damping: float,
    keep_keys: KeepKeys | None,
    keep_weight: float,
    value: torch.Tensor | None,
    chunk: int,
) -> Problem:
    """Check the input and bring it together; ``value`` is computed where it is not given.

    Raises
    ------
    InputError
        Settings out of range, empty mask, NaN, shapes that do not fit, an empty keep set.
    """
    _check_settings(damping, keep_weight, chunk)
    check_level(key, target, weight, bias)
    weights = level_mask(mask, key)
    kernel = (weight.shape[2], weight.shape[3])
    if value is None:
        padding = (kernel[0] // 2, kernel[1] // 2)
        value = F.conv2d(key, weight, bias, padding=padding)
    return Problem(
        patches=Patches(key, kernel, weights),
        residual=target - value,
        damping=damping,
        keep=_keep_sources(keep_keys, weight) if keep_weight else [],
        keep_weight=keep_weight,
        chunk=chunk,
    )


def timed(task: Task[T], watch: Stopwatch) -> Task[T]:
    """Pass ``task`` on with the watch stopped, and checkpoints made, at every yield."""
    while True:
        try:
            with torch.no_grad():  # entered anew: grad mode must not leak to the driver
                progress = next(task)
        except StopIteration as stop:
            solved: T = stop.value
            return solved
        watch.stop()
        yield progress
        checkpoint()
        watch.start()


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
