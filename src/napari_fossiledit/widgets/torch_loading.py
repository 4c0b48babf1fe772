"""Loading torch into a napari that has drawn already."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec

__all__ = ["prepare_torch"]


def prepare_torch() -> None:
    """Load triton, which torchvision brings in on Linux, with its own symbols first.

    Mesa's software and AMD drivers bring one LLVM into the process as soon as napari draws, triton
    another; without this, loading triton afterwards crashes the whole process.
    """
    if not sys.platform.startswith("linux") or "triton" in sys.modules or not find_spec("triton"):
        return
    before = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)
    try:
        import_module("triton._C.libtriton")
    except ImportError:
        pass  # torch does without it
    finally:
        sys.setdlopenflags(before)
