"""Page 3 over the whole stack: kept on disk, shown as it comes, cancelled and gone on with."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_fossiledit.io import LabelStore
from napari_fossiledit.progress import checkpoint
from napari_fossiledit.widgets.segment_page import ALL, THIS


@pytest.fixture
def page(ready, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    page = ready.page("Segment")
    page.scope.setCurrentText(ALL)
    page.score.setValue(0.0)
    ready.settle()
    return page


def test_the_whole_stack_is_kept_on_disk_and_becomes_a_layer(ready, page, tmp_path) -> None:
    assert "temporary folder" in page.result.said.text()
    page.result.line.setText(str(tmp_path / "Ergebnis groß"))
    ready.do(page.start)
    store = LabelStore.open(tmp_path / "Ergebnis groß.ome.zarr", whole=True)
    assert store.voxel_size == pytest.approx((0.5, 0.145, 0.145))
    layer = ready.viewer.layers["reef: 4 slices"]
    for z in range(4):
        np.testing.assert_array_equal(np.asarray(layer.data[z]), store[z])
    np.testing.assert_allclose(layer.scale, (0.5, 0.145, 0.145))
    np.testing.assert_allclose(layer.translate, (2.0, 0.0, 1.0))
    assert not layer.editable
    assert "4 slices, kept in" in page.said.text()
    assert "A finished result is there" in page.result.said.text()
    assert ready.session.result("volume") == layer.name


def test_slices_are_shown_as_they_come_and_a_cancelled_run_goes_on(ready, page, tmp_path) -> None:
    page.result.line.setText(str(tmp_path / "r"))
    predict, seen = ready.session.segmenter.predict, []

    def stops(image, **options):
        while len(seen) == 2:
            checkpoint()
            time.sleep(0.01)
        seen.append(image)
        return predict(image, **options)

    ready.session.segmenter.predict = stops
    ready.press(page.start)
    path = tmp_path / "r.ome.zarr"
    ready.qtbot.waitUntil(
        lambda: (path / ".zattrs").exists() and LabelStore.open(path).done().sum() == 2,
        timeout=20_000,
    )
    ready.qtbot.waitUntil(lambda: "reef: 4 slices" in ready.names(), timeout=5_000)
    ready.qtbot.wait(500)  # it is looked for five times a second
    layer = ready.viewer.layers["reef: 4 slices"]
    store = LabelStore.open(path)
    assert ready.bench.current_z() == 1
    np.testing.assert_array_equal(np.asarray(layer._slice.image.raw), store[1])
    assert not np.asarray(layer.data[3]).any()
    ready.runner.cancel()
    ready.wait()
    assert ready.outcomes[-1].state == "cancelled"
    assert "2 of 4 slices are done and stay" in page.said.text()
    assert "An unfinished result is there: 2 of 4 slices" in page.result.said.text()
    assert "go on" in page.said.text()

    again = []

    def counted(image, **options):
        again.append(image)
        return predict(image, **options)

    ready.session.segmenter.predict = counted
    ready.do(page.start)
    assert len(again) == 2
    assert LabelStore.open(path).complete
    assert ready.names() == ["reef", "fossils", "reef: 4 slices"]  # the same layer goes on
    np.testing.assert_array_equal(np.asarray(layer.data[3]), LabelStore.open(path)[3])


def test_another_result_is_refused_or_numbered(ready, page, tmp_path) -> None:
    path = tmp_path / "r.ome.zarr"
    page.result.line.setText(str(path))
    ready.do(page.start)
    page.score.setValue(0.3)
    ready.press(page.start)
    ready.wait()
    assert ready.outcomes[-1].state == "failed"
    assert "confidence: 0.0, not 0.3" in ready.outcomes[-1].message
    page.result.line.setText("")  # a place of the page's own choice gets a number
    default = page.result.path
    assert default == Path(tmp_path) / "fossiledit" / "reef.segmented.ome.zarr"
    ready.do(page.start)
    page.score.setValue(0.4)
    ready.do(page.start)
    assert LabelStore.open(default).about["settings"]["score_threshold"] == 0.3
    second = default.with_name("reef.segmented 2.ome.zarr")
    assert LabelStore.open(second).about["settings"]["score_threshold"] == 0.4
    assert str(second) in page.said.text()


def test_places_are_chosen_and_checked(ready, page, tmp_path, monkeypatch) -> None:
    assert page.result.isVisibleTo(page)
    for chosen, expected in (
        (tmp_path, tmp_path / "reef.segmented.ome.zarr"),
        (tmp_path / "old.ome.zarr", tmp_path / "old.ome.zarr"),
    ):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, path=chosen: str(path))
        page.result.browse.click()
        assert page.result.path == expected
    page.result.line.setText(str(tmp_path / "no" / "such" / "r"))
    told = []
    monkeypatch.setattr(ready.bench, "tell_error", told.append)
    ready.press(page.start)
    assert "there is no folder" in told[0]
    assert not ready.runner.busy
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "notes.txt").write_text("x")
    page.result.line.setText(str(tmp_path / "mine.zarr"))
    assert "Something else is there" in page.result.said.text()
    ready.press(page.start)
    ready.wait()
    assert ready.outcomes[-1].state == "failed"
    assert (tmp_path / "mine.zarr" / "notes.txt").read_text() == "x"
    page.scope.setCurrentText(THIS)  # a single slice stays in memory, as ever
    ready.settle()
    assert not page.result.isVisibleTo(page)
    ready.do(page.start)
    assert "reef: slice 1" in ready.names()


def test_what_the_command_line_began_goes_on_in_the_window(hands, tmp_path, model_file) -> None:
    from napari_fossiledit import io
    from napari_fossiledit.cli import execute

    folder, out = tmp_path / "Riff", tmp_path / "Riff.segmented.ome.zarr"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 255, (4, 80, 96, 3), np.uint8)
    for z, image in enumerate(images):
        io.write_image(folder / f"s{z}.png", image)
    command = ["segment", str(folder), "--out", str(out), "--model", str(model_file)]
    assert execute([*command, "--score", "0.01", "--device", "cpu"]) == 0
    from napari_fossiledit.io import store_files

    store = LabelStore.open(out)
    before = {f: f.read_bytes() for f in out.rglob("*") if f.is_file()}
    store._set_complete(False)
    store_files.mark_file(out, 2).unlink()
    hands.viewer.open(str(folder), plugin="napari-fossiledit")
    hands.load_model()
    page = hands.page("Segment")
    page.scope.setCurrentText(ALL)
    page.score.setValue(0.01)
    hands.settle()
    assert page.result.path == out
    assert "3 of 4 slices are done" in page.result.said.text()
    hands.do(page.start)
    assert {f: f.read_bytes() for f in out.rglob("*") if f.is_file()} == before
