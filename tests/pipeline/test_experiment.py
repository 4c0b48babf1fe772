"""The sweep: what it writes, that it resumes, and what it refuses."""

from __future__ import annotations

import csv
import io as text_io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from experiment_parts import files, pieces, settings, tiny

from napari_fossiledit.editing import EditStack
from napari_fossiledit.errors import InputError, OutputError
from napari_fossiledit.pipeline import experiment_trial
from napari_fossiledit.pipeline.experiment import experiment, experiment_task, redraw
from napari_fossiledit.progress import run

EDITS, UNSEEN = pieces()[:2], pieces()[2:]


def sweep(out: Path, **changes):
    wanted = {"segmenter": tiny(), "edit_slices": EDITS, "unseen": UNSEEN, "settings": settings()}
    return experiment(out, **{**wanted, **changes})


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("experiment") / "with a space, ä"
    segmenter = tiny()
    before = segmenter.fingerprint()
    result = sweep(out, segmenter=segmenter)
    assert segmenter.fingerprint() == before
    assert not EditStack.of(segmenter).entries
    return out, result


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text_io.StringIO(text)))


def test_every_file_is_written(done) -> None:
    out, result = done
    names = set(files(out))
    keys = {row["key"] for row in result.results["rows"]}
    made = {f"trials/{key}.json" for key in keys}
    plain = {name for name in names if not name.startswith("trials/")}
    assert plain == {"experiment.json", "results.json", "report.html", "tables.csv", "seconds.csv"}
    assert made < names
    assert len(names - plain - made) == 1  # the unedited model


def test_all_tables_stand_for_both_solvers(done) -> None:
    out, result = done
    rows = table((out / "tables.csv").read_text(encoding="utf-8"))
    wanted = {(n, s) for n in "2345678" for s in ("paper", "ours")} | {("unedited", "none")}
    assert {(row["table"], row["solver"]) for row in rows} == wanted
    assert {row["scored_on"] for row in rows} == {"unseen", "edit images"}
    figures = {row["figure"] for row in rows}
    for name in ("matched_mean.precision", "all_mean.iou", "false_detections", "confuser_share"):
        assert name in figures
    assert "precision_above_threshold_curve" in figures
    assert not any("second" in name or "date" in name for name in rows[0])
    assert not result.failed
    assert result.results["unfinished"] == 0


def test_a_row_is_what_the_parts_give_by_hand(done) -> None:
    from napari_fossiledit import editing, perturb
    from napari_fossiledit.metrics import difference
    from napari_fossiledit.pipeline import evaluate

    _, result = done
    (row,) = (
        r
        for r in result.results["rows"]
        if r["table"] == "2" and r["solver"] == "paper" and r["images"] == [EDITS[1].name]
    )
    segmenter, piece = tiny(), EDITS[1]
    before = evaluate(segmenter, UNSEEN).scores
    edit = editing.rewrite(
        segmenter,
        piece.image,
        perturb.apply(piece.image, piece.fossils, "median"),
        piece.fossils,
        layers=[layer.name for layer in editing.output_layers(segmenter)],
        solver=editing.Adam(steps=3, lr=5e-5),
    )
    edit.apply(segmenter, 1.0)
    after = evaluate(segmenter, UNSEEN).scores
    assert row["strength"] == 1
    assert row["unseen"]["figures"]["all_mean"]["iou"] == pytest.approx(after.all_mean.iou)
    change = difference(before, after, resamples=20, seed=0)["all_mean.iou"].to_dict()
    assert row["unseen"]["differences"]["all_mean.iou"] == pytest.approx(change)


def test_the_strength_of_ours_was_chosen_on_another_slice(done) -> None:
    _, result = done
    for row in result.results["rows"]:
        own = "the strength was chosen on slices of the edit itself" in " ".join(row["notes"])
        assert own == (row["solver"] == "ours" and len(set(row["images"])) == 2)
        assert (row["choice"] is None) == (row["solver"] == "paper")


