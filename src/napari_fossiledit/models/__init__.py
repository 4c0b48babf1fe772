"""Models that predict instances, behind the `Segmenter` protocol.

Names are imported when first asked for: torch comes in only then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_fossiledit.models.checkpoint import load, save
    from napari_fossiledit.models.device import choose_device, memory_summary
    from napari_fossiledit.models.segmenter import EditableLayer, KeyValue, Segmenter
    from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN
    from napari_fossiledit.models.training import TrainReport, TrainSettings, train, train_task

_HOME = {
    "load": "checkpoint",
    "save": "checkpoint",
    "choose_device": "device",
    "memory_summary": "device",
    "EditableLayer": "segmenter",
    "KeyValue": "segmenter",
    "Segmenter": "segmenter",
    "TorchvisionRCNN": "torchvision_rcnn",
    "TrainReport": "training",
    "TrainSettings": "training",
    "train": "training",
    "train_task": "training",
}

__all__ = [
    "EditableLayer",
    "KeyValue",
    "Segmenter",
    "TorchvisionRCNN",
    "TrainReport",
    "TrainSettings",
    "choose_device",
    "load",
    "memory_summary",
    "save",
    "train",
    "train_task",
]


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
