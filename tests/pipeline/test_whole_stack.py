from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from whole_stack_parts import VOXELS, Discs, contents, damaged, disc_stack

from napari_fossiledit.errors import InputError, OutOfMemoryError, OutputError
from napari_fossiledit.io import LabelStore, Stack, open_stack
from napari_fossiledit.pipeline.whole_stack import (
    Begun,
    SliceDone,
    segment_stack,
    segment_stack_task,
)


def until(task, slices: int) -> None:
    """Drive a task until so many slices are on disk, then close it."""
    while True:
        step = next(task)
        if isinstance(step.data, SliceDone) and step.done >= slices:
            break
    task.close()


def test_labels_and_rows_are_those_of_each_slice(tmp_path) -> None:
    stack = disc_stack(5)
    steps = []
    task = segment_stack_task(Discs(), stack, tmp_path / "out.ome.zarr", score_threshold=0.6)
    while True:
        try:
            steps.append(next(task))
        except StopIteration as stop:
            store = stop.value
            break
    assert store.complete
    assert store.shape == (5, 64, 64)
    assert store.voxel_size == VOXELS
    table = store.table()
    assert list(table.columns) == [
        "slice", "name", "id", "class", "score", "x0", "y0", "x1", "y1", "area",
    ]  # fmt: skip
    for z in range(5):
        found = Discs().predict(stack[z], score_threshold=0.6)
        np.testing.assert_array_equal(store[z], found.to_labels())
        rows = table[table["slice"] == z]
        assert list(rows["id"]) == list(range(1, len(found) + 1))
        np.testing.assert_allclose(rows["score"], found.scores, atol=1e-4)
        np.testing.assert_array_equal(rows[["x0", "y0", "x1", "y1"]], found.boxes)
        np.testing.assert_array_equal(rows["area"], found.areas())
        assert set(rows["name"]) <= {stack.names[z]}
    arrived = [s.data.z for s in steps if isinstance(s.data, SliceDone)]
    assert arrived == list(range(5))
    assert (steps[-1].done, steps[-1].total) == (5, 5)


def test_it_goes_on_where_it_was_and_gives_the_same_bytes(tmp_path) -> None:
    stack = disc_stack(12)
    whole = segment_stack(Discs(), stack, tmp_path / "whole.zarr")
    for slices in (3, 8):
        until(segment_stack_task(Discs(), stack, tmp_path / "parts.zarr"), slices)
        assert not LabelStore.open(tmp_path / "parts.zarr").complete
    done = int(LabelStore.open(tmp_path / "parts.zarr").done().sum())
    assert 8 <= done < 12
    log = tmp_path / "log"
    task = segment_stack_task(Discs(log=str(log)), stack, tmp_path / "parts.zarr")
    begun = next(s.data for s in task if isinstance(s.data, Begun))
    assert begun.sentence == f"{done} of 12 slices are done; going on"
    for _ in task:
        pass
    assert len(log.read_text().splitlines()) == 12 - done
    assert whole.complete
    assert contents(tmp_path / "parts.zarr") == contents(tmp_path / "whole.zarr")
    again = contents(tmp_path / "whole.zarr")
    segment_stack(Discs(), stack, tmp_path / "whole.zarr")
    assert contents(tmp_path / "whole.zarr") == again


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"segmenter": Discs(weight=2)}, "another model or other edits.*discs"),
        ({"stack": disc_stack(6, seed=1)}, "its pixels differ"),
        ({"stack": disc_stack(6, size=70)}, "size differs"),
        ({"stack": disc_stack(7)}, "size differs"),
        ({"score_threshold": 0.25}, "confidence: 0.5, not 0.25"),
        ({"tile": 512}, "tiles: none, not 512"),
    ],
)
def test_another_runs_result_is_refused_and_left_alone(tmp_path, change, match) -> None:
    given = {"segmenter": Discs(), "stack": disc_stack(6), "score_threshold": 0.5}
    until(segment_stack_task(**given, out=tmp_path / "out.zarr"), 3)
    before = contents(tmp_path / "out.zarr")
    with pytest.raises(InputError, match=match):
        segment_stack(**(given | change), out=tmp_path / "out.zarr")
    assert contents(tmp_path / "out.zarr") == before


def test_other_things_in_its_place_are_refused(tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"x")
    with pytest.raises(InputError):
        segment_stack(Discs(), disc_stack(2), tmp_path / "photos")
    LabelStore.create(tmp_path / "s.zarr", shape=(2, 64, 64), about={"kind": "specimens"})
    with pytest.raises(InputError, match="holds no segmentation"):
        segment_stack(Discs(), disc_stack(2), tmp_path / "s.zarr")


def write_tiffs(folder: Path, stack: Stack) -> None:
    folder.mkdir(exist_ok=True)
    for name, image in zip(stack.names, stack, strict=True):
        tifffile.imwrite(folder / f"{name}.tif", image, photometric="rgb")


