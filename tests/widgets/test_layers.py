from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_fossiledit.errors import InputError
from napari_fossiledit.widgets.layers import (
    LabelSource,
    StackSource,
    as_role,
    free_name,
    is_stack,
    placed,
    spatial,
    voxel_words,
)

PLACE = {
    "scale": (0.5, 0.145, 0.145),
    "translate": (1.0, 2.0, 3.0),
    "units": ("mm", "mm", "mm"),
    "axis_labels": ("z", "y", "x"),
}


def stack_layer(**options) -> Image:
    data = np.random.default_rng(0).integers(0, 255, (4, 40, 50, 3), np.uint8)
    return Image(data, rgb=True, name="reef", **{**PLACE, **options})


def labels_layer(shape=(4, 40, 50), **options) -> Labels:
    data = np.zeros(shape, np.int32)
    data[..., 5:9, 5:9] = 7
    return Labels(data, name="fossils", **{**PLACE, **options})


def test_a_stack_is_read_slice_by_slice() -> None:
    layer = stack_layer()
    source = StackSource.of(layer)
    assert (source.shape, source.flat) == ((4, 40, 50), False)
    np.testing.assert_array_equal(source.read(2), layer.data[2])


def test_lazy_data_is_not_computed_on_the_main_thread() -> None:
    computed = []

    def block(block_info=None):
        computed.append(1)
        return np.full((1, 40, 50, 3), 9, np.uint8)

    chunks = ((1,) * 4, (40,), (50,), (3,))
    data = da.map_blocks(block, chunks=chunks, dtype=np.uint8, meta=np.zeros((0,) * 4, np.uint8))
    layer = Image(data, rgb=True)
    computed.clear()
    source = StackSource.of(layer)
    assert computed == []
    assert source.read(3)[0, 0, 0] == 9
    assert computed == [1]


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, bool])
def test_grey_images_of_any_type_become_rgb(dtype) -> None:
    data = (np.random.default_rng(0).random((3, 20, 30)) > 0.5).astype(dtype)
    source = StackSource.of(Image(data))
    read = source.read(1)
    assert (read.shape, read.dtype) == ((20, 30, 3), np.uint8)


def test_a_stack_with_nan_is_refused_in_words() -> None:
    data = np.full((3, 20, 30), 0.5, np.float32)
    data[1, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        StackSource.of(Image(data, contrast_limits=(0, 1))).read(1)


def test_four_axes_are_refused_in_words() -> None:
    layer = Image(np.zeros((2, 3, 20, 30), np.uint8), name="odd")
    assert not is_stack(layer)
    with pytest.raises(InputError, match="'odd' has 4 axes"):
        StackSource.of(layer)


def test_results_are_never_taken_for_a_stack() -> None:
    assert is_stack(stack_layer())
    assert not is_stack(stack_layer(metadata=as_role("result")))


def labels_of(labels: Labels, stack: Image) -> LabelSource:
    return LabelSource.of(labels, StackSource.of(stack), stack)


def test_labels_are_copies_and_know_their_labelled_slices() -> None:
    layer = labels_layer()
    layer.data[1:3] = 0
    source = labels_of(layer, stack_layer())
    assert source.labelled() == [0, 3]
    piece = source.read(0)
    piece[:] = 0
    assert layer.data[0].any()


def test_a_prediction_of_some_slices_lies_where_it_belongs() -> None:
    stack = stack_layer()
    place = placed(spatial(stack), 2)
    part = Labels(np.ones((1, 40, 50), np.int32), metadata=as_role("result"), **place)
    source = labels_of(part, stack)
    assert source.labelled() == [2]
    assert not source.read(0).any()


@pytest.mark.parametrize("shape", [(4, 40, 51), (3, 40, 50), (40, 50)])
def test_labels_of_another_shape_are_refused_in_words(shape) -> None:
    if len(shape) == 2:
        labels = Labels(np.ones(shape, np.int32), name="fossils")
    else:
        labels = labels_layer(shape)
    with pytest.raises(InputError, match="choose labels made on this very stack"):
        labels_of(labels, stack_layer())


def test_a_single_slice_needs_no_z_axis() -> None:
    image = Image(np.zeros((40, 50, 3), np.uint8), rgb=True)
    source = labels_of(Labels(np.ones((40, 50), np.int32)), image)
    assert source.stack.shape == (1, 40, 50)
    assert source.labelled() == [0]


def test_placed_moves_along_z_only_and_keeps_everything_else() -> None:
    place = spatial(stack_layer())
    moved = placed(place, 3)
    np.testing.assert_allclose(moved["translate"], (2.5, 2.0, 3.0))
    np.testing.assert_allclose(moved["scale"], PLACE["scale"])
    assert moved["units"] == place["units"]
    assert moved["axis_labels"] == ("z", "y", "x")


def test_results_of_a_huge_stack_cover_their_own_slices_only() -> None:
    huge = StackSource("huge", None, (3000, 2000, 3000), False, {})
    labels, first = huge.blank(7, 8)
    assert (labels.shape, first) == ((2, 2000, 3000), 7)
    small = StackSource("small", None, (30, 20, 30), False, {})
    assert small.blank(7, 8)[0].shape == (30, 20, 30)


def test_names_are_numbered() -> None:
    assert free_name("a", ["b"]) == "a"
    assert free_name("a", ["a", "a 2"]) == "a 3"


def test_voxel_size_in_words() -> None:
    assert voxel_words(stack_layer()) == "0.5 × 0.145 × 0.145 mm"
    assert "pixel" in voxel_words(Image(np.zeros((4, 5))))
