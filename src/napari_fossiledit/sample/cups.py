"""Archaeocyathid cups: their shape, and the section of one at a height.

A cup is a cone around a curved axis. Along the axis it widens quickly from its tip, then slowly;
its parts (outer wall, intervallum with radial septa, inner wall, central cavity) are functions of
the relative radius, the angle and the height along the axis (Debrenne, Zhuravlev and Kruse 2015,
Treatise on Invertebrate Paleontology, part E revised, volume 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_fossiledit.sample.textures import F32, F64, I32, I64, PIXEL_MM, Bool

SAMPLES = 40  # points along an axis


@dataclass(frozen=True)
class Cups:
    """All cups of a scene; N cups, M points along each axis; lengths in mm, vectors (z, y, x).

    Attributes
    ----------
    axis, tangent, side, front : (N, M, 3) float64; `side` and `front` span the cross-section
    radius : (N, M) float64
    step : (N,) float64, length between two points of the axis
    septa : (N,) int32, number of radial septa
    inner : (N,) float64, relative radius of the inner wall
    phases : (N, 4) float64, random angles
    mud_filled : (N,) bool
    missed : (N,) int32, the slice that does not show the cup, -1 for none
    z_range : (N, 2) float64, lowest and highest height
    ends : (N, 2) float64, where the cup begins and ends, mm along its axis
    """

    axis: F64
    tangent: F64
    side: F64
    front: F64
    radius: F64
    step: F64
    septa: I32
    inner: F64
    phases: F64
    mud_filled: Bool
    missed: I32
    z_range: F64
    ends: F64

    def __len__(self) -> int:
        return len(self.step)

    def take(self, index: I64 | Bool) -> Cups:
        """Return the chosen cups."""
        return Cups(**{name: value[index] for name, value in vars(self).items()})

    def join(self, other: Cups) -> Cups:
        """Return these cups followed by the other ones."""
        mine, theirs = vars(self), vars(other)
        return Cups(**{name: np.concatenate([mine[name], theirs[name]]) for name in mine})


@dataclass(frozen=True)
class CupSection:
    """The pixels of one cup in one slice; n pixels.

    Attributes
    ----------
    at : (n,) int64, flat index into the slice
    rho : (n,) float32, distance from the axis over the local radius, 0 to 1
    angle : (n,) float32, rad
    along : (n,) float32, mm from the tip
    radius : (n,) float32, local radius, mm
    """

    at: I64
    rho: F32
    angle: F32
    along: F32
    radius: F32


def cut_cup(
    cups: Cups, i: int, z_mm: float, shift: tuple[float, float], rough: F32
) -> CupSection | None:
    """Return the section of cup `i` at a height, or None where the slice does not meet it.

    `rough` (y, x) float32 is noise that makes the outline uneven.
    """
    shape = rough.shape
    near = np.flatnonzero(np.abs(cups.axis[i, :, 0] - z_mm) < cups.radius[i] * 1.2 + 0.7)
    if not near.size:
        return None
    axis, radius = cups.axis[i, near], cups.radius[i, near]
    reach = (radius * 1.2)[:, None]
    low = np.floor((axis[:, 1:] - reach).min(0) / PIXEL_MM - shift).astype(int)
    high = np.ceil((axis[:, 1:] + reach).max(0) / PIXEL_MM - shift).astype(int) + 1
    y0, x0 = np.maximum(low, 0)
    y1, x1 = np.minimum(high, shape)
    if y0 >= y1 or x0 >= x1:
        return None
    y = ((np.arange(y0, y1) + shift[0]) * PIXEL_MM)[:, None, None]
    x = ((np.arange(x0, x1) + shift[1]) * PIXEL_MM)[None, :, None]
    gap2 = (y - axis[:, 1]) ** 2 + (x - axis[:, 2]) ** 2 + (z_mm - axis[:, 0]) ** 2
    best = gap2.argmin(2)
    rows, columns = np.nonzero((gap2 < reach[:, 0] ** 2 + 0.25).any(2))
    place = np.stack([np.full(len(rows), z_mm), y[rows, 0, 0], x[0, columns, 0]], axis=1)
    rows, columns, k = rows + y0, columns + x0, near[best[rows, columns]]
    return _inside(cups, i, k, place, rough[rows, columns], rows * shape[1] + columns)


def _inside(cups: Cups, i: int, k: I64, place: F64, rough: F32, at: I64) -> CupSection | None:
    """Return those of the pixels `at` that lie in the cup; `k` is the nearest point of its axis."""
    offset, tangent = place - cups.axis[i][k], cups.tangent[i][k]
    ahead = (offset * tangent).sum(-1)
    u, v = (offset * cups.side[i][k]).sum(-1), (offset * cups.front[i][k]).sum(-1)
    along = k * cups.step[i] + ahead
    slope = np.gradient(cups.radius[i], cups.step[i])[k]
    angle = np.arctan2(v, u)
    p = cups.phases[i]
    lobes = 0.045 * np.cos(2 * angle + p[0] + 0.15 * along) + 0.035 * np.cos(3 * angle + p[1])
    lobes += 0.02 * np.cos(5 * angle + p[2] - 0.5 * along)
    local = (cups.radius[i][k] + slope * ahead) * (1.0 + lobes + 0.035 * rough)
    rho = np.hypot(u, v) / np.maximum(local, 0.05)
    low, high = cups.ends[i]
    # The rim and a broken foot are uneven, not sawn off.
    uneven = along + 0.35 * rough + 0.3 * np.cos(3.0 * angle + p[3])
    mine = (rho < 1.0) & (along >= 0.0) & (uneven >= low) & (uneven <= high)
    if not mine.any():
        return None
    single = (f[mine].astype(np.float32) for f in (rho, angle, along, local))
    return CupSection(at[mine], *single)
