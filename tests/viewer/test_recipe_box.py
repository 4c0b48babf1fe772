"""Page 4's settings: rows, patches drawn with the mouse in a shown window, recipe files."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_fossiledit.perturb import Perturbation
from napari_fossiledit.widgets.recipe import Recipe

pytestmark = pytest.mark.viewer


def choose(hands, combo, data) -> None:
    at = combo.findData(data)
    combo.setCurrentIndex(at)
    combo.activated.emit(at)
    hands.settle()


def shown_rows(box) -> list[str]:
    """Labels of the form's rows that are not hidden."""
    form = box._form
    labels = [form.itemAt(i, form.ItemRole.LabelRole).widget() for i in range(form.rowCount())]
    return [label.text() for label in labels if not label.isHidden()]


@pytest.fixture
def box(hands):
    hands.open_discs()
    return hands.page("Find weaknesses").recipe


@pytest.mark.parametrize(
    ("fill", "rows"),
    [
        ("median", ["From"]),
        ("colour", ["Colour"]),
        ("noise", ["From", "Seed"]),
        ("tile", ["From", "Copies"]),
        ("quilt", ["From", "Pieces", "Seed"]),
        ("inpaint", []),
    ],
)
def test_only_rows_that_matter_are_shown(hands, box, fill, rows) -> None:
    choose(hands, box.fill.kind, fill)
    usual = ["Paint over", "with", "Share", "Edge"]
    assert sorted(shown_rows(box)) == sorted(usual + rows)
    assert box.fill.forget.isHidden()
    assert box.by.isHidden()
    box.fraction.setValue(35)
    hands.settle()
    assert "Seed" in shown_rows(box)
    assert not box.by.isHidden()
    choose(hands, box.target, "both")
    assert shown_rows(box).count("From") == 1 + ("From" in rows)
    assert "Fossils get" in shown_rows(box)


def test_every_setting_reaches_the_recipe(hands, box) -> None:
    choose(hands, box.target, "both")
    choose(hands, box.fill.kind, "quilt")
    box.fill.patch.setValue(16)
    box.fill.patch_picker.picked.emit((0, 0, 20, 20))
    choose(hands, box.texture.kind, "tile")
    box.texture.mirrored.setChecked(True)
    box.texture.patch_picker.picked.emit((5, 6, 25, 36))
    box.fraction.setValue(35)
    choose(hands, box.by, "instances")
    box.feather.setValue(1.5)
    box.seed.setValue(12)
    wanted = Perturbation(
        "quilt:0,0,20,20@16", "both", 0.35, 12, "instances", 1.5, "tile-mirrored:5,6,25,36"
    )
    assert hands.session.recipe.perturbation() == wanted
    hands.settle()
    box.fill.patch.setValue(box.fill.patch.minimum())
    box.fill.forget.click()
    assert hands.session.recipe.perturbation().fill.to_dict()["patch"] is None
    assert hands.session.recipe.window is None


def test_a_recipe_is_saved_and_loaded_to_the_bit(hands, box, tmp_path) -> None:
    odd = Perturbation("noise:0,0,30,30", "fossils", 0.33333, 2**33, "pixels", 5.26)
    odd.save(tmp_path / "odd.json")
    box.load_from(str(tmp_path / "odd.json"))
    hands.settle()
    assert hands.session.recipe.perturbation() == odd
    assert (box.feather.value(), box.fill.kind.currentData()) == (5.3, "noise")
    box.save_to(str(tmp_path / "again"))
    assert Perturbation.load(tmp_path / "again.json") == odd
    choose(hands, box.by, "components")  # what was not changed stays as fine as it was
    assert hands.session.recipe.fraction == 0.33333
    assert hands.session.recipe.seed == 2**33


def test_bad_recipe_files_are_one_plain_sentence(hands, box, tmp_path) -> None:
    before = hands.session.recipe
    (tmp_path / "odd.json").write_text("[]")
    for name, words in (("odd.json", "no recipe"), ("none.json", "cannot be read")):
        box.load_from(str(tmp_path / name))
        assert words in notification_manager.records[-1].message
    box.save_to(str(tmp_path / "no folder" / "recipe.json"))
    assert "cannot be written" in notification_manager.records[-1].message
    assert hands.session.recipe == before


