"""`ridge` and `l1` against 2,000 steps of the reference optimiser, on the same cached keys.

A ResNet-50-FPN of full width (256 channels; random weights, normalised by the slice's own
statistics) on one slice of the sample reef, mirrored to 800 x 800 pixels; the targets are the
values of the same slice with all but the fossils painted. Time: a few dozen steps of `adam` (the
reference's arithmetic, no autograd) are timed in turn with the solvers, and the 2,000 are
extrapolated; as convolutions suffer more than matrix products on a busy machine, the ratios are
also given for ideal steps, at the full rate of their arithmetic. Loss: the reference optimiser is
run to its end on the levels named by ``--whole`` (default P5; all four take hours), at
Santurkar's rate of 1e-4; on the others `l1`'s loss is what no optimiser comes below by more than
`l1`'s tolerance.

The floor is the arithmetic of the normal equations (13 of the 45 blocks of a symmetric second
moment, right side, factor and substitution) at the rate of this machine's matrix product.

Usage: ``python benchmarks/solvers.py [--whole P5 P4 P3 P2] [--steps 24]``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import Row

STEPS = 2000
RATE = 1e-4
DAMPING = 1e-3
SIZE = 800
LEVELS = ("P2", "P3", "P4", "P5")


@dataclass
class Level:
    """What was measured at one level; seconds, and masked L1 losses."""

    name: str
    step: float
    ridge: float
    l1: float
    floor: float
    step_floor: float
    before: float
    ridge_loss: float
    l1_loss: float
    reference_loss: float | None
    cost: str


def cached_keys() -> list[dict[str, Any]]:
    """Key, target, weight, bias, mask and value of the four levels."""
    import torch
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    from napari_fossiledit import perturb
    from napari_fossiledit.editing import pool_mask
    from napari_fossiledit.sample.splits import labelled_slice

    piece = labelled_slice(2000, 24)
    pad = [(0, SIZE - n) for n in piece.fossils.shape]
    image = np.pad(piece.image, [*pad, (0, 0)], mode="symmetric")
    fossils = np.pad(piece.fossils, pad, mode="symmetric")
    painted = perturb.apply(image, fossils, perturb.Median()).image
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = resnet_fpn_backbone(
            backbone_name="resnet50",
            weights=None,
            norm_layer=torch.nn.BatchNorm2d,
            trainable_layers=5,
        )
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # the running statistics are those of the slice
    convolutions = [block[0] for block in net.fpn.layer_blocks]
    seen: dict[int, Any] = {}
    for index, module in enumerate(convolutions):
        module.register_forward_hook(
            lambda _, given, value, index=index: seen.update({index: (given[0], value)})
        )
    with torch.no_grad():
        net.train()
        net(_normalised(image))
        net.eval()
        net(_normalised(image))
        original = dict(seen)
        net(_normalised(painted))
    found = []
    for index, module in enumerate(convolutions):
        key, value = original[index]
        found.append(
            {
                "key": key,
                "value": value,
                "target": seen[index][1],
                "weight": module.weight.detach(),
                "bias": module.bias.detach(),
                "mask": (pool_mask(fossils, tuple(key.shape[2:])) < 0.5).float(),
            }
        )
    return found


def _normalised(image: np.ndarray) -> Any:
    import torch

    return (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 - 0.45) / 0.225


def rates() -> tuple[float, float]:
    """Operations a second of the matrix product in float32 and float64."""
    import torch

    found = []
    for dtype in (torch.float32, torch.float64):
        a = torch.ones((2304, 2048), dtype=dtype)
        best = float("inf")
        for _ in range(4):
            started = time.perf_counter()
            a @ a.T
            best = min(best, time.perf_counter() - started)
        found.append(2 * 2304 * 2304 * 2048 / best)
    return found[0], found[1]


def floor(level: dict[str, Any], speed: tuple[float, float]) -> float:
    """Seconds of `ridge`'s arithmetic at the machine's rate."""
    out, channels, kh, kw = level["weight"].shape
    n, width = int((level["mask"] > 0).sum()), channels * kh * kw
    if n < width:  # the dual form
        single = n * n * width
        double = n**3 / 3 + 2 * n * n * out + 2 * n * width * out
    else:
        single = 2 * n * (13 * channels**2 + width * out)
        double = width**3 / 3 + 2 * width * width * out
    return float(single / speed[0] + double / speed[1])


def step_floor(level: dict[str, Any], speed: tuple[float, float]) -> float:
    """Seconds of a reference step's two convolutions (values, gradient) at that rate."""
    key, weight = level["key"], level["weight"]
    places = key.shape[0] * key.shape[2] * key.shape[3]
    return float(4 * places * weight.numel() / speed[0])


