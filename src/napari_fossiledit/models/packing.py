"""A segmenter as bytes, for a process elsewhere that has no such file."""

from __future__ import annotations

import io
import pickle
import threading
from typing import Any

__all__ = ["pack", "unpack"]

_RLOCK = type(threading.RLock())


class _Pickler(pickle.Pickler):
    """Gives every copy a lock of its own."""

    def reducer_override(self, value: Any) -> Any:
        return (threading.RLock, ()) if isinstance(value, _RLOCK) else NotImplemented


def pack(segmenter: Any) -> bytes:
    """A segmenter with its weights as they are now, edits included.

    Only for `unpack` in a process that the user started: reading such bytes runs code.
    """
    if hasattr(segmenter, "twin"):
        # From the main memory: a graphics card's tensors could not be read where there is none.
        segmenter = _moved(segmenter.twin(), "cpu")
    file = io.BytesIO()
    _Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(segmenter)
    return file.getvalue()


def unpack(packed: bytes) -> Any:
    """The segmenter that `pack` packed, on the fastest device there is here."""
    segmenter = pickle.loads(packed)
    if not hasattr(segmenter, "twin"):
        return segmenter
    from napari_fossiledit.models.device import choose_device

    return _moved(segmenter, choose_device("auto"))


def _moved(segmenter: Any, device: Any) -> Any:
    import torch

    segmenter.model.to(device)
    segmenter._device = torch.device(device)
    return segmenter
