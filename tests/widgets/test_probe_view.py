from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from napari_fossiledit import io
from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.models.segmenter import Limits
from napari_fossiledit.pipeline import probe
from napari_fossiledit.widgets.probe_view import (
    figure_table,
    instance_words,
    legend_words,
    place_words,
    slice_number,
    texture_table,
    version_words,
)
from napari_fossiledit.widgets.textures import texture_map, with_textures, without_slices


@pytest.fixture(scope="module")
def result():
    image = np.full((40, 40, 3), 90, np.uint8)
    labels = np.zeros((40, 40), np.int32)
    labels[5:15, 5:15], labels[25:35, 25:35] = 3, 7
    image[labels > 0] = 200
    image[5:15, 30:36] = 200
    confusers = np.zeros_like(labels)
    confusers[5:15, 30:36] = 1

    def predict(shown, **_) -> Instances:
        from skimage.measure import label

        return Instances.from_labels(label(shown[..., 0] > 150))

    pale = SimpleNamespace(predict=predict, limits=Limits())
    slices = [LabelledSlice(image, labels, confusers, name=f"slice {z}", group="r") for z in (4, 9)]
    return probe(pale, slices, textures={3: "porous", 7: "mud-filled"}, resamples=200)


def test_the_table_has_figures_and_intervals(result) -> None:
    head, rows = figure_table(result)
    assert head == ["", "original", "others\npainted", "fossils\npainted"]
    cells = {row[0].replace("\n", " "): row[1:] for row in rows}
    assert cells["Precision"][0] == "1.000"
    assert cells["Precision"][1] == "1.000\n+0.00 … +0.00"
    assert cells["Fossils found"] == ["4 of 4", "4 of 4", "0 of 4"]
    assert cells["False detections"][:2] == ["2", "0\n-2 … -2"]
    assert cells["Confusers claimed"][:2] == ["100 %", "0 %\n-100 … -100"]
    assert {len(row) for row in rows} == {4}


def test_textures_have_lines_of_their_own(result) -> None:
    head, rows = texture_table(result)
    assert len(head) == 5
    assert [row[:2] for row in rows] == [["mud-filled", "2"], ["porous", "2"]]
    assert rows[0][2] == "1.000\n2 found"
    assert legend_words(result) == {"porous": "porous (2)", "mud-filled": "mud-filled (2)"}


def test_words(result) -> None:
    assert place_words(["slice 4"]) == "Slice 4"
    assert place_words(result.slices) == "2 slices (4, 9)"
    assert place_words([f"slice {i}" for i in range(9)]).endswith("6, 7, …)")
    assert slice_number("slice 31") == 31
    assert version_words("both painted") == "both\npainted"
    said = instance_words(result.instances[0], "others painted", "iou")
    assert said == "slice 4, fossil 3, porous: IoU 1.00 as it is, 1.00 others painted"


def test_textures_of_a_layer() -> None:
    assert texture_map(pd.DataFrame()) == {}
    assert texture_map(pd.DataFrame({"area": [1, 2]})) == {}
    by_place = pd.DataFrame({"Texture": ["", "porous", None, " mud "]})
    assert texture_map(by_place) == {1: "porous", 3: "mud"}
    by_index = pd.DataFrame({"index": [0, 12.0, np.nan], "texture": ["x", "porous", "mud"]})
    assert texture_map(by_index) == {12: "porous"}


def test_textures_are_added_and_nothing_is_lost() -> None:
    old = pd.DataFrame({"index": [0, 5, 9], "area": [0, 50, 90], "texture": ["", "mud", "porous"]})
    new = with_textures(old, {5: "porous", 12: "mud"})
    assert texture_map(new) == {5: "porous", 9: "porous", 12: "mud"}
    assert list(new["area"][:3]) == [0, 50, 90]
    assert list(old["texture"]) == ["", "mud", "porous"], "left as it is"
    assert texture_map(with_textures(pd.DataFrame(), {3: "porous"})) == {3: "porous"}
    by_place = pd.DataFrame({"area": [0, 10, 20]})
    assert list(with_textures(by_place, {2: "mud"})["texture"]) == ["", "", "mud"]


def test_a_layer_has_no_textures_by_slice() -> None:
    assert without_slices(io.Textures({1: "mud"})) == {1: "mud"}
    with pytest.raises(InputError, match=r"t\.csv has a column slice"):
        without_slices(io.Textures({}, {"a": {1: "mud"}}, "t.csv"))