def test_both_without_a_texture_is_said_on_the_buttons(ready) -> None:
    page = ready.page("Find weaknesses")
    choose(ready, page.recipe.target, "both")
    for button in (page.preview, page.probe, page.recipe.save):
        assert not button.isEnabled()
        assert "fossils need a texture" in button.toolTip()
    page.recipe.texture.patch_picker.picked.emit((0, 0, 10, 10))
    ready.settle()
    ready.do(page.preview)
    painted = ready.viewer.layers[-1]
    assert painted.name == "reef 1: both painted"
    reef, labels = (ready.viewer.layers[n].data[1] for n in ("reef", "fossils"))
    truth = ready.session.recipe.perturbation().apply(reef, labels)
    np.testing.assert_array_equal(painted.data[0], truth.image)


def test_an_edit_is_made_from_the_recipe_with_whole_labels(ready) -> None:
    ready.session.recipe = Recipe("both", fraction=0.5, by="instances", seed=1).of(
        Perturbation("noise", "both", 0.5, 1, "instances", 1.0, "tile:0,0,10,10")
    )
    ready.settle()
    page = ready.page("Rewrite")
    page.auto.setChecked(False)
    ready.do(page.mend)
    (entry,) = ready.session.edits.entries
    assert Perturbation.from_dict(entry.edit.provenance["perturbation"]) == (
        ready.session.recipe.perturbation()
    )


# ---- with a real mouse, in a shown window -----------------------------------------------------


class Mouse:
    """A left button on the canvas; places are (y, x) of the stack's slice."""

    def __init__(self, hands) -> None:
        self.hands = hands
        self.canvas = hands.viewer.window._qt_viewer.canvas.native
        self.reef = hands.viewer.layers["reef"]

    def point(self, place) -> QPointF:
        world = np.array(self.reef.data_to_world((1, *place)))[-2:]
        camera = self.hands.viewer.scene.camera
        size = np.array([self.canvas.height(), self.canvas.width()])
        y, x = (world - np.array(camera.center)[-2:]) * camera.zoom + size / 2
        return QPointF(float(x), float(y))

    def send(self, kind, place, button, buttons) -> None:
        at = self.point(place)
        everywhere = QPointF(self.canvas.mapToGlobal(at.toPoint()))
        none = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(
            self.canvas, QMouseEvent(kind, at, everywhere, button, buttons, none)
        )
        self.hands.qtbot.wait(20)

    def drag(self, start, *ends) -> None:
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        self.send(QEvent.Type.MouseButtonPress, start, left, left)
        for end in ends:
            self.send(QEvent.Type.MouseMove, end, none, left)
        self.send(QEvent.Type.MouseButtonRelease, (start, *ends)[-1], left, none)
        self.hands.settle()

    click = drag


@pytest.fixture
def mouse(shown_hands):
    hands = shown_hands
    hands.open_discs()
    hands.workbench.sections["Find weaknesses"].open()
    fossils = hands.viewer.layers["fossils"]
    hands.viewer.layers.selection.active = fossils
    fossils.mode = "paint"
    hands.viewer.layers["reef"].visible = False
    hands.viewer.reset_view()
    hands.qtbot.wait(300)
    return Mouse(hands)


def state(hands):
    """All that picking may touch and must give back."""
    viewer = hands.viewer
    layers = [(x.name, x.visible, x.mode, len(x.mouse_drag_callbacks)) for x in viewer.layers]
    return layers, viewer.layers.selection.active.name, viewer.dims.current_step


