"""Write meshes for Blender, MeshLab, Slicer, CAD and 3D printers."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.io import atomic, make_folder
from napari_fossiledit.io.voxels import mm_per
from napari_fossiledit.progress import checkpoint
from napari_fossiledit.volume.mesh import Mesh

if TYPE_CHECKING:
    from trimesh import Trimesh

__all__ = ["MESH_SUFFIXES", "color_of", "mesh_name", "write_mesh", "write_meshes"]

MESH_SUFFIXES = (".stl", ".ply", ".obj", ".glb")
_GOLDEN = 0.618033988749895


def write_mesh(
    path: str | Path,
    mesh: Mesh | Mapping[int, Mesh],
    *,
    unit: str = "mm",
    colors: Mapping[int, NDArray[np.uint8]] | None = None,
) -> None:
    """Write one mesh, or several as one scene, atomically.

    Parameters
    ----------
    path : path
        ``.obj`` (an object a specimen, with colours), ``.glb`` (the same, for Blender), ``.ply``
        (all in one, with colours and the number of the specimen at every vertex) or ``.stl`` (all
        in one).
    mesh : Mesh, or dict of id to Mesh
    unit : str
        The meshes' unit of length. Files are in mm (``.glb`` in metres, as its standard has it);
        ``pixel`` stays as it is.
    colors : mapping of id to (3,) uint8, optional
        By default `color_of`.

    Raises
    ------
    InputError
        Another suffix or unit, or no mesh at all.
    OutputError
        See `io.atomic`.

    Notes
    -----
    Coordinates are x, y, z: columns, rows and slices times the voxel's size, with the centre of
    the first voxel at 0 (of a volume that `write_volume` wrote, too). Triangles are
    counter-clockwise seen from outside. Looked at along growing z with x to the right, y runs
    downward, as in the photographs: nothing is mirrored as long as slices are numbered away from
    the eye that photographed them.
    """
    path = Path(path)
    suffix = mesh_suffix(path)
    factor = _mm(unit)
    named = {0: mesh} if isinstance(mesh, Mesh) else dict(mesh)
    if not named:
        raise InputError(f"There is no mesh to write to {path.name}: choose a specimen.")
    paint = {i: (colors or {}).get(i, color_of(i)) for i in named}
    with atomic(path) as temporary:
        if suffix == ".obj":
            _write_obj(temporary, named, paint, factor)
        else:
            data = _encoded(suffix, named, paint, factor)
            temporary.write_bytes(data)


def write_meshes(
    folder: str | Path,
    meshes: Mapping[int, Mesh] | Iterable[tuple[int, Mesh]],
    *,
    format: str = "stl",
    unit: str = "mm",
) -> list[Path]:
    """Write one file a specimen, ``specimen_0007.stl`` and so on.

    Parameters
    ----------
    folder : path
        Made if it is not there; files of the same names are replaced, others stay.
    meshes : dict of id to Mesh, or iterable of (id, Mesh)
        An iterable is written as it comes, one mesh in memory at a time.
    format : {"stl", "ply", "obj", "glb"}
    unit : str
        See `write_mesh`.

    Returns
    -------
    list of Path
        Files written.

    Raises
    ------
    InputError, OutputError
        See `write_mesh`.
    """
    suffix = mesh_suffix(Path(f"x.{format.lstrip('.')}"))
    folder = Path(folder)
    make_folder(folder)
    pairs = meshes.items() if isinstance(meshes, Mapping) else meshes
    written = []
    for i, mesh in pairs:
        checkpoint()
        path = folder / f"{mesh_name(i)}{suffix}"
        write_mesh(path, {i: mesh}, unit=unit)
        written.append(path)
    return written


def mesh_suffix(path: Path) -> str:
    """The suffix of a mesh's file, in small letters.

    Raises
    ------
    InputError
        It is none of those that can be written.
    """
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise InputError(
            f"Meshes are written as {', '.join(MESH_SUFFIXES)}, not as {path.name}: rename it."
        )
    return suffix


def mesh_name(i: int) -> str:
    """The name of a specimen's object and file."""
    return f"specimen_{i:04d}"


def color_of(i: int) -> NDArray[np.uint8]:
    """A colour for a specimen, (3,) uint8; always the same, and neighbouring ids differ much."""
    rgb = colorsys.hsv_to_rgb(i * _GOLDEN % 1, 0.45 + 0.3 * (i * _GOLDEN * _GOLDEN % 1), 0.9)
    return np.round(np.array(rgb) * 255).astype(np.uint8)


def _mm(unit: str) -> float:
    factor = 1.0 if unit in {"pixel", "px"} else mm_per(unit)
    if factor is None:
        raise InputError(f"{unit} is no unit of length: give mm, um, cm or pixel.")
    return factor


def _xyz(mesh: Mesh, factor: float) -> NDArray[np.float64]:
    xyz: NDArray[np.float64] = mesh.vertices[:, ::-1] * factor
    return xyz


def _write_obj(
    path: Path, meshes: Mapping[int, Mesh], paint: Mapping[int, NDArray[np.uint8]], factor: float
) -> None:
    # Colours stand behind the vertices, as Blender and MeshLab read them: no second file.
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write("# x, y, z = columns, rows, slices; mm\n")
        before = 1
        for i, mesh in meshes.items():
            checkpoint()
            file.write(f"o {mesh_name(i)}\n")
            r, g, b = (paint[i] / 255).tolist()
            xyz = _xyz(mesh, factor)
            np.savetxt(file, xyz, fmt=f"v %.9g %.9g %.9g {r:.4g} {g:.4g} {b:.4g}")
            np.savetxt(file, mesh.faces + before, fmt="f %d %d %d")
            before += len(xyz)


def _encoded(
    suffix: str,
    meshes: Mapping[int, Mesh],
    paint: Mapping[int, NDArray[np.uint8]],
    factor: float,
) -> bytes:
    import trimesh

    if suffix == ".glb":
        scene = trimesh.Scene()
        for i, mesh in meshes.items():
            made = _trimesh(_xyz(mesh, factor / 1000), mesh.faces)
            made.visual.face_colors = paint[i]
            scene.add_geometry(made, node_name=mesh_name(i), geom_name=mesh_name(i))
        return bytes(scene.export(file_type="glb"))
    counts = [len(mesh.vertices) for mesh in meshes.values()]
    firsts = np.cumsum([0, *counts[:-1]])
    joined = _trimesh(
        np.concatenate([_xyz(mesh, factor) for mesh in meshes.values()]),
        np.concatenate([m.faces + n for m, n in zip(meshes.values(), firsts, strict=True)]),
    )
    if suffix == ".ply":
        each = np.repeat(np.array([paint[i] for i in meshes]), counts, axis=0)
        joined.visual.vertex_colors = each
        joined.vertex_attributes["specimen"] = np.repeat(np.array(list(meshes), np.int32), counts)
    return bytes(joined.export(file_type=suffix[1:]))


def _trimesh(vertices: NDArray[np.float64], faces: NDArray[Any]) -> Trimesh:
    import trimesh

    return trimesh.Trimesh(vertices, faces, process=False)
