"""Meshes of specimens: closed surfaces that hold the specimens' own volume."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, checkpoint, run
from napari_fossiledit.volume.mesh_field import field_of
from napari_fossiledit.volume.mesh_level import Surface, level_surface
from napari_fossiledit.volume.slices import check_size, check_volume, iter_slices
from napari_fossiledit.volume.windows import Boxes, Window, grow, iter_windows, only

__all__ = ["Mesh", "iter_meshes", "mesh", "meshes", "meshes_task"]

# Pixels over which the surface is smoothed: as much as keeps the specimen whole, in this order.
_SMOOTHINGS = (1.0, 0.5, 0.0)


@dataclass(frozen=True, eq=False)
class Mesh:
    """A closed surface of triangles.

    Attributes
    ----------
    vertices : (n, 3) float64
        (z, y, x) in the unit of the voxel's size; the centre of voxel (0, 0, 0) is 0, as in a
        layer with this scale.
    faces : (m, 3) int64
        Numbers of three vertices each, counter-clockwise seen from outside in a right-handed
        space of x, y, z: normals point outward there, which is how files are written.
    smoothing : float
        Pixels over which the surface was smoothed; less than 1 where parts so thin would have
        been lost, 0 where it was not.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    smoothing: float = 0.0

    @property
    def volume(self) -> float:
        """Volume inside; above 0 as normals point outward (divergence theorem)."""
        return Surface(self.vertices, self.faces).volume

    @property
    def area(self) -> float:
        """Sum of the triangles' areas."""
        return Surface(self.vertices, self.faces).area


def mesh(labels: Any, id: int, voxel_size: Sequence[float], *, smooth: bool = True) -> Mesh:
    """Mesh one specimen.

    Parameters
    ----------
    labels : (z, y, x) integer: numpy, dask, zarr, or `io.LabelStore`
        Read slice by slice; only the specimen's own window is held.
    id : int
        Its label.
    voxel_size : (z, y, x)
    smooth : bool
        Smooth away the steps of pixels and sections. Its volume stays that of its voxels either
        way.

    Returns
    -------
    Mesh
        Watertight; normals outward; its volume that of its voxels (within 0.2 %).

    Raises
    ------
    InputError
        There is no such specimen, and whatever `measure` raises.

    Notes
    -----
    Marching cubes (Lorensen & Cline 1987) at the level at which the mesh has the voxels' volume.
    Smooth meshes are taken from the sections' signed distances, interpolated between sections
    (shape-based interpolation, Raya & Udupa 1990) to about the size of a pixel.
    """
    found = meshes(labels, voxel_size, ids=[id], smooth=smooth)
    return found[id]


def meshes(
    labels: Any,
    voxel_size: Sequence[float],
    *,
    ids: Collection[int] | None = None,
    smooth: bool = True,
) -> dict[int, Mesh]:
    """Mesh several specimens, or all of them: see `mesh`.

    Returns
    -------
    dict of id to Mesh, in order of id
    """
    return run(meshes_task(labels, voxel_size, ids=ids, smooth=smooth))


def meshes_task(
    labels: Any,
    voxel_size: Sequence[float],
    *,
    ids: Collection[int] | None = None,
    smooth: bool = True,
) -> Task[dict[int, Mesh]]:
    """`meshes` as a task: one `Progress` a slice, then one a specimen, whose ``data`` is its id."""
    size = check_size(voxel_size)
    boxes = yield from boxes_task(labels, ids)
    found: dict[int, Mesh] = {}
    for i, made in iter_meshes(labels, size, boxes, smooth=smooth):
        found[i] = made
        yield Progress(len(found), len(boxes), f"Mesh of specimen {i}", i)
    return {i: found[i] for i in boxes}


def boxes_task(labels: Any, ids: Collection[int] | None = None) -> Task[Boxes]:
    """Find the bounding boxes of these specimens (all if None): one `Progress` a slice.

    Raises
    ------
    InputError
        One of them is not there.
    """
    count = check_volume(labels)[0]
    boxes: Boxes = {}
    for z, plane in iter_slices(labels):
        grow(boxes, plane, z)
        yield Progress(z + 1, count, f"Looking for specimens in slice {z + 1}")
    missing = sorted(set(ids or ()) - set(boxes))
    if missing:
        some = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
        raise InputError(f"There is no specimen {some} in these labels: choose among its ids.")
    return only(boxes, ids)


def iter_meshes(
    labels: Any, voxel_size: Sequence[float], boxes: Boxes, *, smooth: bool = True
) -> Iterator[tuple[int, Mesh]]:
    """Yield id and mesh of every specimen, each as soon as its last slice is read."""
    size = check_size(voxel_size)
    for _, windows in iter_windows(labels, boxes):
        for window in windows:
            checkpoint()
            yield window.id, mesh_window(window, size, smooth=smooth)


def mesh_window(window: Window, size: tuple[float, float, float], *, smooth: bool = True) -> Mesh:
    """Mesh a specimen that has been cut out."""
    volume = float(np.count_nonzero(window.mask)) * float(np.prod(size))
    for smoothing in _SMOOTHINGS if smooth else (None,):
        field = field_of(window.mask, size, smoothing)
        surface = level_surface(field, volume)
        if surface is not None:
            break
    else:
        raise RuntimeError(f"No level of specimen {window.id} has its volume.")
    vertices = surface.vertices + np.asarray(window.origin) * np.asarray(size)
    return Mesh(vertices, surface.faces, smoothing or 0.0)
