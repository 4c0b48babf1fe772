"""Principal axes of specimens: lengths, shape and orientation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PrincipalAxes", "principal_axes"]

Floats = NDArray[np.float64]
# Axes whose lengths differ by less are taken as equal: rounding alone would choose between them.
_ALIKE = 1e-6
_UPRIGHT = 1e-6  # length of the trace of a unit vector that has no direction in the section


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """One row a specimen.

    Attributes
    ----------
    lengths : (n, 3) float64
        Full axes, the longest first, of the ellipsoid with the same second moments.
    longest : (n, 3) float64
        Unit vector (z, y, x) of the longest axis, pointing to higher slices; NaN where the two
        longest axes are equal.
    plunge : (n,) float64
        Its angle against the section, in degrees, 0 to 90.
    azimuth : (n,) float64
        Direction of its trace in the section, in degrees, 0 to below 180, clockwise from the
        upper edge of the image; NaN where it stands upright.
    """

    lengths: Floats
    longest: Floats
    plunge: Floats
    azimuth: Floats


def principal_axes(covariance: Floats, voxel_size: Sequence[float]) -> PrincipalAxes:
    """Principal axes from second moments.

    Parameters
    ----------
    covariance : (n, 3, 3) float64
        Of the voxels' numbers along (z, y, x).
    voxel_size : (z, y, x)

    Notes
    -----
    The second moments are those of solid voxels: a voxel of side s adds s²/12 of its own to the
    variance along that axis. A solid ellipsoid's variance along an axis of full length L is
    L²/20, hence the lengths, as in `skimage.measure.regionprops` and in ITK's label shape
    attributes (Lehmann 2007, The Insight Journal, "Label object representation and manipulation
    with ITK").
    """
    size = np.asarray(voxel_size, float)
    moments = covariance * np.outer(size, size) + np.diag(size**2 / 12)
    values, vectors = np.linalg.eigh(moments)
    lengths = np.sqrt(20 * values[:, ::-1])
    longest = _downward(vectors[:, :, 2])
    longest[lengths[:, 0] - lengths[:, 1] <= _ALIKE * lengths[:, 0]] = np.nan
    z, y, x = longest.T
    trace = np.hypot(y, x)
    azimuth = np.degrees(np.arctan2(x, -y)) % 180
    azimuth[azimuth > 180 - 1e-9] = 0.0  # rounding just below the upper edge
    azimuth[trace < _UPRIGHT] = np.nan
    return PrincipalAxes(lengths, longest, np.degrees(np.arctan2(z, trace)), azimuth)


def _downward(axis: Floats) -> Floats:
    """Turn each axis to higher slices; within a section, to the right, else to the upper edge."""
    z, y, x = (np.where(np.abs(a) < 1e-12, 0.0, a) for a in axis.T)
    sign = np.sign(np.where(z != 0, z, np.where(x != 0, x, -y)))
    return np.stack([z, y, x], axis=1) * sign[:, None] + 0.0  # no -0.0
