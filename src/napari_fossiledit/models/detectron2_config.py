"""Read a detectron2 config (``config.yaml``) without detectron2; nothing in it is executed."""

from __future__ import annotations

import ast
import difflib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models.coco_names import COCO_CLASSES, COCO_DATASETS
from napari_fossiledit.models.detectron2_files import find_config, load_files
from napari_fossiledit.models.detectron2_settings import (
    LEVELS,
    SETTINGS,
    Setting,
    UnfitError,
    inline,
    is_ignored,
    shown,
)

__all__ = ["Detectron2Config", "PoolSettings", "config_from", "find_config", "read_config"]

_LONGEST_LITERAL = 4000
_OLD = ("MODEL.WEIGHT", "TEST.AUG_ON")  # by which detectron2 knows a config of version 1


@dataclass(frozen=True)
class PoolSettings:
    """How features of a box are pooled.

    Attributes
    ----------
    resolution : int
        Bins along a side.
    sampling_ratio : int
        Samples along a side of a bin; 0 for as many as needed.
    aligned : bool
        Whether pixels are shifted by half (``ROIAlignV2``) or not (``ROIAlign``).
    """

    resolution: int
    sampling_ratio: int
    aligned: bool


@dataclass(frozen=True)
class Detectron2Config:
    """What a config says about a Mask R-CNN; every value has been checked.

    Attributes
    ----------
    path : Path
        The file that was read.
    depth, norm, stride_in_1x1, stem_width, res2_width, groups, group_width
        ResNet: ``MODEL.RESNETS``.
    fpn_width, fpn_norm, fpn_average
        FPN: ``MODEL.FPN``; whether levels are averaged rather than summed.
    channel_order : {"BGR", "RGB"}
    pixel_mean, pixel_std : tuple of 3 float
        In that order, as in the file.
    shortest, longest : int
        Edges of the resized image in pixels; a `shortest` of 0 means no resizing.
    anchor_sizes, anchor_ratios : tuple of 5 tuples of float
        For each of the levels p2 to p6, in pixels and height / width.
    anchor_offset : float
        Of the first anchor's centre, in strides.
    rpn_convs, rpn_before_nms, rpn_after_nms, rpn_nms, rpn_min_size, rpn_box_weights
        RPN: convolutions; proposals a level before and in all after NMS; its IoU; smallest side
        in pixels; weights of the deltas.
    classes : int
        Without the background.
    box_pool, box_convs, box_conv_width, box_fcs, box_fc_width, box_norm, box_weights
        Box head: ``MODEL.ROI_BOX_HEAD``.
    mask_pool, mask_convs, mask_width, mask_norm
        Mask head: ``MODEL.ROI_MASK_HEAD``.
    score_threshold, nms_threshold, max_detections
        Scores below the first and detections beyond the last are dropped.
    class_names : tuple of str, optional
        Known only for a model trained on COCO's 80 classes.
    merged : dict
        The whole config as plain data: ``_BASE_`` merged, over detectron2's defaults for every
        setting of `SETTINGS`, in detectron2's types; sequences of those settings as tuples.
    """

    path: Path
    depth: int
    norm: str
    stride_in_1x1: bool
    stem_width: int
    res2_width: int
    groups: int
    group_width: int
    fpn_width: int
    fpn_norm: str
    fpn_average: bool
    channel_order: Literal["BGR", "RGB"]
    pixel_mean: tuple[float, float, float]
    pixel_std: tuple[float, float, float]
    shortest: int
    longest: int
    anchor_sizes: tuple[tuple[float, ...], ...]
    anchor_ratios: tuple[tuple[float, ...], ...]
    anchor_offset: float
    rpn_convs: int
    rpn_before_nms: int
    rpn_after_nms: int
    rpn_nms: float
    rpn_min_size: float
    rpn_box_weights: tuple[float, float, float, float]
    classes: int
    box_pool: PoolSettings
    box_convs: int
    box_conv_width: int
    box_fcs: int
    box_fc_width: int
    box_norm: str
    box_weights: tuple[float, float, float, float]
    mask_pool: PoolSettings
    mask_convs: int
    mask_width: int
    mask_norm: str
    score_threshold: float
    nms_threshold: float
    max_detections: int
    class_names: tuple[str, ...] | None
    merged: dict[str, Any]


