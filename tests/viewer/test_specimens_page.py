"""Page 7 in a real window: clicks, colours, the section, edits by hand."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_fossiledit.widgets.layers import turn_to_3d

PLACE = {
    "scale": (0.5, 0.145, 0.145),
    "translate": (2.0, 0.0, 1.0),
    "units": ("mm", "mm", "mm"),
    "axis_labels": ("z", "y", "x"),
}


@pytest.fixture
def page(hands):
    hands.open_discs(slices=6)
    return hands.page("Specimens in 3D")


@pytest.fixture
def linked(hands, page):
    hands.do(page.start)
    return page


@pytest.fixture
def measured(hands, linked):
    hands.do(linked.measure.start)
    return linked


def test_link_measure_and_go_both_ways(hands, measured) -> None:
    page, viewer = measured, hands.viewer
    made = page.specimens.layer
    assert made.name == "fossils: specimens"
    assert not made.visible
    table = page.specimens.table
    assert list(table["id"]) == [1, 2, 3]
    assert page.measure.table.isVisibleTo(page.measure)
    page.measure.table.selectRow(1)  # in 3D: the view is centred on it
    assert page.specimens.selected == (2,)
    inside = np.argwhere(made.data == 2).mean(0)
    np.testing.assert_allclose(
        viewer.scene.camera.center, made.data_to_world(inside), atol=0.6 * 0.5
    )
    hands.press(page.back)
    page.measure.table.selectRow(0)  # in the slices: the slice is shown
    assert page.edits.z in {2, 3}
    assert made.selected_label == 1
    page.specimens.select([3, 2])  # as a click in the viewer does
    rows = {i.row() for i in page.measure.table.selectionModel().selectedRows()}
    assert rows == {1, 2}
    assert "2" in page.picked.text()


def test_sorting_is_by_number_and_selection_goes_with_its_rows(hands, measured) -> None:
    table = measured.measure.table
    frame = pd.DataFrame({"id": np.arange(1, 5001), "volume_mm3": np.arange(5000)[::-1] * 1.5})
    frame.loc[7, "volume_mm3"] = np.nan
    frame["z_first"], frame["z_last"] = 0, 5
    measured.specimens.set_table(frame, "mm")
    table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    model = table.frame_model
    assert model.data(model.index(0, 0)) == "5000"
    assert model.data(model.index(1, 1)) == "1.5"  # after 0, not after 10
    assert model.data(model.index(4999, 1)) == "–"
    measured.specimens.select([17])
    row = table.selectionModel().selectedRows()[0].row()
    assert model.data(model.index(row, 0)) == "17"
    assert table.visualRect(model.index(row, 0)).intersects(table.viewport().rect())
    assert "\tvolume mm³".strip() in model.text().split("\n")[0]


def test_a_click_in_the_viewer_selects_the_row(shown_hands) -> None:
    hands = shown_hands
    hands.open_discs(slices=6)
    page = hands.page("Specimens in 3D")
    hands.do(page.start)
    hands.do(page.measure.start)
    hands.press(page.back)
    viewer = hands.viewer
    hands.qtbot.wait(300)
    canvas = viewer.window._qt_viewer.canvas
    native = canvas.native

    def click(row: float, column: float, keys=Qt.KeyboardModifier.NoModifier) -> None:
        layer = page.specimens.layer
        world = layer.data_to_world((page.edits.z, row, column))[-2:]
        centre, zoom = viewer.scene.camera.center[-2:], viewer.scene.camera.zoom
        middle = np.array([native.height(), native.width()]) / 2
        y, x = middle + (np.array(world) - centre) * zoom
        at = QPoint(round(x), round(y))
        QTest.mouseClick(native, Qt.MouseButton.LeftButton, keys, at)
        hands.qtbot.wait(150)

    labels = page.specimens.layer.data
    click(65, 60)
    assert page.specimens.selected == (int(labels[3, 65, 60]),)
    rows = page.measure.table.selectionModel().selectedRows()
    assert page.measure.table.frame_model.data(rows[0]) == str(labels[3, 65, 60])
    click(25, 30, Qt.KeyboardModifier.ControlModifier)
    assert set(page.specimens.selected) == {int(labels[3, 65, 60]), int(labels[3, 25, 30])}
    click(5, 5)  # background: the selection stays
    assert len(page.specimens.selected) == 2
    page.specimens.layer.mode = "paint"
    click(20, 75)  # the brush paints, and selects nothing
    assert len(page.specimens.selected) == 2
    assert page.specimens.stale


def test_edits_by_hand_are_undone_with_the_keys_in_3d_too(hands, measured) -> None:
    page, viewer = measured, hands.viewer
    layer, preview = page.specimens.layer, page.specimens.preview
    before, small = layer.data.copy(), preview.data.copy()
    page.specimens.select([1, 2])
    hands.do(page.edits.merge)
    assert set(np.unique(layer.data)) == {0, 1, 3}
    assert not (preview.data == 2).any()  # the preview follows
    assert page.specimens.selected == (1,)
    assert page.specimens.stale
    assert "out of date" in page.measure.caution.text()
    viewer.layers.selection.active = preview
    viewer.window._qt_viewer.canvas._key_map_handler.press_key("Control-Z")
    np.testing.assert_array_equal(layer.data, before)
    np.testing.assert_array_equal(preview.data, small)
    hands.press(page.edits.redo)
    assert set(np.unique(layer.data)) == {0, 1, 3}
    hands.press(page.edits.undo)
    assert layer.data.tobytes() == before.tobytes()
    hands.do(page.measure.start)
    assert not page.specimens.stale
    np.testing.assert_array_equal(layer.scale, PLACE["scale"])
    assert layer.axis_labels == PLACE["axis_labels"]


def test_split_and_fill_at_the_slice_that_is_shown(hands, measured) -> None:
    page, viewer = measured, hands.viewer
    page.specimens.select([2])
    hands.settle()
    assert not page.edits.split.isEnabled()
    assert "Go to a slice" in page.edits.split.toolTip()
    hands.press(page.back)
    layer = page.specimens.layer
    viewer.dims.set_point(0, float(layer.data_to_world((4, 0, 0))[0]))
    hands.settle()
    assert page.edits.split.text() == "Split at slice 4"
    assert not page.edits.fill.isEnabled()
    assert "already" in page.edits.fill.toolTip()
    hands.do(page.edits.split)
    assert set(np.unique(layer.data[4:])) == {0, 1, 3, 4}
    assert page.specimens.selected == (2, 4)
    layer.data[1][layer.data[1] == 1] = 0
    page.specimens.select([1])
    viewer.dims.set_point(0, float(layer.data_to_world((1, 0, 0))[0]))
    hands.settle()
    hands.do(page.edits.fill)
    np.testing.assert_array_equal(layer.data[1] == 1, layer.data[0] == 1)


def test_own_labels_are_refused_and_copied(hands, page) -> None:
    own = hands.viewer.layers["fossils"]
    before = own.data.copy()
    page._choose("fossils")
    page.specimens.select([1])
    hands.settle()
    assert not page.edits.delete.isEnabled()
    assert "labels of your own" in page.edits.delete.toolTip()
    assert page.edits.copy.isVisibleTo(page.edits)
    hands.do(page.edits.copy)
    copy = page.specimens.layer
    assert copy is not own
    page.specimens.select([1])
    hands.do(page.edits.delete)
    assert not (copy.data == 1).any()
    np.testing.assert_array_equal(own.data, before)
    assert not page.edits.copy.isVisibleTo(page.edits)


def test_colours_by_a_measurement_and_only_the_selected(hands, measured) -> None:
    page = measured
    layer, preview = page.specimens.layer, page.specimens.preview
    plain = preview.colormap.map(np.array([1, 2, 3]))
    page.look.by.setCurrentIndex(page.look.by.findData("volume_mm3"))
    page.look.by.activated.emit(0)
    for each in (layer, preview):
        assert isinstance(each.colormap, DirectLabelColormap)
    volume = page.specimens.table["volume_mm3"].to_numpy()
    largest = int(page.specimens.table["id"][volume.argmax()])
    np.testing.assert_allclose(
        preview.colormap.map(np.array([largest]))[0], [0.993, 0.906, 0.144, 1], atol=0.01
    )
    assert page.look.legend.words[2] == f"{volume.max():.4g}"
    assert not page.look.only.isEnabled()
    page.specimens.select([2, 3])
    page.look.only.setChecked(True)
    assert preview.colormap.map(np.array([1]))[0][3] == 0
    assert preview.colormap.map(np.array([3]))[0][3] == 1
    page.look.only.setChecked(False)
    page.look.by.setCurrentIndex(0)
    page.look.by.activated.emit(0)
    np.testing.assert_allclose(preview.colormap.map(np.array([1, 2, 3])), plain)


def test_meshes_lie_where_the_labels_lie(hands, measured, tmp_path) -> None:
    page = measured
    hands.settle()
    assert not page.meshes.show_button.isEnabled()
    assert "Select specimens first" in page.meshes.show_button.toolTip()
    page.specimens.select([2])
    hands.do(page.meshes.show_button)
    surface = hands.viewer.layers[-1]
    layer = page.specimens.layer
    inside = np.argwhere(layer.data == 2)
    low, high = (surface.data_to_world(f(surface.data[0], 0)) for f in (np.min, np.max))
    np.testing.assert_allclose(low[1:], layer.data_to_world(inside.min(0))[1:], atol=0.2)
    np.testing.assert_allclose(high[1:], layer.data_to_world(inside.max(0))[1:], atol=0.2)
    assert low[0] == pytest.approx(layer.data_to_world((0, 0, 0))[0])
    # The slider still counts slices, from the first.
    assert hands.viewer.dims.range[0].start == pytest.approx(2.0)
    assert hands.viewer.dims.nsteps[0] == 6
    target = tmp_path / "one é.stl"
    page.meshes.save_to(target)
    hands.wait()
    assert target.stat().st_size > 1000
    assert str(target) in page.meshes.said.text()
    hands.press(page.back)
    assert not surface.visible
    hands.press(page.start_3d)
    assert surface.visible


def test_the_section_is_a_slice_in_true_colour_at_its_depth(hands, linked) -> None:
    page, viewer = linked, hands.viewer
    page.section.shown.setChecked(True)
    page.section.slider.setValue(4)
    hands.wait()
    section = page.section.layer
    stack = viewer.layers["reef"]
    np.testing.assert_array_equal(section.data[0], stack.data[4])
    assert section.blending == "opaque"  # else what lies behind it would be drawn over it
    np.testing.assert_allclose(section.data_to_world((0, 10, 20)), stack.data_to_world((4, 10, 20)))
    page.section.cut.setChecked(True)
    plane = page.specimens.preview.experimental_clipping_planes[0]
    assert page.specimens.preview.data_to_world(plane.position)[0] == pytest.approx(4.0)
    page.section.slider.setValue(1)
    hands.wait()
    np.testing.assert_array_equal(section.data[0], stack.data[1])
    hands.press(page.back)
    assert not section.visible
    assert page.bench.session.stack == "reef"  # the section is no stack


def test_merges_and_splits_are_listed_and_gone_to(hands) -> None:
    """A branch leaves a specimen in slice 3."""
    labels = np.zeros((6, 40, 60), np.int32)
    labels[:3, 10:30, 10:50] = 1
    labels[3:, 10:30, 10:29] = 1
    labels[3:, 10:30, 31:50] = 2
    hands.viewer.add_labels(labels, name="branching", **PLACE)
    hands.settle()
    page = hands.page("Specimens in 3D")
    hands.do(page.start)
    assert page.link.events.isVisibleTo(page)
    page.link.table.selectRow(0)
    assert hands.viewer.dims.ndisplay == 2
    assert page.edits.z == 3
    assert len(page.specimens.selected) == 2


def test_nothing_large_is_shown_in_3d(hands) -> None:
    lazy = da.zeros((3000, 2000, 2000), dtype=np.int32, chunks=(1, 2000, 2000))
    large = hands.viewer.add_labels(lazy, name="large", **PLACE)
    hands.page("Specimens in 3D")
    hands.viewer.dims.ndisplay = 3
    assert not large.visible
    hands.viewer.dims.ndisplay = 2


def test_what_is_missing_is_said(hands) -> None:
    page = hands.page("Specimens in 3D")
    hands.settle()
    assert "Segment several slices first" in page.start.toolTip()
    for button in (page.start_3d, page.measure.start, page.edits.merge, page.meshes.save_button):
        assert not button.isEnabled()
        assert "Choose specimens first" in button.toolTip()
    hands.viewer.add_labels(np.ones((1, 8, 8), np.int32), name="flat", **PLACE)
    hands.settle()
    assert "single slice" in page.start.toolTip()
    mixed = hands.viewer.add_labels(
        np.ones((2, 8, 8), np.int32), name="mixed", units=("mm", "um", "um")
    )
    page._choose(mixed.name)
    hands.settle()
    assert "different units" in page.measure.start.toolTip()
    hands.viewer.layers.remove(mixed)
    hands.settle()
    assert "Choose specimens first" in page.measure.start.toolTip()


@pytest.mark.parametrize("kind", ["labels", "surface", "section"])
def test_turned_in_3d_nothing_is_mirrored(make_napari_viewer, kind) -> None:
    """Where the ends of three arms are drawn: to the right, down, and into the rock.

    Seen with all three ends towards the eye, x, y, z turn counter-clockwise in a right-handed
    space; with their plane facing away from it, clockwise. The picture's own transform is asked.
    """
    viewer = make_napari_viewer()
    place = {"scale": (2.0, 1.0, 1.0), "translate": (10.0, 5.0, 0.0)}
    if kind == "labels":
        layer = viewer.add_labels(np.ones((16, 30, 30), np.int32), **place)
    elif kind == "surface":
        corners = np.array([(0, 0, 0), (15, 0, 0), (0, 29, 0), (0, 0, 29)], float)
        layer = viewer.add_surface((corners, np.array([(0, 1, 2), (0, 2, 3)])), **place)
    else:
        layer = viewer.add_image(
            np.zeros((16, 30, 30, 3), np.uint8), rgb=True, depiction="plane", **place
        )
    turn_to_3d(viewer)
    camera = viewer.scene.camera
    # View directions in z, y, x: from before and above, from behind and below, from one side.
    for direction in ((1, 1, 1), (-1, -1, -1), (0.4, -1, -1), (1, -0.2, 0.3)):
        camera.set_view_direction(direction, (0.3, -1, 0.2))
        node = viewer.window._qt_viewer.canvas.layer_to_visual[layer].node
        drawn = node.transforms.get_transform("visual", "canvas")
        ends = drawn.map([(10, 0, 0), (0, 10, 0), (0, 0, 5), (0, 0, 0)])  # voxels in x, y, z
        (ax, ay), (bx, by), (cx, cy), _ = ends[:, :2] / ends[:, 3:]
        turn = -np.sign((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))  # the screen's y is down
        view = np.array(camera.view_direction)[::-1]  # x, y, z, into the screen
        assert turn == np.sign(-view @ (1, 1, 1)), direction
