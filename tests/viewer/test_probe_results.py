"""From a probe's points and lines to the fossils, in a real window."""

from __future__ import annotations

from weakref import ref

import numpy as np
import pandas as pd
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, Qt
from skimage.measure import label

from napari_fossiledit import _sample_data
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.models.segmenter import Limits
from napari_fossiledit.pipeline import probe
from napari_fossiledit.widgets import probe_jobs
from napari_fossiledit.widgets.layers import StackSource
from napari_fossiledit.widgets.probe_jobs import Probed
from napari_fossiledit.widgets.probe_page import SEVERAL
from napari_fossiledit.widgets.textures import texture_map, with_textures

pytestmark = pytest.mark.viewer
CENTRES = {1: (25, 30), 2: (65, 60), 3: (20, 75)}


class Pale:
    """Takes every pale thing for a fossil."""

    limits, class_names = Limits(), ("cup",)

    @staticmethod
    def predict(image, **_) -> Instances:
        return Instances.from_labels(label(image[..., 0] > 120))


@pytest.fixture
def probed(hands):
    """The probe of all four slices, on the page shown in a window."""
    hands.open_discs()
    reef, fossils = (hands.viewer.layers[name] for name in ("reef", "fossils"))
    reef.data[2, 60:75, 75:80] = 170  # grows onto the second fossil
    textures = {1: "porous", 2: "mud-filled"}
    fossils.features = with_textures(pd.DataFrame(), textures)
    slices = [
        LabelledSlice(reef.data[z], fossils.data[z], name=f"slice {z}", group="reef")
        for z in range(4)
    ]
    found = probe(Pale(), slices, textures=textures, resamples=50)
    made = Probed(found, StackSource.of(reef), ("cup",), ref(reef), ref(fossils))
    hands.session.set_result("probe", made)
    hands.viewer.window._qt_window.resize(1200, 900)
    hands.viewer.window._qt_window.show()
    hands.workbench.sections["Find weaknesses"].open()
    hands.settle()
    return hands


def results(hands):
    return hands.page("Find weaknesses").results


def at_instance(hands, z: int, number: int) -> None:
    """The viewer shows this slice, with this fossil in the middle and its label selected."""
    layer = hands.viewer.layers["fossils"]
    world = layer.data_to_world((z, *CENTRES[number]))
    assert hands.bench.current_z() == z
    camera = getattr(hands.viewer, "scene", hands.viewer).camera
    np.testing.assert_allclose(camera.center[-2:], world[1:], atol=0.15)
    assert layer.selected_label == number
    assert hands.viewer.layers.selection.active is layer


def click(hands, at: int) -> None:
    plot = results(hands).plot
    spot = plot.spot(plot.dots[at])
    hands.qtbot.mouseClick(
        plot, Qt.MouseButton.LeftButton, pos=QPoint(round(spot.x()), round(spot.y()))
    )


def test_the_page_shows_diagnosis_figures_plot_and_list(probed) -> None:
    box = results(probed)
    assert box.diagnosis.text().startswith("4 slices (0, 1, 2, 3): ")
    assert box.table.rowCount() >= 7
    assert box.by_texture.rowCount() == 2
    assert len(box.plot.dots) == box.list.topLevelItemCount() == 12
    assert {dot.group for dot in box.plot.dots} == {
        "porous (4)",
        "mud-filled (4)",
        "texture not known (4)",
    }
    scores = [float(box.list.topLevelItem(i).text(3)) for i in range(12)]
    assert scores == sorted(scores)


def test_a_click_on_a_point_goes_to_the_fossil(probed) -> None:
    box = results(probed)
    before = probed.viewer.layers["fossils"].data.copy()
    seen = set()
    for at in range(12):
        click(probed, at)
        one = box._probed.result.instances[box.plot.chosen]
        at_instance(probed, int(one.slice.split()[-1]), one.instance)
        assert box.list.place_of(box.list.currentItem()) == box.plot.chosen
        seen.add(box.plot.chosen)
    assert seen
    np.testing.assert_array_equal(probed.viewer.layers["fossils"].data, before)


def test_points_on_one_another_take_turns(probed) -> None:
    box = results(probed)
    same = [type(dot)(0.5, 0.5, dot.group, dot.colour, dot.words) for dot in box.plot.dots]
    box.plot.show_dots(same, "", "")
    chosen = []
    for _ in range(12):
        click(probed, 0)
        chosen.append(box.plot.chosen)
    assert sorted(chosen) == list(range(12))
    step = probed.viewer.dims.current_step
    box.plot.show_dots([type(same[0])(1, 1, "", "#ffffff", "x")], "", "")
    probed.qtbot.mouseClick(box.plot, Qt.MouseButton.LeftButton, pos=QPoint(60, 250))
    assert box.plot.chosen is None, "a click beside the points does nothing"
    assert probed.viewer.dims.current_step == step


def test_a_click_in_the_list_goes_there_even_from_3d(probed) -> None:
    box = results(probed)
    probed.viewer.dims.ndisplay = 3
    item = box.list.topLevelItem(5)
    rectangle = box.list.visualItemRect(item)
    probed.qtbot.mouseClick(box.list.viewport(), Qt.MouseButton.LeftButton, pos=rectangle.center())
    assert probed.viewer.dims.ndisplay == 2
    at_instance(probed, int(item.text(0)), int(item.text(1)))
    assert box.plot.chosen == box.list.place_of(item)


