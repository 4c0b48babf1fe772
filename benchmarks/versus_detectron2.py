"""Prediction beside detectron2 itself: time, detections and memory for the same model and slice.

Both predict in turn in one process; memory is measured in a process of its own for each. Needs
the real detectron2 (``python benchmarks/versus_detectron2.py``); where it is missing, the reason
is printed and nothing measured. (Not called ``detectron2.py``: that would hide the package.)
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import Row, peak_gb
from numpy.typing import NDArray

SIDE = 800  # px; the slice, and the shortest edge that the model wants
ROUNDS = 7
SEED = 0
MOST_RATIO = 0.8
_PIXELS, _SCORE, _IOU = 0.5, 1e-2, 0.99  # when a detection counts as the same

# Base-RCNN-FPN and mask_rcnn_R_101_FPN of detectron2's configs, with two classes.
SETTINGS: dict[str, Any] = {
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
    "MODEL.RESNETS.DEPTH": 101,
    "MODEL.RESNETS.OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.ANCHOR_GENERATOR.SIZES": [[32], [64], [128], [256], [512]],
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
    "MODEL.RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 1000,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 1000,
    "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
    "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL.ROI_HEADS.NUM_CLASSES": 2,
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.NUM_FC": 2,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
    "MODEL.MASK_ON": True,
    "MODEL.ROI_MASK_HEAD.NAME": "MaskRCNNConvUpsampleHead",
    "MODEL.ROI_MASK_HEAD.NUM_CONV": 4,
    "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": 14,
    "MODEL.DEVICE": "cpu",
    "INPUT.MIN_SIZE_TEST": SIDE,
    "INPUT.MAX_SIZE_TEST": 1333,
}

Predict = Callable[[NDArray[np.uint8]], Any]


def slice_() -> NDArray[np.uint8]:
    """A slice of the sample reef, enlarged to 800 x 800."""
    from PIL import Image

    from napari_fossiledit import sample

    small = np.asarray(sample.lazy_reef(seed=SEED, shape=(48, 384, 384)).image[24].compute())
    return np.asarray(Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


# The model


def make_model(folder: Path, image: NDArray[np.uint8]) -> None:
    """Write ``model_final.pth`` and ``config.yaml``: random weights, about 100 detections.

    Every layer is scaled by what it gives for the slice, as training would leave it: norms to
    mean 0 and variance 1, objectness, scores and masks so that they spread. Blocks change what
    passes them only a little: otherwise a hundred random layers would blow the last digit of a
    float up to something that can be seen, in detectron2 as much as here.
    """
    import torch
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    config = get_cfg()
    config.merge_from_list([part for pair in SETTINGS.items() for part in pair])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(SEED)
        model = build_model(config).eval()
        for name, module in model.backbone.bottom_up.named_modules():
            if name.endswith("conv3.norm"):
                module.weight.fill_(0.2)
        handles = list(_calibrating(model))
        given = torch.from_numpy(image[:, :, ::-1].astype("float32").transpose(2, 0, 1))
        # Twice: the heads' inputs settle once the layers before them have.
        for _ in range(2):
            model.inference([{"image": given}], do_postprocess=False)
        for handle in handles:
            handle.remove()
    torch.save({"model": model.state_dict()}, folder / "model_final.pth")
    (folder / "config.yaml").write_text(config.dump(), encoding="utf-8")


def _calibrating(model: Any) -> Any:
    from detectron2.layers import FrozenBatchNorm2d

    def normalise(module: Any, args: Any) -> None:
        module.running_mean.copy_(args[0].mean((0, 2, 3)))
        module.running_var.copy_(args[0].var((0, 2, 3)))

    def spread(wanted: float, mean: float) -> Callable[..., Any]:
        def scale(module: Any, args: Any, out: Any) -> Any:
            factor = wanted / float(out.std())
            shift = mean - float(out.mean()) * factor
            module.weight.mul_(factor)
            module.bias.mul_(factor).add_(shift)
            return out * factor + shift

        return scale

    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            yield module.register_forward_pre_hook(normalise)
    for name, wanted, mean in (
        ("proposal_generator.rpn_head.objectness_logits", 2.0, 0.0),
        ("proposal_generator.rpn_head.anchor_deltas", 0.1, 0.0),
        ("roi_heads.box_predictor.cls_score", 1.0, 0.0),
        ("roi_heads.box_predictor.bbox_pred", 0.3, 0.0),
        ("roi_heads.mask_head.predictor", 2.0, 3.0),
    ):
        yield model.get_submodule(name).register_forward_hook(spread(wanted, mean))


# The two sides


def theirs(folder: Path) -> Predict:
    """``DefaultPredictor``, which takes BGR."""
    from detectron2.config import get_cfg
    from detectron2.engine import DefaultPredictor

    config = get_cfg()
    config.merge_from_file(str(folder / "config.yaml"))
    config.MODEL.WEIGHTS = str(folder / "model_final.pth")
    predictor = DefaultPredictor(config)
    return lambda image: predictor(image[:, :, ::-1])["instances"]


def ours(folder: Path, backend: str = "torchvision") -> Predict:
    """The same files as a segmenter of napari-fossiledit."""
    from napari_fossiledit import models

    segmenter = models.load(
        folder / "model_final.pth",
        config=folder / "config.yaml",
        device="cpu",
        backend=backend,
    )
    return segmenter.predict


SIDES: dict[str, Callable[[Path], Predict]] = {
    "detectron2": theirs,
    "torchvision": ours,
    "native": lambda folder: ours(folder, "detectron2"),
}


def same(reference: Any, found: Any) -> tuple[int, int]:
    """How many of detectron2's detections there are, and how many were found again."""
    boxes, scores = reference.pred_boxes.tensor.numpy(), reference.scores.numpy()
    classes, masks = reference.pred_classes.numpy(), reference.pred_masks.numpy()
    matched = 0
    for box, score, kind, mask in zip(boxes, scores, classes, masks, strict=True):
        near = np.abs(found.boxes - box).max(1) < _PIXELS
        near &= (np.abs(found.scores - score) < _SCORE) & (found.classes == kind)
        matched += any(_iou(mask, found.crops[i]) > _IOU for i in np.flatnonzero(near))
    return len(boxes), matched


