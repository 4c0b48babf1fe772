"""The size of a voxel, as files tell it, in mm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_fossiledit.errors import InputError

__all__ = ["VOXEL_FILE", "checked_voxel_size", "mm_per", "voxel_size_of", "write_voxel_file"]

VOXEL_FILE = "voxel_size.json"
_MM = {
    "mm": 1.0,
    "millimeter": 1.0,
    "um": 1e-3,
    "µm": 1e-3,
    "μm": 1e-3,
    "\\u00b5m": 1e-3,
    "micron": 1e-3,
    "microns": 1e-3,
    "micrometer": 1e-3,
    "nm": 1e-6,
    "nanometer": 1e-6,
    "cm": 10.0,
    "centimeter": 10.0,
    "m": 1000.0,
    "meter": 1000.0,
    "inch": 25.4,
    "angstrom": 1e-7,
    "decimeter": 100.0,
    "picometer": 1e-9,
}
VoxelSize = tuple[float, float, float]


def mm_per(unit: object) -> float | None:
    """Millimetres in a unit of length, by its name or sign; None for what is none."""
    return _MM.get(str(unit).lower())


def checked_voxel_size(values: Sequence[float]) -> VoxelSize:
    """A voxel size (z, y, x) that the user gave, checked.

    Raises
    ------
    InputError
        It is not three lengths above 0.
    """
    found = _checked(values)
    if found is None:
        try:
            said = " x ".join(f"{float(v):g}" for v in values)
        except (TypeError, ValueError):
            said = str(values)
        raise InputError(
            f"The voxel size {said} cannot be: give three lengths above 0, in mm, in the order "
            "z (between slices), y, x, e.g. 0.5 0.145 0.145."
        )
    return found


def voxel_size_of(path: Path) -> VoxelSize | None:
    """Voxel size (z, y, x) in mm of a folder or file, or None where nothing tells it.

    Read from ``voxel_size.json`` (``{"voxel_size_mm": [z, y, x]}``) in the folder, else from a
    TIFF's own metadata (this library's, ImageJ's or OME's).

    Raises
    ------
    InputError
        ``voxel_size.json`` holds no voxel size, or one that is not above 0.
    """
    folder = path if path.is_dir() else path.parent
    found = _from_json(folder / VOXEL_FILE)
    if found is None and path.suffix.lower() in {".tif", ".tiff"}:
        found = _from_tiff(path)
    return found


def write_voxel_file(folder: Path, voxel_size: Sequence[float]) -> None:
    """Write ``voxel_size.json`` into a folder of slices.

    Raises
    ------
    InputError
        See `checked_voxel_size`.
    OutputError
        See `io.atomic`.
    """
    from napari_fossiledit.io.save import write_json

    write_json(folder / VOXEL_FILE, {"voxel_size_mm": list(checked_voxel_size(voxel_size))})


def _from_json(path: Path) -> VoxelSize | None:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: correct or remove it.") from error
    try:
        content = json.loads(text)
        found = _checked(content.get("voxel_size_mm") if isinstance(content, dict) else content)
    except ValueError:
        found = None
    if found is None:
        raise InputError(
            f"{path} holds no voxel size: correct it, as "
            '{"voxel_size_mm": [0.5, 0.145, 0.145]} (z, y, x; three lengths above 0), or remove '
            "it."
        )
    return found


def _from_tiff(path: Path) -> VoxelSize | None:
    import tifffile

    # Metadata is a help, never a reason to refuse the pixels.
    try:
        with tifffile.TiffFile(path) as file:
            shaped = file.shaped_metadata
            if shaped:
                return _checked(shaped[0].get("voxel_size_mm"))
            if file.imagej_metadata:
                return _from_imagej(file.imagej_metadata, file.pages.first)
            return _from_ome(file.ome_metadata) if file.ome_metadata else None
    except Exception:
        return None


def _from_imagej(metadata: dict[str, Any], page: Any) -> VoxelSize | None:
    factor = _MM.get(str(metadata.get("unit", "")).lower())
    if factor is None or "spacing" not in metadata:
        return None
    rows, columns = page.tags["YResolution"].value, page.tags["XResolution"].value
    return _checked(
        [
            float(metadata["spacing"]) * factor,
            rows[1] / rows[0] * factor,
            columns[1] / columns[0] * factor,
        ]
    )


def _from_ome(xml: str) -> VoxelSize | None:
    from xml.etree import ElementTree

    for element in ElementTree.fromstring(xml).iter():
        if element.tag.endswith("Pixels"):
            # OME's default unit is the micrometre.
            return _checked(
                [
                    float(element.attrib[f"PhysicalSize{a}"])
                    * _MM[element.attrib.get(f"PhysicalSize{a}Unit", "um").lower()]
                    for a in "ZYX"
                ]
            )
    return None


def _checked(values: object) -> VoxelSize | None:
    try:
        z, y, x = (float(v) for v in values)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return None
    return (z, y, x) if all(0 < v < float("inf") for v in (z, y, x)) else None
