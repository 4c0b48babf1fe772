"""Noise that is a function of place, so that any slice can be made alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]

PIXEL_MM = 0.145
SLICE_MM = 0.5


def rng(seed: int, *keys: int) -> np.random.Generator:
    """Return a generator that depends on the seed and the keys only."""
    return np.random.default_rng([seed, *keys])


def smooth_step(value: F32, low: float, high: float) -> F32:
    """Return 0 below `low`, 1 above `high` and a smooth ramp between (float32, same shape)."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def _spline_matrix(size: int, cell: float, shift: float, nodes: int) -> F32:
    """Return the cubic B-spline weights (size, nodes) of pixels on a lattice of `cell` pixels."""
    # Two nodes of margin at each end: the registration wobble moves the window over the lattice.
    place = (np.arange(size) + shift) / cell + 2.0
    distance = np.abs(place[:, None] - np.arange(nodes)[None, :])
    near = 2.0 / 3.0 - distance**2 + distance**3 / 2.0
    far = np.clip(2.0 - distance, 0.0, None) ** 3 / 6.0
    return np.asarray(np.where(distance < 1.0, near, far), np.float32)


def lattice_noise(
    seed: int,
    key: int,
    z_mm: float,
    shape: tuple[int, int],
    shift: tuple[float, float],
    cell: float,
    cell_z: float,
) -> F32:
    """Return a plane of smooth 3D noise, mean 0 and standard deviation about 1.

    Parameters
    ----------
    seed, key : int
        Choose the field.
    z_mm : float
        Height of the plane, mm.
    shape, shift : (int, int), (float, float)
        Size of the plane and its offset over the rock, pixels (y, x).
    cell : float
        Size of the noise in the plane, pixels.
    cell_z : float
        Size of the noise along z, mm.

    Returns
    -------
    (y, x) float32
    """
    # Margin for the wobble: it stays below 16 pixels.
    nodes = tuple(int(np.ceil((n + 16.0) / cell)) + 6 for n in shape)
    layer, part = divmod(z_mm / cell_z, 1.0)
    below, above = (
        rng(seed, key, int(layer) + 1000 + k).standard_normal(nodes, dtype=np.float32)
        for k in (0, 1)
    )
    # sin and cos keep the variance the same between two layers of the lattice.
    angle = 0.5 * np.pi * part
    plane = np.float32(np.cos(angle)) * below + np.float32(np.sin(angle)) * above
    rows = _spline_matrix(shape[0], cell, shift[0] + 8.0, nodes[0])
    columns = _spline_matrix(shape[1], cell, shift[1] + 8.0, nodes[1])
    # 0.48 = root mean square of the sum of squared spline weights along one axis, squared.
    return np.asarray(rows @ plane @ columns.T / np.float32(0.48), dtype=np.float32)


def fine_noise(random: np.random.Generator, shape: tuple[int, ...], sigma: float) -> F32:
    """Return white noise blurred by `sigma` pixels in y and x, standard deviation 1 (float32)."""
    white = random.standard_normal(shape, dtype=np.float32)
    if sigma <= 0:
        return white
    sigmas = (sigma, sigma) + (0.0,) * (len(shape) - 2)
    smooth = ndimage.gaussian_filter(white, sigmas, mode="nearest", truncate=3.0)
    # Analytic gain of a Gaussian filter on white noise: 1 / (2 sqrt(pi) sigma) in 2D.
    gain = max(2.0 * np.sqrt(np.pi) * sigma, 1.0)
    return np.asarray(smooth * np.float32(gain), dtype=np.float32)
