"""Label images and volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.io.files import label_files
from napari_fossiledit.io.images import TIFF_SUFFIXES, read_tiff
from napari_fossiledit.io.zarr_files import is_zarr

__all__ = ["as_labels", "read_label_file", "read_labels"]

_LARGEST = np.iinfo(np.int32).max
_SUFFIXES = TIFF_SUFFIXES | {".png", ".bmp"}


def read_labels(path: str | Path) -> NDArray[np.int32]:
    """Read labels: a TIFF (one or many pages), a PNG, a folder of them, or a zarr.

    `open_labels` reads the same slice by slice.

    Returns
    -------
    (y, x) or (z, y, x) int32
        One value per instance, 0 = background. A folder or zarr always gives (z, y, x).

    Raises
    ------
    InputError
        Missing or damaged files; JPEG; colours; negative, fractional or NaN values; files of one
        folder that differ in size.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There are no labels {path}: check the name.")
    if not path.is_dir():
        return read_label_file(path)
    if is_zarr(path):
        from napari_fossiledit.io.label_volume import open_labels

        return np.stack(list(open_labels(path)))
    files = label_files(path)
    slices = [read_label_file(file) for file in files]
    for file, labels in zip(files, slices, strict=True):
        if labels.shape != slices[0].shape:
            raise InputError(
                f"The labels {file.name} have {' x '.join(map(str, labels.shape))} pixels, but "
                f"{files[0].name} {' x '.join(map(str, slices[0].shape))}: "
                "all labels of a stack must be of one size."
            )
    return np.stack(slices)


def read_label_file(path: Path) -> NDArray[np.int32]:
    """Read one label file: a TIFF of one or many pages, or a PNG."""
    suffix = path.suffix.lower()
    if suffix in {".jpg", ".jpeg"}:
        raise InputError(
            f"The labels {path.name} are a JPEG, which blurs label values: save them as TIFF or "
            "PNG."
        )
    if suffix not in _SUFFIXES:
        raise InputError(f"The labels {path.name} are not a TIFF or PNG: save them as one.")
    array = read_tiff(path) if suffix in TIFF_SUFFIXES else _read_png(path)
    return as_labels(array, name=path.name)


def as_labels(array: NDArray[Any], *, name: str = "labels") -> NDArray[np.int32]:
    """Check an array of labels and convert it to int32.

    Parameters
    ----------
    array : (y, x) or (z, y, x); bool, integer, or float with whole values
        Grey saved as RGB(A) is taken as grey.
    name : str
        Named in errors.

    Raises
    ------
    InputError
    """
    array = np.asarray(array)
    if array.size == 0:
        raise InputError(f"The labels {name} have no pixels: choose another file.")
    array = _without_channels(array, name)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim not in {2, 3}:
        raise InputError(
            f"The labels {name} have {array.ndim} axes: they must have (y, x) or (z, y, x)."
        )
    if array.dtype.kind == "f":
        if not np.all(np.isfinite(array)) or np.any(array != np.rint(array)):
            raise InputError(
                f"The labels {name} hold NaN or fractions: each pixel must hold the whole number "
                "of its instance, 0 for background."
            )
    elif array.dtype.kind not in "bui":
        raise InputError(f"The labels {name} hold {array.dtype} values: save them as integers.")
    if array.dtype.kind != "b":
        low, high = array.min(), array.max()
        if low < 0 or high > _LARGEST:
            wrong = f"{low:.15g}" if low < 0 else f"{high:.15g}"
            raise InputError(
                f"The labels {name} hold the value {wrong}: "
                f"they must lie between 0 (background) and {_LARGEST}."
            )
    return array.astype(np.int32)


def _without_channels(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.ndim < 3 or array.shape[-1] not in {3, 4} or array.dtype != np.uint8:
        return array
    grey = array[..., 0]
    if np.any(array[..., 1] != grey) or np.any(array[..., 2] != grey):
        raise InputError(
            f"The labels {name} are a colour picture: each pixel must hold the whole number of "
            "its instance; export label values, not colours."
        )
    return grey


def _read_png(path: Path) -> NDArray[Any]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            # Palette images stay indices: that is how many annotation tools store labels.
            return np.asarray(image)
    except PermissionError as error:
        raise InputError(f"{path} may not be read: ask its owner for access.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"The labels {path.name} cannot be read: they are damaged or not an image."
        ) from error
