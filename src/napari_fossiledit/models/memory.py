"""How much memory a prediction takes, and how much there is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_fossiledit.models.parts import network_size

if TYPE_CHECKING:
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["bytes_per_pixel", "free_bytes", "network_pixels", "prediction_bytes"]

_LITE, _RESNET = 400.0, 550.0
_ALIGN = 32  # px; the network's input is padded to a multiple
_CGROUP = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60


def bytes_per_pixel(segmenter: Segmenter) -> float:
    """Peak bytes for each pixel of the network's input while it predicts.

    Measured as the growth of a process's peak memory with the slice: 344 bytes for the demo model
    (1024 to 3072 pixels square; 400 are reckoned with), 430 for a detectron2 R101-FPN
    (2000 x 3000; 550 are reckoned with, for every model but the demo's kind).
    """
    from napari_fossiledit.models.backbone_lite import LiteBackbone

    backbone = getattr(getattr(segmenter, "model", None), "backbone", None)
    return _LITE if isinstance(backbone, LiteBackbone) else _RESNET


def network_pixels(segmenter: Segmenter, shape: tuple[int, int]) -> int:
    """Pixels of the network's input, padding included, for a slice of ``shape``."""
    rows, columns = (-(-n // _ALIGN) * _ALIGN for n in network_size(segmenter, shape))
    return int(rows * columns)


def prediction_bytes(segmenter: Segmenter, shape: tuple[int, int]) -> int:
    """Estimate the memory that predicting a slice takes, beyond the model's weights.

    Parameters
    ----------
    segmenter : Segmenter
    shape : (int, int)
        Rows and columns of the slice. A model that shrinks its slices takes no more for a larger
        one.

    Returns
    -------
    int
        Bytes: the pixels of the network's input times `bytes_per_pixel`.
    """
    return round(network_pixels(segmenter, shape) * bytes_per_pixel(segmenter))


def free_bytes(device: torch.device | str = "cpu") -> int | None:
    """Memory of a device that is free now; None when the machine does not tell.

    On the CPU the least of what the machine and the process's control group have: a cluster's
    queue ends whoever takes more than it asked for.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        used = torch.mps.driver_allocated_memory()
        return max(int(torch.mps.recommended_max_memory()) - int(used), 0)
    known = [n for n in (_machine_free(), _group_free(_CGROUP)) if n is not None]
    return min(known) if known else None


def _machine_free() -> int | None:
    try:
        import psutil  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def _group_free(folder: Path) -> int | None:
    """What a control group (version 2) leaves; files kept in memory can be dropped by it."""
    try:
        limit = int((folder / "memory.max").read_text())
        used = int((folder / "memory.current").read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such group, or "max": no limit
        return None
    return max(limit - used + int(stat.get("inactive_file", 0)), 0) if limit < _NO_LIMIT else None
