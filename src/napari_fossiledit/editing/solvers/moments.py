"""Second moments of patches: the left and right sides of the normal equations.

Patches overlap: the block of C = sum m x x^T that pairs kernel cell d with cell d + s sums the same
products K[q] K[q + s]^T as the block that pairs d + u with d + s + u, but for the places q where
the mask, shifted by d and by d + u, differs: its edge. So 13 of the 45 blocks on and above the
diagonal (3x3 kernel) are computed in full, and the others from their neighbours by the edge of the
mask alone. Where the mask is nearly all edge, the plain way is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from napari_fossiledit.editing.solvers.patches import Patches
from napari_fossiledit.progress import Progress, Task, checkpoint

__all__ = ["Moments", "moments_task", "scaled", "wide"]

_BLOCK = 288  # columns of the plain product computed at once; nothing below the diagonal


@dataclass
class Moments:
    """Sums over the positions, not yet divided by the sum of weights.

    Attributes
    ----------
    gram : (D, D) float64 tensor
        sum m x x^T; valid on and above the diagonal.
    right : (D, out) float64 tensor
        sum m x r^T.
    square : float
        sum m |r|^2.
    """

    gram: torch.Tensor
    right: torch.Tensor
    square: float


def wide(tensor: torch.Tensor) -> torch.Tensor:
    """``tensor`` in float64; on the CPU where its device has none (MPS)."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def scaled(
    rows: torch.Tensor, patches: Patches, start: int, stop: int, power: float
) -> torch.Tensor:
    """``rows`` times a power of their positions' weights."""
    if patches.all_one:
        return rows
    return rows * patches.weights[start:stop, None] ** power


def moments_task(
    patches: Patches,
    residual: torch.Tensor | None,
    chunk: int,
    *,
    shifts: bool | None = None,
) -> Task[Moments]:
    """Add up the moments, ``chunk`` positions at a time in the patches' own precision.

    Parameters
    ----------
    patches : Patches
    residual : (N, out, h, w) tensor, optional
        None leaves ``right`` empty.
    chunk : int
    shifts : bool, optional
        Whether blocks are derived from each other; None takes the way of fewer operations.
    """
    edges = [] if shifts is False else _edges(patches)
    if shifts is None and not _worth_it(patches, edges):
        edges = []
    where = torch.device("cpu") if patches.weights.device.type == "mps" else patches.weights.device
    out = 0 if residual is None else residual.shape[1]
    found = Moments(
        torch.zeros((patches.width, patches.width), dtype=torch.float64, device=where),
        torch.zeros((patches.width, out), dtype=torch.float64, device=where),
        0.0,
    )
    steps = -(-len(patches) // chunk)
    for step in range(steps):
        yield Progress(step, steps + 1, "normal equations")
        start, stop = step * chunk, min((step + 1) * chunk, len(patches))
        _add(found, patches, residual, start, stop, derived=bool(edges))
    for edge in edges:
        yield Progress(steps, steps + 1, "normal equations")
        _derive(found.gram, patches, edge, chunk)
    return found


def _add(
    found: Moments,
    patches: Patches,
    residual: torch.Tensor | None,
    start: int,
    stop: int,
    *,
    derived: bool,
) -> None:
    """Add one chunk of positions; with ``derived``, only one block of every shift."""
    x = patches.gather(start, stop)
    channels = patches.channels if derived else 0
    head = scaled(x[:, : patches.kernel[1] * channels], patches, start, stop, 1.0)
    beside = [head[:, :channels]]
    if residual is not None:
        r = patches.at_positions(residual, start, stop)
        beside.append(scaled(r, patches, start, stop, 1.0))
        found.square += float((beside[1] * r).sum())
    # The first cell's blocks and the right side share their left factor: one product.
    product = wide(x.T @ torch.cat(beside, 1))
    found.right += product[:, channels:]
    checkpoint()
    if derived:
        found.gram[:channels] += product[:, :channels].T
        _add_corner(found.gram, x, head, patches)
    else:
        _add_all(found.gram, scaled(x, patches, start, stop, 0.5))


def _add_all(gram: torch.Tensor, x: torch.Tensor) -> None:
    for first in range(0, x.shape[1], _BLOCK):
        checkpoint()
        last = min(first + _BLOCK, x.shape[1])
        gram[first:last, first:] += wide(x[:, first:last].T @ x[:, first:])


def _add_corner(gram: torch.Tensor, x: torch.Tensor, head: torch.Tensor, patches: Patches) -> None:
    """Pair the first row of kernel cells with the first column: the shifts down and left."""
    kh, kw = patches.kernel
    cells, channels = kh * kw, patches.channels
    if kh > 1 and kw > 1:
        column = x.view(-1, cells, channels)[:, kw::kw].reshape(len(x), -1)
        product = wide(head[:, channels:].T @ column)
        blocks = gram.view(cells, channels, cells, channels)
        blocks[1:kw, :, kw::kw] += product.view(kw - 1, channels, kh - 1, channels)


@dataclass
class _Edge:
    """How one row of blocks follows from the row of the neighbouring kernel cell.

    Attributes
    ----------
    cell, source : int
        Kernel cells in row-major order.
    targets : list of int
        The cells that it is paired with.
    places : (n,) int64 tensor
        Rows of the padded key where the shifted masks differ.
    weights : (n,) tensor
        By how much.
    """

    cell: int
    source: int
    targets: list[int]
    places: torch.Tensor
    weights: torch.Tensor


def _edges(patches: Patches) -> list[_Edge]:
    kh, kw = patches.kernel
    grids = [patches.weight_grid(cell) for cell in range(kh * kw)]
    edges = []
    for cell in range(1, kh * kw):
        source = cell - (kw if cell >= kw else 1)
        # In the first row a step goes right: partners in the first column have no source.
        targets = [t for t in range(cell, kh * kw) if cell >= kw or t % kw > 0]
        change = grids[cell] - grids[source]
        places = torch.nonzero(change).reshape(-1)
        edges.append(_Edge(cell, source, targets, places, change[places]))
    return edges


def _worth_it(patches: Patches, edges: list[_Edge]) -> bool:
    kh, kw = patches.kernel
    cells = kh * kw
    derived = (cells + (kw - 1) * (kh - 1)) * len(patches)
    derived += sum(len(edge.targets) * len(edge.places) for edge in edges)
    return derived < 0.8 * cells * (cells + 1) / 2 * len(patches)


def _derive(gram: torch.Tensor, patches: Patches, edge: _Edge, chunk: int) -> None:
    cells, channels = patches.kernel[0] * patches.kernel[1], patches.channels
    blocks = gram.view(cells, channels, cells, channels)
    step = edge.cell - edge.source
    for target in edge.targets:
        blocks[edge.cell, :, target] = blocks[edge.source, :, target - step]
    for start in range(0, len(edge.places), chunk):
        checkpoint()
        places = edge.places[start : start + chunk]
        own = patches.rows_at(places) * edge.weights[start : start + chunk, None]
        others = patches.rows_around(places, edge.cell, edge.targets)
        change = wide(own.T @ others).view(channels, len(edge.targets), channels)
        for i, target in enumerate(edge.targets):
            blocks[edge.cell, :, target] += change[:, i]
