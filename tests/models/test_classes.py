"""Names and numbers of classes as users give them, and what becomes of bad ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_fossiledit import models
from napari_fossiledit.errors import InputError
from napari_fossiledit.models.classes import check_classes, check_names, class_numbers

from .conftest import tiny
from .detectron2_models import HERE

NAMES = ("cup", "clot", "2")


def test_names_and_numbers() -> None:
    assert class_numbers(["clot", 0, "1", "2"], NAMES, "m") == [1, 0, 1, 2]
    assert class_numbers(np.array([0, 1]), NAMES, "m") == [0, 1]
    assert check_classes([2, 0, 2], NAMES, "m") == (0, 2)
    assert check_classes(np.array([1, 0]), NAMES, "m") == (0, 1)
    check_names(np.array(["a", "b"]), 2, "m")
    check_names(None, 2, "m")


@pytest.mark.parametrize("one", [1, np.int64(1), np.array(1)])
def test_one_number_is_one_class(one: Any) -> None:
    assert class_numbers(one, NAMES, "m") == [1]
    assert check_classes(one, NAMES, "m") == (1,)


@pytest.mark.parametrize("text", ["²", "x", "--1", "9" * 5000, "1.0", ""])
def test_texts_that_are_no_class(text: str) -> None:
    with pytest.raises(InputError, match=r"has no class .*choose among 0 = cup, 1 = clot"):
        class_numbers([text], NAMES, "m")


@pytest.mark.parametrize("value", [0.9, 1.0, True, None, b"1"])
def test_values_that_are_no_class(value: Any) -> None:
    with pytest.raises(InputError, match="has no class"):
        class_numbers([value], NAMES, "m")
    with pytest.raises(InputError, match="must be whole numbers from 0 to 2"):
        check_classes([value], NAMES, "m")


@pytest.mark.parametrize("value", ["clot", b"1", 0.9, None, True])
def test_what_is_no_list_of_classes(value: Any) -> None:
    with pytest.raises(InputError, match="must be a list of names or numbers"):
        class_numbers(value, NAMES, "m")
    with pytest.raises(InputError, match="must be whole numbers"):
        check_classes(value, NAMES, "m")


@pytest.mark.parametrize("names", ["ab", b"ab", [1, 2], ["a", None], 2, {0: "a", 1: "b"}])
def test_what_is_no_list_of_names(names: Any) -> None:
    with pytest.raises(InputError, match="must be a list of texts, one for each class"):
        check_names(names, 2, "m")


@pytest.mark.parametrize("given", ["0", ["cup"], [0.9], 0.0, None, [None]])
def test_a_model_refuses_classes_that_are_no_numbers(given: Any) -> None:
    segmenter = tiny()
    with pytest.raises(InputError, match="whole numbers") as caught:
        segmenter.fossil_classes = given
    assert "\n" not in str(caught.value)
    assert segmenter.fossil_classes == (0,)


@pytest.mark.parametrize(
    "options",
    [
        {"class_names": "ab"},
        {"class_names": [1, 2]},
        {"fossil_classes": "0"},
        {"fossil_classes": "01"},
        {"fossil_classes": [0.9]},
    ],
)
def test_loading_refuses_them(options: dict[str, Any]) -> None:
    path = HERE / "r50_bgr_caffe2" / "model_final.pth"
    with pytest.raises(InputError):
        models.load(path, device="cpu", backend="torchvision", **options)


def test_loading_takes_one_number() -> None:
    path = HERE / "r50_bgr_caffe2" / "model_final.pth"
    segmenter = models.load(path, device="cpu", backend="torchvision", fossil_classes=1)
    assert segmenter.fossil_classes == (1,)
