"""The settings of a detectron2 config that change what a Mask R-CNN predicts: one row each.

Decided by reading detectron2's inference code (``DefaultPredictor``, ``GeneralizedRCNN`` and what
they build); names and defaults are those of ``detectron2/config/defaults.py`` (VERSION 2). To
support a setting, add a row to `SETTINGS`; `markdown` then prints the tables of the docs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = [
    "IGNORED",
    "LEVELS",
    "SETTINGS",
    "Accepts",
    "Setting",
    "UnfitError",
    "inline",
    "is_ignored",
    "markdown",
    "shown",
]

LEVELS = 5
"""Levels with anchors: p2 to p6."""


class UnfitError(ValueError):
    """A value that is not accepted; the caller knows the setting's name."""


@dataclass(frozen=True)
class Accepts:
    """Which values of a setting are supported.

    Attributes
    ----------
    text : str
        In words, for messages and docs.
    read : callable
        Returns the value in detectron2's type, sequences as tuples; raises `UnfitError` if it
        is not accepted.
    single : bool
        Whether only one value is accepted.
    """

    text: str
    read: Callable[[Any], Any]
    single: bool = False


@dataclass(frozen=True)
class Setting:
    """One setting: full `name`, detectron2's `default`, what is accepted, what it `changes`."""

    name: str
    default: Any
    accepts: Accepts
    changes: str


def _whole(low: int, high: int) -> Accepts:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise UnfitError
        return value

    return Accepts(f"a whole number from {low} to {high}", read)