def test_the_same_seed_gives_the_same_tables_whatever_lies_on_the_model(done, tmp_path) -> None:
    from napari_fossiledit import editing, perturb

    out, _ = done
    segmenter, piece, again = tiny(), EDITS[0], tmp_path / "again"
    painted = perturb.apply(piece.image, piece.fossils, "median")
    edit = editing.rewrite(segmenter, piece.image, painted, piece.fossils)
    edit.apply(segmenter, 0.5)
    before = segmenter.fingerprint()
    sweep(again, segmenter=segmenter)
    assert segmenter.fingerprint() == before
    assert (again / "tables.csv").read_bytes() == (out / "tables.csv").read_bytes()
    first, second = (json.loads((folder / "results.json").read_text()) for folder in (out, again))
    for results in (first, second):
        del results["seconds"], results["dates"]
    assert first == second


def test_a_finished_sweep_runs_nothing_again(done, monkeypatch) -> None:
    out, _ = done
    before = files(out)
    monkeypatch.setattr(experiment_trial, "evaluate_task", None)
    sweep(out)
    assert files(out) == before


def test_redraw_needs_results_only(done, tmp_path) -> None:
    out, _ = done
    before = files(out)
    other = tmp_path / "moved"
    other.mkdir()
    for name in ("experiment.json", "results.json"):
        (other / name).write_bytes(before[name])
    redraw(other)
    for name in ("report.html", "tables.csv", "seconds.csv", "results.json"):
        assert (other / name).read_bytes() == before[name]


def test_the_report_needs_no_other_file_and_tells_the_figures(done) -> None:
    out, result = done
    html = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'src="(?!data:)', html)
    assert not re.search(r"https?://", html)
    for number in "2345678":
        assert f'id="t{number}"' in html
    assert "Appendix" in html
    assert "different edits" in html
    value = result.results["rows"][0]["unseen"]["figures"]["matched_mean"]["precision"]
    assert f"{value:.3f}" in html


def test_a_cancelled_sweep_keeps_what_was_done_and_goes_on(done, tmp_path) -> None:
    out, _ = done
    segmenter, folder = tiny(), tmp_path / "part"
    before = segmenter.fingerprint()
    task = experiment_task(
        folder, segmenter=segmenter, edit_slices=EDITS, unseen=UNSEEN, settings=settings()
    )
    while len(list((folder / "trials").glob("[!.]*.json"))) < 4:
        step = next(task)
        assert 0 <= step.done <= step.total
    for _ in range(3):
        next(task)
    task.close()
    assert segmenter.fingerprint() == before
    kept = files(folder / "trials")
    assert len(kept) == 4
    partial = redraw(folder)
    assert partial.results["unfinished"] > 0
    assert "stopped before its end" in (folder / "report.html").read_text(encoding="utf-8")
    assert any(row["note"] == "not run yet" for row in table((folder / "tables.csv").read_text()))
    sweep(folder)
    assert kept.items() <= files(folder / "trials").items()
    assert (folder / "tables.csv").read_bytes() == (out / "tables.csv").read_bytes()


def test_a_damaged_trial_is_run_again(done, tmp_path) -> None:
    out, result = done
    for name, data in files(out).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    key = result.results["rows"][3]["key"]
    (tmp_path / "trials" / f"{key}.json").write_text('{"key": ')
    (tmp_path / "results.json").unlink()
    sweep(tmp_path)
    assert (tmp_path / "tables.csv").read_bytes() == (out / "tables.csv").read_bytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"segmenter": tiny(2)}, "another model"),
        ({"edit_slices": EDITS[:1]}, "other slices or labels"),
        ({"unseen": UNSEEN[:1]}, "other slices or labels"),
        ({"settings": settings(seed=1)}, "other settings"),
        ({"settings": settings(fill="noise")}, "other settings"),
    ],
)
def test_a_folder_of_another_experiment_is_refused(done, changes, words) -> None:
    out, _ = done
    before = files(out)
    with pytest.raises(InputError, match=words):
        sweep(out, **changes)
    assert files(out) == before


