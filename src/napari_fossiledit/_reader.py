"""Readers for napari: stacks and label volumes open lazily, with their size in mm.

Folders of slices, TIFFs and zarrs only; single PNG and JPEG images are left to napari.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_fossiledit import io
from napari_fossiledit.errors import FossilEditError

__all__ = ["get_reader", "read_layers"]

LayerData = tuple[Any, dict[str, Any], str]
_TIFF = {".tif", ".tiff"}


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Say whether the plugin opens a path: a folder of slices, a TIFF, or a zarr."""
    if not isinstance(path, str | Path):
        if len(path) != 1:
            return None
        path = path[0]
    return _read if _is_ours(Path(path)) else None


def read_layers(path: Path, voxel_size: Sequence[float] | None = None) -> list[LayerData]:
    """The layer of a stack or label volume, and what is to be said of it in its metadata.

    Parameters
    ----------
    path : Path
    voxel_size : (z, y, x) in mm, optional
        Instead of what the files say.

    Raises
    ------
    InputError
    """
    if io.holds_labels(path):
        return [_labels_layer(path, voxel_size)]
    return [_stack_layer(path, voxel_size)]


def _is_ours(path: Path) -> bool:
    if not path.is_dir():
        return path.suffix.lower() in _TIFF and path.is_file()
    return io.is_zarr(path) or io.holds_images(path)


def _read(path: str | Sequence[str]) -> list[LayerData]:
    from napari import current_viewer
    from napari.utils.notifications import show_error, show_info, show_warning

    one = Path(path if isinstance(path, str | Path) else path[0])
    try:
        layers = read_layers(one)
    except FossilEditError as error:
        if current_viewer() is not None:
            # napari's own message says no more than that it failed.
            show_error(str(error))
        raise
    for _, options, _ in layers:
        for note in options["metadata"]["fossiledit_notes"]:
            (show_info if note.startswith("Images are") else show_warning)(f"{note}.")
    return layers


def _stack_layer(path: Path, voxel_size: Sequence[float] | None) -> LayerData:
    stack = io.open_stack(path, voxel_size=voxel_size)
    data: Any = stack.for_viewer()
    if len(stack) == 1:
        data = stack[0]
    options = _options(path, stack.voxel_size, stack.names, stack.notes, data.ndim - 1)
    return data, {**options, "rgb": True}, "image"


def _labels_layer(path: Path, voxel_size: Sequence[float] | None) -> LayerData:
    volume = io.open_labels(path, whole=False, voxel_size=voxel_size)
    data: Any = volume.slices
    if len(volume) == 1:
        data = volume[0]
    options = _options(path, volume.voxel_size, volume.names, volume.notes, data.ndim)
    if volume.store is not None:
        options["metadata"]["fossiledit"] = "result"
    return data, {**options, "opacity": 0.5}, "labels"


def _options(
    path: Path,
    voxel_size: tuple[float, float, float] | None,
    names: Sequence[str],
    notes: Sequence[str],
    axes: int,
) -> dict[str, Any]:
    options: dict[str, Any] = {
        "name": _short(path),
        "axis_labels": ("z", "y", "x")[-axes:],
        "metadata": {
            "fossiledit_path": str(path),
            "fossiledit_names": list(names),
            "fossiledit_notes": list(notes),
        },
    }
    if voxel_size is not None:
        options |= {"scale": voxel_size[-axes:], "units": ("mm",) * axes}
    return options


def _short(path: Path) -> str:
    name = path.resolve().name
    for suffix in (".zarr", ".ome", ".tiff", ".tif"):
        name = name.removesuffix(suffix)
    return name or str(path)
