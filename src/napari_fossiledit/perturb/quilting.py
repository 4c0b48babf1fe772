"""Image quilting (Efros and Freeman 2001), many patches at a time.

Patches on one anti-diagonal of the grid depend only on those of earlier ones, so a whole
anti-diagonal is chosen with one matrix product and cut with one dynamic programme.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.progress import Progress, Task, checkpoint, run

__all__ = ["cheapest_cut", "quilt", "quilt_task"]

CANDIDATES = 2048  # places in the source that are tried
TOLERANCE = 0.1  # a patch may fit this much worse than the best (the paper's)


def quilt_task(
    source: NDArray[np.uint8],
    shape: tuple[int, ...],
    *,
    patch: int,
    overlap: int | None = None,
    seed: int = 0,
) -> Task[NDArray[np.uint8]]:
    """Cover an area with patches of a source, each cut to its neighbours where they differ least.

    Every pixel of the result is a pixel of the source: nothing is blended.

    Parameters
    ----------
    source : (h, w, 3) uint8
        At least as large as a patch.
    shape : (rows, columns)
        Of the result.
    patch : int
        Side of the square patches, pixels.
    overlap : int, optional
        By how much neighbours overlap; by default a sixth of a patch, at least 2.
    seed : int
        The same seed gives the same bytes.

    Returns
    -------
    (rows, columns, 3) uint8

    Notes
    -----
    At most 2,048 places in the source are tried (drawn at random where there are more). The one
    place that simply carries on a neighbour is passed over, or the source would be copied whole.
    """
    lap = max(2, patch // 6) if overlap is None else overlap
    step = patch - lap
    rows, columns = (max(1, -(-(n - lap) // step)) for n in shape)
    rng = np.random.default_rng(seed)
    pieces = _Pieces.of(source, patch, lap, rng)
    canvas = np.zeros((rows * step + lap, columns * step + lap, 3), np.uint8)
    taken = np.zeros((rows, columns), np.intp)
    done = 0
    for diagonal in range(rows + columns - 1):
        checkpoint()
        yield Progress(done, rows * columns, "quilting")
        i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        _sew(canvas, taken, pieces, i, diagonal - i, rng)
        done += len(i)
    yield Progress(done, done, "quilted")
    return canvas[: shape[0], : shape[1]]


def quilt(
    source: NDArray[np.uint8],
    shape: tuple[int, ...],
    *,
    patch: int,
    overlap: int | None = None,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Run `quilt_task` to its end."""
    return run(quilt_task(source, shape, patch=patch, overlap=overlap, seed=seed))


def cheapest_cut(cost: NDArray[np.float32]) -> NDArray[np.intp]:
    """Find the path from first to last row with the least sum, moving at most one column a row.

    Parameters
    ----------
    cost : (n, length, width) float32
        Of n strips.

    Returns
    -------
    (n, length) int
        The path's column in every row; the leftmost of equals.
    """
    n, length, width = cost.shape
    best = np.full((n, length, width + 2), np.inf, np.float32)
    best[:, 0, 1:-1] = cost[:, 0]
    for y in range(1, length):
        above = best[:, y - 1]
        least = np.minimum(np.minimum(above[:, :-2], above[:, 1:-1]), above[:, 2:])
        best[:, y, 1:-1] = cost[:, y] + least
    path = np.empty((n, length), np.intp)
    each = np.arange(n)
    path[:, -1] = best[:, -1].argmin(axis=1) - 1
    for y in range(length - 2, -1, -1):
        right = path[:, y + 1] + 1
        three = np.stack([best[each, y, right + move] for move in (-1, 0, 1)])
        path[:, y] = right + three.argmin(axis=0) - 2
    return path


@dataclass(frozen=True, eq=False)
class _Pieces:
    """The source cut into candidate patches, and their overlaps as rows of matrices.

    An overlap has three parts: the corner (lap x lap), the rest of the top, the rest of the left.
    Colours are coarsened to few whole levels, so that sums of products stay below 2**24 and come
    out the same however a matrix product is split over cores.
    """

    blocks: NDArray[np.uint8]  # (n, patch, patch, 3)
    places: NDArray[np.intp]  # (n, 2): y, x in the source
    levels: NDArray[np.float32]  # (256,)
    overlaps: NDArray[np.float32]  # (n, parts' values)
    norms: NDArray[np.float32]  # (3, n): of each part
    bounds: tuple[int, int, int]  # where each part ends
    lap: int

    @classmethod
    def of(
        cls, source: NDArray[np.uint8], patch: int, lap: int, rng: np.random.Generator
    ) -> _Pieces:
        high, wide = source.shape[0] - patch + 1, source.shape[1] - patch + 1
        if high * wide > CANDIDATES:
            flat = np.sort(rng.choice(high * wide, CANDIDATES, replace=False, shuffle=False))
        else:
            flat = np.arange(high * wide)
        places = np.stack(np.divmod(flat, wide), axis=1)
        windows = np.lib.stride_tricks.sliding_window_view(source, (patch, patch), axis=(0, 1))
        blocks = np.ascontiguousarray(
            np.moveaxis(windows[places[:, 0], places[:, 1]], 1, -1)
        )  # (n, patch, patch, 3)
        corner, rest = 3 * lap * lap, 3 * lap * (patch - lap)
        bounds = (corner, corner + rest, corner + 2 * rest)
        most = max(1, int(np.sqrt(2**22 / bounds[2])))
        levels = np.rint((np.arange(256) - 127.5) * (min(most, 127) / 127.5)).astype(np.float32)
        overlaps = levels[_overlaps(blocks, lap)]
        norms = np.stack(
            [
                np.square(overlaps[:, start:stop]).sum(axis=1)
                for start, stop in zip((0, *bounds[:2]), bounds, strict=True)
            ]
        )
        return cls(blocks, places, levels, overlaps, norms, bounds, lap)

    @property
    def patch(self) -> int:
        return int(self.blocks.shape[1])


