"""Voxel sizes of layers that lie on one another."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_fossiledit.errors import InputError
from napari_fossiledit.widgets.voxel_size import in_mm, set_voxel_size

SHAPE = (8, 40, 60)


def stack(**options) -> Image:
    return Image(np.zeros((*SHAPE, 3), np.uint8), rgb=True, **options)


def test_units_are_turned_into_mm() -> None:
    assert in_mm(stack()) is None
    layer = stack(scale=(500, 145, 145), units=("um",) * 3)
    assert in_mm(layer) == pytest.approx((0.5, 0.145, 0.145))
    flat = Image(np.zeros((4, 5)), scale=(0.1, 0.2), units=("mm", "mm"))
    assert in_mm(flat) == (0.1, 0.1, 0.2)


def test_all_that_lies_on_the_stack_goes_along() -> None:
    image = stack()
    labels = Labels(np.zeros(SHAPE, int))
    volume = Labels(np.zeros((2, 10, 15), int), scale=(4, 4, 4), translate=(1.5, 1.5, 1.5))
    part = Labels(np.zeros((3, 40, 60), int), translate=(2, 0, 0))
    part.metadata["fossiledit"] = "result"
    other = Image(np.zeros((8, 999, 999)))
    sized = Image(np.zeros(SHAPE), scale=(2, 2, 2), units=("um",) * 3)
    set_voxel_size([image, labels, volume, part, other, sized], image, (0.5, 0.1, 0.2))
    for layer in (image, labels, part):
        np.testing.assert_allclose(layer.scale, (0.5, 0.1, 0.2))
    np.testing.assert_allclose(volume.scale, (2, 0.4, 0.8))
    np.testing.assert_allclose(volume.translate, (0.75, 0.15, 0.3))
    np.testing.assert_allclose(part.translate, (1, 0, 0))
    np.testing.assert_allclose(other.scale, 1)
    np.testing.assert_allclose(sized.scale, 2)
    assert image.axis_labels == ("z", "y", "x")
    assert in_mm(volume) is not None
    # Once more, from mm to mm.
    set_voxel_size([image, labels, volume], image, (1, 1, 1))
    np.testing.assert_allclose(volume.scale, 4)


@pytest.mark.parametrize("size", [(0, 1, 1), (1, -1, 1), (1, float("nan"), 1)])
def test_impossible_sizes_are_refused(size) -> None:
    image = stack()
    with pytest.raises(InputError, match="give three lengths above 0"):
        set_voxel_size([image], image, size)
    np.testing.assert_allclose(image.scale, 1)
