"""Memory and time of a detectron2 R101-FPN on a slice of 2000 x 3000 pixels: a prediction, an edit.

The model has its full width and random weights, the slice its own resolution. Each is
measured in a process of its own, from its start to its end.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import Row, peak_gb

SHAPE = (2000, 3000)
INSTANCES = 500
MOST_GB = 6.0
MOST_EDIT_GB = 8.0
SETTINGS: dict[str, Any] = {
    "INPUT": {"MIN_SIZE_TEST": 0},
    "MODEL": {
        "MASK_ON": True,
        "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
        "RESNETS": {"DEPTH": 101, "OUT_FEATURES": ["res2", "res3", "res4", "res5"]},
        "FPN": {"IN_FEATURES": ["res2", "res3", "res4", "res5"]},
        "ANCHOR_GENERATOR": {"SIZES": [[16], [24], [32], [48], [64]]},
        "RPN": {
            "IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
            "PRE_NMS_TOPK_TEST": 2000,
            "POST_NMS_TOPK_TEST": 2000,
            "NMS_THRESH": 0.9,  # random boxes crowd together
        },
        "ROI_HEADS": {
            "NAME": "StandardROIHeads",
            "IN_FEATURES": ["p2", "p3", "p4", "p5"],
            "NUM_CLASSES": 2,
            "SCORE_THRESH_TEST": 0.0,
            "NMS_THRESH_TEST": 0.9,
        },
        "ROI_BOX_HEAD": {"NAME": "FastRCNNConvFCHead", "NUM_FC": 2, "POOLER_RESOLUTION": 7},
        "ROI_MASK_HEAD": {"NAME": "MaskRCNNConvUpsampleHead", "NUM_CONV": 4},
    },
    "TEST": {"DETECTIONS_PER_IMAGE": INSTANCES},
}

_PREDICTORS = ("anchor_deltas", "cls_score", "bbox_pred")


def make_model(folder: Path) -> None:
    """Write ``model_final.pth`` and ``config.yaml``: random weights, scaled to keep the range."""
    import torch
    import yaml

    from napari_fossiledit.models.detectron2_config import read_config
    from napari_fossiledit.models.detectron2_weights import parts

    (folder / "config.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for part in parts(read_config(folder / "config.yaml")):
        for name, shape in part.shapes():
            if name.endswith(("norm.weight", "running_var")):
                tensors[name] = torch.full(shape, 1.0 if "conv3" not in name else 0.2)
            elif len(shape) == 1:
                tensors[name] = torch.zeros(shape)
            else:
                spread = (2 / np.prod(shape[1:])) ** 0.5
                if part.theirs.endswith(_PREDICTORS):
                    spread *= 1e-6  # boxes stay near their anchors, scores near each other
                tensors[name] = torch.randn(shape, generator=generator) * spread
    torch.save({"model": tensors}, folder / "model_final.pth")


def predict(folder: Path) -> None:
    """Load and predict in this process; print the peak memory in GB and the seconds as JSON."""
    from napari_fossiledit import models

    image = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
    segmenter = models.load(folder / "model_final.pth", device="cpu", backend="torchvision")
    started = time.perf_counter()
    found = segmenter.predict(image)
    seconds = time.perf_counter() - started
    print(json.dumps({"gb": peak_gb(), "seconds": seconds, "instances": len(found)}))


def edit(folder: Path) -> None:
    """Edit all four output convolutions by `ridge`; print peak memory in GB and seconds as JSON."""
    from napari_fossiledit import editing, models, perturb

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*SHAPE, 3), np.uint8)
    fossils = np.zeros(SHAPE, bool)
    for y, x in rng.integers(0, np.array(SHAPE) - 90, (200, 2)):
        fossils[y : y + 60, x : x + 60] = True
    segmenter = models.load(folder / "model_final.pth", device="cpu", backend="torchvision")
    layers = [layer.name for layer in editing.output_layers(segmenter)]
    painted = perturb.apply(image, fossils, perturb.Median())
    started = time.perf_counter()
    made = editing.rewrite(segmenter, image, painted, fossils, layers=layers)
    seconds = time.perf_counter() - started
    print(json.dumps({"gb": peak_gb(), "seconds": seconds, "layers": len(made.layers)}))


def measure() -> list[Row]:
    """The peak memory of the whole process, predicting and editing."""
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder))
        found, made = (_in_its_own_process(folder, what) for what in ("predict", "edit"))
    size = f"R101-FPN, slice of {SHAPE[0]} x {SHAPE[1]}"
    return [
        Row(
            f"{size}, {found['instances']} instances: memory",
            found["gb"],
            "GB",
            MOST_GB,
            f"the whole process; {found['seconds']:.0f} s",
        ),
        Row(
            f"{size}, {made['layers']} convolutions edited: memory",
            made["gb"],
            "GB",
            MOST_EDIT_GB,
            f"the whole process; {made['seconds']:.0f} s",
        ),
    ]


def _in_its_own_process(folder: str, what: str) -> dict[str, Any]:
    command = [sys.executable, __file__, what, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"predict": predict, "edit": edit}[sys.argv[1]](Path(sys.argv[2]))
    else:
        for row in measure():
            print(row.line())
