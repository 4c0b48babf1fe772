from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit.widgets.specimen_colours import colours_by, only, scale_of


def test_the_ends_have_the_ends_colours_and_unknown_is_grey() -> None:
    scale = scale_of([2.0, 4.0, np.nan, 3.0])
    assert (scale.low, scale.high) == (2.0, 4.0)
    assert not scale.below
    assert not scale.above
    colours = colours_by([7, 8, 9], [2.0, 4.0, np.nan], scale)
    np.testing.assert_allclose(colours[7], scale.table[0])
    np.testing.assert_allclose(colours[8], scale.table[-1])
    assert colours[9][0] == colours[9][1] == colours[9][2]
    assert colours[0][3] == 0  # the background is seen through


def test_few_outliers_do_not_flatten_the_scale() -> None:
    values = np.r_[np.linspace(1, 2, 200), 1e6]
    scale = scale_of(values)
    assert scale.high < 3
    assert scale.above
    assert colours_by([1], [1e6], scale)[1] == pytest.approx(scale.table[-1])


def test_axes_meet_at_0_and_180_degrees() -> None:
    scale = scale_of([10.0, 20.0], axial=True)
    assert (scale.low, scale.high) == (0.0, 180.0)
    np.testing.assert_allclose(scale.table[0], scale.table[-1], atol=0.02)
    assert np.abs(scale.table[0] - scale.table[32]).max() > 0.3


@pytest.mark.parametrize("values", [[], [np.nan], [3.0], [3.0, 3.0]])
def test_scales_of_nothing_or_of_one_value(values: list[float]) -> None:
    scale = scale_of(values)
    colours = colours_by(range(1, len(values) + 1), values, scale)
    assert all(np.isfinite(c).all() for c in colours.values())


def test_only_the_selected_are_seen() -> None:
    colours = only([2, 5], {2: (1, 0, 0, 1), 3: (0, 1, 0, 1)})
    assert colours[None][3] == 0
    assert set(colours) == {None, 0, 2, 5}
    assert colours[2][0] == 1
    assert colours[5][3] == 1  # one without a measurement is seen all the same
    assert only([4], lambda i: (i, 0, 0, 1))[4][0] == 4
