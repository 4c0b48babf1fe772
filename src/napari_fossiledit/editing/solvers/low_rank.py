"""Solver `low_rank`: `ridge` with the delta held within the span of a few context directions.

The delta reads the keys through ``rank`` directions d alone, so only the keys' coordinates along
them count: 9 rank unknowns for each output channel instead of 9 in, and a system of that size.
After Bau et al. (2020) and Santurkar et al. (2021), who project `adam`'s steps instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from napari_fossiledit.editing.solvers.context import (
    check_context,
    check_rank,
    context_directions,
    second_moment,
)
from napari_fossiledit.editing.solvers.patches import Stopwatch, check_level
from napari_fossiledit.editing.solvers.problem import KeepKeys
from napari_fossiledit.editing.solvers.ridge import ridge_task
from napari_fossiledit.editing.solvers.solution import Solution
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Task, run

__all__ = ["low_rank", "low_rank_task"]


def low_rank(
    key: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    mask: torch.Tensor | None = None,
    rank: int = 1,
    context: torch.Tensor | None = None,
    damping: float = 0.1,
    keep_keys: KeepKeys | None = None,
    keep_weight: float = 0.0,
    value: torch.Tensor | None = None,
    chunk: int = 2048,
) -> Solution:
    """Find the delta of least squares within the span of context directions.

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
        Weight of every position, 0 or more.
    rank : int
        How many directions, where ``context`` is not given: `context_directions` of the masked
        keys against the second moment of ``key`` itself.
    context : (rank, in) tensor, optional
        Orthonormal directions; ``rank`` is then theirs.
    damping : float
        Pull of the delta to zero, in units of the mean square of the keys' coordinates.
    keep_keys, keep_weight, value, chunk
        As for `ridge`.

    Returns
    -------
    Solution
        Its losses are `ridge`'s.

    Raises
    ------
    InputError
        As for `ridge`, and for a rank above the channels or above what the keys span.
    """
    return run(
        low_rank_task(
            key,
            target,
            weight,
            bias,
            mask=mask,
            rank=rank,
            context=context,
            damping=damping,
            keep_keys=keep_keys,
            keep_weight=keep_weight,
            value=value,
            chunk=chunk,
        )
    )


def low_rank_task(
    key: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    mask: torch.Tensor | None = None,
    rank: int = 1,
    context: torch.Tensor | None = None,
    damping: float = 0.1,
    keep_keys: KeepKeys | None = None,
    keep_weight: float = 0.0,
    value: torch.Tensor | None = None,
    chunk: int = 2048,
) -> Task[Solution]:
    """`low_rank` as a task; the last `Progress` has the loss as its ``data``."""
    watch = Stopwatch()
    with torch.no_grad():
        check_level(key, target, weight, bias)
        if context is None:
            check_rank(rank, key.shape[1])
            context = context_directions(key, mask, second_moment(key), rank)
        check_context(context, weight)
        directions = context.to(dtype=key.dtype, device=key.device)
        small = weight.new_zeros((weight.shape[0], len(directions), *weight.shape[2:]))
        if value is None:
            padding = (weight.shape[2] // 2, weight.shape[3] // 2)
            value = F.conv2d(key, weight, bias, padding=padding)
        coordinates = _along(key, directions)
        kept = _kept(keep_keys, directions) if keep_weight else None
    watch.stop()
    found = yield from ridge_task(
        coordinates,
        target,
        small,
        mask=mask,
        damping=damping,
        keep_keys=kept,
        keep_weight=keep_weight,
        value=value,
        chunk=chunk,
    )
    delta = torch.einsum("odyx,di->oiyx", found.delta, context.to(found.delta))
    seconds = watch.seconds + found.seconds
    return Solution(delta.contiguous(), found.losses, seconds, f"rank {len(context)}: {found.cost}")


def _along(key: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    return F.conv2d(key, directions[:, :, None, None])


def _kept(keep: KeepKeys | None, directions: torch.Tensor) -> KeepKeys | None:
    """The keep set's coordinates; what does not fit is left for `ridge` to refuse."""
    channels = directions.shape[1]
    if keep is None:
        return None
    if isinstance(keep, torch.Tensor):
        _check_channels(keep, channels)
        return _along(keep, directions.to(keep))
    pairs: Sequence[tuple[torch.Tensor, torch.Tensor]] = keep
    for key, _ in pairs:
        _check_channels(key, channels)
    return [(_along(key, directions.to(key)), mask) for key, mask in pairs]


def _check_channels(keys: torch.Tensor, channels: int) -> None:
    if keys.ndim != 4 or keys.shape[1] != channels:
        raise InputError(
            f"The keep set's shape is {tuple(keys.shape)}, the weight takes {channels} channels."
        )
