"""From a slice to the network's input: normalise, resize if the model wants it, pad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from napari_fossiledit.errors import InputError

__all__ = ["LEAST_ZOOM", "MOST_ZOOM", "NetworkInput", "Preprocess", "check_zoom"]

LEAST_ZOOM, MOST_ZOOM = 0.25, 4.0


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """What the network sees of one slice.

    Attributes
    ----------
    tensor : (1, 3, H, W) float32
        Normalised image, zero in the padding.
    content : (int, int)
        Rows and columns of the image inside it.
    original : (int, int)
        Rows and columns of the slice.
    """

    tensor: torch.Tensor
    content: tuple[int, int]
    original: tuple[int, int]

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns of the network's input."""
        return int(self.tensor.shape[-2]), int(self.tensor.shape[-1])


@dataclass(frozen=True)
class Preprocess:
    """How a model wants its images.

    Attributes
    ----------
    mean, std : three floats
        Per channel, for values in [0, 1], in the order red, green, blue.
    shortest, longest : int, optional
        The shorter edge is scaled to ``shortest`` unless the longer one would exceed
        ``longest``; None keeps the slice's own resolution.
    pillow : bool
        Scale the 8-bit slice with Pillow's bilinear filter, as detectron2 does, in place of the
        normalised one with torch's.
    multiple : int
        The padded size is a multiple of this.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    shortest: int | None = None
    longest: int | None = None
    multiple: int = 32
    pillow: bool = False

    def __call__(
        self, image: NDArray[np.uint8], device: torch.device, zoom: float = 1.0
    ) -> NetworkInput:
        """Prepare a (y, x, 3) uint8 RGB slice, seen ``zoom`` times larger than usual.

        Raises
        ------
        InputError
            If the image is not (y, x, 3) uint8, or empty.
        """
        check_image(image)
        original = (int(image.shape[0]), int(image.shape[1]))
        content = self.resized(original, zoom)
        if self.pillow and content != original:
            image = np.asarray(
                Image.fromarray(image).resize(content[::-1], Image.Resampling.BILINEAR)
            )
        array = np.ascontiguousarray(np.moveaxis(image, -1, 0))
        tensor = torch.from_numpy(array).to(device).float().div_(255.0)[None]
        mean = torch.tensor(self.mean, dtype=torch.float32, device=device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, dtype=torch.float32, device=device).view(1, 3, 1, 1)
        tensor = tensor.sub_(mean).div_(std)
        if tuple(tensor.shape[-2:]) != content:
            tensor = functional.interpolate(
                tensor, size=content, mode="bilinear", align_corners=False
            )
        below, right = (-n % self.multiple for n in content)
        return NetworkInput(functional.pad(tensor, (0, right, 0, below)), content, original)

    def resized(self, shape: tuple[int, int], zoom: float = 1.0) -> tuple[int, int]:
        """Rows and columns after the resize."""
        if self.shortest is None:
            return max(round(shape[0] * zoom), 1), max(round(shape[1] * zoom), 1)
        shortest = self.shortest * zoom
        longest = None if self.longest is None else self.longest * zoom
        if self.pillow:
            return self._resized_as_detectron2(shape, shortest, longest)
        scale = shortest / min(shape)
        if longest is not None:
            scale = min(scale, longest / max(shape))
        return max(int(shape[0] * scale), 1), max(int(shape[1] * scale), 1)

    @staticmethod
    def _resized_as_detectron2(
        shape: tuple[int, int], shortest: float, longest: float | None
    ) -> tuple[int, int]:
        """Rounded, in the same two steps: in one, halves of a pixel would fall the other way."""
        scale = shortest / min(shape)
        rows, columns = shape[0] * scale, shape[1] * scale
        if shape[0] < shape[1]:
            rows = float(shortest)
        else:
            columns = float(shortest)
        if longest is not None and max(rows, columns) > longest:
            again = longest * 1.0 / max(rows, columns)
            rows, columns = rows * again, columns * again
        return max(int(rows + 0.5), 1), max(int(columns + 0.5), 1)


def check_zoom(zoom: float) -> None:
    """Refuse an input zoom that no network could work with."""
    if not LEAST_ZOOM <= zoom <= MOST_ZOOM:
        raise InputError(
            f"The input zoom must lie between {LEAST_ZOOM:g} and {MOST_ZOOM:g}, not {zoom:g}: 1 is "
            "the model's own, 1.5 shows it small fossils larger."
        )


def check_image(image: NDArray[np.uint8]) -> None:
    """Refuse what is not a (y, x, 3) uint8 RGB slice."""
    if not isinstance(image, np.ndarray):
        raise InputError(
            f"A model needs a slice as a numpy array, not as {type(image).__name__}: give it "
            "numpy.asarray(slice)."
        )
    if image.ndim != 3 or image.shape[-1] != 3:
        raise InputError(
            f"A model needs an RGB slice of shape (y, x, 3), not {image.shape}: convert it with "
            "io.to_rgb8 first."
        )
    if image.dtype != np.uint8:
        raise InputError(
            f"A model needs an 8-bit RGB slice, not {image.dtype}: convert it with io.to_rgb8 "
            "first."
        )
    if image.size == 0:
        raise InputError("The slice has no pixels: choose an image that is not empty.")
