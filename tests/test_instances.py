"""`Instances`: round trips, known answers, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Crop, Instances, LabelledSlice

shapes = st.tuples(st.integers(1, 12), st.integers(1, 12))
label_images = hnp.arrays(np.int32, shapes, elements=st.integers(0, 6))


@st.composite
def instances(draw: st.DrawFn) -> Instances:
    rows, columns = draw(shapes)
    crops = []
    for _ in range(draw(st.integers(0, 4))):
        y, x = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
        h, w = draw(st.integers(1, rows - y)), draw(st.integers(1, columns - x))
        crops.append(Crop(y, x, draw(hnp.arrays(bool, (h, w)))))
    n = len(crops)
    scores = draw(hnp.arrays(np.float32, n, elements=st.floats(0, 1, width=32)))
    classes = draw(hnp.arrays(np.int64, n, elements=st.integers(0, 3)))
    return Instances.from_crops((rows, columns), crops, scores=scores, classes=classes)


@settings(deadline=None, max_examples=50)
@given(label_images, st.sampled_from([1, 10**9]))
def test_labels_survive(labels: np.ndarray, factor: int) -> None:
    found = Instances.from_labels(labels.astype(np.int64) * factor)
    assert (found.ids == factor * np.unique(labels[labels > 0]).astype(np.int64)).all()
    back = found.to_labels()
    names = np.concatenate([[0], found.ids])
    assert (names[back] == labels.astype(np.int64) * factor).all()
    assert (found.union() == (labels > 0)).all()
    assert found.areas().sum() == np.count_nonzero(labels)
    for i, value in enumerate(found.ids):
        assert (found.mask(i) == (labels == value // factor)).all()


@settings(deadline=None, max_examples=50)
@given(instances())
def test_coco_survives(found: Instances) -> None:
    rows = json.loads(json.dumps(found.to_coco()))
    back = Instances.from_coco(found.shape, rows)
    assert len(back) == len(found)
    for i in range(len(found)):
        assert (back.mask(i) == found.mask(i)).all()
    assert (back.scores == found.scores).all()
    assert (back.classes == found.classes).all()
    assert (back.boxes == found.boxes).all()


@settings(deadline=None, max_examples=50)
@given(instances())
def test_coco_agrees_with_pycocotools(found: Instances) -> None:
    from pycocotools import mask as coco

    for i, row in enumerate(found.to_coco()):
        whole = coco.encode(np.asfortranarray(found.mask(i).astype(np.uint8)))
        assert row["segmentation"]["counts"] == whole["counts"].decode()  # type: ignore[index]


def test_coco_of_a_large_slice() -> None:
    mask = np.ones((1500, 900), bool)
    mask[::7] = False
    found = Instances.from_crops((2000, 3000), [Crop(400, 2000, mask)])
    back = Instances.from_coco((2000, 3000), found.to_coco())
    assert (back.mask(0) == found.mask(0)).all()


def test_coco_of_another_image_or_damaged() -> None:
    rows = Instances.from_crops((8, 9), [Crop(1, 1, np.ones((2, 2), bool))]).to_coco()
    with pytest.raises(InputError, match="8 x 9 pixels, the slice of 9 x 8"):
        Instances.from_coco((9, 8), rows)
    rows[0]["segmentation"] = {"size": [8, 9], "counts": [3, 2]}
    with pytest.raises(InputError, match="damaged"):
        Instances.from_coco((8, 9), rows)


@settings(deadline=None, max_examples=50)
@given(instances(), st.data())
def test_select(found: Instances, data: st.DataObject) -> None:
    n = len(found)
    order = data.draw(st.lists(st.integers(0, n - 1), max_size=6)) if n else []
    chosen = found.select(order)
    assert len(chosen) == len(order)
    for new, old in enumerate(order):
        assert (chosen.mask(new) == found.mask(old)).all()
        assert chosen.ids[new] == found.ids[old]
        assert chosen.scores[new] == found.scores[old]
    keep = data.draw(hnp.arrays(bool, n))
    assert len(found.select(keep)) == keep.sum()
    assert (found.above(0.5).scores >= 0.5).all()


def test_select_nothing() -> None:
    found = Instances.from_labels(np.eye(3, dtype=int))
    for index in ([], np.zeros(0, int), np.zeros(1, bool)):
        assert len(found.select(index)) == 0


def test_the_higher_score_has_the_pixel() -> None:
    whole = Crop(0, 0, np.ones((2, 2), bool))
    found = Instances.from_crops((2, 2), [whole, whole], scores=[0.9, 0.3])
    assert (found.to_labels() == 1).all()


def test_boxes_are_continuous() -> None:
    labels = np.zeros((6, 8), int)
    labels[2:4, 3:8] = 5
    assert Instances.from_labels(labels).boxes.tolist() == [[3, 2, 8, 4]]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint64])
def test_labels_of_any_integer_type(dtype: type) -> None:
    labels = np.zeros((4, 5), dtype)
    labels[1, 1] = 1
    assert Instances.from_labels(labels).ids.tolist() == [1]


@pytest.mark.parametrize("value", [0, 3])
def test_labels_of_one_value(value: int) -> None:
    assert len(Instances.from_labels(np.full((3, 3), value))) == (value > 0)


def test_empty() -> None:
    found = Instances.empty((4, 5))
    assert len(found) == 0
    assert not found.union().any()
    assert found.to_coco() == []
    assert len(Instances.from_labels(np.zeros((0, 0), int))) == 0
    assert len(Instances.from_coco((4, 5), [])) == 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((3, 3), -1), "negative"),
        (np.array([[-5, 10**9]]), "negative"),
        (np.zeros((3, 3, 3), int), "two axes"),
        (np.zeros((3, 3)), "whole numbers"),
    ],
)
def test_labels_that_cannot_be_used(labels: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Instances.from_labels(labels)


@pytest.mark.parametrize("what", ["scores", "classes", "ids"])
def test_parts_must_be_as_many(what: str) -> None:
    with pytest.raises(InputError, match="as many"):
        Instances.from_crops((3, 3), [Crop(0, 0, np.ones((1, 1), bool))], **{what: [1, 2]})


def test_labelled_slice_checks_its_shapes() -> None:
    image, labels = np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), int)
    labels[0, 0] = 2
    assert LabelledSlice(image, labels).fossils.sum() == 1
    with pytest.raises(InputError, match="labels of s7 have 5 x 4 pixels, the image 4 x 5"):
        LabelledSlice(image, labels.T, name="s7")
    with pytest.raises(InputError, match="confusers"):
        LabelledSlice(image, labels, confusers=labels[:2])
    with pytest.raises(InputError, match="have 5 pixels"):
        LabelledSlice(image, labels[0])
