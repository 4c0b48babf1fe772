"""Solids whose measurements are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Size = tuple[float, float, float]


def turned(seed: int) -> NDArray[np.float64]:
    """A rotation of z, y, x, drawn at random; none for 0."""
    return np.eye(3) if seed == 0 else Rotation.random(rng=np.random.default_rng(seed)).as_matrix()


def points(reach: float, size: Size, seed: int = 0) -> NDArray[np.float64]:
    """(z, y, x, 3) places around an origin that lies anywhere in a voxel."""
    away = np.random.default_rng(seed).uniform(-0.5, 0.5, 3)
    counts = [int(np.ceil(reach / s)) + 2 for s in size]
    axes = [(np.arange(-n, n + 1) + o) * s for n, s, o in zip(counts, size, away, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def sphere(radius: float, size: Size, seed: int = 0) -> NDArray[np.bool_]:
    return np.asarray((points(radius, size, seed) ** 2).sum(-1) < radius**2)


def torus(ring: float, tube: float, size: Size, seed: int = 0) -> NDArray[np.bool_]:
    z, y, x = np.moveaxis(points(ring + tube, size, seed) @ turned(seed), -1, 0)
    return np.asarray((np.hypot(y, x) - ring) ** 2 + z**2 < tube**2)


def ellipsoid(
    axes: Size, size: Size, rotation: NDArray[np.float64], seed: int = 0
) -> NDArray[np.bool_]:
    """Full axes along the columns of ``rotation``."""
    own = points(max(axes) / 2, size, seed) @ rotation
    return np.asarray(((own / (np.asarray(axes) / 2)) ** 2).sum(-1) < 1)
