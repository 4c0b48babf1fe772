from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit.widgets.specimen_figures import (
    axial_mean,
    histogram_figure,
    rose_counts,
    rose_figure,
)


def test_the_mean_of_axes_goes_through_the_upper_edge() -> None:
    """As directions 10 and 170 degrees have the mean 90; as axes 0."""
    mean, strength = axial_mean([10.0, 170.0])
    assert min(mean, 180 - mean) == pytest.approx(0, abs=1e-9)
    assert strength == pytest.approx(np.cos(np.radians(20)))


def test_axes_at_right_angles_have_no_mean() -> None:
    mean, strength = axial_mean([30.0, 120.0])
    assert np.isnan(mean)
    assert strength == 0
    assert np.isnan(axial_mean([np.nan])[0])


def test_petals_hold_every_axis_once() -> None:
    counts = rose_counts([0.0, 14.9, 15.0, 179.9, 180.0, np.nan, 90.0])
    assert counts.sum() == 6
    assert counts[0] == 3  # 180 is 0
    assert counts[1] == 1
    assert counts[6] == 1
    assert counts[11] == 1


def test_the_rose_is_the_same_at_both_ends_and_areas_are_counts() -> None:
    figure = rose_figure([5.0, 5.0, 5.0, 5.0, 95.0], 380, 230, "#fff")
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert len(heights) == 24
    assert heights[:12] == heights[12:]
    assert heights[0] == pytest.approx(2 * heights[6])  # four and one
    assert "mean axis" in figure.axes[0].get_title()


def test_a_histogram_counts_what_is_known() -> None:
    values = [1.0, 2.0, 2.0, 3.0, np.nan]
    figure = histogram_figure(values, "volume_mm3", "mm", 380, 230, "#000", chosen=[2.0])
    axis = figure.axes[0]
    assert sum(bar.get_height() for bar in axis.patches) == 4
    assert axis.get_xlabel() == "volume (mm³)"
    assert axis.get_title() == "4 specimens, median 2 (1 without a value)"
    assert len(axis.lines) == 2  # the median, and the one selected


@pytest.mark.parametrize("values", [[], [np.nan], [4.0]])
def test_figures_of_nothing_are_drawn(values: list[float]) -> None:
    histogram_figure(values, "slices", "mm", 200, 100, "#000").draw_without_rendering()
    rose_figure(values, 200, 100, "#000").draw_without_rendering()
