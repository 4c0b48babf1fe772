"""Hooks on a network's modules: to stop it midway, and to see what goes in and out of a layer."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from napari_fossiledit import progress

__all__ = ["add_checkpoints", "capture"]


def _checkpoint(module: nn.Module, args: Any) -> None:
    progress.checkpoint()


def add_checkpoints(model: nn.Module) -> None:
    """Let every innermost module ask, before it computes, whether the task was cancelled.

    A forward pass of ten seconds then ends within the time of its slowest module.
    """
    for module in model.modules():
        already = _checkpoint in module._forward_pre_hooks.values()
        if next(module.children(), None) is None and not already:
            module.register_forward_pre_hook(_checkpoint)


@contextmanager
def capture(
    model: nn.Module, names: Iterable[str]
) -> Generator[dict[str, list[tuple[torch.Tensor, torch.Tensor]]]]:
    """Record (input, output) of the named modules, once per call, while the context lasts."""
    seen: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {name: [] for name in names}
    handles = []
    try:
        for name in seen:

            def record(module: nn.Module, args: Any, output: Any, name: str = name) -> None:
                seen[name].append((args[0], output))

            handles.append(model.get_submodule(name).register_forward_hook(record))
        yield seen
    finally:
        for handle in handles:
            handle.remove()
