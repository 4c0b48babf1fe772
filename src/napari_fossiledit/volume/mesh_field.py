"""Fields whose level is the surface of a specimen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

__all__ = ["DistanceField", "Field", "Size", "binary_field", "grid_points"]

Floats = NDArray[np.float32]
Size = tuple[float, float, float]

# Chosen on spheres and tori at four voxel sizes, for the least error of the surface's area.
_SMOOTH = 1.0  # standard deviation in the section, in pixels
_SMOOTH_DEPTH = 1 / 3  # the same across sections, in steps between them
_WIDEST = 3.0  # steps of the grid
_MOST_BETWEEN = 10  # sections interpolated between two: more would show nothing but their number
_REACH = 2.0  # distances count up to this times their mean inside
_BORDER = 4  # empty pixels around the specimen: the smoothing's reach
_LEVEL = 0.45  # pixels from the boundary; the centre of a single pixel lies at 0.5


@dataclass(frozen=True, eq=False)
class Field:
    """Values on a grid, above the level inside; below it on the grid's border.

    Attributes
    ----------
    values : (z, y, x) float32
    spacing, origin : (z, y, x)
        Step of the grid, and place of its first point relative to the window's first voxel.
    lowest, highest : float
        Levels between which the surface may be sought.
    step : float
        What the field changes by from one point to the next, about.
    """

    values: Floats
    spacing: Size
    origin: Size
    lowest: float
    highest: float
    step: float


def binary_field(mask: NDArray[np.bool_], size: Size) -> Field:
    """Voxels as they are: 0.5 inside, -0.5 outside. Levels within these reach every volume."""
    values = np.pad(mask, 1).astype(np.float32) - np.float32(0.5)
    z, y, x = size
    return Field(values, size, (-z, -y, -x), -0.499, 0.499, 1.0)


def grid_points(shape: Sequence[int], size: Size) -> int:
    """Points of the grid on which a window of this shape is interpolated."""
    rows, columns = (n + 2 * _BORDER for n in shape[1:])
    return (shape[0] + 4) * _sections_between(size) * rows * columns


def _sections_between(size: Size) -> int:
    z, y, x = size
    return min(_MOST_BETWEEN, max(1, round(z / float(np.sqrt(y * x)))))


def _widths(size: Size, between: int) -> Size:
    """Standard deviations of the smoothing along each axis of the interpolated grid, in steps."""
    z, y, x = size
    pixel = float(np.sqrt(y * x))
    depth = _SMOOTH_DEPTH * between if between > 1 else _SMOOTH * pixel / z
    # Where steps are very unlike, the finest are smoothed less than round.
    return (
        min(_WIDEST, depth),
        min(_WIDEST, _SMOOTH * pixel / y),
        min(_WIDEST, _SMOOTH * pixel / x),
    )


class DistanceField:
    """Signed distances from the boundary, interpolated between sections.

    Parameters
    ----------
    mask : (z, y, x) bool
    size : (z, y, x)
        Of a voxel.

    Notes
    -----
    Sections that lie further apart than their pixels are interpolated by their own signed
    distances in the plane (Raya & Udupa 1990, IEEE Trans. Med. Imaging 9), so that a slope has no
    steps; otherwise distances are those in space.
    """

    def __init__(self, mask: NDArray[np.bool_], size: Size) -> None:
        self._size = size
        self._pixel = float(np.sqrt(size[1] * size[2]))
        self._between = _sections_between(size)
        self._sigma = _widths(size, self._between)
        border = [ceil(_BORDER * max(1, width)) for width in self._sigma]
        if self._between > 1:
            border[0] = 2
        self._border = (border[0], border[1], border[2])
        self._mask = np.pad(mask, [(n, n) for n in self._border])
        signed = _by_section(self._mask, size) if self._between > 1 else _signed(self._mask, size)
        self._reach = max(self._pixel, _REACH * float(signed[self._mask].mean()))
        self._rough = _between(np.clip(signed, -self._reach, self._reach), self._between)
        self._kept = np.zeros(self._mask.shape, bool)

    @property
    def thin(self) -> float:
        """Share of the specimen's voxels around which it is not smoothed."""
        return float(self._kept[self._mask].mean())

    def smoothed(self) -> Field:
        """The field, smoothed but where `keep` found that this would lose a part."""
        from scipy.ndimage import gaussian_filter

        z, y, x = self._size
        pixel, between = self._pixel, self._between
        values: Floats = gaussian_filter(self._rough, self._sigma)
        if self._kept.any():
            kept = _between(self._kept.astype(np.float32), between)
            share = np.minimum(1, 2 * gaussian_filter(kept, self._sigma))
            values += share * (self._rough - values)
        # Whatever the level, the surface is closed.
        for axis in range(3):
            np.moveaxis(values, axis, 0)[[0, -1]] = -self._reach
        return Field(
            values=values,
            spacing=(z / between, y, x),
            origin=(-self._border[0] * z, -self._border[1] * y, -self._border[2] * x),
            lowest=-0.9 * self._reach,
            highest=_LEVEL * pixel,
            step=min(z / between, y, x),
        )

    def keep(self, field: Field, level: float) -> bool:
        """Find parts and gaps that are lost at this level, and keep them from smoothing.

        A part is lost where no voxel that stays inside is a neighbour; smoothing takes a corner's
        outermost voxels, but no more.

        Returns
        -------
        bool
            Whether more is to be kept than before.
        """
        from scipy.ndimage import binary_dilation

        around = np.ones((3, 3, 3), bool)
        # Only at the sections themselves is it known what is inside.
        inside = field.values[:: self._between] > level
        lost = self._mask & ~binary_dilation(inside & self._mask, around)
        filled = ~self._mask & ~binary_dilation(~inside & ~self._mask, around)
        if not (lost | filled).any():
            return False
        before = self._kept
        self._kept = before | binary_dilation(lost | filled, around)
        return bool(np.count_nonzero(self._kept) > np.count_nonzero(before))


def _by_section(mask: NDArray[np.bool_], size: Size) -> Floats:
    return np.stack([_signed(plane, size[1:]) for plane in mask])


def _signed(mask: NDArray[np.bool_], size: tuple[float, ...]) -> Floats:
    from scipy.ndimage import distance_transform_edt as distance

    if not mask.any():
        return np.full(mask.shape, -np.inf, np.float32)
    # Distances are between centres; the boundary lies half-way.
    half = min(size) / 2
    inside = distance(mask, sampling=size) - half
    outside = half - distance(~mask, sampling=size)
    signed: Floats = np.where(mask, inside, outside).astype(np.float32)
    return signed


def _between(flat: Floats, between: int) -> Floats:
    """Put interpolated sections between the sections."""
    if between == 1:
        return flat
    count = (len(flat) - 1) * between + 1
    at = np.arange(count) / between
    low = np.minimum(at.astype(int), len(flat) - 2)
    part = (at - low).astype(np.float32)[:, None, None]
    fine: Floats = flat[low] * (1 - part) + flat[low + 1] * part
    return fine
