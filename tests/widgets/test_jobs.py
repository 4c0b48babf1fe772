from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Crop, Instances
from napari_fossiledit.progress import run
from napari_fossiledit.widgets.compare_jobs import GAINED, LOST, difference_labels
from napari_fossiledit.widgets.jobs import apart, labelled_task, paint_instances
from napari_fossiledit.widgets.layers import LabelSource, StackSource


def stack(z: int = 6) -> StackSource:
    return StackSource("reef", np.zeros((z, 20, 30, 3), np.uint8), (z, 20, 30), False, {})


def labels(z: int = 6) -> LabelSource:
    data = np.zeros((z, 20, 30), np.int32)
    data[:, 2:5, 2:5] = 1
    return LabelSource("fossils", data, 0, stack(z))


def two(shape=(20, 30)) -> Instances:
    crops = (Crop(1, 2, np.ones((3, 4), bool)), Crop(10, 5, np.ones((2, 2), bool)))
    return Instances.from_crops(shape, crops, scores=(0.9, 0.6))


def test_every_instance_of_every_slice_gets_a_number_and_its_facts() -> None:
    made = paint_instances(stack(), {1: two(), 4: two()}, ("cup",))
    assert made.count == 4
    assert sorted(np.unique(made.labels[1])) == [0, 1, 2]
    assert sorted(np.unique(made.labels[4])) == [0, 3, 4]
    assert not made.labels[0].any()
    table = made.features
    assert list(table["index"]) == [0, 1, 2, 3, 4]
    assert list(table["slice"])[1:] == [1, 1, 4, 4]
    assert list(table["pixels"])[1:] == [12, 4, 12, 4]
    assert list(table["class"])[1:] == ["cup"] * 4
    assert table["confidence"][0] is None


def test_labelled_slices_are_spread_and_used_ones_left_out() -> None:
    slices = run(labelled_task(stack(), labels(), None, at_most=2, without=[0]))
    assert [piece.name for piece in slices] == ["slice 1", "slice 5"]
    assert slices[0].group == "reef"


def test_slices_known_by_their_image_are_left_out_and_replaced() -> None:
    source = stack()
    source.data[:] = np.arange(6, dtype=np.uint8)[:, None, None, None]

    def among(*numbers):
        return lambda image: int(image[0, 0, 0]) in numbers

    slices = run(labelled_task(source, labels(), None, at_most=2, seen=among(0, 4, 5)))
    assert [piece.name for piece in slices] == ["slice 1", "slice 3"]
    slices = run(labelled_task(source, labels(), None, at_most=6, without=[1], seen=among(2)))
    assert [piece.name for piece in slices] == ["slice 0", "slice 3", "slice 4", "slice 5"]
    with pytest.raises(InputError, match="label one or two more"):
        run(labelled_task(source, labels(), None, at_most=2, seen=among(*range(6))))


def test_no_labelled_slice_is_said() -> None:
    with pytest.raises(InputError, match="label one or two more"):
        run(labelled_task(stack(1), labels(1), None, at_most=2, without=[0]))
    empty = LabelSource("fossils", np.zeros((6, 20, 30), int), 0, stack())
    with pytest.raises(InputError, match="are empty"):
        run(labelled_task(stack(), empty, None, at_most=2))


def test_apart() -> None:
    assert apart([3, 4], 5) == [3, 4]
    assert apart(list(range(10)), 3) == [0, 4, 9]
    assert apart(list(range(10)), 1) == [0]


def test_difference_shows_what_was_lost_and_gained() -> None:
    before = np.array([[[0, 3, 3]], [[0, 0, 0]]])
    after = np.array([[[5, 0, 8]], [[0, 0, 0]]])
    np.testing.assert_array_equal(difference_labels(before, after)[0], [[GAINED, LOST, 0]])
    np.testing.assert_array_equal(difference_labels(before[0], after[0]), [[GAINED, LOST, 0]])
