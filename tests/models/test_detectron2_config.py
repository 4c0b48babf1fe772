"""Configs of detectron2: real dumps, ``_BASE_`` chains, and every refusal by name."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models.detectron2_config import (
    Detectron2Config,
    PoolSettings,
    config_from,
    find_config,
    read_config,
)
from napari_fossiledit.models.detectron2_files import config_files
from napari_fossiledit.models.detectron2_settings import SETTINGS

from .test_plain_yaml import PAYLOADS

DATA = Path(__file__).parents[1] / "data" / "detectron2"

# The least a config must say to be a Mask R-CNN with FPN: everything else is detectron2's default.
SMALL: dict[str, Any] = {
    "MODEL": {
        "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
        "MASK_ON": True,
        "RESNETS": {"OUT_FEATURES": ["res2", "res3", "res4", "res5"]},
        "FPN": {"IN_FEATURES": ["res2", "res3", "res4", "res5"]},
        "ANCHOR_GENERATOR": {"SIZES": [[32], [64], [128], [256], [512]]},
        "RPN": {"IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"]},
        "ROI_HEADS": {"NAME": "StandardROIHeads", "IN_FEATURES": ["p2", "p3", "p4", "p5"]},
        "ROI_BOX_HEAD": {"NAME": "FastRCNNConvFCHead", "NUM_FC": 2, "POOLER_RESOLUTION": 7},
        "ROI_MASK_HEAD": {"NUM_CONV": 4},
    },
}


def with_setting(name: str, value: object, start: dict[str, Any] = SMALL) -> dict[str, Any]:
    tree = copy.deepcopy(start)
    *sections, last = name.split(".")
    place = tree
    for section in sections:
        place = place.setdefault(section, {})
    place[last] = value
    return tree


def write(path: Path, data: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = data if isinstance(data, str) else yaml.safe_dump(data)
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_config(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def contents(config: Detectron2Config) -> Detectron2Config:
    return replace(config, path=Path("x"))


# --- what is read


def test_the_caffe2_model() -> None:
    config = read_config(DATA / "r50_bgr_caffe2" / "config.yaml")
    assert (config.depth, config.norm, config.stride_in_1x1) == (50, "FrozenBN", True)
    assert (config.stem_width, config.res2_width, config.groups, config.group_width) == (
        8,
        16,
        1,
        8,
    )
    assert (config.fpn_width, config.fpn_norm, config.fpn_average) == (24, "", False)
    assert config.channel_order == "BGR"
    assert config.pixel_mean == (103.53, 116.28, 123.675)
    assert config.pixel_std == (1.0, 1.0, 1.0)
    assert (config.shortest, config.longest) == (240, 400)
    assert config.anchor_sizes == ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,))
    assert config.anchor_ratios == ((0.5, 1.0, 2.0),) * 5
    assert config.anchor_offset == 0.0
    assert (config.rpn_convs, config.rpn_before_nms, config.rpn_after_nms) == (1, 1000, 1000)
    assert (config.rpn_nms, config.rpn_min_size) == (0.7, 0.0)
    assert config.rpn_box_weights == (1.0, 1.0, 1.0, 1.0)
    assert config.classes == 2
    assert config.box_pool == PoolSettings(resolution=7, sampling_ratio=0, aligned=True)
    assert (config.box_convs, config.box_fcs, config.box_fc_width) == (0, 2, 48)
    assert config.box_weights == (10.0, 10.0, 5.0, 5.0)
    assert config.mask_pool == PoolSettings(resolution=14, sampling_ratio=0, aligned=True)
    assert (config.mask_convs, config.mask_width, config.mask_norm) == (4, 16, "")
    assert (config.score_threshold, config.nms_threshold) == (0.05, 0.5)
    assert config.max_detections == 50
    assert config.class_names is None
    assert config.merged["MODEL"]["RESNETS"]["DEPTH"] == 50
    assert config.merged["SOLVER"]["MAX_ITER"] == 270000


def test_the_rgb_model() -> None:
    config = read_config(str(DATA / "r101_rgb" / "config.yaml"))
    assert (config.depth, config.stride_in_1x1, config.channel_order) == (101, False, "RGB")
    assert config.pixel_mean == (123.675, 116.28, 103.53)
    assert config.pixel_std == (58.395, 57.12, 57.375)
    assert config.classes == 1


def test_missing_settings_have_detectron2s_defaults(tmp_path: Path) -> None:
    config = read_config(write(tmp_path / "c.yaml", SMALL))
    assert (config.depth, config.norm, config.stride_in_1x1) == (50, "FrozenBN", True)
    assert (config.shortest, config.longest, config.channel_order) == (800, 1333, "BGR")
    assert (config.rpn_before_nms, config.rpn_after_nms) == (6000, 1000)
    assert (config.classes, config.max_detections, config.score_threshold) == (80, 100, 0.05)
    assert config.class_names is None
    assert config.merged["VERSION"] == 2
    assert config.merged["MODEL"]["ROI_MASK_HEAD"]["POOLER_TYPE"] == "ROIAlignV2"
    with pytest.raises(FrozenInstanceError):
        config.depth = 101  # type: ignore[misc]


def test_a_dump_reads_as_itself(tmp_path: Path) -> None:
    path = DATA / "r101_rgb" / "config.yaml"
    config = read_config(path)

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, list | tuple) else value

    again = read_config(write(tmp_path / "again.yaml", plain(config.merged)))
    assert contents(again) == contents(replace(config, merged=again.merged))
    assert plain(again.merged) == plain(config.merged)
    assert plain(config.merged) == yaml.safe_load(path.read_text(encoding="utf-8"))


def test_text_is_decoded_as_yacs_does(tmp_path: Path) -> None:
    base = yaml.safe_dump(SMALL)
    text = base + (
        'DATASETS:\n  TRAIN: ("coco_2017_train",)\n'
        "SOLVER:\n  STEPS: (210000, 250000)\n  BASE_LR: 1e-4\n"
        'INPUT: {MIN_SIZE_TRAIN: "(640, 672)", FORMAT: "RGB"}\n'
    )
    text = text.replace("MODEL:\n", 'MODEL:\n  PIXEL_STD: "(57.375, 57.12, 58.395)"\n')
    config = read_config(write(tmp_path / "c.yaml", text))
    assert config.pixel_std == (57.375, 57.12, 58.395)
    assert config.merged["SOLVER"] == {"STEPS": (210000, 250000), "BASE_LR": 1e-4}
    assert config.merged["INPUT"]["MIN_SIZE_TRAIN"] == (640, 672)
    assert config.merged["DATASETS"]["TRAIN"] == ("coco_2017_train",)
    assert config.class_names is not None


def test_coco_gives_class_names_only_to_its_own_models(tmp_path: Path) -> None:
    def names(train: object, classes: int = 80) -> tuple[str, ...] | None:
        tree = with_setting("DATASETS.TRAIN", train)
        tree = with_setting("MODEL.ROI_HEADS.NUM_CLASSES", classes, tree)
        return read_config(write(tmp_path / "c.yaml", tree)).class_names

    coco = names(["coco_2014_train", "coco_2014_valminusminival"])
    assert coco is not None
    assert (len(coco), coco[0], coco[79]) == (80, "person", "toothbrush")
    assert len(set(coco)) == 80
    assert names("coco_2017_train") == coco
    assert names(["coco_2017_train"], classes=2) is None
    assert names(["coco_2017_train", "my_fossils"]) is None
    assert names([]) is None
    assert names({"a": 1}) is None
    assert names([["coco_2017_train"]]) is None


@pytest.mark.parametrize(
    ("name", "value", "field", "read"),
    [
        ("MODEL.RESNETS.DEPTH", 152, "depth", 152),
        ("MODEL.RESNETS.NORM", "GN", "norm", "GN"),
        ("MODEL.RESNETS.NUM_GROUPS", 32, "groups", 32),
        ("MODEL.RESNETS.WIDTH_PER_GROUP", 8, "group_width", 8),
        ("MODEL.FPN.FUSE_TYPE", "avg", "fpn_average", True),
        ("MODEL.ANCHOR_GENERATOR.OFFSET", 0.5, "anchor_offset", 0.5),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [16, 32], "anchor_sizes", ((16.0, 32.0),) * 5),
        ("MODEL.RPN.CONV_DIMS", [-1, 256], "rpn_convs", 2),
        ("INPUT.MIN_SIZE_TEST", 0, "shortest", 0),
        ("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 4, "rpn_min_size", 4.0),
        ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIAlign", "box_pool", PoolSettings(7, 0, False)),
        ("MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO", 2, "mask_pool", PoolSettings(14, 2, True)),
        ("TEST.DETECTIONS_PER_IMAGE", 500, "max_detections", 500),
    ],
)
def test_supported_settings_arrive(
    name: str, value: object, field: str, read: object, tmp_path: Path
) -> None:
    config = read_config(write(tmp_path / "c.yaml", with_setting(name, value)))
    assert getattr(config, field) == read


@pytest.mark.parametrize(
    "name",
    [
        "SOLVER.X",
        "TEST.AUG.ENABLED",
        "MODEL.RETINANET.NEW",
        "MODEL.WEIGHTS",
        "OUTPUT_DIR",
        "MODEL.RPN.BOUNDARY_THRESH",
        "MODEL.BACKBONE.FREEZE_AT",
        "GLOBAL.HACK",
        "SEED",
    ],
)
def test_ignored_settings_change_nothing(name: str, tmp_path: Path) -> None:
    plain = read_config(write(tmp_path / "a.yaml", SMALL))
    other = read_config(write(tmp_path / "b.yaml", with_setting(name, "anything")))
    assert contents(replace(other, merged=plain.merged)) == contents(plain)


# --- what is refused by name


@pytest.mark.parametrize("name", [n for n in SETTINGS if SETTINGS[n].accepts.single])
def test_every_fixed_setting_is_refused_by_name_and_value(name: str, tmp_path: Path) -> None:
    allowed = SETTINGS[name].accepts
    other: object = "Another"
    if isinstance(SETTINGS[name].default, bool):
        other = allowed.text == "False"
    elif isinstance(SETTINGS[name].default, tuple):
        other = ["res5"]
    elif isinstance(SETTINGS[name].default, int):
        other = 3
    sentence = refusal(write(tmp_path / "mine.yaml", with_setting(name, other)))
    assert f"{name} = {other!r}" in sentence
    assert allowed.text in sentence
    assert "mine.yaml" in sentence


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MODEL.ROI_HEADS.NUM_CLASSES", "two", "= 'two' (accepted: a whole number from 1"),
        ("MODEL.ROI_HEADS.NUM_CLASSES", 0, "= 0 (accepted: a whole number from 1"),
        ("MODEL.PIXEL_MEAN", [1.0, 2.0], "= [1.0, 2.0] (accepted: 3 numbers)"),
        ("MODEL.PIXEL_STD", [1.0, 0.0, 1.0], "(accepted: 3 numbers above 0)"),
        ("MODEL.PIXEL_STD", [1.0, -1.0, 1.0], "(accepted: 3 numbers above 0)"),
        ("MODEL.PIXEL_MEAN", [1.0, float("nan"), 1.0], "nan"),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [[1], [2]], "[[1], [2]] (accepted: one list of numbers"),
        ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[1], [1], [1], [1], [1, 2]], "on every level"),
        ("MODEL.RPN.CONV_DIMS", [-1, 128], "(accepted: each -1 or 256)"),
        ("MODEL.RESNETS.DEPTH", 18, "= 18 (accepted: 50, 101 or 152)"),
        ("MODEL.RESNETS.NORM", "LN", "= 'LN'"),
        ("MODEL.RESNETS.NORM", None, "= None"),
        ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIPool", "= 'ROIPool'"),
        ("MODEL.ROI_BOX_HEAD.NUM_FC", {"a": 1}, "= {'a': 1}"),
        ("MODEL.RPN", 3, "MODEL.RPN = 3 (accepted: a section)"),
        ("MODEL", "x", "MODEL = 'x' (accepted: a section)"),
        ("INPUT.FORMAT", "HSV", "= 'HSV' (accepted: 'BGR' or 'RGB')"),
        ("TEST.DETECTIONS_PER_IMAGE", -1, "= -1"),
    ],
)
def test_wrong_values_are_named_with_what_is_expected(
    name: str, value: object, says: str, tmp_path: Path
) -> None:
    sentence = refusal(write(tmp_path / "c.yaml", with_setting(name, value)))
    assert name in sentence
    assert says in sentence


def test_group_normalisation_needs_widths_of_32(tmp_path: Path) -> None:
    tree = with_setting("MODEL.FPN.NORM", "GN")
    assert read_config(write(tmp_path / "a.yaml", tree)).fpn_norm == "GN"
    tree = with_setting("MODEL.FPN.OUT_CHANNELS", 24, tree)
    sentence = refusal(write(tmp_path / "b.yaml", tree))
    assert "MODEL.FPN.NORM = 'GN' with MODEL.FPN.OUT_CHANNELS = 24" in sentence


def test_a_default_that_is_refused_says_that_it_is_one(tmp_path: Path) -> None:
    tree = copy.deepcopy(SMALL)
    del tree["MODEL"]["MASK_ON"]
    sentence = refusal(write(tmp_path / "c.yaml", tree))
    assert "MODEL.MASK_ON = False (detectron2's default" in sentence


def test_many_refusals_are_counted(tmp_path: Path) -> None:
    sentence = refusal(write(tmp_path / "c.yaml", {"MODEL": {"META_ARCHITECTURE": "RetinaNet"}}))
    assert "MODEL.META_ARCHITECTURE = 'RetinaNet' (accepted: 'GeneralizedRCNN')" in sentence
    assert " more: " in sentence


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MODEL.ROI_HEADS.NUM_CLASSE", "correct it to MODEL.ROI_HEADS.NUM_CLASSES"),
        ("MODEL.POINT_HEAD.NAME", "remove the line"),
        ("MODEL.POINT_HEAD", "remove the line"),
        ("INPUT.SCALE", "remove the line"),
        ("TEST.THRESHOLD", "remove the line"),
        ("MYSECTION.X", "remove the line"),
    ],
)
def test_unknown_settings_are_refused_by_name(name: str, meant: str, tmp_path: Path) -> None:
    sentence = refusal(write(tmp_path / "c.yaml", with_setting(name, 3)))
    section = name.removesuffix(".NAME").removesuffix(".X")
    assert section in sentence
    assert meant in sentence


@pytest.mark.parametrize(
    "tree",
    [
        with_setting("VERSION", 1),
        with_setting("MODEL.WEIGHT", "x.pkl"),
        with_setting("TEST.AUG_ON", True),
    ],
)
def test_version_1_is_refused(tree: dict[str, Any], tmp_path: Path) -> None:
    assert "VERSION = 1" in refusal(write(tmp_path / "c.yaml", tree))


def test_other_versions_are_refused(tmp_path: Path) -> None:
    assert "VERSION = 3" in refusal(write(tmp_path / "c.yaml", with_setting("VERSION", 3)))


def test_names_with_line_breaks_stay_in_one_sentence(tmp_path: Path) -> None:
    for name in ("NEW\nLINE", "MODEL.A\nB", "X" * 5000):
        assert len(refusal(write(tmp_path / "c.yaml", with_setting(name, 1)))) < 400
    text = "A\\nB: !!python/object/apply:os%0Asystem [1]\n"
    assert "nothing was run" in refusal(write(tmp_path / "c.yaml", text))


def test_settings_in_memory_are_checked_alike() -> None:
    config = read_config(DATA / "r101_rgb" / "config.yaml")
    again = config_from(copy.deepcopy(config.merged), Path("model.safetensors"))
    assert contents(again) == contents(config)
    with pytest.raises(ModelError, match=r"model\.safetensors.*MODEL\.MASK_ON = False"):
        config_from(with_setting("MODEL.MASK_ON", False), Path("model.safetensors"))


# --- files that are no configs


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- 1\n- 2\n", "no list of settings"),
        ("just text", "no list of settings"),
        ("a: [", "not valid YAML"),
        ("SOLVER: {X: 1}", "no MODEL section"),
        ("model: {_target_: detectron2.modeling.GeneralizedRCNN}\n", "LazyConfig"),
        ("MODEL:\n", "MODEL = None (accepted: a section)"),
    ],
)
def test_no_config(text: str, says: str, tmp_path: Path) -> None:
    assert says in refusal(write(tmp_path / "c.yaml", text))


def test_python_missing_and_folders(tmp_path: Path) -> None:
    assert "would have to be executed" in refusal(write(tmp_path / "lazy.py", "import os"))
    assert "There is no config file" in refusal(tmp_path / "none.yaml")
    assert "is a folder" in refusal(tmp_path)
    weights = DATA / "r101_rgb" / "model_final.pth"
    assert "choose the .yaml file" in refusal(weights)


# --- tags


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("where", ["OUTPUT_DIR", "SOLVER", "MODEL", "NEW", "_BASE_", "whole"])
def test_payloads_are_refused_before_anything_runs(
    payload: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = {} if where == "MODEL" else SMALL
    text = payload if where == "whole" else f"{yaml.safe_dump(small)}{where}: {payload}\n"
    if not small:
        text = f"{where}: {payload}\n"
    sentence = refusal(write(tmp_path / "c.yaml", text))
    assert not (tmp_path / "M").exists()
    if where not in {"_BASE_", "whole"}:
        assert "nothing was run" in sentence
        assert where in sentence


def test_payloads_in_a_base_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "b.yaml", "SOLVER: {LR: !!python/object/apply:os.system [touch M]}\n")
    sentence = refusal(write(tmp_path / "c.yaml", {"_BASE_": "b.yaml", **SMALL}))
    assert "b.yaml would have Python run something" in sentence
    assert "SOLVER.LR in line 1 (!!python/object/apply:os.system)" in sentence
    assert not (tmp_path / "M").exists()


def test_a_retinanet_that_calls_eval_is_refused_for_what_it_is(tmp_path: Path) -> None:
    text = (
        "MODEL:\n  META_ARCHITECTURE: RetinaNet\n"
        '  ANCHOR_GENERATOR: {SIZES: !!python/object/apply:eval ["[[x] for x in [32]]"]}\n'
    )
    sentence = refusal(write(tmp_path / "c.yaml", text))
    assert "MODEL.META_ARCHITECTURE = 'RetinaNet'" in sentence


def test_dumped_tuples_and_nodes_are_read(tmp_path: Path) -> None:
    node = "!!python/object/new:detectron2.config.config.CfgNode"

    def dumped(tree: dict[str, Any]) -> str:
        items = ", ".join(
            f"{k}: {dumped(v) if isinstance(v, dict) else value(v)}" for k, v in tree.items()
        )
        return f"{node} {{dictitems: {{{items}}}, state: {{__immutable__: false}}}}"

    def value(item: Any) -> str:
        if isinstance(item, list):
            return f"!!python/tuple [{', '.join(map(value, item))}]"
        return yaml.safe_dump(item, default_flow_style=True).removesuffix("...\n").strip()

    plain = read_config(write(tmp_path / "a.yaml", SMALL))
    tagged = read_config(write(tmp_path / "b.yaml", dumped(SMALL)))
    assert contents(tagged) == contents(plain)


# --- _BASE_


def test_chains_relative_absolute_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    write(tmp_path / "home" / "base.yaml", SMALL)
    write(tmp_path / "a" / "1.yaml", {"_BASE_": "~/base.yaml", "INPUT": {"FORMAT": "RGB"}})
    write(
        tmp_path / "b" / "2.yaml", {"_BASE_": "../a/1.yaml", "MODEL": {"RESNETS": {"DEPTH": 101}}}
    )
    absolute = str(tmp_path / "b" / "2.yaml")
    path = write(tmp_path / "c.yaml", {"_BASE_": absolute, "MODEL": {"RESNETS": {"DEPTH": 152}}})
    config = read_config(path)
    assert (config.depth, config.channel_order) == (152, "RGB")
    assert "_BASE_" not in config.merged
    assert config.path == path


def test_a_list_of_bases_later_ones_win(tmp_path: Path) -> None:
    write(tmp_path / "1.yaml", with_setting("INPUT.MIN_SIZE_TEST", 100))
    write(tmp_path / "2.yaml", {"INPUT": {"MIN_SIZE_TEST": 200, "MAX_SIZE_TEST": 300}})
    config = read_config(
        write(
            tmp_path / "c.yaml", {"_BASE_": ["1.yaml", "2.yaml"], "INPUT": {"MAX_SIZE_TEST": 400}}
        )
    )
    assert (config.shortest, config.longest) == (200, 400)


def test_loops_missing_bases_and_urls(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", {"_BASE_": "b.yaml"})
    write(tmp_path / "b.yaml", {"_BASE_": "a.yaml"})
    assert "a.yaml -> b.yaml -> a.yaml" in refusal(tmp_path / "a.yaml")
    assert "me.yaml -> me.yaml" in refusal(write(tmp_path / "me.yaml", {"_BASE_": "me.yaml"}))
    sentence = refusal(write(tmp_path / "c.yaml", {"_BASE_": "../none.yaml"}))
    assert "c.yaml builds on" in sentence
    assert "none.yaml (_BASE_), which does not exist" in sentence
    for url in ("https://x.org/b.yaml", "detectron2://b.yaml"):
        sentence = refusal(write(tmp_path / "c.yaml", {"_BASE_": url}))
        assert url in sentence
        assert "download" in sentence
    assert "executed" in refusal(
        write(write(tmp_path / "b.py", "x=1").with_name("d.yaml"), {"_BASE_": "b.py"})
    )


@pytest.mark.parametrize(
    "base", [3, None, "", [1], {"a": 1}, "~nobody-of-this-name/x.yaml", "a\0b"]
)
def test_bases_that_are_no_paths(base: object, tmp_path: Path) -> None:
    text = {"_BASE_": base, **SMALL}
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(text), encoding="utf-8")
    assert "_BASE_" in refusal(path)


def test_too_many_bases_and_contradictions(tmp_path: Path) -> None:
    write(tmp_path / "leaf.yaml", SMALL)
    write(tmp_path / "mid.yaml", {"_BASE_": ["leaf.yaml"] * 9})
    path = write(tmp_path / "c.yaml", {"_BASE_": ["mid.yaml"] * 9})
    assert "more than 50 files" in refusal(path)
    write(tmp_path / "b.yaml", {"MODEL": 3})
    assert "section MODEL" in refusal(write(tmp_path / "d.yaml", {"_BASE_": "b.yaml", **SMALL}))


def cut(tree: dict[str, Any], keep: Callable[[], bool]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Deal the settings of a tree out to two trees."""
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            one, two = cut(value, keep)
            first.update({key: one} if one else {})
            second.update({key: two} if two else {})
        else:
            (first if keep() else second)[key] = value
    return first, second


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), levels=st.integers(1, 4))
def test_a_config_split_over_bases_reads_as_the_whole(
    seed: int, levels: int, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    whole = yaml.safe_load((DATA / "r101_rgb" / "config.yaml").read_text(encoding="utf-8"))
    rest, name = whole, ""
    for level in range(levels):
        part, rest = cut(rest, lambda: rng.random() < 0.4)
        base = {"_BASE_": name} if name else {}
        name = f"{level}.yaml"
        write(tmp_path / name, {**base, **part} or {"SEED": -1})
    path = write(tmp_path / "top.yaml", {"_BASE_": name, **rest})
    expected = read_config(DATA / "r101_rgb" / "config.yaml")
    assert contents(read_config(path)) == contents(expected)


# --- find_config


def test_find_config_beside_the_weights(tmp_path: Path) -> None:
    weights = tmp_path / "model_final.pth"
    assert find_config(weights) is None
    write(tmp_path / "notes.yaml", {"author": "x"})
    assert find_config(weights) is None
    other = write(tmp_path / "run7.yml", SMALL)
    assert find_config(weights) == other
    write(tmp_path / "run8.yaml", '{"MODEL": {}}')
    assert find_config(weights) is None
    config = write(tmp_path / "config.yml", SMALL)
    assert find_config(weights) == config
    config = write(tmp_path / "config.yaml", SMALL)
    assert find_config(str(weights)) == config
    named = write(tmp_path / "model_final.yaml", SMALL)
    assert find_config(weights) == named


def test_find_config_survives_bad_folders(tmp_path: Path) -> None:
    assert find_config(tmp_path / "none" / "model.pth") is None
    assert find_config("a\0b/model.pth") is None
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "broken.yaml").symlink_to(tmp_path / "nowhere")
    assert find_config(tmp_path / "model.pth") is None
    assert find_config(DATA / "r101_rgb" / "model_final.pkl") == DATA / "r101_rgb" / "config.yaml"


