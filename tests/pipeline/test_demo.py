"""The whole loop, small: every file of the report is there, whole, and tells what was measured."""

from __future__ import annotations

import json
import re

import pytest
import tifffile

from napari_fossiledit import editing, models
from napari_fossiledit.errors import OutputError
from napari_fossiledit.pipeline.demo import DemoSize, demo, demo_task
from napari_fossiledit.pipeline.report import write_report
from napari_fossiledit.sample.splits import training_slices

SMALL = DemoSize(seeds=(2008,), zs=(10, 30), strengths=(0.2,), volume=(3, 160, 160))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "with a space, ä"
    segmenter = models.load("demo", device="cpu")
    before = segmenter.fingerprint()
    result = demo(out, segmenter=segmenter, size=SMALL)
    assert segmenter.fingerprint() == before
    return out, result, segmenter


def test_every_file_is_written(report) -> None:
    out, _, _ = report
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert names == {
        "report.html",
        "metrics.json",
        "edit.safetensors",
        "slices.tif",
        "labels_before.tif",
        "labels_after.tif",
        "labels_truth.tif",
        *(f"figures/{name}.png" for name in ("wrong", "probe", "edit", "curves", "volume")),
    }
    assert tifffile.imread(out / "labels_after.tif").shape == (3, 160, 160)


def test_metrics_have_the_public_keys(report) -> None:
    out, result, _ = report
    figures = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    for side in ("before", "after"):
        for mean in ("matched_mean", "all_mean"):
            assert set(figures[side][mean]) == {"precision", "recall", "iou"}
        for key in ("matched", "total", "spurious_fraction", "confuser_share", "intervals"):
            assert key in figures[side]
    assert figures["strength"] == result.choice.strength
    assert figures["after"]["intervals"] != figures["differences"]
    assert len(figures["threshold_curve"]["points"]) >= 5


def test_the_report_tells_the_figures_and_needs_no_other_file(report) -> None:
    out, result, _ = report
    html = (out / "report.html").read_text(encoding="utf-8")
    assert f"{result.comparison.after.scores.matched_mean.precision:.3f}" in html
    assert result.comparison.sentence.split(".")[0] in html
    assert not re.search(r'src="(?!data:)', html)
    assert not re.search(r"https?://", html)


def test_the_edit_file_fits_the_model(report) -> None:
    out, result, segmenter = report
    edit = editing.load_edit(out / "edit.safetensors")
    assert edit.strength == result.choice.strength
    assert edit.worth_it == result.choice.worth_it
    assert all(edit.has_seen(piece.image) for piece in training_slices())
    assert not any(edit.has_seen(piece.image) for piece in result.slices)
    before = segmenter.fingerprint()
    edit.apply(segmenter, strength=0.3)
    assert segmenter.fingerprint() != before
    edit.remove(segmenter)
    assert segmenter.fingerprint() == before


def test_a_disk_that_fills_leaves_the_old_report(report, tmp_path, monkeypatch) -> None:
    _, result, _ = report
    (tmp_path / "report.html").write_text("the old one")

    def full(*_: object, **__: object) -> None:
        raise OutputError("The disk is full.")

    monkeypatch.setattr("napari_fossiledit.io.write_labels", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_report(tmp_path, result)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "the old one"


def test_a_folder_that_cannot_be_made_is_said(tmp_path) -> None:
    (tmp_path / "taken").write_text("a file")
    task = demo_task(tmp_path / "taken", segmenter=None, size=SMALL)
    with pytest.raises(OutputError, match="taken"):
        list(task)
