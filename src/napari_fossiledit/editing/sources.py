"""What an edit is made from: slices, their perturbed selves, and where the fossils lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.editing.edit import image_sha256
from napari_fossiledit.errors import InputError

if TYPE_CHECKING:
    import torch

    from napari_fossiledit.editing.features import Captured
    from napari_fossiledit.models.segmenter import KeyValue, Segmenter
    from napari_fossiledit.perturb import Perturbed

__all__ = ["Source", "capture_all", "edit_mask", "edit_masks", "fossil_mask"]


@dataclass(frozen=True, eq=False)
class Source:
    """One slice and its perturbed self.

    Attributes
    ----------
    image : (y, x, 3) uint8
    perturbed : Perturbed, or (y, x, 3) uint8
        The same slice, painted.
    fossils : (y, x) bool or labels
        Above 0 on the fossils.
    """

    image: NDArray[np.uint8]
    perturbed: Perturbed | NDArray[np.uint8]
    fossils: NDArray[Any]

    @property
    def painted(self) -> NDArray[np.uint8]:
        """The perturbed slice's pixels."""
        return self.perturbed if isinstance(self.perturbed, np.ndarray) else self.perturbed.image

    @property
    def perturbation(self) -> dict[str, Any] | None:
        """The perturbation's recipe as plain values, where it is known."""
        known = isinstance(self.perturbed, np.ndarray)
        return None if known else self.perturbed.perturbation.to_dict()  # type: ignore[union-attr]

    @property
    def inside(self) -> NDArray[np.bool_]:
        """True on the fossils."""
        mask: NDArray[np.bool_] = np.asarray(self.fossils) > 0
        return mask

    def check(self) -> None:
        """Raise `InputError` if no edit can be made from it."""
        image, painted = self.image, self.painted
        if image.shape != painted.shape:
            raise InputError(
                f"The perturbed image has {painted.shape[0]} x {painted.shape[1]} pixels, the "
                f"original {image.shape[0]} x {image.shape[1]}: perturb this very slice."
            )
        inside = fossil_mask(self.fossils, image, "The labels")
        if not inside.any():
            raise InputError("There is no fossil in the labels of this slice: label at least one.")
        if inside.all():
            raise InputError(
                "The labels cover the whole slice, so nothing lies around the fossils: "
                "choose a slice where the rock is seen."
            )

    def to_dict(self) -> dict[str, Any]:
        """For an edit's provenance."""
        return {
            "image_sha256": image_sha256(self.image),
            "image_shape": list(self.image.shape),
            "perturbation": self.perturbation,
            "perturbed_sha256": image_sha256(self.painted),
        }


def fossil_mask(fossils: NDArray[Any], image: NDArray[np.uint8], what: str) -> NDArray[np.bool_]:
    """True on the fossils; `InputError` if the labels are not of the image's size."""
    mask = np.asarray(fossils)
    if mask.shape != image.shape[:2]:
        shape = " x ".join(map(str, mask.shape))
        raise InputError(
            f"{what} have {shape} pixels, the image {image.shape[0]} x {image.shape[1]}: "
            "choose labels made on this very image."
        )
    return mask > 0


def capture_all(
    segmenter: Segmenter, sources: Sequence[Source], names: Sequence[str]
) -> list[dict[str, Captured]]:
    """Keys, values and targets of the named layers, for every source (`features.capture`)."""
    from napari_fossiledit.editing.features import capture

    with segmenter.lock:
        return [capture(segmenter, s.image, s.painted, names) for s in sources]


def edit_masks(source: Source, captured: dict[str, Captured]) -> dict[str, torch.Tensor]:
    """1 on the cells to be edited, 0 elsewhere, for every layer: (1, 1, h, w) each."""
    shared: dict[Any, torch.Tensor] = {}
    masks = {}
    for name, found in captured.items():
        at = found.original
        size = (tuple(at.key.shape[2:]), at.content, at.padded)
        if size not in shared:
            shared[size] = edit_mask(source, at)
        masks[name] = shared[size]
    return masks


def edit_mask(source: Source, at: KeyValue) -> torch.Tensor:
    """1 on a layer's cells to be edited: the rock, the fossils, or both, as was painted."""
    from napari_fossiledit.editing.features import layer_mask

    fossil = layer_mask(source.inside, at)
    target = (source.perturbation or {}).get("target")
    if target == "fossils":
        return (fossil >= 0.5).to(at.key.dtype)
    # Cells that are mostly padding show no rock.
    content = layer_mask(np.ones_like(source.inside), at)
    if target == "both":
        return (content >= 0.5).to(at.key.dtype)
    return ((fossil < 0.5) & (content >= 0.5)).to(at.key.dtype)