def _iou(mask: NDArray[np.bool_], crop: Any) -> float:
    shared = int(np.count_nonzero(mask[crop.window] & crop.mask))
    union = int(np.count_nonzero(mask)) + crop.area - shared
    return shared / union if union else 1.0


def in_turn(
    sides: dict[str, Predict], image: NDArray[np.uint8], rounds: int
) -> dict[str, list[float]]:
    """Seconds of every prediction, A B A B ..., after one of each that does not count."""
    for predict in sides.values():
        predict(image)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, predict in sides.items():
            started = time.perf_counter()
            predict(image)
            seconds[name].append(time.perf_counter() - started)
    return seconds


# Memory


def memory(side: str, folder: Path) -> None:
    """Print, as JSON, the MB of this process: its peak, and the peak of a second prediction."""
    image = np.load(folder / "slice.npy")
    predict = SIDES[side](folder)
    predict(image)
    print(json.dumps({"whole": 1024 * peak_gb(), "again": _peak_of(lambda: predict(image))}))


def _peak_of(work: Callable[[], object]) -> float | None:
    """Peak of the process while ``work`` runs, above what it held before; Linux only."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
        before = _status("VmRSS")
        work()
        return _status("VmHWM") - before
    except OSError:
        return None


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(ln.split()[1]) / 1024 for ln in lines if ln.startswith(field + ":"))


def _memory_of(side: str, folder: Path) -> dict[str, float | None]:
    command = [sys.executable, "-W", "ignore", __file__, "--memory", side, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float | None] = json.loads(done.stdout.splitlines()[-1])
    return found


# Together


def measure(rounds: int = ROUNDS, *, native: bool = False) -> list[Row]:
    """Rows of ratios to detectron2; none, with the reason printed, where it is missing."""
    from napari_fossiledit.models import detectron2_native

    if reason := detectron2_native.why_not_installed():
        print(f"  not measured: {reason}; see {detectron2_native.INSTALL_PAGE}")
        return []
    names = [name for name in SIDES if native or name != "native"]
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder, image = Path(temporary), slice_()
        np.save(folder / "slice.npy", image)
        make_model(folder, image)
        rows = _time_rows({name: SIDES[name](folder) for name in names}, image, rounds)
        peaks = {name: _memory_of(name, folder) for name in names}
    for name in names[1:]:
        for key, what in (("whole", "whole process"), ("again", "prediction alone")):
            mine, other = peaks[name][key], peaks["detectron2"][key]
            if mine is not None and other is not None:
                note = f"{mine:.0f} MB, detectron2 {other:.0f} MB"
                rows.append(
                    Row(f"{name} / detectron2, peak memory, {what}", mine / other, "", 1, note)
                )
    return rows


def _time_rows(sides: dict[str, Predict], image: NDArray[np.uint8], rounds: int) -> list[Row]:
    seconds = in_turn(sides, image, rounds)
    reference = sides["detectron2"](image)
    base = statistics.median(seconds["detectron2"])
    rows = []
    for name in list(sides)[1:]:
        many, matched = same(reference, sides[name](image))
        note = f"medians of {rounds} in turn: {_range(seconds[name])}, "
        note += f"detectron2 {_range(seconds['detectron2'])}"
        what = f"{name} / detectron2, R101-FPN, {SIDE} x {SIDE}"
        rows.append(
            Row(what, statistics.median(seconds[name]) / base, "ratio of times", MOST_RATIO, note)
        )
        rows.append(
            Row(f"{name}: of detectron2's {many} detections not found", many - matched, "", 1)
        )
    return rows


def _range(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--native", action="store_true", help="measure the wrapped package too")
    parser.add_argument("--memory", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory:
        memory(asked.memory, asked.folder)
    else:
        for row in measure(asked.rounds, native=asked.native):
            print(row.line(), flush=True)
