"""Zarr arrays and OME-Zarr images: which array it is, its axes, its voxel size.

Read with zarr-python, formats 2 and 3. Of a multiscale image the finest level is taken.

References
----------
OME-NGFF specification 0.4 and 0.5, sections "axes", "coordinateTransformations", "multiscales".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.voxels import VoxelSize, mm_per

__all__ = ["ZarrVolume", "holds_labels", "is_zarr", "labels_inside", "open_zarr"]

_FILES = (".zattrs", ".zgroup", ".zarray", "zarr.json")
_CHANNELS = {1, 3, 4}
_KNOWN = set("tczyx")
_BROKEN = "remove it and export it again"


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr array or group."""
    return path.is_dir() and any((path / name).is_file() for name in _FILES)


def holds_labels(path: Path) -> bool:
    """Whether a zarr says that it holds labels (OME-Zarr's ``image-label``, or our own)."""
    attributes = _attributes(path)
    return "image-label" in attributes or "fossiledit" in attributes


def labels_inside(path: Path) -> Path | None:
    """The labels that lie in an OME-Zarr image, in its group ``labels``; None without any.

    Raises
    ------
    InputError
        There are several.
    """
    listed = _attributes(path / "labels").get("labels")
    if holds_labels(path) or not isinstance(listed, list):
        return None
    found = [path / "labels" / str(name) for name in listed]
    found = [inner for inner in found if is_zarr(inner)]
    if len(found) > 1:
        raise InputError(
            f"{path} holds several label volumes ({', '.join(p.name for p in found[:5])}): open "
            f"one of them, e.g. {found[0]}."
        )
    return found[0] if found else None


@dataclass(frozen=True, eq=False)
class ZarrVolume:
    """An array of a zarr, and which of its axes is what.

    Attributes
    ----------
    path : Path
    array : zarr.Array
    axes : str
        A letter of ``tczyx`` for each axis.
    voxel_size : (z, y, x) in mm, or None
    labels : bool
        Whether it says that it holds labels.
    """

    path: Path
    array: Any
    axes: str
    voxel_size: VoxelSize | None
    labels: bool

    def length(self, axis: str) -> int:
        """Length of an axis; 1 where there is none of this name."""
        return int(self.array.shape[self.axes.index(axis)]) if axis in self.axes else 1

    def read(self, z: int) -> NDArray[Any]:
        """One slice, (y, x) or (y, x, c), as it is stored.

        Raises
        ------
        InputError
            Naming the slice, when its chunks are damaged.
        """
        return self.read_block(z, z + 1)[0]

    def read_block(self, first: int, last: int) -> list[NDArray[Any]]:
        """Slices ``first`` up to ``last``, read together."""
        wanted: dict[str, Any] = {"t": 0, "z": slice(first, last)}
        at = tuple(wanted.get(axis, slice(None)) for axis in self.axes)
        try:
            block = np.asarray(self.array[at])
        except Exception as error:  # a damaged chunk raises nearly anything
            raise InputError(
                f"Slice {first} of {self.path.name} cannot be read: its files are damaged or "
                "missing; export it again."
            ) from error
        left = [axis for axis in self.axes if axis != "t"]
        ordered = np.transpose(block, [left.index(axis) for axis in "zyxc" if axis in left])
        return list(ordered if "z" in self.axes else ordered[None])


def open_zarr(path: Path) -> ZarrVolume:
    """Find the array of a zarr that holds slices.

    Raises
    ------
    InputError
        It is damaged, holds several images, time points or too many channels.
    """
    import zarr

    try:
        node = zarr.open(path, mode="r")
    except Exception as error:  # damaged metadata raises nearly anything
        raise InputError(
            f"{path} cannot be read as zarr ({type(error).__name__}): {_BROKEN}."
        ) from error
    if isinstance(node, zarr.Array):
        return _checked(ZarrVolume(path, node, _plain_axes(node, path), None, holds_labels(path)))
    attributes = dict(node.attrs)
    scales = _multiscales(attributes)
    if scales is None:
        return _of_group(path, node)
    return _checked(_of_scales(path, node, scales, attributes))


def _of_group(path: Path, node: Any) -> ZarrVolume:
    """A group that is no image itself: take the only one in it."""
    import zarr

    names = sorted(p.name for p in path.iterdir() if is_zarr(p) and p.name not in {"labels", "OME"})
    if len(names) == 1:
        inner = node[names[0]]
        if isinstance(inner, zarr.Array) or _multiscales(dict(inner.attrs)) is not None:
            return open_zarr(path / names[0])
    if not names:
        raise InputError(f"{path} holds no image: choose the zarr folder that does.")
    raise InputError(
        f"{path} holds several images ({', '.join(names[:5])}): open one of them, e.g. "
        f"{path / names[0]}."
    )