def _finite(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise UnfitError
    return float(value)


def _number(low: float, high: float, *, below: bool = False) -> Accepts:
    def read(value: Any) -> float:
        number = _finite(value)
        if not low <= number <= high or (below and number == high):
            raise UnfitError
        return number

    return Accepts(f"a number from {low:g} to {'below ' if below else ''}{high:g}", read)


def _numbers(count: int, *, positive: bool) -> Accepts:
    def read(value: Any) -> tuple[float, ...]:
        numbers = tuple(_finite(item) for item in _sequence(value))
        if len(numbers) != count or (positive and min(numbers) <= 0):
            raise UnfitError
        return numbers

    return Accepts(f"{count} numbers{' above 0' if positive else ''}", read)


def _sequence(value: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise UnfitError
    return value


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def shown(value: Any) -> str:
    """Return a value as a config would write it, shortened to one line."""
    if isinstance(value, list | tuple):
        text = "[" + ", ".join(map(shown, value[:20])) + (", ..." if len(value) > 20 else "") + "]"
    else:
        text = repr(value)
    return text if len(text) <= 80 else text[:76] + " ..."


def inline(text: str) -> str:
    """Return text of a file for a sentence: on one line, of bearable length."""
    return shown(text)[1:-1]


def _only(expected: Any) -> Accepts:
    def read(value: Any) -> Any:
        value = _tuples(value)
        if type(value) is not type(expected) or value != expected:
            raise UnfitError
        return expected

    return Accepts(shown(expected), read, single=True)


def _one_of(*choices: Any) -> Accepts:
    def read(value: Any) -> Any:
        if type(value) is not type(choices[0]) or value not in choices:
            raise UnfitError
        return value

    return Accepts(", ".join(map(shown, choices[:-1])) + " or " + shown(choices[-1]), read)


def _flag() -> Accepts:
    return _one_of(True, False)


def _anchors() -> Accepts:
    # As detectron2's _broadcast_params: a flat list, or one list, stands for every level.
    def read(value: Any) -> tuple[tuple[float, ...], ...]:
        items = _sequence(value)
        if items and not isinstance(items[0], list | tuple):
            items = [items]
        levels = tuple(tuple(_finite(x) for x in _sequence(level)) for level in items)
        if len(levels) not in (1, LEVELS) or not all(levels):
            raise UnfitError
        if any(len(level) > 100 or min(level) <= 0 for level in levels):
            raise UnfitError
        return levels

    return Accepts(f"one list of numbers above 0, or {LEVELS} (one a level, p2 to p6)", read)


def _convolutions() -> Accepts:
    def read(value: Any) -> tuple[int, ...]:
        widths = tuple(_sequence(value))
        if not 1 <= len(widths) <= 64 or any(type(w) is not int or w == 0 for w in widths):
            raise UnfitError
        return widths

    return Accepts("a list of one or more numbers, each -1 or MODEL.FPN.OUT_CHANNELS", read)


_WIDTH = _whole(1, 16384)
_NORM = _one_of("", "FrozenBN", "BN", "SyncBN", "GN")
_POOLER = _one_of("ROIAlignV2", "ROIAlign")
_OVERLAP = _number(0, 1)
_C = ("res2", "res3", "res4", "res5")
_P = ("p2", "p3", "p4", "p5")
_R = "MODEL.RESNETS."
_B = "MODEL.ROI_BOX_HEAD."
_M = "MODEL.ROI_MASK_HEAD."

# The first row that a config breaks is named first: kinds of model come before their sizes.
_ROWS: tuple[tuple[str, Any, Accepts, str], ...] = (
    ("VERSION", 2, _only(2), "the meaning of all names"),
    ("MODEL.META_ARCHITECTURE", "GeneralizedRCNN", _only("GeneralizedRCNN"), "the whole model"),
    ("MODEL.BACKBONE.NAME", "build_resnet_backbone", _only("build_resnet_fpn_backbone"), "network"),
    ("MODEL.MASK_ON", False, _only(True), "whether there are masks, which all of this is about"),
    ("MODEL.KEYPOINT_ON", False, _only(False), "a keypoint head"),
    ("MODEL.LOAD_PROPOSALS", False, _only(False), "proposals from a file"),
    ("MODEL.PROPOSAL_GENERATOR.NAME", "RPN", _only("RPN"), "where proposals come from"),
    ("MODEL.RPN.HEAD_NAME", "StandardRPNHead", _only("StandardRPNHead"), "layers of the RPN"),
    (
        "MODEL.ANCHOR_GENERATOR.NAME",
        "DefaultAnchorGenerator",
        _only("DefaultAnchorGenerator"),
        "kind of anchors",
    ),
    ("MODEL.ROI_HEADS.NAME", "Res5ROIHeads", _only("StandardROIHeads"), "kind of heads, cascades"),
    (_B + "NAME", "", _only("FastRCNNConvFCHead"), "kind of box head"),
    (
        _M + "NAME",
        "MaskRCNNConvUpsampleHead",
        _only("MaskRCNNConvUpsampleHead"),
        "kind of mask head",
    ),
    (_R + "DEFORM_ON_PER_STAGE", (False,) * 4, _only((False,) * 4), "deformable convolutions"),
    (_B + "CLS_AGNOSTIC_BBOX_REG", False, _only(False), "one box for all classes"),
    (_B + "USE_SIGMOID_CE", False, _only(False), "how scores are computed"),
    (_M + "CLS_AGNOSTIC_MASK", False, _only(False), "one mask for all classes"),
    (_R + "RES5_DILATION", 1, _only(1), "dilation and stride of res5"),
    (_R + "OUT_FEATURES", ("res4",), _only(_C), "levels of the ResNet"),
    ("MODEL.FPN.IN_FEATURES", (), _only(_C), "levels the FPN sees"),
    ("MODEL.RPN.IN_FEATURES", ("res4",), _only((*_P, "p6")), "levels with anchors"),
    ("MODEL.ROI_HEADS.IN_FEATURES", ("res4",), _only(_P), "levels that are pooled"),
    ("INPUT.FORMAT", "BGR", _one_of("BGR", "RGB"), "order of the colour channels"),
    ("INPUT.MIN_SIZE_TEST", 800, _whole(0, 100_000), "shortest edge in pixels; 0: no resizing"),
    ("INPUT.MAX_SIZE_TEST", 1333, _whole(1, 100_000), "longest edge in pixels"),
    ("MODEL.PIXEL_MEAN", (103.53, 116.28, 123.675), _numbers(3, positive=False), "input"),
    ("MODEL.PIXEL_STD", (1.0, 1.0, 1.0), _numbers(3, positive=True), "input"),
    (_R + "DEPTH", 50, _one_of(50, 101, 152), "blocks of the ResNet"),
    (_R + "NORM", "FrozenBN", _NORM, "normalisation"),
    (_R + "STRIDE_IN_1X1", True, _flag(), "where res3 to res5 stride"),
    (_R + "STEM_OUT_CHANNELS", 64, _WIDTH, "width of the stem"),
    (_R + "RES2_OUT_CHANNELS", 256, _WIDTH, "width of res2; it doubles with each stage"),
    (_R + "NUM_GROUPS", 1, _whole(1, 1024), "groups of the 3x3 convolutions (ResNeXt)"),
    (_R + "WIDTH_PER_GROUP", 64, _WIDTH, "width of the 3x3 convolutions, a group"),
    ("MODEL.FPN.OUT_CHANNELS", 256, _WIDTH, "width of the FPN"),
    ("MODEL.FPN.NORM", "", _NORM, "normalisation"),
    ("MODEL.FPN.FUSE_TYPE", "sum", _one_of("sum", "avg"), "how levels are joined"),
    ("MODEL.ANCHOR_GENERATOR.SIZES", ((32.0, 64.0, 128.0, 256.0, 512.0),), _anchors(), "anchors"),
    ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", ((0.5, 1.0, 2.0),), _anchors(), "anchors"),
    ("MODEL.ANCHOR_GENERATOR.OFFSET", 0.0, _number(0, 1, below=True), "anchors"),
    ("MODEL.RPN.CONV_DIMS", (-1,), _convolutions(), "convolutions of the RPN"),
    ("MODEL.RPN.BBOX_REG_WEIGHTS", (1.0,) * 4, _numbers(4, positive=True), "proposals' boxes"),
    ("MODEL.RPN.PRE_NMS_TOPK_TEST", 6000, _whole(1, 10**7), "proposals a level before NMS"),
    ("MODEL.RPN.POST_NMS_TOPK_TEST", 1000, _whole(1, 10**7), "proposals after NMS"),
    ("MODEL.RPN.NMS_THRESH", 0.7, _OVERLAP, "overlap of proposals"),
    ("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 0, _whole(0, 100_000), "smallest proposal in pixels"),
    ("MODEL.ROI_HEADS.NUM_CLASSES", 80, _whole(1, 100_000), "number of classes"),
    ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.05, _OVERLAP, "lowest score"),
    ("MODEL.ROI_HEADS.NMS_THRESH_TEST", 0.5, _OVERLAP, "overlap of detections"),
    (_B + "POOLER_TYPE", "ROIAlignV2", _POOLER, "pooling: aligned or not"),
    (_B + "POOLER_RESOLUTION", 14, _whole(1, 256), "size of a pooled box"),
    (_B + "POOLER_SAMPLING_RATIO", 0, _whole(0, 64), "samples a bin; 0: as many as needed"),
    (_B + "NUM_CONV", 0, _whole(0, 64), "convolutions of the box head"),
    (_B + "CONV_DIM", 256, _WIDTH, "their width"),
    (_B + "NORM", "", _NORM, "their normalisation"),
    (_B + "NUM_FC", 0, _whole(1, 64), "fully connected layers of the box head"),
    (_B + "FC_DIM", 1024, _WIDTH, "their width"),
    (_B + "BBOX_REG_WEIGHTS", (10.0, 10.0, 5.0, 5.0), _numbers(4, positive=True), "boxes"),
    (_M + "POOLER_TYPE", "ROIAlignV2", _POOLER, "pooling: aligned or not"),
    (_M + "POOLER_RESOLUTION", 14, _whole(1, 256), "half the size of a mask"),
    (_M + "POOLER_SAMPLING_RATIO", 0, _whole(0, 64), "samples a bin; 0: as many as needed"),
    (_M + "NUM_CONV", 0, _whole(0, 64), "convolutions of the mask head"),
    (_M + "CONV_DIM", 256, _WIDTH, "their width"),
    (_M + "NORM", "", _NORM, "their normalisation"),
    ("TEST.DETECTIONS_PER_IMAGE", 100, _whole(1, 10**6), "most detections of an image"),
)

SETTINGS: dict[str, Setting] = {row[0]: Setting(*row) for row in _ROWS}
"""Every setting that changes predictions, by full name, in the order in which they are checked."""

_TRAINING = "training only"
_OTHER = "a part that these models do not have"

IGNORED: dict[str, str] = {
    "SOLVER": _TRAINING,
    "DATALOADER": _TRAINING,
    "DATASETS": "names of training data; COCO's give an 80-class model its class names",
    "OUTPUT_DIR": _TRAINING,
    "SEED": _TRAINING,
    "VIS_PERIOD": _TRAINING,
    "GLOBAL": "for experiments; no part of detectron2 reads it",
    "CUDNN_BENCHMARK": "speed only",
    "FLOAT32_PRECISION": "read by detectron2's scripts, not by DefaultPredictor",
    "INPUT.CROP": _TRAINING,
    "INPUT.MASK_FORMAT": _TRAINING,
    "INPUT.MAX_SIZE_TRAIN": _TRAINING,
    "INPUT.MIN_SIZE_TRAIN": _TRAINING,
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": _TRAINING,
    "INPUT.RANDOM_FLIP": _TRAINING,
    "MODEL.ANCHOR_GENERATOR.ANGLES": "rotated anchors only",
    "MODEL.BACKBONE.FREEZE_AT": "training only: frozen normalisation computes the same",
    "MODEL.DEVICE": "the device is chosen here",
    "MODEL.PANOPTIC_FPN": _OTHER,
    "MODEL.RESNETS.DEFORM_MODULATED": "deformable convolutions only",
    "MODEL.RESNETS.DEFORM_NUM_GROUPS": "deformable convolutions only",
    "MODEL.RETINANET": _OTHER,
    "MODEL.ROI_BOX_CASCADE_HEAD": _OTHER,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE": _TRAINING,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT": _TRAINING,
    "MODEL.ROI_BOX_HEAD.FED_LOSS_FREQ_WEIGHT_POWER": _TRAINING,
    "MODEL.ROI_BOX_HEAD.FED_LOSS_NUM_CLASSES": _TRAINING,
    "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA": _TRAINING,
    "MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES": _TRAINING,
    "MODEL.ROI_BOX_HEAD.USE_FED_LOSS": _TRAINING,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": _TRAINING,
    "MODEL.ROI_HEADS.IOU_LABELS": _TRAINING,
    "MODEL.ROI_HEADS.IOU_THRESHOLDS": _TRAINING,
    "MODEL.ROI_HEADS.POSITIVE_FRACTION": _TRAINING,
    "MODEL.ROI_HEADS.PROPOSAL_APPEND_GT": _TRAINING,
    "MODEL.ROI_KEYPOINT_HEAD": _OTHER,
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": _TRAINING,
    "MODEL.RPN.BBOX_REG_LOSS_TYPE": _TRAINING,
    "MODEL.RPN.BBOX_REG_LOSS_WEIGHT": _TRAINING,
    "MODEL.RPN.BOUNDARY_THRESH": "training only, in detectron2",
    "MODEL.RPN.IOU_LABELS": _TRAINING,
    "MODEL.RPN.IOU_THRESHOLDS": _TRAINING,
    "MODEL.RPN.LOSS_WEIGHT": _TRAINING,
    "MODEL.RPN.POSITIVE_FRACTION": _TRAINING,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": _TRAINING,
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": _TRAINING,
    "MODEL.RPN.SMOOTH_L1_BETA": _TRAINING,
    "MODEL.SEM_SEG_HEAD": _OTHER,
    "MODEL.WEIGHTS": "the weights are chosen here",
    "TEST.AUG": "DefaultPredictor does not augment",
    "TEST.EVAL_PERIOD": _TRAINING,
    "TEST.EXPECTED_RESULTS": "detectron2's own tests",
    "TEST.KEYPOINT_OKS_SIGMAS": _OTHER,
    "TEST.PRECISE_BN": _TRAINING,
}
"""Settings, and whole sections, that leave predictions as they are, each with the reason."""


def is_ignored(name: str) -> bool:
    """Whether a setting (by full name), or the section it is in, changes no prediction."""
    parts = name.split(".")
    return any(".".join(parts[:n]) in IGNORED for n in range(1, len(parts) + 1))


def markdown() -> str:
    """Return the three tables of ``docs/reference/detectron2-settings.md``."""
    supported = [s for s in SETTINGS.values() if not s.accepts.single]
    fixed = [s for s in SETTINGS.values() if s.accepts.single]
    lines = ["## Supported", "", "| setting | default | accepted | changes |", "|---|---|---|---|"]
    lines += [
        f"| `{s.name}` | `{shown(s.default)}` | {s.accepts.text} | {s.changes} |" for s in supported
    ]
    lines += ["", "## Refused unless they have this value", ""]
    lines += ["| setting | default | accepted only | changes |", "|---|---|---|---|"]
    lines += [
        f"| `{s.name}` | `{shown(s.default)}` | `{s.accepts.text}` | {s.changes} |" for s in fixed
    ]
    lines += ["", "## Ignored", "", "| setting or section | why |", "|---|---|"]
    lines += [f"| `{name}` | {why} |" for name, why in IGNORED.items()]
    return "\n".join(lines) + "\n"
