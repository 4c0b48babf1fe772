"""`Solution`: what every solver returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

__all__ = ["Solution"]


@dataclass(frozen=True, eq=False)
class Solution:
    """The change of one layer's weight that a solver found.

    Attributes
    ----------
    delta : (out, in, kh, kw) tensor
        To be added to the weight; of the weight's dtype, on its device.
    losses : list of float
        The solver's loss, the first before the edit and the last after it. `ridge`, `low_rank`:
        weighted mean over the positions of the squared distance to the target; `adam`, `l1`: the
        reference's masked L1 loss at each step, ``mean |sqrt(m) (value - target)| / N``.
    seconds : float
        Wall time of the solver itself, pauses of its driver left out.
    cost : str
        What was computed, in plain words.
    bias : (out,) tensor, optional
        To be added to the bias, where that was edited, too.
    """

    delta: torch.Tensor
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cost: str = ""
    bias: torch.Tensor | None = None
