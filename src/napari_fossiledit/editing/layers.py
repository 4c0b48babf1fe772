"""Which layers an edit rewrites."""

from __future__ import annotations

import re
from collections.abc import Iterable

from napari_fossiledit.errors import InputError, ModelError
from napari_fossiledit.models.segmenter import EditableLayer, Segmenter

__all__ = ["choose_layers", "default_layers", "depends_on_outputs", "output_layers"]


def depends_on_outputs(layer: EditableLayer) -> bool:
    """Whether the layer's key is made of other editable layers' outputs.

    So it is for the region proposal network and for levels built on top of the pyramid (P6, P7):
    they are solved after the pyramid's own output convolutions.
    """
    level = re.fullmatch(r"P(\d+)", layer.level)
    extra = "extra_blocks" in layer.name or "top_block" in layer.name
    return level is None or extra


def output_layers(segmenter: Segmenter) -> list[EditableLayer]:
    """The feature pyramid's output convolutions, finest level first.

    Raises
    ------
    ModelError
        If the model has no editable layer.
    """
    layers = segmenter.editable_layers()
    if not layers:
        raise ModelError(
            f"The model {segmenter.name} has no convolution that can be rewritten: "
            "choose a Mask R-CNN with a feature pyramid (FPN)."
        )
    return [layer for layer in layers if not depends_on_outputs(layer)] or layers


def default_layers(segmenter: Segmenter) -> list[EditableLayer]:
    """The output convolution of the feature pyramid's finest level (*ours*).

    Panigrahi et al. (2022) rewrite all output convolutions at once (`output_layers`). On the
    development reefs the finest one alone gained more precision for less recall; the coarser
    levels cost detections (docs: what an edit is worth).

    Raises
    ------
    ModelError
        If the model has no editable layer.
    """
    return output_layers(segmenter)[:1]


def choose_layers(segmenter: Segmenter, names: Iterable[str] | None) -> list[EditableLayer]:
    """The named layers in the model's order, or the default ones.

    Raises
    ------
    InputError
        If a name is unknown or none is given.
    """
    if names is None:
        return default_layers(segmenter)
    wanted = [names] if isinstance(names, str) else list(names)
    layers = segmenter.editable_layers()
    levels = {layer.level.lower(): layer.name for layer in layers}
    wanted = [levels.get(name.lower(), name) for name in wanted]
    known = {layer.name for layer in layers}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InputError(
            f"The model {segmenter.name} has no editable layer {unknown[0]!r}: "
            f"choose among {', '.join(layer.level for layer in layers)}, or their names "
            f"{', '.join(sorted(known))}."
        )
    if not wanted:
        raise InputError("No layer was chosen: choose at least one to rewrite.")
    return [layer for layer in layers if layer.name in wanted]
