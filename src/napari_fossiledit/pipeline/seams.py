"""One set of instances from the overlapping tiles of a slice: the border rule.

1. An instance belongs to the tile whose core contains the centre of its box.
2. One that ends at an inner edge of its tile is cut. A cut one is never kept where another tile
   sees the whole: where most of the cut mask lies in an uncut mask of another tile.
3. Cut ones that no tile sees whole (larger than the tiles' overlap) are joined where they agree
   within that overlap; one without a partner is kept by the tile that owns its centre.
4. Two instances of different tiles whose masks are the same object (IoU) count once; the higher
   score stays. Centres a few pixels beyond a core count as its own until then, so that none is
   lost where two tiles place an instance's centre on either side of a seam.

Far from the seams this is what the whole slice would give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.instances import Crop, Instances
from napari_fossiledit.pipeline.tiles import Tile

__all__ = ["EDGE", "SAME", "SLACK", "merge_tiles", "shared"]

SLACK = 8.0
"""Pixels beyond its core that a tile still owns before duplicates are removed."""
EDGE = 2.0
"""A box that ends within so many pixels of a tile's inner edge is cut."""
SAME = 0.5
"""IoU from which two masks are one object, and share of a cut mask that another one explains."""


@dataclass(eq=False)
class _Piece:
    """An instance of one tile, in pixels of the slice."""

    tile: int
    box: NDArray[np.float32]
    score: float
    kind: int
    crop: Crop
    area: int
    own: bool
    cut: bool


def merge_tiles(
    tiles: Sequence[Tile], found: Sequence[Instances], *, max_detections: int
) -> Instances:
    """Join what was found in the tiles of a slice, by the border rule (see the module).

    Parameters
    ----------
    tiles : sequence of Tile
    found : sequence of Instances
        One a tile, in pixels of its window.
    max_detections : int
        At most so many stay, the highest scores.

    Returns
    -------
    Instances
        In pixels of the slice, highest score first.
    """
    pieces = [piece for i, tile in enumerate(tiles) for piece in _pieces(i, tile, found[i])]
    kept = [p for p in pieces if p.own and not p.cut]
    others = [p for p in pieces if not p.own and not p.cut]
    left = []
    for piece in (p for p in pieces if p.cut):
        if _explained(piece, kept):
            continue
        whole = _explained(piece, others)
        if whole is None:
            left.append(piece)
        elif not any(whole is other for other in kept):
            kept.append(whole)
    kept += _joined(left, tiles)
    final = _once(kept)[:max_detections]
    return Instances(
        tiles[0].shape,
        np.array([p.box for p in final], np.float32).reshape(-1, 4),
        np.array([p.score for p in final], np.float32),
        np.array([p.kind for p in final], np.int64),
        tuple(p.crop for p in final),
    )


def _pieces(number: int, tile: Tile, found: Instances) -> Iterator[_Piece]:
    top, left = tile.window[:2]
    for i, crop in enumerate(found.crops):
        box = found.boxes[i] + np.array([left, top, left, top], np.float32)
        placed = Crop(crop.y + top, crop.x + left, crop.mask)
        y, x = float(box[1] + box[3]) / 2, float(box[0] + box[2]) / 2
        yield _Piece(
            number,
            box,
            float(found.scores[i]),
            int(found.classes[i]),
            placed,
            placed.area,
            tile.owns(y, x, SLACK),
            tile.cuts(box.tolist(), EDGE),
        )


def shared(a: Crop, b: Crop) -> int:
    """Pixels that two masks have in common."""
    y0, x0 = max(a.y, b.y), max(a.x, b.x)
    y1 = min(a.y + a.mask.shape[0], b.y + b.mask.shape[0])
    x1 = min(a.x + a.mask.shape[1], b.x + b.mask.shape[1])
    if y1 <= y0 or x1 <= x0:
        return 0
    return int(
        np.count_nonzero(
            a.mask[y0 - a.y : y1 - a.y, x0 - a.x : x1 - a.x]
            & b.mask[y0 - b.y : y1 - b.y, x0 - b.x : x1 - b.x]
        )
    )


def _explained(piece: _Piece, others: Sequence[_Piece]) -> _Piece | None:
    """The whole instance of another tile that holds most of a cut one."""
    best, most = None, SAME * piece.area
    for other in others:
        if other.tile != piece.tile and other.kind == piece.kind:
            pixels = shared(piece.crop, other.crop)
            if pixels >= most and pixels > 0:
                best, most = other, pixels
    return best


def _joined(cut: list[_Piece], tiles: Sequence[Tile]) -> list[_Piece]:
    """Join cut pieces of one object that is larger than the overlap; drop those nobody owns."""
    groups: list[list[_Piece]] = []
    for piece in cut:
        same = [g for g in groups if any(_agree(piece, other, tiles) for other in g)]
        rest = [g for g in groups if not any(g is one for one in same)]
        groups = [*rest, [piece, *(p for g in same for p in g)]]
    return [_union(group) for group in groups if any(p.own for p in group)]


def _agree(a: _Piece, b: _Piece, tiles: Sequence[Tile]) -> bool:
    """Whether two pieces are the same where both tiles look."""
    if a.tile == b.tile or a.kind != b.kind:
        return False
    both = shared(a.crop, b.crop)
    if not both:
        return False
    windows = [tiles[piece.tile].window for piece in (a, b)]
    y0, x0 = (max(w[i] for w in windows) for i in (0, 1))
    y1, x1 = (min(w[i] for w in windows) for i in (2, 3))
    common = Crop(y0, x0, np.ones((y1 - y0, x1 - x0), bool))
    union = shared(a.crop, common) + shared(b.crop, common) - both
    return both >= SAME * union


def _union(group: list[_Piece]) -> _Piece:
    best = max(group, key=lambda p: p.score)
    if len(group) == 1:
        return best
    boxes = np.array([p.box for p in group])
    box = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
    y0, x0 = min(p.crop.y for p in group), min(p.crop.x for p in group)
    y1 = max(p.crop.y + p.crop.mask.shape[0] for p in group)
    x1 = max(p.crop.x + p.crop.mask.shape[1] for p in group)
    mask = np.zeros((y1 - y0, x1 - x0), bool)
    for p in group:
        h, w = p.crop.mask.shape
        mask[p.crop.y - y0 : p.crop.y - y0 + h, p.crop.x - x0 : p.crop.x - x0 + w] |= p.crop.mask
    crop = Crop(y0, x0, mask)
    return _Piece(best.tile, box, best.score, best.kind, crop, crop.area, True, True)


def _once(pieces: list[_Piece]) -> list[_Piece]:
    """Highest score first; of two tiles' masks of one object the first stays."""
    order = sorted(pieces, key=lambda p: (-p.score, p.box.tolist(), p.tile))
    kept: list[_Piece] = []
    for piece in order:
        if not any(_same(piece, other) for other in kept):
            kept.append(piece)
    return kept


def _same(a: _Piece, b: _Piece) -> bool:
    if a.tile == b.tile or a.kind != b.kind:
        return False
    both = shared(a.crop, b.crop)
    return both > 0 and both >= SAME * (a.area + b.area - both)
