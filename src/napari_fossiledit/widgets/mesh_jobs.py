"""Meshes of specimens, for the viewer and for files. No Qt; run in a worker."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.progress import Progress, Task

if TYPE_CHECKING:
    from napari_fossiledit.volume import Mesh

__all__ = ["SUFFIXES", "Scene", "mesh_scene_task", "save_meshes_task", "scene_of"]

SUFFIXES = (".stl", ".ply", ".obj", ".glb")
# Where the light comes from (z, y, x): above and beside the camera that `turn_to_3d` sets.
_LIGHT = np.array([-0.8, 0.6, -0.5])


@dataclass(frozen=True, eq=False)
class Scene:
    """Several meshes as one, for a Surface layer that lies where the labels lie.

    Attributes
    ----------
    vertices : (n, 3) float64
        (z, y, x) in voxels of the labels. Half voxels before the first slice and after the last
        are left out: napari's slider would else count from there, and not by slices.
    faces : (m, 3) int64
        Counter-clockwise seen from outside in a right-handed space of z, y, x, as napari lights
        them; `Mesh` has them so in x, y, z.
    light : (n,) float64
        How bright every vertex is, 0 to 1, in a soft light from before and above.
    vertex_ids : (n,) int64
        The specimen of every vertex.
    face_ids : (m,) int64
        The specimen of every face.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    light: NDArray[np.float64]
    vertex_ids: NDArray[np.int64]
    face_ids: NDArray[np.int64]


def scene_of(
    meshes: Mapping[int, Mesh], voxel_size: tuple[float, float, float], slices: int
) -> Scene:
    """Join meshes, and put them into the labels' own coordinates."""
    vertices, faces, light, vertex_ids, face_ids = [], [], [], [], []
    start = 0
    for number, mesh in meshes.items():
        points = mesh.vertices / np.array(voxel_size)
        points[:, 0] = points[:, 0].clip(0, slices - 1)
        vertices.append(points)
        faces.append(mesh.faces[:, ::-1] + start)
        light.append(_light(mesh))
        vertex_ids.append(np.full(len(mesh.vertices), number, np.int64))
        face_ids.append(np.full(len(mesh.faces), number, np.int64))
        start += len(mesh.vertices)
    return Scene(
        np.concatenate(vertices),
        np.concatenate(faces),
        np.concatenate(light),
        np.concatenate(vertex_ids),
        np.concatenate(face_ids),
    )


def _light(mesh: Mesh) -> NDArray[np.float64]:
    """Light on the vertices by the angle of their normals: never quite dark, on no side."""
    corners = mesh.vertices[mesh.faces][:, :, ::-1]  # x, y, z, in which faces are turned outward
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.stack(
        [
            np.bincount(mesh.faces.ravel(), np.repeat(across[:, a], 3), len(mesh.vertices))
            for a in range(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    towards = normals @ (_LIGHT[::-1] / np.linalg.norm(_LIGHT))
    bright: NDArray[np.float64] = 0.3 + 0.7 * (0.5 + 0.5 * towards) ** 1.5
    return bright


def mesh_scene_task(
    data: Any,
    voxel_size: tuple[float, float, float],
    ids: Collection[int],
    *,
    smooth: bool,
) -> Task[Scene]:
    """Mesh specimens for the viewer.

    Raises
    ------
    InputError
        See `volume.meshes`.
    """
    from napari_fossiledit import volume

    meshes = yield from volume.meshes_task(data, voxel_size, ids=ids, smooth=smooth)
    return scene_of(meshes, voxel_size, int(data.shape[0]))


def save_meshes_task(
    data: Any,
    voxel_size: tuple[float, float, float],
    ids: Collection[int] | None,
    path: Path,
    *,
    smooth: bool,
    unit: str,
) -> Task[list[Path]]:
    """Mesh specimens (all where ``ids`` is None) and write them.

    A path with a suffix of `SUFFIXES` becomes one scene, another one a folder of STL files.

    Raises
    ------
    InputError, OutputError
        See `volume.meshes`, `volume.write_mesh` and `volume.write_meshes`.
    """
    from napari_fossiledit import volume

    meshes = yield from volume.meshes_task(data, voxel_size, ids=ids, smooth=smooth)
    yield Progress(0, 1, f"writing {path.name}")
    if path.suffix.lower() not in SUFFIXES:
        return volume.write_meshes(path, meshes, unit=unit)
    volume.write_mesh(path, meshes, unit=unit)
    return [path]
