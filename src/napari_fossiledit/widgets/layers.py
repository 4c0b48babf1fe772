"""Between napari's layers and the library: what a worker may read, and where results go.

`StackSource` and `LabelSource` are taken on the main thread and then used in a worker; they hold
arrays and numbers, never layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

__all__ = [
    "LabelSource",
    "StackSource",
    "free_name",
    "is_stack",
    "placed",
    "role",
    "stack_problem",
    "turn_to_3d",
    "voxel_words",
]

_ROLE = "fossiledit"
_MAX_FULL = 1 << 30  # voxels; a sparse result larger than this covers its own slices only


def role(layer: Layer) -> str:
    """What the layer is to the plugin, e.g. "confusers" or "result"; '' for others' layers."""
    return str(layer.metadata.get(_ROLE, ""))


def as_role(name: str) -> dict[str, str]:
    """Metadata that marks a layer for `role`."""
    return {_ROLE: name}


def _pixels(layer: Layer) -> Any:
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def is_stack(layer: Layer) -> bool:
    """Whether the layer can serve as a stack or a single slice."""
    from napari.layers import Image

    return isinstance(layer, Image) and layer.ndim in {2, 3} and role(layer) != "result"


def stack_problem(layer: Layer) -> str:
    """Why an image layer cannot serve as a stack, or ''."""
    if layer.ndim > 3:
        return (
            f"The layer '{layer.name}' has {layer.ndim} axes. A stack has three (z, y, x) and "
            "colours: right-click the layer and choose the RGB conversion, or split it."
        )
    return ""