def test_the_files_of_a_config_are_all_told(tmp_path: Path) -> None:
    write(tmp_path / "deepest.yaml", SMALL)
    write(tmp_path / "other.yaml", {"SEED": 1})
    write(tmp_path / "middle.yaml", {"_BASE_": "deepest.yaml"})
    top = write(tmp_path / "top.yaml", {"_BASE_": ["middle.yaml", "other.yaml"]})
    names = ["top.yaml", "middle.yaml", "deepest.yaml", "other.yaml"]
    assert config_files(top) == [tmp_path / name for name in names]
    assert config_files(tmp_path / "deepest.yaml") == [tmp_path / "deepest.yaml"]


def test_the_files_of_a_bad_config_are_told_up_to_the_fault(tmp_path: Path) -> None:
    loop = write(tmp_path / "loop.yaml", {"_BASE_": "again.yaml"})
    again = write(tmp_path / "again.yaml", {"_BASE_": "loop.yaml"})
    assert config_files(loop) == [loop, again]
    for name, text in (("broken.yaml", "a: [1"), ("list.yaml", "- 1"), ("python.py", "1")):
        path = write(tmp_path / name, text)
        assert config_files(path) == [path]
    assert config_files(tmp_path / "missing.yaml") == [tmp_path / "missing.yaml"]
