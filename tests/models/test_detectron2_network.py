"""Variants of the network: what comes in goes out again, and torchvision's own parts take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import roi_align

from napari_fossiledit import models
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.models import detectron2_weights as weights
from napari_fossiledit.models.augment import Augment
from napari_fossiledit.models.detectron2_config import Detectron2Config, config_from
from napari_fossiledit.models.detectron2_network import build
from napari_fossiledit.models.regions import AlignedPool, ExactAnchors, pool_regions
from napari_fossiledit.models.training import TrainSettings, train

from .detectron2_models import HERE, NAMES

VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "group norm": {
        "RESNETS.NORM": "GN",
        "RESNETS.STEM_OUT_CHANNELS": 32,
        "RESNETS.RES2_OUT_CHANNELS": 32,
        "RESNETS.WIDTH_PER_GROUP": 32,
        "FPN.NORM": "GN",
        "FPN.OUT_CHANNELS": 32,
        "ROI_BOX_HEAD.NORM": "GN",
        "ROI_BOX_HEAD.NUM_CONV": 2,
        "ROI_BOX_HEAD.NUM_FC": 1,
        "ROI_BOX_HEAD.CONV_DIM": 32,
        "ROI_MASK_HEAD.NORM": "GN",
        "ROI_MASK_HEAD.CONV_DIM": 32,
    },
    "batch norm": {"RESNETS.NORM": "BN", "FPN.NORM": "SyncBN", "ROI_MASK_HEAD.NORM": "BN"},
    "no norm": {"RESNETS.NORM": ""},
    "groups": {"RESNETS.NUM_GROUPS": 4, "RESNETS.STRIDE_IN_1X1": False, "RESNETS.DEPTH": 101},
    "as wide as the stem": {"RESNETS.RES2_OUT_CHANNELS": 8},
    "mean of levels": {"FPN.FUSE_TYPE": "avg"},
    "two RPN convolutions": {"RPN.CONV_DIMS": [-1, -1]},
    "no mask convolution": {"ROI_MASK_HEAD.NUM_CONV": 0},
    "three fully connected": {"ROI_BOX_HEAD.NUM_FC": 3},
    "many classes": {"ROI_HEADS.NUM_CLASSES": 80},
}


def config(**changes: Any) -> Detectron2Config:
    """The first test model's config with settings of MODEL changed."""
    data = yaml.safe_load((HERE / NAMES[0] / "config.yaml").read_text())
    for name, value in changes.items():
        section, setting = name.split(".")
        data["MODEL"][section][setting] = value
    return config_from(data, Path("config.yaml"))


