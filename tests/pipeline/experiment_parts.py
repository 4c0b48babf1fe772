"""A tiny model and small slices of the sample reef, for the experiment's tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.pipeline.experiment_plan import Settings, quick
from napari_fossiledit.sample.reef import ReefModel

SHAPE = (48, 96, 96)


def tiny(seed: int = 1) -> Any:
    """An untrained model, small enough for a sweep in seconds."""
    from napari_fossiledit.models.backbone_lite import LiteConfig
    from napari_fossiledit.models.lite import new_lite

    config = LiteConfig(width=0.25, channels=16, box_width=32, mask_convolutions=1, proposals=30)
    return new_lite(config, name="tiny", seed=seed)


def pieces(zs: Sequence[int] = (4, 12, 20, 28), seed: int = 2000) -> list[LabelledSlice]:
    reef = ReefModel(seed, SHAPE)
    made = [reef.slice(z) for z in zs]
    return [
        LabelledSlice(m.image, m.labels, m.confusers, name=f"reef, z {z}", group="reef")
        for m, z in zip(made, zs, strict=True)
    ]


def settings(**changes: Any) -> Settings:
    parts = {"fractions": (0.35, 1.0), "texture_fractions": (0.49, 1.0), "resamples": 20}
    return replace(quick(Settings()), **parts, **changes)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in _all(folder)}


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
