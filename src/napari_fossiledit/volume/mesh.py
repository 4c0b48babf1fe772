"""Meshes of specimens: closed surfaces that hold the specimens' own volume."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, checkpoint, run
from napari_fossiledit.volume.mesh_field import DistanceField, Size, binary_field, grid_points
from napari_fossiledit.volume.mesh_level import Surface, surface_of_volume
from napari_fossiledit.volume.slices import check_size, check_volume, iter_slices
from napari_fossiledit.volume.windows import Boxes, Step, Window, grow, iter_windows, only

__all__ = ["Mesh", "iter_meshes", "mesh", "meshes", "meshes_task"]

_LARGEST = 4 * 10**7  # points of a field; some arrays of them are held at once
_TRIES = 4  # rounds in which parts that smoothing would lose are found


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
    thin : float
        Share of the voxels around which it was not smoothed, as smoothing would have lost them:
        0 for most specimens, 1 without smoothing.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    thin: float = 0.0

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
    (shape-based interpolation, Raya & Udupa 1990) to about the size of a pixel. A specimen that
    would take more than 40 million points is meshed from blocks of 2 x 2 x 2 voxels or more.
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
        if made is None:
            raise InputError(
                f"Specimen {i} is too large to be meshed from single voxels, and too thin to be "
                "meshed from blocks of them: mesh a part of the volume."
            )
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
) -> Iterator[tuple[int, Mesh | None]]:
    """Yield id and mesh of every specimen, each as soon as its last slice is read.

    None for a mesh: the specimen is too large for single voxels and too thin for blocks of them.
    """
    size = check_size(voxel_size)
    steps = {i: _step(tuple(int(n) for n in box[1] - box[0] + 1), size) for i, box in boxes.items()}
    for window in iter_windows(labels, boxes, steps):
        checkpoint()
        yield window.id, mesh_window(window, size, smooth=smooth)


def _step(shape: tuple[int, ...], size: Size) -> Step:
    """Voxels to put together along each axis so that the window is small enough to mesh."""
    step = [1, 1, 1]
    while grid_points([-(-n // s) for n, s in zip(shape, step, strict=True)], size) > _LARGEST:
        sides = [s * v if n > s else np.inf for s, v, n in zip(step, size, shape, strict=True)]
        step[int(np.argmin(sides))] *= 2
    return (step[0], step[1], step[2])


def mesh_window(window: Window, size: Size, *, smooth: bool = True) -> Mesh | None:
    """Mesh a specimen that has been cut out; None where blocks are too coarse for it."""
    if not window.mask.any():
        return None
    volume = window.voxels * float(np.prod(size))
    z, y, x = np.multiply(window.step, size).tolist()
    surface, thin = _smooth_surface(window.mask, (z, y, x), volume) if smooth else (None, 1.0)
    if surface is None:
        # Bare voxels have a level for every volume; blocks of them may be too coarse.
        surface, thin = surface_of_volume(binary_field(window.mask, (z, y, x)), volume)[0], 1.0
    if surface is None:
        return None
    vertices = surface.vertices + np.asarray(window.origin) * np.asarray(size)
    return Mesh(vertices, surface.faces, thin)


def _smooth_surface(
    mask: NDArray[np.bool_], size: Size, volume: float
) -> tuple[Surface | None, float]:
    """Smooth as much as loses no part; give the share that was not smoothed."""
    distances = DistanceField(mask, size)
    for _ in range(_TRIES):
        field = distances.smoothed()
        surface, level = surface_of_volume(field, volume)
        if surface is None:
            break
        if not distances.keep(field, level):
            return surface, distances.thin
    return None, 1.0
