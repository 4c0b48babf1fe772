"""Which device computes, how much memory it has, and plain words when that is too little."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

from napari_fossiledit.errors import ModelError, OutOfMemoryError

__all__ = ["available_devices", "choose_device", "memory_summary", "plain_memory_errors"]

_GIGA = 1e9


def available_devices() -> list[str]:
    """Names of the devices on this machine, best first; always ends with ``cpu``."""
    names = []
    if torch.cuda.is_available():
        names.append("cuda")
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` into a device of this machine.

    Raises
    ------
    ModelError
        If the device is unknown or missing here.
    """
    here = available_devices()
    if str(name) == "auto":
        return torch.device(here[0])
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = torch.device("meta")
    if device.type not in {"cpu", "cuda", "mps"}:
        raise ModelError(f"The device {str(name)!r} is unknown: choose auto, cpu, cuda or mps.")
    if device.type not in here:
        raise ModelError(
            f"The device {device.type} was asked for, but this machine has only "
            f"{' and '.join(here)}: choose auto or cpu."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"The device {device} was asked for, but there are only "
            f"{torch.cuda.device_count()} graphics cards: choose auto or cuda."
        )
    return device


def memory_summary(device: torch.device | str = "cpu") -> str:
    """Memory of a device in words for display, e.g. ``2.1 GB used, 20.4 GB free``.

    Empty when the machine does not tell.
    """
    device = torch.device(device)
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return f"{(total - free) / _GIGA:.1f} GB used, {free / _GIGA:.1f} GB free"
    if device.type == "mps":
        used = torch.mps.driver_allocated_memory()
        limit = torch.mps.recommended_max_memory()
        return f"{used / _GIGA:.1f} GB used, {max(limit - used, 0) / _GIGA:.1f} GB free"
    try:
        import psutil  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return ""
    used = psutil.Process().memory_info().rss
    free = psutil.virtual_memory().available
    return f"{used / _GIGA:.1f} GB used, {free / _GIGA:.1f} GB free"


@contextmanager
def plain_memory_errors(device: torch.device, what: str) -> Generator[None]:
    """Say in one sentence that ``device`` has too little memory for ``what``.

    Raises
    ------
    OutOfMemoryError
        In place of torch's own error.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not _is_out_of_memory(error):
            raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
        advice = (
            "choose a smaller part of the slice, or close other programs"
            if device.type == "cpu"
            else "choose the device cpu, a smaller part of the slice, or close other programs"
        )
        raise OutOfMemoryError(
            f"The device {device} has too little memory for {what}: {advice}."
        ) from error


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text
