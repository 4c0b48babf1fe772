"""Features that are no numbers, told by their layer."""

from __future__ import annotations

import torch

from napari_fossiledit.errors import ModelError

__all__ = ["require_finite"]


def require_finite(layer: str, *tensors: torch.Tensor) -> None:
    """Raise `ModelError` naming ``layer`` if a tensor holds NaN or infinity."""
    for tensor in tensors:
        # Where the sum is finite, so are all values: the second look is rarely needed.
        if not bool(torch.isfinite(tensor.sum())) and not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"The model's features at layer {layer} hold NaN or infinite values: "
                "the model's weights are damaged, load another model."
            )
