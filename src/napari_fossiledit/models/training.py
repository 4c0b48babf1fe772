"""A plain trainer for torchvision Mask R-CNNs on a handful of labelled slices."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from napari_fossiledit import progress
from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.models.augment import Augment, draw_view, targets_of
from napari_fossiledit.models.device import plain_memory_errors
from napari_fossiledit.models.student import own_random, seeded_state
from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN
from napari_fossiledit.progress import Progress, Task

__all__ = ["TrainReport", "TrainSettings", "train", "train_task"]


@dataclass(frozen=True)
class TrainSettings:
    """The regime.

    Attributes
    ----------
    steps, batch : int
        Optimiser steps, and views in each.
    rate : float
        Highest learning rate of AdamW, after ``warm_up`` steps; then it falls as a cosine to 0.
    body_factor : float
        Factor on the rate for the pretrained body (``backbone.body``).
    weight_decay, clip : float
        AdamW's weight decay; the gradient's largest norm.
    seed : int
        The same seed gives the same weights on one machine with the same number of threads.
    augment : Augment
    """

    steps: int = 600
    batch: int = 2
    rate: float = 5e-4
    body_factor: float = 0.3
    warm_up: int = 40
    weight_decay: float = 1e-4
    clip: float = 5.0
    seed: int = 0
    augment: Augment = field(default_factory=Augment)


@dataclass(frozen=True)
class TrainReport:
    """What a training did.

    Attributes
    ----------
    losses : list of float
        Total loss of every step.
    parts : list of dict
        The same by part: ``objectness``, ``rpn_box``, ``class``, ``box``, ``mask``.
    seconds : float
    """

    losses: list[float]
    parts: list[dict[str, float]]
    seconds: float


def train(
    segmenter: TorchvisionRCNN, slices: Sequence[LabelledSlice], settings: TrainSettings
) -> TrainReport:
    """Train to the end (see `train_task`)."""
    return progress.run(train_task(segmenter, slices, settings))


def train_task(
    segmenter: TorchvisionRCNN, slices: Sequence[LabelledSlice], settings: TrainSettings
) -> Task[TrainReport]:
    """Train all weights on random views of labelled slices.

    A copy is trained and put in place at the end: until then predictions use the old weights,
    and cancelling leaves them. The caller's random state is not touched.

    Parameters
    ----------
    segmenter : TorchvisionRCNN
    slices : sequence of LabelledSlice
        All instances are taken to be of the first of the segmenter's fossil classes.
    settings : TrainSettings

    Yields
    ------
    Progress
        One a step, with the loss as ``data``.

    Raises
    ------
    InputError
        If no slice has a labelled instance.
    """
    if not any(np.any(piece.labels > 0) for piece in slices):
        raise InputError("None of the slices for training has a labelled fossil: label one first.")
    with segmenter.lock:
        model: Any = copy.deepcopy(segmenter.model)
    device = segmenter.device
    # Depthwise convolutions run a third faster with the channels last.
    model.train().requires_grad_(True).to(memory_format=torch.channels_last)
    optimiser = _optimiser(model, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: _rate(i, settings))
    rng = np.random.default_rng(settings.seed)
    state = seeded_state(settings.seed)
    parts: list[dict[str, float]] = []
    begun = time.perf_counter()
    for step in range(settings.steps):
        progress.checkpoint()
        views = [draw_view(piece, settings.augment, rng) for piece in _draw(slices, settings, rng)]
        with plain_memory_errors(device, "training"), torch.enable_grad(), own_random(state):
            losses = _losses(model, segmenter, views)
            total = torch.stack(list(losses.values())).sum()
            optimiser.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimiser.step()
            schedule.step()
        parts.append({name: loss.item() for name, loss in losses.items()})
        loss = sum(parts[-1].values())
        yield Progress(step + 1, settings.steps, f"Training, loss {loss:.3f}", loss)
    segmenter.load_weights(model.state_dict())
    totals = [sum(p.values()) for p in parts]
    return TrainReport(totals, parts, time.perf_counter() - begun)


def _draw(
    slices: Sequence[LabelledSlice], settings: TrainSettings, rng: np.random.Generator
) -> list[LabelledSlice]:
    return [slices[int(rng.integers(len(slices)))] for _ in range(settings.batch)]


def _optimiser(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    body: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (body if name.startswith("backbone.body.") else rest).append(parameter)
    groups = [
        {"params": rest, "lr": settings.rate},
        {"params": body, "lr": settings.rate * settings.body_factor},
    ]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=settings.rate, weight_decay=settings.weight_decay
    )


def _rate(step: int, settings: TrainSettings) -> float:
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    done = (step - settings.warm_up) / max(settings.steps - settings.warm_up, 1)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _losses(model: Any, segmenter: TorchvisionRCNN, views: Sequence[Any]) -> dict[str, Tensor]:
    device, prepare = segmenter.device, segmenter.preprocess
    mean = torch.tensor(prepare.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(prepare.std, device=device).view(1, 3, 1, 1)
    batch = (torch.stack([view.image for view in views]).to(device) - mean) / std
    height, width = (int(n) for n in batch.shape[-2:])
    below, right = -height % prepare.multiple, -width % prepare.multiple
    batch = nn.functional.pad(batch, (0, right, 0, below))
    sizes = [(height, width)] * len(views)
    kind = segmenter.fossil_classes[0] + 1
    targets = [targets_of(view.labels, device, kind) for view in views]
    features = model.backbone(batch)
    proposals, rpn = model.rpn(ImageList(batch, sizes), features, targets)
    _, heads = model.roi_heads(features, proposals, sizes, targets)
    return {
        "objectness": rpn["loss_objectness"],
        "rpn_box": rpn["loss_rpn_box_reg"],
        "class": heads["loss_classifier"],
        "box": heads["loss_box_reg"],
        "mask": heads["loss_mask"],
    }