def _overlaps(blocks: NDArray[np.uint8], lap: int) -> NDArray[np.uint8]:
    n = len(blocks)
    parts = blocks[:, :lap, :lap], blocks[:, :lap, lap:], blocks[:, lap:, :lap]
    return np.concatenate([part.reshape(n, -1) for part in parts], axis=1)


def _sew(
    canvas: NDArray[np.uint8],
    taken: NDArray[np.intp],
    pieces: _Pieces,
    i: NDArray[np.intp],
    j: NDArray[np.intp],
    rng: np.random.Generator,
) -> None:
    """Choose, cut and place the patches of one anti-diagonal."""
    patch, lap = pieces.patch, pieces.lap
    step = patch - lap
    corners = [(int(a) * step, int(b) * step) for a, b in zip(i, j, strict=True)]
    there = np.stack([canvas[y : y + patch, x : x + patch] for y, x in corners])
    below, beside = i > 0, j > 0
    error = _errors(pieces, there, below, beside)
    places = pieces.places
    on = _carries_on(pieces, below, places[taken[i - 1, j]] + (step, 0))
    on |= _carries_on(pieces, beside, places[taken[i, j - 1]] + (0, step))
    chosen = np.array([_draw(row, avoid, rng) for row, avoid in zip(error, on, strict=True)])
    taken[i, j] = chosen
    new = pieces.blocks[chosen]
    take = np.ones((len(i), patch, patch), bool)
    if beside.any():
        take[beside, :, :lap] &= _kept(there[beside, :, :lap], new[beside, :, :lap])
    if below.any():
        top = _kept(
            there[below, :lap].transpose(0, 2, 1, 3), new[below, :lap].transpose(0, 2, 1, 3)
        )
        take[below, :lap] &= top.transpose(0, 2, 1)
    sewn = np.where(take[..., None], new, there)
    for piece, (y, x) in zip(sewn, corners, strict=True):
        canvas[y : y + patch, x : x + patch] = piece


def _kept(old: NDArray[np.uint8], new: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the new patch lies on top in an upright overlap: from the cut on."""
    difference = old.astype(np.float32) - new
    cut = cheapest_cut(np.square(difference).sum(axis=-1))
    return np.asarray(np.arange(old.shape[2]) >= cut[..., None])


def _errors(
    pieces: _Pieces,
    there: NDArray[np.uint8],
    below: NDArray[np.bool_],
    beside: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Squared difference of every candidate to what lies at every place already, (places, n)."""
    corner, top, left = pieces.bounds
    wanted = pieces.levels[_overlaps(there, pieces.lap)]
    present = np.stack([below | beside, below, beside])  # the three parts of the overlap
    wanted[:, :corner] *= present[0][:, None]
    wanted[:, corner:top] *= present[1][:, None]
    wanted[:, top:left] *= present[2][:, None]
    error: NDArray[np.float32] = wanted @ pieces.overlaps.T
    error *= -2
    error += present.T.astype(np.float32) @ pieces.norms
    error += np.square(wanted).sum(axis=1)[:, None]
    return error


def _carries_on(
    pieces: _Pieces, has_neighbour: NDArray[np.bool_], place: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Mark candidates that would simply carry on the neighbour, (places, n)."""
    near = np.abs(pieces.places[None] - place[:, None]).max(axis=-1) < pieces.lap
    return np.asarray(near & has_neighbour[:, None])


def _draw(error: NDArray[np.float32], avoid: NDArray[np.bool_], rng: np.random.Generator) -> int:
    """Draw one candidate among those that fit nearly as well as the best."""
    draw = rng.random()
    if not avoid.all():
        error = np.where(avoid, np.inf, error)
    good = np.flatnonzero(error <= error.min() * (1 + TOLERANCE))
    return int(good[int(draw * len(good))])
