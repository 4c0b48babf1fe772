"""See, mend and measure: edit Mask R-CNN fossil segmentation of serially sectioned rock.

The library under the napari plugin and the `fossiledit` command. Rooms are imported when they are
first asked for, so that this import brings neither torch nor Qt.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

_ROOMS = ("editing", "io", "metrics", "models", "perturb", "pipeline", "sample", "volume")

__all__ = ["__version__", *_ROOMS]


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return import_module(f"napari_fossiledit.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