def read_config(path: str | os.PathLike[str]) -> Detectron2Config:
    """Read and check a detectron2 config.

    Parameters
    ----------
    path : str or path
        A ``config.yaml`` that training wrote, or one with a ``_BASE_``; settings that no file
        says have detectron2's defaults.

    Raises
    ------
    ModelError
        If the file is no such config, has tags that would run code, or has a setting that
        changes predictions and is not supported (named with its value).
    """
    path = Path(path).expanduser()
    return config_from(load_files(path), path)


def config_from(settings: dict[str, Any], path: Path) -> Detectron2Config:
    """Check settings that lie in memory, e.g. `Detectron2Config.merged` from another file.

    Parameters
    ----------
    settings : dict
        Plain data, nested as in the YAML.
    path : Path
        Where they come from, for messages.

    Raises
    ------
    ModelError
        As `read_config`.
    """
    _check_version(path.name, settings)
    values = _read_settings(path.name, settings)
    _check_together(path.name, values)
    return _config(path, values, _merge_settings(settings, values))


def _check_version(name: str, loaded: dict[str, Any]) -> None:
    if "MODEL" not in loaded:
        raise ModelError(
            f"The config {name} has no MODEL section, so it is not a detectron2 config: choose the "
            "config.yaml that detectron2 wrote beside the weights."
        )
    version = _decoded(loaded.get("VERSION"))
    old = version is None and any(_has(loaded, key) for key in _OLD)
    if old or (type(version) is int and version == 1):
        raise ModelError(
            f"The config {name} has VERSION = 1, detectron2's old format: load it with detectron2 "
            "once and save it (cfg.dump()), then choose that file."
        )


