"""Labels of every kind, opened lazily: all give the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_fossiledit import io
from napari_fossiledit.errors import InputError

LABELS = np.zeros((4, 20, 30), np.int32)
LABELS[1:, 3:9, 5:11] = 7
LABELS[2, 12:, :4] = 300_000
VOXEL = (0.5, 0.145, 0.145)


def as_store(path: Path) -> Path:
    store = io.LabelStore.create(
        path / "l.ome.zarr", shape=LABELS.shape, voxel_size=VOXEL, about={}
    )
    for z, labels in enumerate(LABELS):
        store.write(z, labels)
    store.finish()
    return store.path


def as_tiff(path: Path) -> Path:
    io.write_labels(path / "l.tif", LABELS, voxel_size=VOXEL)
    return path / "l.tif"


def as_streamed_tiff(path: Path) -> Path:
    io.write_label_slices(path / "l.tif", iter(LABELS), LABELS.shape, voxel_size=VOXEL)
    return path / "l.tif"


def as_folder(path: Path) -> Path:
    (path / "l").mkdir()
    for z, labels in enumerate(LABELS):
        io.write_labels(path / "l" / f"s{z}.tif", labels)
    io.write_voxel_file(path / "l", VOXEL)
    return path / "l"


def as_zarr(path: Path) -> Path:
    zarr.create_array(path / "l.zarr", data=LABELS.astype(np.uint64), chunks=(3, 16, 16))
    io.write_voxel_file(path / "l.zarr", VOXEL)
    return path / "l.zarr"


def as_ome_inside(path: Path) -> Path:
    zarr.create_group(path / "image.zarr", zarr_format=2)
    inner = zarr.create_group(path / "image.zarr" / "labels", zarr_format=2)
    inner.attrs["labels"] = ["l.ome.zarr"]
    as_store(path / "image.zarr" / "labels")
    return path / "image.zarr"


@pytest.mark.parametrize(
    "write", [as_store, as_tiff, as_streamed_tiff, as_folder, as_zarr, as_ome_inside]
)
def test_all_kinds_give_the_same(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path)
    volume = io.open_labels(path)
    assert volume.shape == LABELS.shape
    assert volume.voxel_size == pytest.approx(VOXEL)
    assert volume.notes == ()
    np.testing.assert_array_equal(np.stack(list(volume)), LABELS)
    np.testing.assert_array_equal(np.asarray(volume.slices), LABELS)
    lazy = volume.lazy()
    assert lazy.dtype == np.int32
    assert lazy.chunks[0] == (1,) * 4
    np.testing.assert_array_equal(np.asarray(lazy), LABELS)
    np.testing.assert_array_equal(io.read_labels(path), LABELS)
    assert io.open_labels(path, voxel_size=(1, 1, 1)).voxel_size == (1, 1, 1)


def test_an_unfinished_result_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    store = io.LabelStore.create(tmp_path / "l.zarr", shape=LABELS.shape, about={})
    store.write(2, LABELS[2])
    store.mark_failed(3, "Slice 3 cannot be read: export it again.")
    for opening in (io.open_labels, io.read_labels):
        with pytest.raises(InputError, match="is unfinished, 2 of 4 slices are done"):
            opening(store.path)
    volume = io.open_labels(store.path, whole=False)
    assert "l.zarr is unfinished: 2 of 4 slices are done" in volume.notes[0]
    assert "1 slices of l.zarr could not be made (Slice 3 cannot be read" in volume.notes[1]
    np.testing.assert_array_equal(volume.slices[2], LABELS[2])
    assert not volume.slices[1].any()
    with pytest.raises(InputError, match="Slice 1 of"):
        volume[1]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (np.full((2, 5, 6), 2**31, np.int64), "slice 1 hold the value 2"),
        (np.full((2, 5, 6), 0.5), "NaN or fractions"),
        (np.zeros((2, 5, 6, 3), np.uint8), "has 3 channels, so it holds no labels"),
    ],
)
def test_what_are_no_labels_is_refused(tmp_path: Path, data: Any, said: str) -> None:
    zarr.create_array(tmp_path / "l.zarr", data=data)

    def read() -> None:
        io.open_labels(tmp_path / "l.zarr")[1]

    with pytest.raises(InputError, match=said):
        read()


def test_files_of_another_size_are_named(tmp_path: Path) -> None:
    folder = as_folder(tmp_path)
    io.write_labels(folder / "s2.tif", np.zeros((3, 3), int))
    volume = io.open_labels(folder)
    np.testing.assert_array_equal(volume[1], LABELS[1])
    with pytest.raises(InputError, match=r"labels s2\.tif have 3 x 3 pixels, but s0\.tif 20 x 30"):
        volume[2]


def test_nothing_to_open(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There are no labels"):
        io.open_labels(tmp_path / "none")
    with pytest.raises(InputError, match="holds no TIFF or PNG"):
        io.open_labels(tmp_path)


def test_labels_in_a_zarr_are_paired_with_a_folder_of_images(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (*LABELS.shape, 3), np.uint8)
    (tmp_path / "s").mkdir()
    for z, image in enumerate(images):
        io.write_image(tmp_path / "s" / f"a{z}.png", image)
    slices = io.open_labelled(tmp_path / "s", as_store(tmp_path), leave_out_empty=True)
    assert [piece.name for piece in slices] == ["a1", "a2", "a3"]
    np.testing.assert_array_equal(slices[1].labels, LABELS[2])
