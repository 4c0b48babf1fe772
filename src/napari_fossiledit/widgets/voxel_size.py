"""The voxel size of layers, in mm, and setting it for all that belong together. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from napari_fossiledit.io import checked_voxel_size, mm_per
from napari_fossiledit.widgets.layers import role

__all__ = ["in_mm", "set_voxel_size"]

_ALIKE = 0.01  # two layers cover the same rock when their extents differ by less, relatively
VoxelSize = tuple[float, float, float]


def in_mm(layer: Any) -> VoxelSize | None:
    """Voxel size (z, y, x) of a layer in mm; None where its units are no lengths.

    A flat layer's slice is taken to be as thick as its pixels are high.
    """
    factors = [mm_per(unit) for unit in layer.units]
    sizes = [float(s) * f for s, f in zip(layer.scale, factors, strict=True) if f is not None]
    if len(sizes) != len(factors) or len(sizes) not in {2, 3}:
        return None
    z, y, x = sizes if len(sizes) == 3 else (sizes[0], *sizes)
    return z, y, x


def set_voxel_size(layers: Iterable[Any], stack: Any, size: Sequence[float]) -> None:
    """Give a stack's layer a voxel size, and carry all layers along that lie on it.

    Those of the same axes and units that cover the same rock, and the plugin's own results: their
    scales and places change in proportion, so that a downsampled volume stays where it is.

    Parameters
    ----------
    layers : iterable of napari layers
    stack : napari layer
    size : (z, y, x) in mm

    Raises
    ------
    InputError
        A length is not above 0.
    """
    new = np.asarray(checked_voxel_size(size)[-stack.ndim :])
    old = np.array(stack.scale, float)
    units, covered = tuple(stack.units), _covered(stack)
    together = [
        layer
        for layer in layers
        if layer is stack
        or (
            layer.ndim == stack.ndim
            and tuple(layer.units) == units
            and (role(layer) == "result" or np.allclose(_covered(layer), covered, rtol=_ALIKE))
        )
    ]
    for layer in together:
        ratio = new / old
        scale, place = np.array(layer.scale) * ratio, np.array(layer.translate) * ratio
        layer.scale, layer.translate = scale, place
        layer.units = ("mm",) * layer.ndim
        layer.axis_labels = ("z", "y", "x")[-layer.ndim :]


def _covered(layer: Any) -> Any:
    """How far a layer reaches along each axis."""
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    shape = getattr(data, "shape", None)
    if shape is None or len(shape) < layer.ndim:
        return np.zeros(layer.ndim)
    return np.array(shape[: layer.ndim]) * np.array(layer.scale)
