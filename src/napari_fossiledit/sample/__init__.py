"""Sample data: the synthetic archaeocyathid reef.

Names are imported when first asked for, so that ``import napari_fossiledit`` stays quick.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_fossiledit.sample.reef import (
        VOXEL_SIZE,
        Reef,
        ReefModel,
        ReefSlice,
        lazy_reef,
        reef,
    )

__all__ = ["VOXEL_SIZE", "Reef", "ReefModel", "ReefSlice", "lazy_reef", "reef"]


def _load(name: str) -> Any:
    from importlib import import_module

    return getattr(import_module("napari_fossiledit.sample.reef"), name)


def __getattr__(name: str) -> Any:
    """Import the generator when one of its names is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _load(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _reef(module: ModuleType) -> Any:
    return module.__dict__.get("_other_reef") or _load("reef")


def _set_reef(module: ModuleType, value: Any) -> None:
    if not isinstance(value, ModuleType):
        module.__dict__["_other_reef"] = value


class _Sample(ModuleType):
    """The package, whose `reef` stays the function when the submodule `reef` is imported."""

    reef = property(_reef, _set_reef)


if not TYPE_CHECKING:
    sys.modules[__name__].__class__ = _Sample
