"""Single images: read them, and convert them to uint8 RGB once."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError

__all__ = ["Converted", "read_array", "read_image", "refuse_codec", "to_rgb8", "value_range"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
_BIT_DEPTHS = (8, 10, 12, 14, 16, 32)
_MOST_CHANNELS = 4


@dataclass(frozen=True, eq=False)
class Converted:
    """An image as the library works with it.

    Attributes
    ----------
    image : (y, x, 3) uint8
        RGB.
    notes : tuple of str
        What was converted, in plain words; empty when nothing was.
    """

    image: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def read_image(path: str | Path) -> Converted:
    """Read one image file (PNG, JPEG, TIFF, BMP) as uint8 RGB.

    Raises
    ------
    InputError
        When the file is missing, damaged, not an image, has several pages, or holds NaN.
    """
    path = Path(path)
    array, notes = read_array(path)
    converted = to_rgb8(array, name=path.name)
    return Converted(converted.image, notes + converted.notes)


def to_rgb8(
    array: NDArray[Any],
    *,
    name: str = "image",
    values: tuple[float, float] | None = None,
) -> Converted:
    """Convert an image of any common kind to uint8 RGB, and say how.

    Parameters
    ----------
    array : (y, x), (y, x, 1 to 4) or (3 or 4, y, x)
        Grey, grey with alpha, RGB or RGBA; bool, integer or float.
    name : str
        Named in errors.
    values : (float, float), optional
        Values that become black and white. By default chosen from this image (`value_range`);
        a stack gives the same to all of its slices, so that they don't flicker.

    Returns
    -------
    Converted
        ``image`` (y, x, 3) uint8, never a view of ``array`` with other data, and the notes.

    Raises
    ------
    InputError
        For NaN or infinite values, an empty image, other axes or other dtypes.
    """
    array, notes = _channels_last(np.asarray(array), name)
    array, dropped = _drop_alpha(array)
    grey = array.ndim == 2
    scaled, said = _to_uint8(array, name, values)
    if grey:
        said = ("grey, repeated as red, green and blue", *said)
        scaled = np.repeat(scaled[:, :, None], 3, axis=2)
    return Converted(np.ascontiguousarray(scaled), notes + dropped + said)


def value_range(array: NDArray[Any], name: str = "image") -> tuple[float, float] | None:
    """Values of ``array`` that should become 0 and 255; None where no scaling is needed.

    Integers: 0 to the largest value of the smallest bit depth (8, 10, 12, 14, 16, 32) that holds
    them. Floats: 0 to 1, else 0 to 255, else their own extent.
    """
    if array.dtype == np.uint8 or array.dtype == bool:
        return None
    _refuse_not_finite(array, name)
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind == "f":
        if low >= 0 and high <= 1 + 1e-6:
            return 0.0, 1.0
        return (0.0, 255.0) if low >= 0 and high <= 255 else (low, high)
    if low < 0:
        return low, high
    bits = next((b for b in _BIT_DEPTHS if high < 2**b), 64)
    return 0.0, float(2**bits - 1)


def read_array(path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Read the pixels of one image file as they are stored, and note what reading changed."""
    if not path.exists():
        raise InputError(f"There is no file {path}: check the name.")
    if path.is_dir():
        raise InputError(f"{path} is a folder, but one image file is needed: choose a file in it.")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"{path.name} is not a PNG, JPEG, TIFF or BMP image: convert it to one.")
    if path.suffix.lower() in TIFF_SUFFIXES:
        return _single_page(read_tiff(path), path), ()
    return _read_pillow(path)


def read_tiff(path: Path) -> NDArray[Any]:
    """All pages of a TIFF as one array."""
    import tifffile

    try:
        return np.asarray(tifffile.imread(path))
    except MemoryError as error:
        raise InputError(
            f"{path.name} is larger than this machine's memory: split it into one file a slice."
        ) from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read: ask its owner for access.") from error
    # A damaged TIFF raises nearly anything, from struct.error to zlib.error.
    except Exception as error:
        refuse_codec(path, error)
        raise InputError(
            f"{path.name} cannot be read as a TIFF: it may be damaged or not a TIFF; "
            f"export it again ({type(error).__name__})."
        ) from error


def refuse_codec(path: Path, error: Exception) -> None:
    """Raise `InputError` if a TIFF could not be read for want of its compression's decoder."""
    text = str(error)
    if "imagecodecs" not in text:
        return
    found = re.search(r"COMPRESSION\.(\w+)", text)
    how = f"with {found[1]}" if found else "in a way"
    raise InputError(
        f"{path.name} is compressed {how}, which cannot be decoded here: install the decoders "
        "(pip install imagecodecs), or save the file without compression."
    ) from error