def measure_level(
    name: str, level: dict[str, Any], speed: tuple[float, float], steps: int, whole: bool
) -> Level:
    """Time the three solvers in turn, and find their losses."""
    from napari_fossiledit.editing import solvers

    problem = [level[part] for part in ("key", "target", "weight", "bias")]
    options = {"mask": level["mask"], "damping": DAMPING, "value": level["value"]}
    spent, solving, deviations = [], [], []
    for _ in range(2):
        ridge = solvers.ridge(*problem, **options)
        solving.append(ridge.seconds)
        adam = solvers.adam(*problem, mask=level["mask"], steps=steps // 2, lr=RATE)
        spent.append(adam.seconds / (steps // 2))
        deviations.append(solvers.l1(*problem, **options))
    if whole:
        adam = solvers.adam(*problem, mask=level["mask"], steps=STEPS, lr=RATE)
        spent = [adam.seconds / STEPS]
    return Level(
        name=name,
        step=min(spent),
        ridge=min(solving),
        l1=min(found.seconds for found in deviations),
        floor=floor(level, speed),
        step_floor=step_floor(level, speed),
        before=adam.losses[0],
        ridge_loss=loss(level, ridge.delta),
        l1_loss=loss(level, deviations[0].delta),
        reference_loss=loss(level, adam.delta) if whole else None,
        cost=deviations[0].cost,
    )


def loss(level: dict[str, Any], delta: Any) -> float:
    """Santurkar's masked L1 loss of an edited layer."""
    import torch.nn.functional as F  # noqa: N812

    value = F.conv2d(level["key"], level["weight"] + delta, level["bias"], padding=1)
    root = level["mask"].sqrt()
    return float(F.l1_loss(value * root, level["target"] * root)) / len(value)


def measure(whole: Sequence[str] = ("P5",), steps: int = 24) -> list[Row]:
    """Rows of the table; time ratios are given as shares, to lie below their limits."""
    import torch

    speed = rates()
    found = [
        measure_level(name, level, speed, steps, name in whole)
        for name, level in zip(LEVELS, cached_keys(), strict=True)
    ]
    reference = STEPS * sum(level.step for level in found)
    ridge, l1 = sum(level.ridge for level in found), sum(level.l1 for level in found)
    least = sum(level.floor for level in found)
    how = (
        f"256 channels, {SIZE} x {SIZE}, four levels, {torch.get_num_threads()} threads, damping "
        f"{DAMPING:g}; {steps} steps timed a level, {STEPS} extrapolated to {reference:.0f} s"
    )
    rate = f"{speed[0] / 1e9:.0f} and {speed[1] / 1e9:.0f} GFLOP/s in float32 and float64"
    fastest = STEPS * sum(level.step_floor for level in found)
    ideal = f"the steps at the full rate of their arithmetic: {fastest:.0f} s"
    rows = [
        Row(f"`ridge` / {STEPS} reference steps", ridge / reference, "ratio", 1 / 100, how),
        Row(f"`l1` / {STEPS} reference steps", l1 / reference, "ratio", 1 / 15, how),
        Row(f"`ridge` / {STEPS} ideal steps", ridge / fastest, "ratio", 1 / 100, ideal),
        Row(f"`l1` / {STEPS} ideal steps", l1 / fastest, "ratio", 1 / 15, ideal),
        Row("`ridge`, all four levels", ridge, "s", None, "values and keys cached"),
        Row("`l1`, all four levels", l1, "s", None, "; ".join(level.cost for level in found)),
        Row("`ridge` / the floor of its arithmetic", ridge / least, "ratio", None, rate),
    ]
    for level in found:
        rows += _losses(level)
    return rows


def _losses(level: Level) -> list[Row]:
    times = (
        f"before the edit {level.before:.4g}; a step {level.step:.3g} s, ridge {level.ridge:.3g} s "
        f"(floor {level.floor:.3g}), l1 {level.l1:.3g} s"
    )
    rows = [
        Row(f"{level.name}: L1 loss left by `{name}`", reached / level.before, "ratio", None, times)
        for name, reached in (("ridge", level.ridge_loss), ("l1", level.l1_loss))
    ]
    if level.reference_loss is not None:
        for name, reached, limit in (
            ("ridge", level.ridge_loss, 1.05),
            ("l1", level.l1_loss, 1.0 + 1e-9),
        ):
            rows.append(
                Row(
                    f"{level.name}: L1 loss, `{name}` / reference after {STEPS} steps",
                    reached / level.reference_loss,
                    "ratio",
                    limit,
                    f"{reached:.4g} and {level.reference_loss:.4g}, all steps run",
                )
            )
    return rows


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--whole", nargs="*", default=["P5"], choices=LEVELS)
    asked.add_argument("--steps", type=int, default=24)
    print("\n".join(row.line() for row in measure(**vars(asked.parse_args()))))
