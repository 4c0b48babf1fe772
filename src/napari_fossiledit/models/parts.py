"""Parts of a slice, seen at the scale at which the whole slice would be."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from napari_fossiledit.models.preprocess import Preprocess

__all__ = ["PartPreprocess", "network_size", "seeing_part"]

_ANY_LENGTH = 1 << 30


@dataclass(frozen=True)
class PartPreprocess(Preprocess):
    """How a model wants a part of a larger slice.

    Attributes
    ----------
    scale : (float, float)
        Pixels of the network's input per row and per column of the slice; the settings that say
        how a whole slice is scaled have no effect.
    """

    scale: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of(
        cls, preprocess: Preprocess, whole: tuple[int, int], zoom: float = 1.0
    ) -> PartPreprocess:
        """For parts of a slice of ``whole`` rows and columns, seen ``zoom`` times larger."""
        seen = preprocess.resized(whole, zoom)
        rows, columns = (new / old for new, old in zip(seen, whole, strict=True))
        same = {field.name: getattr(preprocess, field.name) for field in fields(Preprocess)}
        return cls(**same, scale=(rows, columns))

    def resized(self, shape: tuple[int, int], zoom: float = 1.0) -> tuple[int, int]:
        """Rows and columns after the resize; the zoom is in the scale already."""
        rows, columns = (round(n * s) for n, s in zip(shape, self.scale, strict=True))
        return max(rows, 1), max(columns, 1)


def network_size(segmenter: Any, shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns at which the network sees a slice of ``shape``, without padding."""
    zoom = float(getattr(segmenter, "input_zoom", 1.0))
    if hasattr(segmenter, "preprocess"):
        seen: tuple[int, int] = segmenter.preprocess.resized(shape, zoom)
        return seen
    shortest, longest = segmenter.config.shortest, segmenter.config.longest
    like = Preprocess((0.0,) * 3, (1.0,) * 3, shortest or None, longest, pillow=True)
    return like.resized(shape, zoom)


@contextmanager
def seeing_part(segmenter: Any, part: tuple[int, int], whole: tuple[int, int]) -> Generator[None]:
    """Predict inside as if an image of ``part`` were a part of a slice of ``whole``.

    It is seen at the scale at which the whole slice would be. The segmenter's lock is held.

    Parameters
    ----------
    segmenter : Segmenter
        With a ``preprocess``, or a detectron2 ``config``.
    part, whole : (int, int)
        Rows and columns.
    """
    kind = "preprocess" if hasattr(segmenter, "preprocess") else "config"
    with segmenter.lock:
        before = getattr(segmenter, kind)
        zoom = float(getattr(segmenter, "input_zoom", 1.0))
        if kind == "preprocess":
            changed = PartPreprocess.of(before, whole, zoom)
        else:
            changed = _config_of(before, part, whole)
        setattr(segmenter, kind, changed)
        try:
            yield
        finally:
            setattr(segmenter, kind, before)


def _config_of(config: Any, part: tuple[int, int], whole: tuple[int, int]) -> Any:
    """A detectron2 config whose shortest edge gives the part the whole slice's scale."""
    if not config.shortest:
        return config
    like = Preprocess((0.0,) * 3, (1.0,) * 3, config.shortest, config.longest, pillow=True)
    scale = min(like.resized(whole)) / min(whole)
    return replace(config, shortest=max(round(min(part) * scale), 1), longest=_ANY_LENGTH)
