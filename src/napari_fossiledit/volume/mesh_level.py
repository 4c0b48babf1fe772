"""The level of a field at which its surface encloses a given volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.progress import checkpoint
from napari_fossiledit.volume.mesh_field import Field

__all__ = ["Surface", "surface_of_volume"]

_WITHIN = 1e-3  # relative error of the volume at which the search ends
_TRIES = 40
_NEWTON = 5  # tries before bisection alone goes on
_AWAY = 0.02  # least distance of a vertex from a grid point, as a part of a step of the field


@dataclass(frozen=True, eq=False)
class Surface:
    """Vertices (n, 3) z, y, x and faces (m, 3), outward in x, y, z."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]

    @property
    def volume(self) -> float:
        """Signed volume in x, y, z."""
        a, b, c = self._corners()
        return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)

    @property
    def area(self) -> float:
        """Sum of the triangles' areas."""
        a, b, c = self._corners()
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    def _corners(self) -> tuple[NDArray[np.float64], ...]:
        # Relative to a point of the mesh, so that a distant origin costs no digits.
        xyz = (self.vertices - self.vertices[0])[:, ::-1]
        a, b, c = (xyz[self.faces[:, k]] for k in range(3))
        return a, b, c


def surface_of_volume(field: Field, volume: float) -> tuple[Surface, float] | tuple[None, float]:
    """Find the level whose surface has this volume, by Newton steps and bisection.

    Returns
    -------
    surface : Surface or None
        None where no level within the field's bounds has that volume.
    level : float
    """
    low, high = field.lowest, field.highest
    level = min(max(_guess(field, volume), low), high)
    for attempt in range(_TRIES):
        checkpoint()
        surface = _marched(field, level)
        found = 0.0 if surface is None else surface.volume
        if surface is not None and abs(found - volume) <= _WITHIN * volume:
            return surface, level
        # A higher level is a smaller surface.
        low, high = (level, high) if found > volume else (low, level)
        level_before, level = level, (low + high) / 2
        if surface is not None and attempt < _NEWTON:
            # The surface moves by the change of level over the field's gradient, about 1.
            step = level_before + (found - volume) / surface.area
            level = step if low < step < high else level
    return None, level


def _guess(field: Field, volume: float) -> float:
    """The level above which as many grid points lie as fill the volume."""
    values = field.values.ravel()
    count = min(max(1, round(volume / float(np.prod(field.spacing)))), values.size - 1)
    return float(np.partition(values, values.size - count)[values.size - count])


def _marched(field: Field, level: float) -> Surface | None:
    from skimage.measure import marching_cubes

    values = field.values - np.float32(level)
    # Vertices on grid points would coincide, and files of single precision merge near ones.
    near = np.abs(values) < _AWAY * field.step
    values[near] = np.where(values[near] < 0, -_AWAY, _AWAY) * field.step
    if not (values > 0).any():
        return None
    vertices, faces, _, _ = marching_cubes(
        values, 0.0, spacing=field.spacing, method="lorensen", allow_degenerate=True
    )
    made = Surface(vertices + np.asarray(field.origin), faces.astype(np.int64))
    return made if made.volume > 0 else Surface(made.vertices, made.faces[:, ::-1])