def test_a_patch_is_drawn_as_a_rectangle(mouse) -> None:
    hands = mouse.hands
    box, before = hands.page("Find weaknesses").recipe, state(mouse.hands)
    painted = hands.viewer.layers["fossils"].data.copy()
    choose(hands, box.fill.kind, "tile")
    hands.press(box.fill.pick_patch)
    tool = hands.viewer.layers.selection.active
    reef = hands.viewer.layers["reef"]
    assert tool is hands.viewer.layers[-1]
    assert reef.visible
    for name in ("scale", "translate"):
        np.testing.assert_allclose(getattr(tool, name), getattr(reef, name))
    assert (tool.units, tool.axis_labels) == (reef.units, reef.axis_labels)
    mouse.drag((20.5, 10.5), (40, 30), (50.5, 45.5))
    y0, x0, y1, x1 = hands.session.recipe.window
    np.testing.assert_allclose((y0, x0, y1, x1), (21, 11, 51, 46), atol=1)
    assert state(hands) == before
    assert not box.fill.pick_patch.isChecked()
    np.testing.assert_array_equal(hands.viewer.layers["fossils"].data, painted)


def test_a_patch_is_picked_by_a_click(mouse) -> None:
    hands = mouse.hands
    box, before = hands.page("Find weaknesses").recipe, state(mouse.hands)
    hands.press(box.fill.pick_patch)  # the median's
    mouse.click((60, 40))
    y0, x0, y1, x1 = hands.session.recipe.window
    assert (y1 - y0, x1 - x0) == (16, 16)
    np.testing.assert_allclose((y0, x0), (52, 32), atol=1)
    assert state(hands) == before


def test_a_bad_rectangle_is_said_and_may_be_drawn_again(mouse) -> None:
    hands = mouse.hands
    box = hands.page("Find weaknesses").recipe
    hands.press(box.fill.pick_patch)
    for start, end, words in (
        ((20, 10), (20, 60), "no area"),
        ((-8, -8), (103, 103), "larger than the slice"),
        ((50, 60), (70, 105), "reaches outside"),
        ((-12, 30), (-12, 30), "outside the slice"),
    ):
        mouse.drag(start, end)
        assert words in notification_manager.records[-1].message
        assert box.fill.pick_patch.isChecked()
        assert len(hands.viewer.layers.selection.active.data) == 0
        assert hands.session.recipe.window is None
    mouse.drag((20, 10), (40, 60))
    assert hands.session.recipe.window is not None


def test_a_colour_is_picked_with_the_mouse(mouse) -> None:
    hands = mouse.hands
    box = hands.page("Find weaknesses").recipe
    choose(hands, box.fill.kind, "colour")
    before = state(hands)
    hands.press(box.fill.pick_colour)
    mouse.click((60.2, 59.8))
    colour = hands.viewer.layers["reef"].data[1, 60, 60]
    assert hands.session.recipe.colour == tuple(int(c) for c in colour)
    assert state(hands) == before


def test_picking_ends_when_something_else_is_wanted(mouse) -> None:
    hands = mouse.hands
    box, before = hands.page("Find weaknesses").recipe, state(mouse.hands)
    choose(hands, box.target, "both")
    first, second = box.fill.pick_patch, box.texture.pick_patch
    hands.press(first)
    hands.press(second)
    assert not first.isChecked()
    assert second.isChecked()
    assert sum("draw" in name for name in hands.names()) == 1
    hands.viewer.layers.remove(hands.viewer.layers.selection.active)
    hands.settle()
    assert not second.isChecked()
    assert state(hands)[0] == before[0]
    hands.press(first)
    choose(hands, box.fill.kind, "inpaint")
    assert not first.isChecked()
    choose(hands, box.fill.kind, "noise")
    hands.press(first)
    hands.viewer.layers.selection.active = hands.viewer.layers["reef"]
    hands.settle()
    assert not first.isChecked()
    hands.press(first)
    hands.viewer.layers.remove("reef")
    hands.settle()
    assert hands.names() == ["fossils"]


def test_in_3d_nothing_can_be_picked(mouse) -> None:
    hands = mouse.hands
    hands.viewer.dims.ndisplay = 3
    button = hands.page("Find weaknesses").recipe.fill.pick_patch
    hands.press(button)
    assert not button.isChecked()
    assert "switch to 2D" in notification_manager.records[-1].message
    assert hands.names() == ["reef", "fossils"]