def test_a_truncated_tiff_is_named_the_rest_goes_on_and_it_is_tried_again(tmp_path) -> None:
    stack, folder = disc_stack(7), tmp_path / "Schnitte für Öl"
    write_tiffs(folder, stack)
    middle = folder / "reef_0003.tif"  # one of those that tell the stack from others
    data = middle.read_bytes()
    middle.write_bytes(data[: len(data) // 2])
    out = tmp_path / "Ergebnis 1.ome.zarr"
    store = segment_stack(Discs(), open_stack(folder), out)
    assert store.complete
    assert list(store.problems()) == [3]
    assert "reef_0003" in store.problem(3)
    assert not store[3].any()
    assert 3 not in set(store.table()["slice"])
    middle.write_bytes(data)
    log = tmp_path / "log"
    store = segment_stack(Discs(log=str(log)), open_stack(folder), out)
    assert len(log.read_text().splitlines()) == 1
    assert not store.problems()
    assert store[3].any()


def test_any_error_of_a_file_counts_as_damage_and_all_damaged_is_an_error(tmp_path) -> None:
    store = segment_stack(Discs(), damaged(disc_stack(4), {1}), tmp_path / "a.zarr")
    assert "reef_0001 cannot be read (ValueError)" in store.problem(1)
    with pytest.raises(InputError, match="No slice of the stack can be read; the first: Slice"):
        segment_stack(Discs(), damaged(disc_stack(4), range(4)), tmp_path / "b.zarr")


@pytest.mark.parametrize("score", [-0.1, 1.5, float("nan")])
def test_settings_out_of_range_are_refused(tmp_path, score) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        segment_stack(Discs(), disc_stack(2), tmp_path / "a.zarr", score_threshold=score)
    with pytest.raises(InputError, match="too small"):
        segment_stack(Discs(), disc_stack(2), tmp_path / "a.zarr", tile=12)
    assert not (tmp_path / "a.zarr").exists()


def test_a_full_disk_keeps_what_is_done_and_says_so(tmp_path, monkeypatch) -> None:
    stack = disc_stack(9)
    from napari_fossiledit.io import label_store

    with monkeypatch.context() as patch:
        real = label_store.files.put

        def put(folder, path, data):
            if path.name.lstrip("0") == "5.json":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(folder, path, data)

        patch.setattr(label_store.files, "put", put)
        with pytest.raises(OutputError, match=r"disk is full.*5 of 9 slices are done and stay"):
            segment_stack(Discs(), stack, tmp_path / "a.zarr")
    segment_stack(Discs(), stack, tmp_path / "a.zarr")
    segment_stack(Discs(), stack, tmp_path / "b.zarr")
    assert contents(tmp_path / "a.zarr") == contents(tmp_path / "b.zarr")


def test_a_really_full_disk_keeps_what_is_done(full_disk) -> None:
    stack = disc_stack(60)
    with pytest.raises(OutputError, match="slices are done and stay") as told:
        segment_stack(Discs(), stack, full_disk / "a.zarr")
    assert str(told.value).count(".") <= 3
    store = LabelStore.open(full_disk / "a.zarr")
    for z in np.flatnonzero(store.done()):
        np.testing.assert_array_equal(store[z], Discs().predict(stack[z]).above(0.5).to_labels())


def test_too_little_memory_says_what_to_do(tmp_path, monkeypatch) -> None:
    def small(self, image, **_):
        raise OutOfMemoryError("The device cpu has too little memory for a slice: close others.")

    monkeypatch.setattr(Discs, "predict", small)
    with pytest.raises(OutOfMemoryError, match="smaller tiles; 0 of 3 slices are done"):
        segment_stack(Discs(), disc_stack(3), tmp_path / "a.zarr")


def test_closing_ends_at_once_and_leaves_no_thread(tmp_path) -> None:
    class Slow:
        def __init__(self, images) -> None:
            self.images, self.shape, self.read = images, images.shape, 0

        def __getitem__(self, z):
            self.read += 1
            if self.read > 5:  # the first ones tell the stack from others
                time.sleep(0.2)
            return self.images[z]

    stack = disc_stack(20)
    slow = Stack(Slow(np.asarray(stack.images)), stack.names)  # type: ignore[arg-type]
    before = threading.active_count()
    task = segment_stack_task(Discs(), slow, tmp_path / "a.zarr")
    while not isinstance(next(task).data, SliceDone):
        pass
    started = time.monotonic()
    task.close()
    assert time.monotonic() - started < 1
    assert threading.active_count() == before
    assert slow.images.read <= 5 + 1 + 4  # a bounded number is read ahead
    store = LabelStore.open(tmp_path / "a.zarr")
    assert 1 <= store.done().sum() < 20


def test_an_automatic_tile_is_kept_on_resume(tmp_path, monkeypatch) -> None:
    from napari_fossiledit.pipeline import whole_stack

    stack = disc_stack(4, size=300)
    monkeypatch.setattr(whole_stack, "choose_tile", lambda *_: 256)
    until(segment_stack_task(Discs(), stack, tmp_path / "a.zarr"), 2)
    monkeypatch.setattr(whole_stack, "choose_tile", lambda *_: None)
    store = segment_stack(Discs(), stack, tmp_path / "a.zarr")
    assert store.about["settings"]["tile"] == 256
    assert store.complete


def test_an_edit_makes_it_another_model(tmp_path, tmp_path_factory) -> None:
    from napari_fossiledit.models.backbone_lite import LiteConfig
    from napari_fossiledit.models.lite import new_lite

    config = LiteConfig(width=0.25, channels=16, box_width=24, mask_convolutions=1, proposals=40)
    segmenter = new_lite(config, seed=0)
    stack = disc_stack(2)
    segment_stack(segmenter, stack, tmp_path / "a.zarr")
    name = segmenter.editable_layers()[0].name
    weight = segmenter.weight(name)
    segmenter.set_weight(name, weight * 1.01)
    with pytest.raises(InputError, match="other edits"):
        segment_stack(segmenter, stack, tmp_path / "a.zarr")
    segmenter.set_weight(name, weight)
    assert segment_stack(segmenter, stack, tmp_path / "a.zarr").complete
