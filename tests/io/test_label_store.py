"""The label volume on disk: round trips, resuming, refusals, bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_fossiledit.errors import InputError, OutputError
from napari_fossiledit.io import LabelStore, store_files

ABOUT = {"kind": "segmentation", "model": "a1b2"}
SHAPE = (4, 30, 40)
VOXEL = (0.5, 0.145, 0.145)


def labels_of(z: int, shape: tuple[int, int] = SHAPE[1:]) -> np.ndarray:
    out = np.zeros(shape, np.int32)
    if z != 2:  # an empty slice among them
        out[2 : 10 + z, 5:20] = z + 1
        out[-3:, -4:] = 70_000 + z
    return out


def rows_of(z: int) -> dict[str, Any]:
    ids = [int(i) for i in np.unique(labels_of(z)) if i]
    return {"id": ids, "class": ["cup"] * len(ids), "score": np.array([0.1 + 0.2] * len(ids))}


def new(path: Path, **changes: Any) -> LabelStore:
    return LabelStore.resume(
        path, **{"shape": SHAPE, "voxel_size": VOXEL, "about": ABOUT, "names": None, **changes}
    )


def whole(path: Path, order: tuple[int, ...] = (0, 1, 2, 3)) -> LabelStore:
    store = new(path)
    for z in order:
        store.write(z, labels_of(z), rows_of(z))
    store.finish()
    return store


def tree(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    whole(tmp_path / "r.ome.zarr")
    store = LabelStore.open(tmp_path / "r.ome.zarr", whole=True)
    assert store.shape == SHAPE
    assert store.voxel_size == VOXEL
    assert store.about == ABOUT
    assert store.names == ["0", "1", "2", "3"]
    assert len(store) == 4
    for z in range(4):
        assert store[z].dtype == np.int32
        np.testing.assert_array_equal(store[z], labels_of(z))
    np.testing.assert_array_equal(np.asarray(store.lazy()), np.stack([*store]))
    table = store.table()
    assert list(table.columns) == ["slice", "name", "id", "class", "score"]
    assert table["id"].tolist() == [1, 70_000, 2, 70_001, 4, 70_003]
    assert table["name"].tolist() == ["0", "0", "1", "1", "3", "3"]
    assert store.read_table("instances").equals(table)


def test_slices_come_one_by_one(tmp_path: Path) -> None:
    store = new(tmp_path / "r.zarr")
    store.write(1, labels_of(1))
    assert store.done().tolist() == [False, True, False, False]
    assert store.state == "1 of 4 slices are done"
    with pytest.raises(InputError, match=r"Slice 0 of r\.zarr is not done yet: 1 of 4"):
        store[0]
    with pytest.raises(IndexError):
        store[4]
    lazy = store.lazy()
    assert lazy.chunks[0] == (1, 1, 1, 1)
    assert not np.asarray(lazy[0]).any()
    store.write(0, labels_of(0))
    np.testing.assert_array_equal(np.asarray(lazy[0]), labels_of(0))
    with pytest.raises(InputError, match="only 2 of 4 slices"):
        store.finish()
    with pytest.raises(InputError, match="is unfinished, 2 of 4 slices are done: run what made it"):
        LabelStore.open(store.path, whole=True)


def test_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    whole(tmp_path / "one.zarr")
    whole(tmp_path / "äöü и more.zarr", (3, 1, 0, 2))
    assert tree(tmp_path / "one.zarr") == tree(tmp_path / "äöü и more.zarr")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"shape": (4, 30, 41)}, "its size differs"),
        ({"about": {**ABOUT, "model": "other"}}, "another model"),
        ({"names": ["a", "b", "c", "d"]}, "other names"),
        ({"voxel_size": None}, "voxel size"),
    ],
)
def test_results_of_others_are_refused(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    path = whole(tmp_path / "r.zarr").path
    before = tree(path)
    with pytest.raises(InputError, match=f"{why}.*choose another folder"):
        new(path, **changes)
    assert tree(path) == before


def test_nothing_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "r.zarr"
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("mine")
    store = whole(path)
    for taken in (path, tmp_path / "file", tmp_path / "folder"):
        with pytest.raises(InputError, match="is there already and is never written over"):
            LabelStore.create(taken, shape=SHAPE, about=ABOUT)
    for other in (tmp_path / "file", tmp_path / "folder"):
        with pytest.raises(InputError, match="is no label volume"):
            new(other)
    with pytest.raises(InputError, match="is finished"):
        store.write(0, labels_of(1))
    with pytest.raises(InputError, match="There is no label volume"):
        LabelStore.open(tmp_path / "none.zarr")


def test_a_folder_that_was_only_begun_is_taken_up(tmp_path: Path) -> None:
    whole(tmp_path / "one.zarr")
    begun = tmp_path / "two.zarr"
    (begun / ".part").mkdir(parents=True)
    (begun / ".part" / "rest").write_bytes(b"half")
    (begun / "0").mkdir()
    (begun / ".zgroup").write_text("{}")
    whole(begun)
    assert tree(begun) == tree(tmp_path / "one.zarr")


def test_failed_slices_are_told_and_tried_again(tmp_path: Path) -> None:
    store = new(tmp_path / "r.zarr")
    for z in (0, 2, 3):
        store.write(z, labels_of(z), rows_of(z))
    store.mark_failed(1, "Slice 1 cannot be read: export it again.")
    assert store.done().all()
    assert store.problem(1) == "Slice 1 cannot be read: export it again."
    assert store.problem(0) == ""
    assert not store[1].any()
    store.finish()
    assert LabelStore.open(store.path).problems() == {1: store.problem(1)}
    again = new(store.path)
    assert not again.complete
    assert again.done().tolist() == [True, False, True, True]
    again.write(1, labels_of(1), rows_of(1))
    again.finish()
    whole(tmp_path / "one.zarr")
    assert tree(again.path) == tree(tmp_path / "one.zarr")


def test_a_slice_written_again_leaves_nothing_behind(tmp_path: Path) -> None:
    store = new(tmp_path / "r.zarr")
    store.write(0, np.ones(SHAPE[1:], int))
    store.write(0, labels_of(2))
    assert not store[0].any()
    store.write(0, labels_of(0))
    np.testing.assert_array_equal(store[0], labels_of(0))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.full(SHAPE[1:], 2**31), "hold the number 2147483648, .* number the instances anew"),
        (np.full(SHAPE[1:], -1), "hold the number -1"),
        (np.zeros((3, 3), int), "have 3 x 3 pixels, the volume 30 x 40"),
        (np.zeros(SHAPE[1:]), "whole numbers, not float64"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, labels: Any, said: str) -> None:
    store = new(tmp_path / "r.zarr")
    with pytest.raises(InputError, match=said):
        store.write(0, labels)
    assert not store.is_done(0)


def test_the_largest_number_is_kept(tmp_path: Path) -> None:
    store = new(tmp_path / "r.zarr")
    store.write(0, np.full(SHAPE[1:], 2**31 - 1, np.uint64))
    assert store[0].max() == 2**31 - 1


@pytest.mark.parametrize("size", [(0, 1, 1), (-1, 1, 1), (float("nan"), 1, 1), (1, 1)])
def test_voxels_without_size_are_refused(tmp_path: Path, size: Any) -> None:
    with pytest.raises(InputError, match="not three lengths above 0"):
        new(tmp_path / "r.zarr", voxel_size=size)
    assert not (tmp_path / "r.zarr").exists()


def test_a_full_disk_keeps_what_is_done(full_disk: Path) -> None:
    size = (40, 300, 300)
    path = full_disk / "r.zarr"
    store = LabelStore.create(path, shape=size, about=ABOUT)
    noise = np.random.default_rng(0).integers(0, 2**31, size[1:])

    def fill() -> None:
        for z in range(size[0]):
            store.write(z, np.roll(noise, z) * (noise % 90 == z))

    with pytest.raises(OutputError, match="The disk is full"):
        fill()
    again = LabelStore.open(path)
    for z in np.flatnonzero(again.done()):
        np.testing.assert_array_equal(again[z], np.roll(noise, z) * (noise % 90 == z))


def test_a_damaged_slice_is_named(tmp_path: Path) -> None:
    store = whole(tmp_path / "r.zarr")
    (store.path / "0" / "3" / "0" / "0").write_bytes(b"rubbish")
    with pytest.raises(InputError, match=r"Slice 3 of .* cannot be read: its files are damaged"):
        store[3]
    store_files.mark_file(store.path, 1).write_bytes(b"{")
    with pytest.raises(InputError, match="is damaged: remove it"):
        store.table()


def test_zarr_opens_it_with_axes_and_scale(tmp_path: Path) -> None:
    import zarr

    path = whole(tmp_path / "r.zarr").path
    group = zarr.open_group(path, mode="r")
    array = group["0"]
    np.testing.assert_array_equal(array[:], np.stack([labels_of(z) for z in range(4)]))
    scales = group.attrs["multiscales"][0]
    assert scales["version"] == "0.4"
    assert [a["name"] for a in scales["axes"]] == ["z", "y", "x"]
    assert {a["unit"] for a in scales["axes"]} == {"millimeter"}
    assert scales["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": list(VOXEL)}
    ]
    assert "image-label" in group.attrs


def test_tiles_of_a_large_slice(tmp_path: Path) -> None:
    import zarr

    shape = (2, 1500, 2100)
    store = LabelStore.create(tmp_path / "r.zarr", shape=shape, about=ABOUT)
    labels = np.zeros(shape[1:], np.int32)
    labels[1000:1100, 1000:1100] = 5
    labels[-1, -1] = 6
    store.write(1, labels)
    np.testing.assert_array_equal(store[1], labels)
    np.testing.assert_array_equal(zarr.open_group(store.path, mode="r")["0"][1], labels)
    # Only tiles with something in them have a file.
    assert sorted(tree(store.path / "0" / "1")) == [
        os.path.join(*p) for p in (("0", "0"), ("0", "1"), ("1", "0"), ("1", "1"), ("1", "2"))
    ]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    labels=hnp.arrays(
        np.int32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.integers(0, 2**31 - 1),
    ),
)
def test_any_labels_come_back(tmp_path_factory: Any, labels: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("store") / "r.zarr"
    store = LabelStore.create(path, shape=(1, *labels.shape), about=ABOUT)
    store.write(0, labels)
    np.testing.assert_array_equal(LabelStore.open(path)[0], labels)


def test_tables_beside_the_labels(tmp_path: Path) -> None:
    import pandas as pd

    store = new(tmp_path / "r.zarr")
    frame = pd.DataFrame({"id": [1, 2], "volume_mm3": [0.1 + 0.2, 1e-9], "name": ["01", "02"]})
    store.write_table("specimens", frame)
    assert store.read_table("specimens").equals(frame)
    with pytest.raises(InputError, match="has no table events"):
        store.read_table("events")
    with pytest.raises(InputError, match="cannot be named"):
        store.write_table("../events", frame)


def test_columns_of_unequal_length_are_refused(tmp_path: Path) -> None:
    store = new(tmp_path / "r.zarr")
    with pytest.raises(InputError, match="differ in length"):
        store.write(0, labels_of(0), {"id": [1], "score": []})
    assert not store.is_done(0)


def test_what_others_left_is_no_volume(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / ".zattrs").write_text(json.dumps({"multiscales": []}))
    with pytest.raises(InputError, match="is no label volume of FossilEdit"):
        LabelStore.open(tmp_path / "a.zarr")
