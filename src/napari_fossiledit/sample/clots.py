"""Calcimicrobe clots (after *Renalcis*): lobate, chambered bodies, the confusers of the reef.

Form after Pratt (1984), "Epiphyton and Renalcis - diagenetic microfossils from calcification of
coccoid blue-green algae", Journal of Sedimentary Petrology 54; the geometry is this project's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_fossiledit.progress import checkpoint
from napari_fossiledit.sample.cups import SAMPLES, Cups
from napari_fossiledit.sample.textures import F32, F64, I64, PIXEL_MM, SLICE_MM, Bool

CHAMBERS = 18
MARGIN_MM = 3.0
PER_MM3 = 0.033  # clots wanted per mm3 where they are richest, before cups hide a part of them
ENCRUSTING = 0.65  # share of the clots that sit on a cup's wall
POOR, RICH = 0.07, 0.92  # shares of the clots to keep: 1 % and 12 % of the pixels are clots
BED_MM = 33.0  # a poor bed returns at this distance


@dataclass(frozen=True)
class Clots:
    """All clots of a scene; N clots of K chambers; lengths in mm.

    Attributes
    ----------
    centre : (N, K, 3) float32, chambers' centres (z, y, x)
    radius : (N, K) float32
    hollow : (N,) bool, a ring of chambers around mud or spar
    tone : (N,) float32, brightness of the whole clot, about 1
    z_range : (N, 2) float32
    """

    centre: F32
    radius: F32
    hollow: Bool
    tone: F32
    z_range: F32

    def __len__(self) -> int:
        return len(self.tone)


def clots_kept(z_mm: F64, stage: str | None) -> F64:
    """Return which share of all clots there is at heights `z_mm`, for a growth stage.

    ``"poor"`` and ``"rich"`` are the same everywhere; None goes smoothly from a poor bed at the
    foot of the reef (its first slices) to rich rock, and again every `BED_MM`.
    """
    if stage == "poor":
        return np.full(np.shape(z_mm), POOR)
    if stage == "rich":
        return np.full(np.shape(z_mm), RICH)
    if stage is not None:
        raise ValueError(f"stage must be 'poor', 'rich' or None, not {stage!r}")
    away = np.abs((np.asarray(z_mm) + BED_MM / 2.0) % BED_MM - BED_MM / 2.0)
    t = np.clip((away - 1.5) / 3.0, 0.0, 1.0)
    return np.asarray(POOR + (1.0 - POOR) * t * t * (3.0 - 2.0 * t))


def _free_centres(random: np.random.Generator, n: int, extent: F64) -> F64:
    return np.asarray(random.random((n, 3)) * (extent + 2 * MARGIN_MM) - MARGIN_MM)


def _wall_centres(random: np.random.Generator, n: int, cups: Cups) -> tuple[F64, F64]:
    """Return n places on the outer walls of cups and the walls' outward normals, (n, 3) each."""
    weight = cups.step * cups.radius.mean(1)
    cup = random.choice(len(cups), n, p=weight / weight.sum())
    at = random.integers(SAMPLES // 8, SAMPLES, n)
    turn = random.uniform(0.0, 2.0 * np.pi, n)[:, None]
    normal = np.cos(turn) * cups.side[cup, at] + np.sin(turn) * cups.front[cup, at]
    return cups.axis[cup, at] + normal * cups.radius[cup, at, None], normal


def _chambers(random: np.random.Generator, size: F32, hollow: Bool, normal: F32) -> tuple[F32, F32]:
    """Return offsets (n, K, 3) and radii (n, K) of the chambers of clots of the given sizes."""
    n = len(size)
    # In single precision: a large reef has millions of chambers.
    way = random.standard_normal((n, CHAMBERS, 3), dtype=np.float32)
    way /= np.linalg.norm(way, axis=2, keepdims=True)
    far = random.random((n, CHAMBERS), dtype=np.float32) ** np.float32(0.55)
    far = np.where(hollow[:, None], 0.86 + 0.14 * far, far)
    offset = way * (far * size[:, None])[..., None]
    # An encrusting clot is flat upon its wall: squeeze it along the normal, and lift it a little.
    height = (offset * normal[:, None]).sum(2, keepdims=True)
    offset -= 0.35 * height * normal[:, None]
    offset += (0.25 * size)[:, None, None] * normal[:, None]
    spread = 0.75 + 0.55 * random.random((n, CHAMBERS), dtype=np.float32)
    plump = np.where(hollow, np.float32(0.40), np.float32(0.50))[:, None] * spread
    return offset, 0.12 + plump * size[:, None] * (1.1 - 0.35 * far)


def place_clots(
    random: np.random.Generator, shape: tuple[int, int, int], cups: Cups, stage: str | None
) -> Clots:
    """Return the clots of a block of rock; another stage keeps more or fewer of the same clots."""
    extent = np.array(shape) * (SLICE_MM, PIXEL_MM, PIXEL_MM)
    n = int(PER_MM3 * np.prod(extent + 2 * MARGIN_MM))
    on_wall = int(n * ENCRUSTING) if len(cups) else 0
    walls, normals = _wall_centres(random, on_wall, cups) if on_wall else (np.zeros((0, 3)),) * 2
    centre = np.concatenate([walls, _free_centres(random, n - on_wall, extent)])
    normal = np.concatenate([normals, np.zeros((n - on_wall, 3))])
    size = np.clip(np.exp(random.normal(0.0, 0.42, n)), 0.4, 2.2)
    hollow = random.random(n) < np.where(size > 0.8, 0.4, 0.1)
    checkpoint()
    offset, radius = _chambers(random, size.astype(np.float32), hollow, normal.astype(np.float32))
    checkpoint()
    tone = random.normal(1.0, 0.06, n).astype(np.float32)
    fate = random.random(n)
    keep = fate < clots_kept(centre[:, 0], stage)
    place = centre[keep, None].astype(np.float32) + offset[keep]
    radius = radius[keep]
    bounds = (place[..., 0] - radius).min(1), (place[..., 0] + radius).max(1)
    return Clots(place, radius, hollow[keep], tone[keep], np.stack(bounds, axis=1))


@dataclass(frozen=True)
class ClotSection:
    """The pixels of one clot in one slice; n pixels.

    Attributes
    ----------
    at : (n,) int64, flat index into the slice
    rho : (n,) float32, distance from the nearest chamber's centre over its radius, 0 to about 1
    seam : (n,) float32, how much farther the second nearest chamber is; 0 between two chambers
    tone : (n,) float32, -1 to 1, one value a chamber
    """

    at: I64
    rho: F32
    seam: F32
    tone: F32


def cut_clot(
    clots: Clots, i: int, z_mm: float, shift: tuple[float, float], rough: F32
) -> ClotSection | None:
    """Return the section of clot `i` at a height, or None where the slice does not meet it.

    `rough` (y, x) float32 is noise that makes the outline uneven.
    """
    shape = rough.shape
    centre, radius = clots.centre[i], clots.radius[i]
    # Chambers just above or below still add to the soft union.
    cut = np.abs(centre[:, 0] - z_mm) < radius * 1.25
    if not cut.any():
        return None
    centre, radius = centre[cut], radius[cut]
    reach = radius[:, None] * 1.25
    low = np.floor((centre[:, 1:] - reach).min(0) / PIXEL_MM - shift).astype(int)
    high = np.ceil((centre[:, 1:] + reach).max(0) / PIXEL_MM - shift).astype(int) + 1
    y0, x0 = np.maximum(low, 0)
    y1, x1 = np.minimum(high, shape)
    if y0 >= y1 or x0 >= x1:
        return None
    y = ((np.arange(y0, y1) + shift[0]) * PIXEL_MM).astype(np.float32)[:, None, None]
    x = ((np.arange(x0, x1) + shift[1]) * PIXEL_MM).astype(np.float32)[None, :, None]
    gap2 = (y - centre[:, 1]) ** 2 + (x - centre[:, 2]) ** 2 + (centre[:, 0] - z_mm) ** 2
    rho = np.sqrt(gap2) / radius
    # A soft union: chambers that meet run into each other, as lobes of one body.
    body = -np.log(np.exp(-9.0 * rho).sum(2)) / 9.0 + 0.06
    rows, columns = np.nonzero(body * (1.0 + 0.10 * rough[y0:y1, x0:x1]) < 1.0)
    if not rows.size:
        return None
    own = rho[rows, columns]
    each, chamber = np.arange(len(own)), own.argmin(1)
    first = own[each, chamber]
    own[each, chamber] = np.inf
    second = np.minimum(own.min(1), 9.0)
    which = np.flatnonzero(cut)[chamber]
    return ClotSection(
        (rows + y0) * shape[1] + columns + x0,
        first.astype(np.float32),
        (second - first).astype(np.float32),
        np.sin(7.0 * which + 50.0 * float(clots.tone[i])).astype(np.float32),
    )
