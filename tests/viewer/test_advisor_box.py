"""'Ask the advisor' on page 6, in a real window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit import editing
from napari_fossiledit.pipeline import advisor as library
from napari_fossiledit.pipeline.remedies import EditRemedy, MaskThreshold
from napari_fossiledit.widgets.tables import FigureTable

pytestmark = pytest.mark.viewer


class Unfit(MaskThreshold):
    """A remedy that this model does not allow."""

    def try_task(self, work, made_from, held_out):
        from napari_fossiledit.errors import ModelError

        raise ModelError("This model has no such head: choose another.")
        yield


@pytest.fixture
def box(ready, monkeypatch):
    """The advisor on the page, with three quick remedies."""
    remedies = (
        MaskThreshold(),
        EditRemedy("ridge", "Edit: ridge", editing.Ridge(), (0.2,), 0.2),
        Unfit("unfit", "Edit: unfit"),
    )
    monkeypatch.setattr(library, "default_remedies", lambda: remedies)
    window = ready.viewer.window._qt_window
    window.resize(1200, 900)
    window.show()
    ready.workbench.sections["Compare"].open()
    page = ready.page("Compare")
    page.advice.open()
    ready.settle()
    return page.advisor


def test_one_click_gives_a_sentence_a_table_and_a_picture(ready, box, tmp_path) -> None:
    before = ready.session.segmenter.fingerprint()
    box.trained_on.setText("3")
    ready.do(box.ask)
    advice = ready.session.result("advice").advice
    assert ready.session.result("advice").slices == (0, 1, 2)
    assert advice.trained_on == 1
    assert box.sentence.text() == advice.sentence
    assert "slices 0, 1, 2" in box.where.text()
    table: FigureTable = box.table
    assert [table.item(row, 0).text() for row in range(3)] == [
        "Mask\nthreshold",
        "Ridge",
        "Unfit\n(not tried)",
    ]
    assert "has no such head" in table.item(2, 0).toolTip()
    assert "mask threshold" in table.item(0, 5).toolTip()
    assert ready.session.segmenter.fingerprint() == before
    box.picture.grab()  # as if scrolled to
    assert box.picture.drawn.width() == box.picture.width()
    box.save_to(str(tmp_path / "advice"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["advice.json", "advice.png"]


def test_the_table_fits_the_dock(ready, box) -> None:
    ready.do(box.ask)
    ready.settle()
    header = box.table.horizontalHeader()
    assert header.length() <= box.table.viewport().width()
    assert header.sectionSize(0) >= 60


def test_the_advice_goes_with_its_model(ready, box) -> None:
    ready.do(box.ask)
    ready.session.set_fossil_classes([0])  # as before
    assert ready.session.result("advice") is not None
    ready.load_model()
    ready.settle()
    assert ready.session.result("advice") is None
    for widget in (box.table, box.picture, box.save, box.sentence):
        assert widget.isHidden()


def test_cancel_leaves_the_model_as_it_was(ready, box) -> None:
    before = ready.session.segmenter.fingerprint()
    plain = ready.session.segmenter.predict_mask_thresholds
    ready.slow_model()
    ready.press(box.ask)
    ready.qtbot.wait(200)
    assert ready.runner.busy
    assert "running" in box.ask.toolTip()
    ready.runner.cancel()
    ready.wait()
    assert ready.outcomes[-1].state == "cancelled"
    assert ready.session.result("advice") is None
    ready.session.segmenter.predict_mask_thresholds = plain
    assert ready.session.segmenter.fingerprint() == before


def test_why_the_button_is_grey(hands) -> None:
    box = hands.page("Compare").advisor
    hands.settle()
    assert "stack first" in box.ask.toolTip()
    hands.open_discs()
    assert "Load a model first" in box.ask.toolTip()
    hands.load_model()
    for text, says in (
        ("0-", "Trained on: '0-' is no slice"),
        ("9", "Trained on: There is no slice 9"),
        ("0-2", "at least two slices that the model was not trained on"),
    ):
        box.trained_on.setText(text)
        hands.settle()
        assert not box.ask.isEnabled()
        assert says in box.ask.toolTip()
    box.trained_on.setText("")
    hands.viewer.layers["fossils"].data = np.zeros((4, 96, 96), np.int32)
    hands.press(box.ask)
    hands.wait()
    assert hands.outcomes[-1].state == "failed"
    assert "are empty" in hands.outcomes[-1].message


def test_a_single_image_is_too_little(hands) -> None:
    hands.open_discs(slices=1)
    hands.load_model()
    assert "at least two labelled slices" in hands.page("Compare").advisor.ask.toolTip()
