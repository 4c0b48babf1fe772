"""Context directions: the directions of the keys that tell the edited area from all the rest.

Bau et al. (2020), "Rewriting a deep generative model", as Santurkar et al. (2021, arXiv
2112.01008) compute them: with C the uncentred second moment of the keys over a set of slices and
Z = C^(-1/2), the right singular vectors of the rows w_p Z k_p over the masked positions, the first
``rank`` of them times Z, orthonormalised by QR, each with the sign of the mean row. The singular
vectors are taken from the C x C second moment of the rows, so that no row is ever stored.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from napari_fossiledit.editing.solvers.moments import wide
from napari_fossiledit.editing.solvers.patches import check_finite, level_mask
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import checkpoint

__all__ = ["check_context", "check_rank", "context_directions", "second_moment"]

_CHUNK = 8192  # positions at once
_NULL = 1e-10  # directions of less than this share of the largest second moment hold nothing


def second_moment(
    keys: torch.Tensor | Sequence[torch.Tensor],
    masks: Sequence[torch.Tensor | None] | None = None,
) -> torch.Tensor:
    """Uncentred second moment of the keys over all positions of all slices.

    Parameters
    ----------
    keys : (N, in, h, w) tensor, or a sequence of them
        The layer's input, one tensor a slice.
    masks : sequence of (N, 1, h, w) tensors or None, optional
        Weights of the positions, e.g. 0 in the padding; default: all 1.

    Returns
    -------
    (in, in) float64 tensor

    Raises
    ------
    InputError
        No key, NaN, or keys of different channels.
    """
    many = [keys] if isinstance(keys, torch.Tensor) else list(keys)
    if not many:
        raise InputError("The second moment of the keys needs at least one slice.")
    given = list(masks) if masks is not None else [None] * len(many)
    if len(given) != len(many):
        raise InputError(f"There are {len(given)} masks for the keys of {len(many)} slices.")
    with torch.no_grad():
        gram, total = None, 0.0
        for key, mask in zip(many, given, strict=True):
            check_finite(key, "The layer's keys")
            if gram is not None and gram.shape[0] != key.shape[1]:
                raise InputError("The keys of the slices differ in channels: take one layer's.")
            weights = level_mask(mask, key)
            part, _ = _sums(key, weights)
            gram = part if gram is None else gram + part
            total += float(wide(weights).sum())
        assert gram is not None
        moment: torch.Tensor = gram / total
        return moment


def context_directions(
    keys: torch.Tensor,
    masks: torch.Tensor | None,
    moment: torch.Tensor,
    rank: int,
) -> torch.Tensor:
    """The ``rank`` directions that stand out in the masked keys against ``moment``.

    Where the reference divides by the root of eigenvalues that are 0 (channels that are never
    active), such directions are left out here.

    Parameters
    ----------
    keys : (N, in, h, w) tensor
    masks : (N, 1, h, w) tensor or None
        Weight w of every position.
    moment : (in, in) tensor
        From `second_moment`.
    rank : int
        At most as many as there are channels.

    Returns
    -------
    (rank, in) tensor
        Orthonormal rows, of the keys' dtype on their device.

    Raises
    ------
    InputError
        A rank that the keys do not have, NaN, an empty mask, or shapes that do not fit.
    """
    check_rank(rank, keys.shape[1])
    if moment.shape != (keys.shape[1], keys.shape[1]):
        expected = (keys.shape[1], keys.shape[1])
        raise InputError(f"The moment's shape is {tuple(moment.shape)}, it must be {expected}.")
    check_finite(keys, "The layer's keys")
    check_finite(moment, "The second moments of the keys")
    with torch.no_grad():
        weights = level_mask(masks, keys)
        whitener, held = _inverse_root(wide(moment))
        gram, mean = _sums(keys, weights, squared=True)
        values, vectors = torch.linalg.eigh(whitener @ gram @ whitener)
        filled = int((values > _NULL * values[-1].clamp(min=0)).sum())
        if rank > min(held, filled):
            raise InputError(
                f"The rank is {rank}, but the keys of the chosen area span only "
                f"{min(held, filled)} directions: choose a rank of at most "
                f"{min(held, filled)}."
            )
        top = vectors[:, -rank:].flip(1)
        directions = torch.linalg.qr(whitener @ top).Q
        # torch.sign is 0 for 0, which would wipe the direction out.
        signs = torch.where((whitener @ mean) @ directions < 0, -1.0, 1.0).to(directions)
        signed: torch.Tensor = (directions * signs).T.contiguous()
        return signed.to(dtype=keys.dtype, device=keys.device)


def check_rank(rank: int, channels: int) -> None:
    """Raise `InputError` for a rank below 1 or above the channels."""
    if not 1 <= rank <= channels:
        raise InputError(
            f"The rank is {rank}, but the layer has {channels} channels: "
            f"choose a rank from 1 to {channels}."
        )


def check_context(context: torch.Tensor, weight: torch.Tensor) -> None:
    """Raise `InputError` unless ``context`` holds directions of the weight's channels."""
    channels = weight.shape[1]
    if context.ndim != 2 or context.shape[1] != channels:
        raise InputError(
            f"The context's shape is {tuple(context.shape)}, it must be (rank, {channels})."
        )
    check_rank(len(context), channels)


def _sums(
    key: torch.Tensor, weights: torch.Tensor, *, squared: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of w k k^T (or w^2 k k^T) and sum of w k over the positions, float64."""
    flat = weights.reshape(-1)
    places = torch.nonzero(flat).reshape(-1)
    rows = key.permute(0, 2, 3, 1).reshape(-1, key.shape[1])
    gram = wide(key.new_zeros((key.shape[1], key.shape[1])))
    mean = gram.new_zeros(key.shape[1])
    for start in range(0, len(places), _CHUNK):
        checkpoint()
        chosen = places[start : start + _CHUNK]
        k = wide(rows.index_select(0, chosen))
        w = wide(flat[chosen])
        gram += (k * (w.square() if squared else w)[:, None]).T @ k
        mean += w @ k
    return gram, mean


def _inverse_root(moment: torch.Tensor) -> tuple[torch.Tensor, int]:
    """C^(-1/2) where C holds anything, and the dimension of that space."""
    checkpoint()
    values, vectors = torch.linalg.eigh((moment + moment.T) / 2)
    held = values > _NULL * values[-1].clamp(min=0)
    roots = torch.where(held, values, torch.ones_like(values)).rsqrt() * held
    return (vectors * roots) @ vectors.T, int(held.sum())
