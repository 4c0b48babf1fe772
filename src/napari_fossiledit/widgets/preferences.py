"""The user's defaults, from napari's Preferences (napari 0.9 and later)."""

from __future__ import annotations

from typing import Any

__all__ = ["confidence", "device", "labelled_slices"]

_DEFAULTS = {"device": "auto", "confidence": 0.5, "labelled_slices": 3}


def _preference(name: str) -> Any:
    try:
        from napari.settings import get_plugin_settings

        value = getattr(get_plugin_settings("napari-fossiledit").defaults, name)
        return getattr(value, "value", value)
    except (ImportError, AttributeError, KeyError, ValueError):
        return _DEFAULTS[name]  # an older napari, or the plugin is not installed


def device() -> str:
    """Where models compute: "auto", "cpu", "cuda" or "mps"."""
    chosen = str(_preference("device"))
    return chosen if chosen in {"auto", "cpu", "cuda", "mps"} else "auto"


def confidence() -> float:
    """Least confidence of a detection when segmenting."""
    return float(_preference("confidence"))


def labelled_slices() -> int:
    """At most so many labelled slices are used where a few are enough."""
    return int(_preference("labelled_slices"))
