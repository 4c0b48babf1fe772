"""Which sample reefs train, which develop, and which report.

Whoever chooses anything (a solver's settings, a strength, a model) looks at training and
development reefs only; the reporting reefs are for figures that are told.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_fossiledit.instances import LabelledSlice

__all__ = [
    "DEVELOPMENT_SEEDS",
    "REPORTING_SEEDS",
    "TRAINING_SEED",
    "labelled_slice",
    "training_slices",
    "unseen_slices",
]

TRAINING_SEED = 1000
DEVELOPMENT_SEEDS = range(2000, 2010)
REPORTING_SEEDS = range(3000, 3010)
SHAPE = (48, 384, 384)
TRAINING_Z = (4, 12, 20, 28, 36, 44)


def labelled_slice(
    seed: int, z: int, *, shape: tuple[int, int, int] = SHAPE, stage: str | None = None
) -> LabelledSlice:
    """One slice of a sample reef with its labels and confusers."""
    from napari_fossiledit.sample.reef import ReefModel

    made = ReefModel(seed, shape, stage=stage).slice(z)
    return LabelledSlice(
        made.image, made.labels, made.confusers, name=f"reef {seed}, z {z}", group=f"reef {seed}"
    )


def training_slices() -> list[LabelledSlice]:
    """The six labelled slices, poor in clots, that the demo model was trained on."""
    return [labelled_slice(TRAINING_SEED, z, stage="poor") for z in TRAINING_Z]


def unseen_slices(seeds: Sequence[int], zs: Sequence[int] = (8, 24, 40)) -> list[LabelledSlice]:
    """Slices of other reefs, in ordinary parts: far enough apart to differ."""
    return [labelled_slice(seed, z) for seed in seeds for z in zs]
