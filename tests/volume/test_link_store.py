"""Linking from one label volume on disk into another."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_fossiledit import volume
from napari_fossiledit.errors import InputError, OutputError
from napari_fossiledit.io import LabelStore
from napari_fossiledit.progress import Progress, run

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("link_stores", HERE / "link_stores.py")
assert _spec is not None
assert _spec.loader is not None
parts = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(parts)


def test_specimens_are_those_of_link_with_scale_names_and_tables(tmp_path: Path) -> None:
    store = parts.segmentation(tmp_path / "l.ome.zarr")
    steps: list[Progress] = []
    run(volume.link_store_task(store, tmp_path / "s.ome.zarr", gap=3), steps.append)
    made = LabelStore.open(tmp_path / "s.ome.zarr", whole=True)
    assert (steps[-1].done, steps[-1].total) == (16, 16)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    wanted = volume.link(list(store), gap=3)
    assert np.array_equal(np.stack(list(made)), wanted)
    assert wanted.max() == 24
    assert made.voxel_size == (0.5, 0.1, 0.1)
    assert made.names == store.names
    assert made.problem(parts.FAILED).startswith("Slice 5 cannot be read")
    assert made.about["labels"] == store.about
    assert made.about["rules"]["gap"] == 3
    specimens = made.read_table("specimens")
    assert specimens["voxels"].tolist() == np.bincount(wanted.ravel())[1:].tolist()
    assert made.read_table("events").columns.tolist()[:2] == ["kind", "slice"]
    instances = made.read_table("instances")
    assert instances["score"].tolist() == store.table()["score"].tolist()
    for row in instances[instances["slice"] == 2].itertuples():
        assert (made[2][store[2] == row.id] == row.specimen).all()


def test_what_is_linked_already_stays_and_other_results_are_refused(tmp_path: Path) -> None:
    store = parts.segmentation(tmp_path / "l.zarr")
    out = tmp_path / "s.zarr"
    run(volume.link_store_task(store, out))
    before = parts.tree(out)
    run(volume.link_store_task(store, out))
    assert parts.tree(out) == before
    with pytest.raises(InputError, match="settings"):
        run(volume.link_store_task(store, out, gap=1))
    with pytest.raises(InputError, match="belongs to another"):
        run(volume.link_store_task(store, store.path))
    assert parts.tree(out) == before


def test_the_unfinished_are_refused_unless_allowed(tmp_path: Path) -> None:
    store = parts.segmentation(tmp_path / "l.zarr", done=4)
    with pytest.raises(InputError, match="4 of 8 slices are done"):
        run(volume.link_store_task(store, tmp_path / "s.zarr"))
    made = run(volume.link_store_task(store, tmp_path / "s.zarr", unfinished=True))
    assert made.complete
    assert [bool(made[z].any()) for z in range(8)] == [True] * 4 + [False] * 4
    # Once more of it is done, it is another volume.
    store.write(4, parts.labels_of(4))
    with pytest.raises(InputError, match="belongs to another"):
        run(volume.link_store_task(store, tmp_path / "s.zarr", unfinished=True))


def test_labels_without_a_table_get_one(tmp_path: Path) -> None:
    slices = [parts.labels_of(z) for z in range(3)]
    source = volume.LinkSource(slices.__getitem__, (3, *parts.SHAPE[1:]), ["a", "b", "c"])
    made, links = run(volume.link_to_store_task(source, LabelStore.resume, tmp_path / "s.zarr"))
    table = made.read_table("instances")
    assert table.columns.tolist() == ["slice", "name", "id", "specimen"]
    assert len(table) == sum(len(np.unique(s)) - 1 for s in slices)
    assert links.count == table["specimen"].max()


def test_a_full_disk_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = parts.segmentation(tmp_path / "l.zarr", failed=False)
    run(volume.link_store_task(store, tmp_path / "whole.zarr"))
    write = LabelStore.write

    def full(self: LabelStore, z: int, *rest: object) -> None:
        if z == 4:
            raise OutputError("The disk is full: make room.")
        write(self, z, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(LabelStore, "write", full)
    with pytest.raises(OutputError, match=r"disk is full: make room; \d of 8 slices are done"):
        run(volume.link_store_task(store, tmp_path / "s.zarr"))
    assert LabelStore.open(tmp_path / "s.zarr").done()[:4].all()
    monkeypatch.undo()
    run(volume.link_store_task(store, tmp_path / "s.zarr"))
    assert parts.tree(tmp_path / "s.zarr") == parts.tree(tmp_path / "whole.zarr")


def test_labels_that_change_meanwhile_are_noticed(tmp_path: Path) -> None:
    slices = [parts.labels_of(z) for z in range(3)]
    source = volume.LinkSource(slices.__getitem__, (3, *parts.SHAPE[1:]), ["a", "b", "c"])
    task = volume.link_to_store_task(source, LabelStore.resume, tmp_path / "s.zarr")
    for _ in range(3):
        next(task)
    slices[2] = parts.labels_of(7)
    with pytest.raises(InputError, match="Slice 2 of the labels has changed"):
        run(task)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_kills_at_random_moments(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "link_stores.py"), str(tmp_path), "20", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    met, finished = map(int, done.stdout.split())
    assert (met, finished) == (20, 4)
