"""The table of settings agrees with a whole dump, with itself and with the docs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from napari_fossiledit.models.detectron2_settings import (
    IGNORED,
    SETTINGS,
    UnfitError,
    is_ignored,
    markdown,
    shown,
)

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "reference" / "detectron2-settings.md"
DUMP = ROOT / "tests" / "data" / "detectron2" / "r50_bgr_caffe2" / "config.yaml"


def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_every_setting_of_detectron2_is_in_one_table() -> None:
    names = set(leaves(yaml.safe_load(DUMP.read_text(encoding="utf-8"))))
    assert {name for name in names if not is_ignored(name)} == set(SETTINGS)
    for name in IGNORED:
        assert any(n == name or n.startswith(f"{name}.") for n in names), name
    assert not any(is_ignored(name) for name in SETTINGS)


def test_is_ignored_goes_by_whole_names() -> None:
    assert is_ignored("SOLVER.BASE_LR")
    assert is_ignored("MODEL.WEIGHTS")
    assert not is_ignored("MODEL")
    assert not is_ignored("MODEL.WEIGHTS_2")
    assert not is_ignored("SOLVER2")


def test_defaults_are_accepted_in_their_types_or_are_of_another_kind_of_model() -> None:
    refused = set()
    for setting in SETTINGS.values():
        try:
            value = setting.accepts.read(setting.default)
        except UnfitError:
            refused.add(setting.name)
            continue
        assert repr(value) == repr(setting.default)
    assert refused == {
        "MODEL.BACKBONE.NAME",
        "MODEL.FPN.IN_FEATURES",
        "MODEL.MASK_ON",
        "MODEL.RESNETS.OUT_FEATURES",
        "MODEL.ROI_BOX_HEAD.NAME",
        "MODEL.ROI_BOX_HEAD.NUM_FC",
        "MODEL.ROI_HEADS.IN_FEATURES",
        "MODEL.ROI_HEADS.NAME",
        "MODEL.RPN.IN_FEATURES",
    }


@pytest.mark.parametrize(
    "bad", ["two", None, float("nan"), float("inf"), {}, {"a": 1}, -7, [], [[]], [None], b"x", [{}]]
)
def test_wrong_values_raise_unfit_only(bad: object) -> None:
    for setting in SETTINGS.values():
        with pytest.raises(UnfitError):
            setting.accepts.read(bad)


@pytest.mark.parametrize(
    ("name", "good", "value"),
    [
        ("MODEL.PIXEL_MEAN", [1, 2.5, -3], (1.0, 2.5, -3.0)),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [8, 16], ((8.0, 16.0),)),
        (
            "MODEL.ANCHOR_GENERATOR.SIZES",
            [[8], [16], [32], [64], [99]],
            ((8.0,), (16.0,), (32.0,), (64.0,), (99.0,)),
        ),
        ("MODEL.ANCHOR_GENERATOR.OFFSET", 0, 0.0),
        ("MODEL.RPN.CONV_DIMS", [-1, -1], (-1, -1)),
        (
            "MODEL.RESNETS.OUT_FEATURES",
            ["res2", "res3", "res4", "res5"],
            ("res2", "res3", "res4", "res5"),
        ),
    ],
)
def test_values_come_in_detectron2s_types(name: str, good: object, value: object) -> None:
    read = SETTINGS[name].accepts.read(good)
    assert read == value
    assert repr(read) == repr(value)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("MODEL.PIXEL_MEAN", [1, 2]),
        ("MODEL.PIXEL_MEAN", [1, 2, True]),
        ("MODEL.PIXEL_STD", [1, 0, 1]),
        ("MODEL.PIXEL_STD", [1, -1, 1]),
        ("MODEL.ROI_HEADS.NUM_CLASSES", 0),
        ("MODEL.ROI_HEADS.NUM_CLASSES", True),
        ("MODEL.ROI_HEADS.NUM_CLASSES", 2.0),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [[32], [64]]),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [[32], [64], [1], [2], 5]),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [0]),
        ("MODEL.ANCHOR_GENERATOR.OFFSET", 1.0),
        ("MODEL.RPN.CONV_DIMS", [0]),
        ("MODEL.MASK_ON", 1),
        ("MODEL.RESNETS.STRIDE_IN_1X1", 1),
        ("MODEL.RESNETS.DEFORM_ON_PER_STAGE", [False, True, True, True]),
        ("MODEL.RESNETS.NORM", "LN"),
        ("INPUT.FORMAT", "L"),
    ],
)
def test_unsupported_values(name: str, bad: object) -> None:
    with pytest.raises(UnfitError):
        SETTINGS[name].accepts.read(bad)


def test_values_are_shown_on_one_short_line() -> None:
    assert shown((True, [1, "a"])) == "[True, [1, 'a']]"
    assert len(shown("x" * 500)) <= 80
    assert len(shown([[1] * 90] * 90)) <= 80
    assert "\n" not in shown("a\nb")


def test_the_docs_have_exactly_these_tables() -> None:
    # To mend: python -c "from napari_fossiledit.models.detectron2_settings import markdown as m;
    # print(m())" and put the tables into the page.
    page = DOCS.read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("|")] == [
        line for line in markdown().splitlines() if line.startswith("|")
    ]
    assert markdown() in page
