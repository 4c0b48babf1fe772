"""Linking a small sample reef; `benchmarks/link_reefs.py` measures whole ones."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit import sample, volume
from napari_fossiledit.metrics import score_volume


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return sample.reef(2001, (20, 160, 160)).labels


def _shuffled(labels: np.ndarray, keep: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The labels, a share of the instances left out, and the same with other numbers."""
    random = np.random.default_rng(1)
    left, mixed = labels.copy(), np.zeros_like(labels)
    for z, slice_ in enumerate(left):
        for i in np.unique(slice_[slice_ > 0]):
            if random.random() > keep:
                slice_[slice_ == i] = 0
        ids = np.unique(slice_[slice_ > 0])
        table = np.zeros(int(labels.max()) + 1, int)
        table[ids] = random.permutation(len(ids)) + 1
        mixed[z] = table[slice_]
    return left, mixed


def test_individuals_are_found_whole(labels: np.ndarray) -> None:
    truth, mixed = _shuffled(labels)
    scores = score_volume(truth, volume.link(mixed))
    assert scores.individuals > 10
    assert scores.whole >= scores.individuals - 1
    assert scores.adapted_rand_error < 0.01


def test_a_tenth_dropped_is_bridged(labels: np.ndarray) -> None:
    truth, mixed = _shuffled(labels, keep=0.9)
    assert score_volume(truth, volume.link(mixed, gap=3)).adapted_rand_error < 0.05
    assert score_volume(truth, volume.link(mixed, gap=1)).adapted_rand_error > 0.05


def test_joining_branches_only_joins(labels: np.ndarray) -> None:
    apart, joined = volume.link(labels), volume.link(labels, join_branches=True)
    # Specimens of the one are parts of specimens of the other.
    pairs = np.unique(np.stack([apart[apart > 0], joined[apart > 0]]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1]
    assert joined.max() <= apart.max()
