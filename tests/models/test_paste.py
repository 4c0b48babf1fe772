from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit.models.paste import paste_masks, paste_probability


def test_a_full_grid_fills_its_box() -> None:
    grid = np.ones((4, 4), np.float32)
    box = np.array([2, 3, 10, 7], np.float32)
    (crops,) = paste_masks(grid[None], box[None], (20, 30))
    assert (crops[0].y, crops[0].x) == (3, 2)
    assert crops[0].mask.shape == (4, 8)
    assert crops[0].mask.all()


def test_the_left_half_of_a_grid_gives_the_left_half_of_the_box() -> None:
    grid = np.zeros((4, 4), np.float32)
    grid[:, :2] = 1
    y, x, soft = paste_probability(grid, np.array([0, 0, 16, 8], np.float32), (8, 16))
    assert (y, x) == (0, 0)
    assert np.array_equal(soft[4] >= 0.5, np.arange(16) < 8)
    # Linear between the cell centres at 6 and 10: pixel centre 7.5 lies 3/8 of the way.
    assert soft[4, 7] == pytest.approx(1 - 1.5 / 4)


def test_a_grid_as_large_as_its_box_is_copied() -> None:
    grid = np.random.default_rng(0).random((5, 5)).astype(np.float32)
    _, _, soft = paste_probability(grid, np.array([3, 4, 8, 9], np.float32), (20, 20))
    np.testing.assert_allclose(soft, grid, atol=1e-6)


def test_a_box_over_the_edge_is_cut() -> None:
    grid = np.ones((3, 3), np.float32)
    (crops,) = paste_masks(grid[None], np.array([[-4, -4, 6, 50]], np.float32), (20, 10))
    assert crops[0].mask.shape == (20, 6)


def test_thresholds_cut_the_same_probabilities() -> None:
    grid = np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 4, 4)
    low, high = paste_masks(grid, np.array([[0, 0, 4, 4]], np.float32), (4, 4), (0.2, 0.6))
    assert np.array_equal(low[0].mask, grid[0] >= 0.2)
    assert np.array_equal(high[0].mask, grid[0] >= 0.6)


def test_nothing_found() -> None:
    assert paste_masks(np.zeros((0, 1, 1), np.float32), np.zeros((0, 4), np.float32), (5, 5)) == [
        ()
    ]
