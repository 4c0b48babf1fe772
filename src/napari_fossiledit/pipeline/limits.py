"""What a model's own limits cut off."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["limit_sentence"]


def limit_sentence(segmenter: Segmenter, predictions: Iterable[Sized]) -> str:
    """Say on how many slices the model stopped at its own number of instances.

    Parameters
    ----------
    segmenter : Segmenter
    predictions : iterable of Instances, or of anything as long
        One a slice.

    Returns
    -------
    str
        One sentence, or '' where the limit was nowhere reached.
    """
    most = segmenter.limits.max_detections
    full = 0 if most is None else sum(len(instances) >= most for instances in predictions)
    if not full:
        return ""
    config = segmenter.facts.get("Config", "its config")
    if config.startswith("kept in "):
        config = "the original model's config and export it again"
    return (
        f"The model stopped at its limit of {most} instances on {full} "
        f"slice{'' if full == 1 else 's'}: raise TEST.DETECTIONS_PER_IMAGE in {config}."
    )