def test_a_folder_of_other_files_is_refused(tmp_path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(InputError, match="other files and no experiment"):
        sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    (tmp_path / "experiment.json").write_text('{"kind": "of another program"}')
    with pytest.raises(InputError, match="of another program"):
        sweep(tmp_path)
    with pytest.raises(InputError, match="of another program"):
        redraw(tmp_path)
    with pytest.raises(InputError, match="holds no experiment"):
        redraw(tmp_path / "nowhere")


def test_nothing_is_drawn_before_a_trial_is_done(done, tmp_path) -> None:
    out, _ = done
    (tmp_path / "experiment.json").write_bytes((out / "experiment.json").read_bytes())
    with pytest.raises(InputError, match="No trial"):
        redraw(tmp_path)


def _without_labels(piece):
    return replace(piece, labels=np.zeros_like(piece.labels), name="bare")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edit_slices": [], "unseen": []}, "no labelled slice"),
        ({"edit_slices": [_without_labels(EDITS[0])], "unseen": []}, "None of the labelled"),
        ({"unseen": []}, "none is left to evaluate on"),
        ({"edit_slices": []}, "no slice to edit with"),
        ({"edit_slices": [*EDITS, _without_labels(UNSEEN[0])]}, "bare has no labelled fossil"),
        ({"unseen": [_without_labels(UNSEEN[0])]}, "None of the labelled"),
        ({"unseen": [*UNSEEN, EDITS[1]]}, "z 12 is both"),
        ({"unseen": None}, "belong together"),
        ({"suite": "brew"}, "no suite"),
    ],
)
def test_slices_that_cannot_be_used_are_said(tmp_path, changes, words) -> None:
    with pytest.raises(InputError, match=words):
        sweep(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_labels_over_the_whole_slice_are_said(tmp_path) -> None:
    whole = replace(EDITS[0], labels=np.ones_like(EDITS[0].labels))
    with pytest.raises(InputError, match="cover the whole slice"):
        sweep(tmp_path / "out", edit_slices=[whole])


def test_a_texture_crop_outside_is_said_before_any_work(tmp_path) -> None:
    with pytest.raises(InputError, match=r"texture crop for reef, z 4 .* outside"):
        sweep(tmp_path / "out", settings=settings(texture=(90, 90, 99, 99)))
    assert not (tmp_path / "out").exists()


def test_a_row_that_cannot_be_run_says_so_and_the_sweep_goes_on(tmp_path) -> None:
    # Fossils of 3 x 3 pixels hold no crop of texture.
    labels = np.zeros_like(EDITS[0].labels)
    labels[10:13, 10:13] = 1
    small = replace(EDITS[0], labels=labels)
    result = sweep(tmp_path / "out", edit_slices=[small])
    assert {row["table"] for row in result.failed} == {"5", "6", "7", "8"}
    assert "--texture" in result.failed[0]["failed"]
    assert all(r["unseen"] for r in result.results["rows"] if r["table"] in {"2", "3"})
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "wide enough for a crop of texture" in html
    assert "needs at least two edit images" in html
    rows = table((tmp_path / "out" / "tables.csv").read_text())
    assert any("wide enough" in row["note"] for row in rows)


def test_a_full_disk_is_said_and_the_trials_stay(full_disk, tmp_path) -> None:
    with pytest.raises(OutputError, match="disk is full"):
        sweep(full_disk / "out")
    for path in (full_disk / "out").rglob("[!.]*.json"):
        json.loads(path.read_text())


def test_the_time_left_is_told(tmp_path, monkeypatch) -> None:
    ticks = iter(range(0, 10**6, 10))
    # By its text: the package's name `experiment` is the function.
    name = "napari_fossiledit.pipeline.experiment"
    monkeypatch.setattr(sys.modules[name], "perf_counter", lambda: next(ticks))
    said = []
    task = experiment_task(
        tmp_path, segmenter=tiny(), edit_slices=EDITS[:1], unseen=UNSEEN[:1], settings=settings()
    )
    run(task, lambda step: said.append(step.message))
    assert any("min left" in message for message in said)
    assert any("Tab. 3" in message for message in said)