def test_the_list_by_change_and_another_score_and_version(probed) -> None:
    box = results(probed)
    box.list.sortByColumn(5, Qt.SortOrder.DescendingOrder)
    changes = [float(box.list.topLevelItem(i).text(5)) for i in range(12)]
    assert changes == sorted(changes, reverse=True)

    click(probed, 3)
    chosen = box.plot.chosen
    box.score.setCurrentText("Recall")
    box.version.setCurrentText("fossils painted")
    box._draw()
    instances = box._probed.result.instances
    assert [dot.y for dot in box.plot.dots] == [
        one.score("fossils painted", "recall") for one in instances
    ]
    assert box.plot.chosen == chosen
    assert box.list.place_of(box.list.currentItem()) == chosen


def test_small_fossils_are_enlarged_and_large_ones_are_not(probed) -> None:
    box, camera = results(probed), getattr(probed.viewer, "scene", probed.viewer).camera
    camera.zoom = 0.5
    box.go_to(0)
    enlarged = camera.zoom
    assert enlarged > 5
    box.go_to(1)
    assert camera.zoom == enlarged


def test_renamed_layers_are_found_and_deleted_ones_told(probed) -> None:
    box = results(probed)
    probed.viewer.layers["reef"].name = "other"
    box.go_to(4)
    at_instance(probed, 1, 2)
    probed.viewer.layers.remove("fossils")
    box.go_to(0)
    assert probed.bench.current_z() == 0
    probed.settle()
    assert not box.load.isEnabled()
    probed.viewer.layers.remove("other")
    box.go_to(1)
    said = notification_manager.records[-1].message
    assert said == "The stack 'reef' that was probed is no longer open: open it and probe again."


def test_the_versions_of_the_shown_slice_become_layers(probed) -> None:
    probed.viewer.dims.set_point(0, 3.0)  # slice 2
    names = probed.names()
    probed.press(results(probed).show_layers)
    assert probed.names()[len(names) :] == [
        "found 2: original",
        "reef 2: others painted",
        "found 2: others painted",
        "reef 2: fossils painted",
        "found 2: fossils painted",
    ]
    painted = probed.viewer.layers["reef 2: others painted"]
    assert painted.data_to_world((0, 0, 0))[0] == pytest.approx(3.0)


def test_textures_are_loaded_from_a_table_and_probed(ready, tmp_path) -> None:
    page, layer = ready.page("Find weaknesses"), ready.viewer.layers["fossils"]
    page.scope.setCurrentText(SEVERAL)
    page.at_most.setValue(2)
    ready.do(page.probe)
    box = page.results
    assert box.diagnosis.text().startswith("2 slices (0, 3): ")
    assert box.by_texture.rowCount() == 0
    (tmp_path / "t.csv").write_text("id,texture\n1,porous\n3,recrystallised\n")
    box.load_from(str(tmp_path / "t.csv"))
    assert texture_map(layer.features) == {1: "porous", 3: "recrystallised"}
    ready.do(page.probe)
    assert box.by_texture.rowCount() == 2
    (tmp_path / "bad.csv").write_text("a,b\n")
    assert not ready.bench.attempt(lambda: box.load_from(str(tmp_path / "bad.csv")))
    assert "does not name its columns" in notification_manager.records[-1].message


def test_images_that_were_not_kept_are_told(ready, monkeypatch) -> None:
    monkeypatch.setattr(probe_jobs, "_MOST_BYTES", 1000)
    page = ready.page("Find weaknesses")
    ready.do(page.probe)
    assert not page.results.show_layers.isEnabled()
    assert "probe fewer slices at once" in page.results.show_layers.toolTip()
    assert page.results.plot.dots


def test_the_list_is_saved_as_csv(probed, tmp_path, read_only) -> None:
    box = results(probed)
    box.save_to(str(tmp_path / "list"))
    lines = (tmp_path / "list.csv").read_text().splitlines()
    assert lines[0].startswith("slice,id,texture,row,column,pixels,precision_original")
    assert len(lines) == 13
    assert not probed.bench.attempt(lambda: box.save_to(str(read_only / "list.csv")))


def test_a_cancelled_probe_keeps_nothing_and_the_model_is_as_it_was(ready) -> None:
    base = ready.session.segmenter.fingerprint()
    page = ready.page("Find weaknesses")
    ready.slow_model()
    ready.press(page.probe)
    ready.qtbot.waitUntil(lambda: ready.runner.seconds > 0.2, timeout=5000)
    ready.runner.cancel()
    ready.wait()
    assert ready.session.result("probe") is None
    assert not page.results.plot.dots
    assert ready.session.segmenter.fingerprint() == base


def test_a_flat_image_is_probed_and_gone_to(ready) -> None:
    image, labels = (ready.viewer.layers[name].data[0] for name in ("reef", "fossils"))
    ready.viewer.layers.clear()
    ready.viewer.add_image(image, rgb=True, name="flat")
    ready.viewer.add_labels(labels, name="cups")
    page = ready.page("Find weaknesses")
    ready.do(page.probe)
    assert page.results.diagnosis.text().startswith("Slice 0: ")
    page.results.go_to(1)
    assert ready.viewer.layers["cups"].selected_label == 2
    camera = getattr(ready.viewer, "scene", ready.viewer).camera
    np.testing.assert_allclose(camera.center[-2:], CENTRES[2], atol=0.6)
    ready.press(page.results.show_layers)
    assert "found 0: fossils painted" in ready.names()


def test_the_sample_reef_carries_its_textures(hands, monkeypatch) -> None:
    monkeypatch.setattr(_sample_data, "SHAPE", (4, 64, 64))
    for data, options, kind in _sample_data.reef_with_labels():
        getattr(hands.viewer, f"add_{kind}")(data, **options)
    hands.wait()
    layer = hands.viewer.layers["fossils"]
    found = texture_map(layer.features)
    assert set(np.unique(layer.data)) - {0} <= set(found)
    assert set(found.values()) == {"porous", "mud-filled"}
    assert not texture_map(hands.viewer.layers["confusers"].features)