def _has(loaded: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(loaded, dict) or part not in loaded:
            return False
        loaded = loaded[part]
    return True


def _read_settings(name: str, loaded: dict[str, Any]) -> dict[str, Any]:
    """Value of every setting, checked; `loaded` is what the files say."""
    said: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    _flatten(loaded, "", said, unknown)
    wrong = []
    values = {}
    for setting in SETTINGS.values():
        raw = said.get(setting.name, setting.default)
        value = raw if setting.name in unknown else _decoded(raw)
        try:
            values[setting.name] = setting.accepts.read(value)
        except UnfitError:
            wrong.append(_complaint(setting, value, setting.name in said))
    # Without its section a setting has only its default: then there is nothing else to say.
    no_sections = [
        f"{key} = {shown(value)} (accepted: a section)"
        for key, value in unknown.items()
        if _is_section(key)
    ]
    if no_sections or wrong:
        wrong = no_sections or wrong
        raise _refusal(name, wrong)
    if unknown:
        raise _unknown(name, unknown)
    return values


def _complaint(setting: Setting, value: Any, said: bool) -> str:
    why = "" if said else "detectron2's default, as the config does not say; "
    return f"{setting.name} = {shown(value)} ({why}accepted: {setting.accepts.text})"


def _refusal(name: str, wrong: list[str]) -> ModelError:
    more = [f"and {len(wrong) - 3} more"] if len(wrong) > 3 else []
    return ModelError(
        f"The config {name} cannot be used, because of {'; '.join([*wrong[:3], *more])}: "
        "correct the config if it is wrong, or choose a model with the accepted settings."
    )


def _unknown(name: str, unknown: dict[str, Any]) -> ModelError:
    first = next(iter(unknown))
    near = difflib.get_close_matches(first, SETTINGS, n=1, cutoff=0.9)
    more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
    meant = f"correct it to {near[0]}, or " if near else ""
    return ModelError(
        f"The config {name} has a setting that is not known here, {inline(first)} = "
        f"{shown(unknown[first])}{more}: {meant}remove the line if it does not change predictions."
    )


def _flatten(tree: Any, prefix: str, said: dict[str, Any], unknown: dict[str, Any]) -> None:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if is_ignored(name):
            continue
        if name in SETTINGS:
            said[name] = value
        elif _is_section(name) and isinstance(value, dict):
            _flatten(value, f"{name}.", said, unknown)
        else:
            unknown[name] = value


def _is_section(name: str) -> bool:
    return any(known.startswith(f"{name}.") for known in SETTINGS)


def _decoded(value: Any) -> Any:
    """Decode text such as ``(640, 800)`` or ``1e-4``, as yacs does; other text stays as it is."""
    if not isinstance(value, str) or len(value) > _LONGEST_LITERAL:
        return value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value


def _check_together(name: str, values: dict[str, Any]) -> None:
    """What must hold between settings, as detectron2's own asserts have it."""
    wrong = []
    width = values["MODEL.FPN.OUT_CHANNELS"]
    dims = values["MODEL.RPN.CONV_DIMS"]
    if any(dim not in (-1, width) for dim in dims):
        wrong.append(f"MODEL.RPN.CONV_DIMS = {shown(dims)} (accepted: each -1 or {width})")
    sizes, ratios = (values[f"MODEL.ANCHOR_GENERATOR.{n}"] for n in ("SIZES", "ASPECT_RATIOS"))
    pairs = zip(_levels(sizes), _levels(ratios), strict=True)
    if len({len(s) * len(r) for s, r in pairs}) > 1:
        wrong.append(
            f"MODEL.ANCHOR_GENERATOR.SIZES = {shown(sizes)} with MODEL.ANCHOR_GENERATOR."
            f"ASPECT_RATIOS = {shown(ratios)} (accepted: as many anchors on every level)"
        )
    for norm, of in _grouped(values):
        bad = {key: n for key, n in of.items() if n % 32}
        if values[norm] == "GN" and bad:
            key, n = next(iter(bad.items()))
            wrong.append(f"{norm} = 'GN' with {key} = {n} (accepted: multiples of 32)")
    if wrong:
        raise _refusal(name, wrong)


def _grouped(values: dict[str, Any]) -> list[tuple[str, dict[str, int]]]:
    """Each norm with the widths it normalises; group normalisation has 32 groups."""
    res, box, mask = "MODEL.RESNETS.", "MODEL.ROI_BOX_HEAD.", "MODEL.ROI_MASK_HEAD."
    groups = values[f"{res}NUM_GROUPS"]
    resnet = {f"{res}{n}": values[f"{res}{n}"] for n in ("STEM_OUT_CHANNELS", "RES2_OUT_CHANNELS")}
    resnet[f"{res}WIDTH_PER_GROUP x NUM_GROUPS"] = groups * values[f"{res}WIDTH_PER_GROUP"]
    fpn = {"MODEL.FPN.OUT_CHANNELS": values["MODEL.FPN.OUT_CHANNELS"]}
    heads = [
        (f"{head}NORM", {f"{head}CONV_DIM": values[f"{head}CONV_DIM"]})
        for head in (box, mask)
        if values[f"{head}NUM_CONV"]
    ]
    return [(f"{res}NORM", resnet), ("MODEL.FPN.NORM", fpn), *heads]


def _levels(lists: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    return lists * LEVELS if len(lists) == 1 else lists


def _merge_settings(loaded: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    merged = _decoded_tree(loaded)
    for name, value in values.items():
        *sections, last = name.split(".")
        place = merged
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return merged


def _decoded_tree(tree: dict[str, Any]) -> dict[str, Any]:
    return {k: _decoded_tree(v) if isinstance(v, dict) else _decoded(v) for k, v in tree.items()}


def _pool(values: dict[str, Any], head: str) -> PoolSettings:
    return PoolSettings(
        resolution=values[f"{head}.POOLER_RESOLUTION"],
        sampling_ratio=values[f"{head}.POOLER_SAMPLING_RATIO"],
        aligned=values[f"{head}.POOLER_TYPE"] == "ROIAlignV2",
    )


def _class_names(merged: dict[str, Any], classes: int) -> tuple[str, ...] | None:
    datasets = merged.get("DATASETS")
    names = datasets.get("TRAIN") if isinstance(datasets, dict) else None
    names = [names] if isinstance(names, str) else names
    if classes != len(COCO_CLASSES) or not isinstance(names, list | tuple) or not names:
        return None
    return COCO_CLASSES if all(isinstance(n, str) and n in COCO_DATASETS for n in names) else None


def _config(path: Path, values: dict[str, Any], merged: dict[str, Any]) -> Detectron2Config:
    def of(section: str, name: str) -> Any:
        return values[f"{section}.{name}"]

    res, fpn, rpn, roi = "MODEL.RESNETS", "MODEL.FPN", "MODEL.RPN", "MODEL.ROI_HEADS"
    box, mask, anchors = "MODEL.ROI_BOX_HEAD", "MODEL.ROI_MASK_HEAD", "MODEL.ANCHOR_GENERATOR"
    return Detectron2Config(
        path=path,
        depth=of(res, "DEPTH"),
        norm=of(res, "NORM"),
        stride_in_1x1=of(res, "STRIDE_IN_1X1"),
        stem_width=of(res, "STEM_OUT_CHANNELS"),
        res2_width=of(res, "RES2_OUT_CHANNELS"),
        groups=of(res, "NUM_GROUPS"),
        group_width=of(res, "WIDTH_PER_GROUP"),
        fpn_width=of(fpn, "OUT_CHANNELS"),
        fpn_norm=of(fpn, "NORM"),
        fpn_average=of(fpn, "FUSE_TYPE") == "avg",
        channel_order=of("INPUT", "FORMAT"),
        pixel_mean=of("MODEL", "PIXEL_MEAN"),
        pixel_std=of("MODEL", "PIXEL_STD"),
        shortest=of("INPUT", "MIN_SIZE_TEST"),
        longest=of("INPUT", "MAX_SIZE_TEST"),
        anchor_sizes=_levels(of(anchors, "SIZES")),
        anchor_ratios=_levels(of(anchors, "ASPECT_RATIOS")),
        anchor_offset=of(anchors, "OFFSET"),
        rpn_convs=len(of(rpn, "CONV_DIMS")),
        rpn_before_nms=of(rpn, "PRE_NMS_TOPK_TEST"),
        rpn_after_nms=of(rpn, "POST_NMS_TOPK_TEST"),
        rpn_nms=of(rpn, "NMS_THRESH"),
        rpn_min_size=float(of("MODEL.PROPOSAL_GENERATOR", "MIN_SIZE")),
        rpn_box_weights=of(rpn, "BBOX_REG_WEIGHTS"),
        classes=of(roi, "NUM_CLASSES"),
        box_pool=_pool(values, box),
        box_convs=of(box, "NUM_CONV"),
        box_conv_width=of(box, "CONV_DIM"),
        box_fcs=of(box, "NUM_FC"),
        box_fc_width=of(box, "FC_DIM"),
        box_norm=of(box, "NORM"),
        box_weights=of(box, "BBOX_REG_WEIGHTS"),
        mask_pool=_pool(values, mask),
        mask_convs=of(mask, "NUM_CONV"),
        mask_width=of(mask, "CONV_DIM"),
        mask_norm=of(mask, "NORM"),
        score_threshold=of(roi, "SCORE_THRESH_TEST"),
        nms_threshold=of(roi, "NMS_THRESH_TEST"),
        max_detections=of("TEST", "DETECTIONS_PER_IMAGE"),
        class_names=_class_names(merged, of(roi, "NUM_CLASSES")),
        merged=merged,
    )
