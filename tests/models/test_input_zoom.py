"""How large the network sees a slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_fossiledit import models
from napari_fossiledit.errors import InputError
from napari_fossiledit.models.preprocess import Preprocess
from napari_fossiledit.models.segmenter import zoomed
from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN

R50 = Path(__file__).parents[1] / "data" / "detectron2" / "r50_bgr_caffe2"
GREY = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_at_1_nothing_changes(segmenter: TorchvisionRCNN, image: np.ndarray) -> None:
    before = segmenter.predict(image)
    assert segmenter.input_zoom == 1
    with zoomed(segmenter, 2.0):
        assert segmenter.input_zoom == 2
        larger = segmenter.predict(image)
    after = segmenter.predict(image)
    assert np.array_equal(before.boxes, after.boxes)
    assert np.array_equal(before.scores, after.scores)
    assert larger.shape == before.shape
    assert larger.boxes.shape != before.boxes.shape or not np.allclose(larger.boxes, before.boxes)


def test_it_finds_what_it_finds_in_the_enlarged_slice(
    segmenter: TorchvisionRCNN, image: np.ndarray
) -> None:
    """At zoom 2, boxes and scores are those of the slice made twice as large, boxes halved."""
    rows, columns = image.shape[:2]
    prepared = segmenter.preprocess(image, torch.device("cpu"), 2.0)
    assert prepared.content == (2 * rows, 2 * columns)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in GREY)
    plain = Preprocess(*GREY)(image, torch.device("cpu"), 2.0).tensor[0, :, : 2 * rows]
    enlarged = ((plain[:, :, : 2 * columns] * std + mean) * 255).round().byte()
    enlarged = enlarged.permute(1, 2, 0).numpy()
    twice = segmenter.predict(enlarged)
    with zoomed(segmenter, 2.0):
        found = segmenter.predict(image)
    best = min(5, len(found), len(twice))  # 8-bit rounding may swap what is nearly equal
    assert best > 0
    np.testing.assert_allclose(found.scores[:best], twice.scores[:best], atol=0.02)
    np.testing.assert_allclose(found.boxes[:best], twice.boxes[:best] / 2, atol=1.5)


def test_features_are_those_of_the_zoom(segmenter: TorchvisionRCNN, image: np.ndarray) -> None:
    name = segmenter.editable_layers()[0].name
    usual = segmenter.features(image, [name])[name]
    with zoomed(segmenter, 2.0):
        larger = segmenter.features(image, [name])[name]
    assert larger.content == tuple(2 * n for n in usual.content)
    assert larger.key.shape[2] > usual.key.shape[2]


@given(st.integers(1, 400), st.integers(1, 400), st.floats(0.25, 4))
def test_sizes_follow_the_zoom(rows: int, columns: int, zoom: float) -> None:
    own = Preprocess(*GREY).resized((rows, columns), zoom)
    edge = Preprocess(*GREY, shortest=64, longest=100)
    detectron2 = Preprocess(*GREY, shortest=64, longest=100, pillow=True)
    assert own == (max(round(rows * zoom), 1), max(round(columns * zoom), 1))
    for prepare in (edge, detectron2):
        found = prepare.resized((rows, columns), zoom)
        assert min(found) >= 1
        assert max(found) <= round(100 * zoom) + 1
        assert prepare.resized((rows, columns), 1.0) == prepare.resized((rows, columns))


def test_a_detectron2_models_shortest_edge_is_zoomed() -> None:
    segmenter = models.load(R50 / "model_final.pth", backend="torchvision", input_zoom=1.5)
    image = np.asarray(Image.open(R50 / "image.png").convert("RGB"))
    name = segmenter.editable_layers()[0].name
    larger = segmenter.features(image, [name])[name].content
    with zoomed(segmenter, 1.0):
        usual = segmenter.features(image, [name])[name].content
    assert larger == pytest.approx([1.5 * n for n in usual], abs=1)


@pytest.mark.parametrize("zoom", [0, -1, 0.2, 5, float("nan"), float("inf")])
def test_what_no_network_could_work_with_is_refused(
    segmenter: TorchvisionRCNN, zoom: float
) -> None:
    with pytest.raises(InputError, match="input zoom must lie between"):
        segmenter.input_zoom = zoom
    with pytest.raises(InputError, match="input zoom"):
        models.load("demo", input_zoom=zoom)
    assert segmenter.input_zoom == 1


def test_an_error_inside_gives_the_zoom_back(segmenter: TorchvisionRCNN) -> None:
    with pytest.raises(ZeroDivisionError), zoomed(segmenter, 2.0):
        _ = 1 / 0
    assert segmenter.input_zoom == 1
    assert segmenter.twin().input_zoom == 1