def _single_page(array: NDArray[Any], path: Path) -> NDArray[Any]:
    # Leading axes of length 1 are a TIFF's z, t or c axis with nothing in it.
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    several = array.ndim > 3 or (
        array.ndim == 3
        and array.shape[-1] > _MOST_CHANNELS
        and array.shape[0] not in {3, _MOST_CHANNELS}
    )
    if several:
        raise InputError(
            f"{path.name} has {array.shape[0]} pages, but one image is needed: "
            "open it as a stack, or save the page alone."
        )
    return array


def _read_pillow(path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    from PIL import Image

    notes: list[str] = []
    try:
        # Not within `catch_warnings`: where several threads read, that would bring back filters
        # that others (napari, adding a layer) have set for a moment.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            # 274 is EXIF's orientation. Labels are drawn on the pixels as stored.
            if image.getexif().get(274, 1) != 1:
                notes.append("turned by its camera's orientation mark, which is not applied")
            if image.mode in {"P", "PA", "CMYK", "YCbCr", "HSV", "LAB"}:
                notes.append(f"{image.mode} colours, converted to RGB")
                mode = "RGBA" if "transparency" in image.info else "RGB"
                array = np.asarray(image.convert(mode))
            else:
                array = np.asarray(image)
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path.name} has more than 178 million pixels: save it as TIFF, or smaller."
        ) from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read: ask its owner for access.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"{path.name} cannot be read: it is damaged or not an image; export it again."
        ) from error
    if _is_png48(path):
        notes.append("16-bit colour, scaled to 8-bit by leaving out the lower byte")
    return array, tuple(notes)


def _is_png48(path: Path) -> bool:
    """Whether a PNG has 16 bits a channel and colour, which Pillow reads as 8."""
    if path.suffix.lower() != ".png":
        return False
    with path.open("rb") as file:
        head = file.read(26)
    return len(head) == 26 and head[24] == 16 and head[25] in {2, 6}


def _channels_last(array: NDArray[Any], name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    if array.size == 0:
        raise InputError(f"The {_called(name)} has no pixels: choose another file.")
    if array.dtype.kind not in "buif":
        raise InputError(
            f"The {_called(name)} holds {array.dtype} values: save it as an 8- or 16-bit image."
        )
    if array.ndim == 3 and array.shape[-1] > _MOST_CHANNELS and array.shape[0] in {3, 4}:
        return np.moveaxis(array, 0, -1), ("channels first, moved to the end",)
    if array.ndim == 3 and array.shape[-1] == 1:
        return array[:, :, 0], ()
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] <= _MOST_CHANNELS):
        return array, ()
    raise InputError(
        f"The {_called(name)} has the axes {' x '.join(map(str, array.shape))}, which is neither "
        "grey (y, x) nor colour (y, x, 3): save it as a grey or RGB image."
    )


def _drop_alpha(array: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    if array.ndim == 3 and array.shape[-1] in {2, 4}:
        rest = array[..., :-1]
        rest = rest[..., 0] if rest.shape[-1] == 1 else rest
        return rest, ("transparency (alpha), left out",)
    return array, ()


def _to_uint8(
    array: NDArray[Any], name: str, values: tuple[float, float] | None
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    if array.dtype == np.uint8:
        return array, ()
    if array.dtype == bool:
        return array.astype(np.uint8) * 255, ("black and white, scaled to 0 and 255",)
    _refuse_not_finite(array, name)
    found = values or value_range(array, name)
    assert found is not None
    low, high = found
    # float64 for a 32-bit integer's sake, row by row is not worth it at a slice's size.
    scaled = (array.astype(np.float64) - low) * (255.0 / (high - low) if high > low else 0.0)
    pixels = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    kind = "floating point" if array.dtype.kind == "f" else f"{array.dtype.itemsize * 8}-bit"
    return pixels, (f"{kind}, scaled to 8-bit by {low:g} to {high:g} -> 0 to 255",)


def _refuse_not_finite(array: NDArray[Any], name: str) -> None:
    if array.dtype.kind != "f":
        return
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    if bad:
        raise InputError(
            f"The {_called(name)} has {bad} values that are not numbers (NaN or infinite): "
            "fill them, e.g. with the median of the image, and save it again."
        )


def _called(name: str) -> str:
    return name if name.startswith(("image", "slice")) else f"image {name}"
