"""Models of many shapes, made by the real detectron2, against our network; skipped without it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_fossiledit import models, sample
from napari_fossiledit.models import detectron2_native
from napari_fossiledit.models.preprocess import Preprocess

pytestmark = pytest.mark.skipif(
    not detectron2_native.is_installed(), reason=detectron2_native.why_not_installed()
)

FPN: dict[str, Any] = {
    "MODEL.DEVICE": "cpu",
    "MODEL.MASK_ON": True,
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
    "MODEL.RESNETS.OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 32,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 32,
    "MODEL.FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.FPN.OUT_CHANNELS": 32,
    "MODEL.ANCHOR_GENERATOR.SIZES": [[32], [64], [128], [256], [512]],
    "MODEL.RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 1000,
    "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
    "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL.ROI_HEADS.NUM_CLASSES": 3,
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.NUM_FC": 2,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 48,
    "MODEL.ROI_BOX_HEAD.CONV_DIM": 32,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
    "MODEL.ROI_MASK_HEAD.NAME": "MaskRCNNConvUpsampleHead",
    "MODEL.ROI_MASK_HEAD.NUM_CONV": 4,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 32,
    "INPUT.MIN_SIZE_TEST": 200,
    "INPUT.MAX_SIZE_TEST": 300,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "group norm": {
        "MODEL.RESNETS.NORM": "GN",
        "MODEL.RESNETS.STRIDE_IN_1X1": False,
        "MODEL.FPN.NORM": "GN",
        "MODEL.ROI_BOX_HEAD.NORM": "GN",
        "MODEL.ROI_BOX_HEAD.NUM_CONV": 4,
        "MODEL.ROI_BOX_HEAD.NUM_FC": 1,
        "MODEL.ROI_MASK_HEAD.NORM": "GN",
    },
    "batch norm": {"MODEL.RESNETS.NORM": "BN", "MODEL.FPN.NORM": "BN"},
    "synchronised": {"MODEL.RESNETS.NORM": "SyncBN", "MODEL.ROI_MASK_HEAD.NORM": "SyncBN"},
    "groups": {
        "MODEL.RESNETS.NUM_GROUPS": 4,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 8,
        "MODEL.RESNETS.STRIDE_IN_1X1": False,
        "MODEL.RESNETS.DEPTH": 101,
        "MODEL.PIXEL_STD": [57.0, 57.5, 58.0],
    },
    "as wide as the stem": {"MODEL.RESNETS.RES2_OUT_CHANNELS": 32},
    "mean of levels": {"MODEL.FPN.FUSE_TYPE": "avg"},
    "two RPN convolutions": {"MODEL.RPN.CONV_DIMS": [-1, -1]},
    "other anchors": {
        "MODEL.ANCHOR_GENERATOR.SIZES": [[20, 30], [50, 60], [90, 100], [200, 220], [300, 400]],
        "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [[0.4, 1.0, 3.0]],
        "MODEL.ANCHOR_GENERATOR.OFFSET": 0.5,
        "MODEL.RPN.BBOX_REG_WEIGHTS": (2.0, 2.0, 1.0, 1.0),
        "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS": (5.0, 5.0, 2.0, 2.0),
    },
    "other pooling": {
        "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlign",
        "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 2,
        "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 5,
        "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": 7,
    },
    "two box convolutions": {"MODEL.ROI_BOX_HEAD.NUM_CONV": 2},
    "no mask convolution": {"MODEL.ROI_MASK_HEAD.NUM_CONV": 0},
    "other thresholds": {
        "MODEL.PROPOSAL_GENERATOR.MIN_SIZE": 8,
        "MODEL.RPN.PRE_NMS_TOPK_TEST": 200,
        "MODEL.RPN.POST_NMS_TOPK_TEST": 77,
        "MODEL.RPN.NMS_THRESH": 0.5,
        "MODEL.ROI_HEADS.NMS_THRESH_TEST": 0.3,
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.2,
    },
    "full resolution": {"INPUT.MIN_SIZE_TEST": 0, "INPUT.FORMAT": "RGB"},
    "many classes": {"MODEL.ROI_HEADS.NUM_CLASSES": 80, "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.02},
}


def make(folder: Path, changes: dict[str, Any]) -> Any:
    """A model with random weights as detectron2 builds and saves it; its DefaultPredictor."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # upstream's own
        from detectron2.config import get_cfg
        from detectron2.engine import DefaultPredictor
        from detectron2.modeling import build_model

        config = get_cfg()
        config.merge_from_list([part for pair in (FPN | changes).items() for part in pair])
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(1)
            model = build_model(config)
        generator = torch.Generator().manual_seed(2)
        for name, tensor in model.state_dict().items():
            noise = torch.randn(tensor.shape, generator=generator)
            for part, spread, middle in (
                ("running_mean", 0.1, 0.0),
                ("running_var", 0.1, 1.0),
                ("norm.weight", 0.1, 0.6),
                ("norm.bias", 0.1, 0.0),
                ("cls_score.weight", 0.03, 0.0),
                ("bbox_pred.weight", 0.05, 0.0),
                ("anchor_deltas.weight", 0.05, 0.0),
                ("objectness_logits.weight", 0.3, 0.0),
                ("mask_head.predictor.weight", 0.8, 0.0),
            ):
                if part in name:
                    tensor.copy_(noise * spread + middle)
        torch.save({"model": model.state_dict()}, folder / "model_final.pth")
        (folder / "config.yaml").write_text(config.dump())
        config.MODEL.WEIGHTS = str(folder / "model_final.pth")
        return DefaultPredictor(config)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", VARIANTS)
def test_what_detectron2_predicts(tmp_path: Path, name: str) -> None:
    predictor = make(tmp_path, VARIANTS[name])
    image = np.ascontiguousarray(sample.lazy_reef(seed=5, shape=(2, 210, 333)).image[0].compute())
    theirs = predictor(image[:, :, ::-1])["instances"]
    ours = models.load(tmp_path / "model_final.pth", device="cpu", backend="torchvision")
    found = ours.predict(image)
    assert len(found) == len(theirs) > 20
    boxes, classes = theirs.pred_boxes.tensor.numpy(), theirs.pred_classes.numpy()
    same = 0
    for box, score, kind, mask in zip(
        boxes, theirs.scores.numpy(), classes, theirs.pred_masks.numpy(), strict=True
    ):
        off = np.abs(found.boxes - box).max(axis=1)
        off[found.classes != kind] = np.inf
        best = int(off.argmin())
        wrong = int((found.mask(best) ^ mask).sum())
        # Masks of random weights are noise: a pixel of them may lie on the threshold.
        alike = wrong <= max(2, 0.01 * mask.sum())
        same += off[best] < 0.5 and abs(found.scores[best] - score) < 1e-2 and alike
    assert same >= 0.98 * len(theirs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("short", "long"), [(800, 1333), (240, 400), (1000, 1000)])
def test_every_size_is_that_of_detectron2(short: int, long: int) -> None:
    from detectron2.data.transforms import ResizeShortestEdge

    prepare = Preprocess((0, 0, 0), (1, 1, 1), shortest=short, longest=long, pillow=True)
    for rows in range(20, 3000, 61):
        for columns in range(20, 4000, 2):
            wanted = ResizeShortestEdge.get_output_shape(rows, columns, short, long)
            assert prepare.resized((rows, columns)) == tuple(max(n, 1) for n in wanted)