def spatial(layer: Layer) -> dict[str, Any]:
    """The layer's place in the world, as keywords for a layer made from it."""
    return {
        "scale": np.array(layer.scale),
        "translate": np.array(layer.translate),
        "rotate": np.array(layer.rotate),
        "shear": np.array(layer.shear),
        "affine": np.array(layer.affine.affine_matrix),
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def placed(place: dict[str, Any], z0: int = 0) -> dict[str, Any]:
    """``place`` for a layer that begins at the stack's slice ``z0``."""
    if not z0:
        return dict(place)
    translate = np.array(place["translate"], float)
    translate[0] += z0 * float(place["scale"][0])
    return {**place, "translate": translate}


def voxel_words(layer: Layer) -> str:
    """The voxel size in words, e.g. "0.5 x 0.145 x 0.145 mm"."""
    sizes = " × ".join(f"{value:g}" for value in layer.scale)
    units = sorted({f"{unit:~}" or "pixel" for unit in layer.units})
    return f"{sizes} {' / '.join(units)}"


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """``wanted``, or the first of "wanted 2", "wanted 3" ... that no layer has."""
    names, number, name = set(taken), 2, wanted
    while name in names:
        name, number = f"{wanted} {number}", number + 1
    return name


@dataclass(frozen=True, eq=False)
class StackSource:
    """A stack as a worker sees it.

    Attributes
    ----------
    name : str
        The layer's name.
    data : array
        (z, y, x[, 3 or 4]) or (y, x[, 3 or 4]), numpy, dask or zarr.
    shape : (int, int, int)
        Slices, rows and columns; a single slice counts as one.
    flat : bool
        Whether the layer is a single slice (no z axis).
    place : dict
        Scale, translate, units and axis labels for layers made from this one.
    """

    name: str
    data: Any
    shape: tuple[int, int, int]
    flat: bool
    place: dict[str, Any]

    @classmethod
    def of(cls, layer: Image) -> StackSource:
        """Take what is needed from an image layer (no pixel is read)."""
        problem = stack_problem(layer)
        if problem:
            raise InputError(problem)
        data = _pixels(layer)
        flat = layer.ndim == 2
        zyx = tuple(int(n) for n in data.shape[: layer.ndim])
        z, y, x = (1, *zyx) if flat else zyx
        return cls(layer.name, data, (z, y, x), flat, spatial(layer))

    def read(self, z: int) -> NDArray[np.uint8]:
        """Slice ``z`` as (y, x, 3) uint8. Slow on lazy data: call it in a worker."""
        from napari_fossiledit.io import to_rgb8

        raw = np.asarray(self.data if self.flat else self.data[z])
        return np.asarray(to_rgb8(raw, name=self.slice_name(z)).image)

    def slice_name(self, z: int) -> str:
        """Name of slice ``z`` for messages and tables."""
        return self.name if self.flat else f"{self.name}, slice {z}"

    def blank(self, first: int, last: int) -> tuple[NDArray[np.int32], int]:
        """An empty label array for results on slices first..last, and its first slice.

        As large as the stack where memory allows (untouched pages cost nothing), so that it can be
        painted on everywhere; else as many slices as the results have.
        """
        if int(np.prod(self.shape)) <= _MAX_FULL:
            return np.zeros(self.shape, np.int32), 0
        return np.zeros((last - first + 1, *self.shape[1:]), np.int32), first


@dataclass(frozen=True, eq=False)
class LabelSource:
    """Labels as a worker sees them, addressed by the slices of a stack.

    Attributes
    ----------
    name : str
    data : (z, y, x) or (y, x) integer array
    offset : int
        Add it to the stack's slice number to get the label array's.
    """

    name: str
    data: Any
    offset: int
    stack: StackSource

    @classmethod
    def of(cls, layer: Labels, stack: StackSource, stack_layer: Image) -> LabelSource:
        """Take a labels layer that lies on ``stack_layer``.

        Raises
        ------
        InputError
            When rows, columns or place do not agree with the stack's.
        """
        data = _pixels(layer)
        rows, columns = (int(n) for n in data.shape[-2:])
        if data.ndim not in {2, 3} or (rows, columns) != stack.shape[1:]:
            raise InputError(
                f"The labels '{layer.name}' have {rows} x {columns} pixels, the stack "
                f"'{stack.name}' {stack.shape[1]} x {stack.shape[2]}: "
                "choose labels made on this very stack."
            )
        offset = 0
        if data.ndim == 3 and not stack.flat:
            start = layer.world_to_data(stack_layer.data_to_world((0, 0, 0)))
            offset = round(float(start[0]))
            if offset == 0 and data.shape[0] != stack.shape[0] and role(layer) != "result":
                raise InputError(
                    f"The labels '{layer.name}' have {data.shape[0]} slices, the stack "
                    f"'{stack.name}' {stack.shape[0]}: choose labels made on this very stack."
                )
        elif data.ndim == 3 or (data.ndim == 2 and stack.shape[0] > 1):
            raise InputError(
                f"The labels '{layer.name}' have {data.ndim} axes, the stack '{stack.name}' "
                f"{2 if stack.flat else 3}: choose labels made on this very stack."
            )
        return cls(layer.name, data, offset, stack)

    def read(self, z: int) -> NDArray[np.int32]:
        """Labels of the stack's slice ``z``, a (y, x) int32 copy; zero where there are none."""
        if self.data.ndim == 2:
            return np.array(self.data, np.int32)
        index = z + self.offset
        if not 0 <= index < self.data.shape[0]:
            return np.zeros(self.stack.shape[1:], np.int32)
        return np.array(self.data[index], np.int32)

    def labelled(self) -> list[int]:
        """Numbers of the stack's slices with any label. Reads everything: call it in a worker."""
        from napari_fossiledit.progress import checkpoint

        found = []
        for z in range(self.stack.shape[0]):
            checkpoint()
            if self.read(z).any():
                found.append(z)
        return found


# Into the screen, downwards, to the right: the axes of slices numbered into the rock.
_INTO_THE_ROCK = ("away", "down", "right")


def turn_to_3d(viewer: Any) -> None:
    """Show what is visible in 3D, from a little to the side: else it looks like a slice.

    napari lets the first axis come towards the viewer unless told otherwise. Slices are numbered
    into the rock, away from who looks at them: with napari's way, every fossil would be its own
    mirror image.
    """
    camera = getattr(viewer, "scene", viewer).camera
    viewer.dims.ndisplay = 3
    camera.orientation = _INTO_THE_ROCK
    viewer.reset_view()
    camera.angles = (0.0, 30.0, 60.0)
    camera.zoom *= 0.8
    # napari 0.9 fails when a labels layer with features becomes the active one in 3D before the
    # mouse has been over the canvas, which alone sets this.
    direction = camera.calculate_nd_view_direction(viewer.dims.ndim, viewer.dims.displayed)
    viewer.cursor._view_direction = direction