def tensors(like: Detectron2Config, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(shape, generator=generator) * 0.1 + 0.05
        for part in weights.parts(like)
        for name, shape in part.shapes()
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_every_tensor_finds_its_place(name: str) -> None:
    like = config(**VARIANTS[name])
    model = build(like)
    model.load_state_dict(weights.to_network(tensors(like), like))  # strict: no more, no less
    with torch.no_grad():
        maps = model.eval().backbone(torch.zeros(1, 3, 64, 96))  # type: ignore[operator]
    assert [tuple(m.shape[-2:]) for m in maps.values()] == [
        (16, 24),
        (8, 12),
        (4, 6),
        (2, 3),
        (1, 2),
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_out_again_they_give_the_same_network(name: str) -> None:
    like = config(**VARIANTS[name])
    state = weights.to_network(tensors(like), like)
    back = weights.from_network(state, like)
    assert {k: t.shape for k, t in back.items()} == {k: t.shape for k, t in tensors(like).items()}
    again = weights.to_network(back, like)
    assert set(again) == set(state)
    for key, tensor in state.items():
        # The background has no boxes and no masks in detectron2: its rows come back as zeros.
        torch.testing.assert_close(again[key], tensor, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["as it is", "group norm", "batch norm", "no norm"])
def test_an_early_checkpoint_without_statistics(name: str) -> None:
    like = config(**VARIANTS[name])
    whole = tensors(like)
    early = {k: t for k, t in whole.items() if "running_" not in k}
    weights.check(early, like, "early.pth")
    filled = weights.complete(early, like)
    assert list(filled) == list(weights.complete(whole, like))
    for key, tensor in filled.items():
        if key.endswith("running_var"):
            assert torch.equal(tensor, torch.ones_like(tensor))


def test_a_folded_norm_is_the_norm_after_the_convolution() -> None:
    like = config()
    given_ = tensors(like)
    state = weights.to_network(given_, like)
    x = torch.rand(2, 3, 20, 20)
    stem = "backbone.bottom_up.stem.conv1"
    apart = torch.nn.functional.batch_norm(
        torch.nn.functional.conv2d(x.flip(1), given_[f"{stem}.weight"]),  # BGR
        given_[f"{stem}.norm.running_mean"],
        given_[f"{stem}.norm.running_var"],
        given_[f"{stem}.norm.weight"],
        given_[f"{stem}.norm.bias"],
    )
    folded = torch.nn.functional.conv2d(
        x, state["backbone.body.conv1.weight"], state["backbone.body.conv1.bias"]
    )
    torch.testing.assert_close(folded, apart, atol=1e-5, rtol=1e-5)


def test_the_background_moves_from_the_end_to_the_front() -> None:
    like = config()
    given_ = tensors(like)
    predictor = "roi_heads.box_predictor"
    given_[f"{predictor}.cls_score.bias"] = torch.tensor([1.0, 2.0, 9.0])
    given_[f"{predictor}.bbox_pred.bias"] = torch.arange(8.0)
    given_["roi_heads.mask_head.predictor.bias"] = torch.tensor([5.0, 6.0])
    state = weights.to_network(given_, like)
    assert state[f"{predictor}.cls_score.bias"].tolist() == [9, 1, 2]
    assert state[f"{predictor}.bbox_pred.bias"].tolist() == [0, 0, 0, 0, *range(8)]
    assert state["roi_heads.mask_predictor.mask_fcn_logits.bias"].tolist() == [0, 5, 6]


# Anchors and pooling


def test_anchors_are_exact_and_the_sizes_come_first() -> None:
    anchors = ExactAnchors([[32, 64]] * 5, [[0.5, 1.0]] * 5, 0.0)
    boxes = anchors.grid_anchors([(1, 2)] * 5, [])
    assert boxes[0].shape == (2 * 4, 4)
    wide = 32 * 2**0.5 / 2
    np.testing.assert_allclose(boxes[0][0], [-wide, -wide / 2, wide, wide / 2], rtol=1e-6)
    np.testing.assert_allclose(boxes[0][1], [-16, -16, 16, 16])
    np.testing.assert_allclose(boxes[0][3], [-32, -32, 32, 32])
    np.testing.assert_allclose(boxes[0][5], [-12, -16, 20, 16])  # a stride of 4 to the right
    assert boxes[4][4 + 1][0] == -16 + 64


def test_an_offset_moves_anchors_by_parts_of_the_stride() -> None:
    plain = ExactAnchors([[32]] * 5, [[1.0]] * 5, 0.0).grid_anchors([(2, 2)] * 5, [])
    moved = ExactAnchors([[32]] * 5, [[1.0]] * 5, 0.5).grid_anchors([(2, 2)] * 5, [])
    for level, stride in enumerate((4, 8, 16, 32, 64)):
        torch.testing.assert_close(moved[level], plain[level] + stride / 2)


@given(side=st.floats(1, 2000), left=st.floats(0, 100))
@settings(max_examples=60, deadline=None)
def test_a_box_is_pooled_at_the_level_of_its_size(side: float, left: float) -> None:
    maps = {str(i): torch.full((1, 1, 8, 8), float(i)) for i in range(4)}
    maps = {
        name: m.repeat(1, 1, 64 // 2**i, 64 // 2**i) for i, (name, m) in enumerate(maps.items())
    }
    boxes = torch.tensor([[left, 10.0, left + side, 10.0 + side]])
    pooled = AlignedPool(2, 0, True)(maps, [boxes], [(2048, 2048)])
    exact = float((boxes[0, 2] - boxes[0, 0]) * (boxes[0, 3] - boxes[0, 1])) ** 0.5
    level = min(max(int(np.floor(4 + np.log2(exact / 224 + 1e-8))), 2), 5) - 2
    near = abs(np.log2(exact / 224) - round(np.log2(exact / 224))) < 1e-5
    assert near or pooled.max().item() == level


def test_aligned_pooling_of_a_ramp_is_the_ramp_at_the_cells_centres() -> None:
    """A map with f(x) = x at the pixels' centres (x + .5): pooled, it must be exact."""
    ramp = (torch.arange(32.0) + 0.5).repeat(32, 1)[None, None]
    maps = {"0": ramp, **{str(i): torch.zeros(1, 1, 4, 4) for i in (1, 2, 3)}}
    box = torch.tensor([[8.0, 8.0, 40.0, 40.0]])  # 2 to 10 on the map of stride 4
    pooled = AlignedPool(4, 2, True)(maps, [box], [(128, 128)])
    np.testing.assert_allclose(pooled[0, 0, 0], [3, 5, 7, 9], rtol=1e-6)
    shifted = AlignedPool(4, 2, False)(maps, [box], [(128, 128)])
    np.testing.assert_allclose(shifted[0, 0, 0], [3.5, 5.5, 7.5, 9.5], rtol=1e-6)


@pytest.mark.parametrize("count", [0, 5, 40, 333])
def test_pooling_on_all_cores_gives_the_same_bits(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    feature = torch.randn(1, 7, 50, 60, generator=generator)
    corner = torch.rand(count, 2, generator=generator) * 150
    regions = torch.cat(
        [
            torch.zeros(count, 1),
            corner,
            corner + 1 + torch.rand(count, 2, generator=generator) * 80,
        ],
        dim=1,
    )
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        shared = pool_regions(feature, regions, (7, 7), 0.25, 0, True)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(shared, roi_align(feature, regions, (7, 7), 0.25, 0, True))


def test_proposals_are_ranked_by_logits_where_probabilities_round_to_one() -> None:
    from napari_fossiledit.models.detect import propose

    like = config(**{"RPN.PRE_NMS_TOPK_TEST": 3, "RPN.POST_NMS_TOPK_TEST": 1})
    rpn: Any = build(like).rpn

    def head(levels: list[torch.Tensor]) -> Any:
        sizes = [level.shape[-2:] for level in levels]
        logits = [torch.full((1, 3, *size), -50.0) for size in sizes]
        logits[0][0, 1, 2, 1], logits[0][0, 1, 6, 5] = 40.0, 41.0
        return logits, [torch.zeros(1, 12, *size) for size in sizes]

    rpn.head.forward = head
    levels = {str(i): torch.zeros(1, 24, 2 ** (5 - i), 2 ** (5 - i)) for i in range(5)}
    best = propose(rpn, levels, (128, 128), (128, 128))
    np.testing.assert_allclose(best[0], [20 - 16, 24 - 16, 20 + 16, 24 + 16])


def test_no_boxes_pool_to_nothing() -> None:
    maps = {str(i): torch.zeros(1, 5, 8, 8) for i in range(4)}
    assert AlignedPool(7, 0, True)(maps, [torch.zeros(0, 4)], [(32, 32)]).shape == (0, 5, 7, 7)


# Training


def test_the_chosen_class_is_what_training_teaches(tmp_path: Path) -> None:
    segmenter: Any = models.load(
        HERE / NAMES[0] / "model_final.pth",
        device="cpu",
        backend="torchvision",
        fossil_classes=[1],
    )
    before = segmenter.tensors()
    rng = np.random.default_rng(0)
    labels = np.zeros((96, 96), np.int32)
    labels[20:60, 30:70] = 1
    image = rng.integers(60, 90, (96, 96, 3), dtype=np.uint8)
    image[labels > 0] += 120
    settings_ = TrainSettings(steps=2, batch=1, augment=Augment(crop=96), rate=1e-4)
    report = train(segmenter, [LabelledSlice(image, labels, name="a")], settings_)
    assert all(np.isfinite(report.losses))
    after = segmenter.tensors()
    assert set(before) < set(after)
    moved = "roi_heads.mask_head.predictor.bias"
    from napari_fossiledit.models.weights_file import read_weights

    file = read_weights(HERE / NAMES[0] / "model_final.pth").tensors[moved]
    change = (after[moved] - file).abs()
    assert change[1] > 1e-6
    assert change[0] < change[1]
    done = models.export(segmenter, tmp_path / "tuned.pth")
    assert moved in done.changed
    again: Any = models.load(
        tmp_path / "tuned.pth",
        config=HERE / NAMES[0] / "config.yaml",
        device="cpu",
        backend="torchvision",
    )
    found, wanted = again.predict(image), segmenter.predict(image)
    np.testing.assert_allclose(found.scores[:5], wanted.scores[:5], atol=1e-3)