def _of_scales(
    path: Path, node: Any, scales: Mapping[str, Any], attributes: Mapping[str, Any]
) -> ZarrVolume:
    try:
        level = scales["datasets"][0]
        array = node[level["path"]]
        declared = scales.get("axes") or list("tczyx")[-array.ndim :]
        names = "".join(str(a["name"] if isinstance(a, dict) else a).lower() for a in declared)
        units = [a.get("unit") if isinstance(a, dict) else None for a in declared]
        steps = [
            *level.get("coordinateTransformations", ()),
            *scales.get("coordinateTransformations", ()),
        ]
        voxel_size = _voxel_size(names, units, steps)
    except Exception as error:  # what others wrote may lack anything
        raise InputError(
            f"The description of {path} (OME-Zarr's multiscales) is damaged: {_BROKEN}."
        ) from error
    labels = "image-label" in attributes or "image-label" in attributes.get("ome", {})
    return ZarrVolume(path, array, names, voxel_size, labels)


def _multiscales(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first multiscale image of a group: in 0.5 under ``ome``, before that beside it."""
    ome = attributes.get("ome")
    found = (ome if isinstance(ome, dict) else attributes).get("multiscales")
    return found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else None


def _voxel_size(
    names: str, units: Sequence[str | None], steps: Sequence[Mapping[str, Any]]
) -> VoxelSize | None:
    scale = np.ones(len(names))
    for step in steps:
        if step.get("type") == "scale":
            scale = scale * np.asarray(step["scale"], float)
    found = []
    for axis in "zyx":
        factor = mm_per(units[names.index(axis)]) if axis in names else None
        if factor is None:
            return None
        found.append(float(scale[names.index(axis)]) * factor)
    z, y, x = found
    return (z, y, x) if all(0 < v < float("inf") for v in found) else None


def _plain_axes(array: Any, path: Path) -> str:
    """Axes of an array without OME's metadata: by their names, else by their lengths."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    if names:
        short = "".join(str(n or "?").lower()[:1] for n in names)
        if len(set(short)) == len(short) and set(short) <= _KNOWN and set("yx") <= set(short):
            return short
    shape = array.shape
    by_length: dict[int, list[tuple[str, int | None]]] = {
        2: [("yx", None)],
        3: [("yxc", -1), ("zyx", None)],
        4: [("zyxc", -1), ("czyx", 0), ("zcyx", 1), ("tzyx", None)],
        5: [("tzyxc", -1), ("tczyx", 1), ("tzcyx", 2)],
    }
    for axes, channel in by_length.get(len(shape), ()):
        if channel is None or shape[channel] in _CHANNELS:
            return axes
    raise InputError(
        f"{path.name} has the axes {' x '.join(map(str, shape))}: a stack has (z, y, x) or "
        "(z, y, x, 3)."
    )


def _checked(volume: ZarrVolume) -> ZarrVolume:
    shape = " x ".join(map(str, volume.array.shape))
    if len(volume.axes) != volume.array.ndim or not set(volume.axes) <= _KNOWN:
        raise InputError(
            f"{volume.path.name} has the axes {volume.axes} ({shape}), which are not those of a "
            "stack: z, y, x and colours (c)."
        )
    if not set("yx") <= set(volume.axes) or 0 in volume.array.shape:
        raise InputError(f"{volume.path.name} ({shape}) holds no slices: choose another.")
    if volume.length("t") > 1:
        raise InputError(
            f"{volume.path.name} has {volume.length('t')} time points: save one of them."
        )
    if volume.length("c") not in _CHANNELS:
        raise InputError(
            f"{volume.path.name} has {volume.length('c')} channels: a stack is grey (1) or colour "
            "(3, or 4 with transparency); save it so."
        )
    return volume


def _attributes(path: Path) -> dict[str, Any]:
    """A zarr's attributes without zarr-python, which takes a while to import."""
    for name, key in ((".zattrs", None), ("zarr.json", "attributes")):
        try:
            content = json.loads((path / name).read_text(encoding="utf-8"))
            found = content if key is None else content.get(key, {})
            if isinstance(found, dict):
                ome = found.get("ome")
                return {**found, **ome} if isinstance(ome, dict) else found
        except (OSError, ValueError, AttributeError):
            continue
    return {}
