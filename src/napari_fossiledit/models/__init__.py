"""Models that predict instances, behind the `Segmenter` protocol.

Names are imported when first asked for: torch comes in only then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_fossiledit.models.checkpoint import load
    from napari_fossiledit.models.detectron2_config import find_config
    from napari_fossiledit.models.device import choose_device, memory_summary
    from napari_fossiledit.models.exporting import Exported, export
    from napari_fossiledit.models.lite import save
    from napari_fossiledit.models.segmenter import EditableLayer, KeyValue, Limits, Segmenter
    from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN
    from napari_fossiledit.models.training import TrainReport, TrainSettings, train, train_task

_HOME = {
    "load": "checkpoint",
    "find_config": "detectron2_config",
    "Exported": "exporting",
    "export": "exporting",
    "save": "lite",
    "choose_device": "device",
    "memory_summary": "device",
    "EditableLayer": "segmenter",
    "KeyValue": "segmenter",
    "Limits": "segmenter",
    "Segmenter": "segmenter",
    "TorchvisionRCNN": "torchvision_rcnn",
    "TrainReport": "training",
    "TrainSettings": "training",
    "train": "training",
    "train_task": "training",
}

__all__ = [
    "EditableLayer",
    "Exported",
    "KeyValue",
    "Limits",
    "Segmenter",
    "TorchvisionRCNN",
    "TrainReport",
    "TrainSettings",
    "choose_device",
    "export",
    "find_config",
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
