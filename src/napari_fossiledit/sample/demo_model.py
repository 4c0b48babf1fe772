"""Where the demo model's weights lie. No torch here."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CLASS_NAMES", "weights_path"]

CLASS_NAMES = ("archaeocyathid",)


def weights_path() -> Path:
    """The shipped weights, a safetensors file."""
    return Path(__file__).with_name("demo_model.safetensors")
