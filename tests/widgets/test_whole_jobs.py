from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit.io import LabelStore
from napari_fossiledit.widgets.layers import StackSource
from napari_fossiledit.widgets.whole_jobs import (
    as_stack,
    default_result,
    live_labels,
    state_of,
    voxel_size,
)


def test_a_result_lies_beside_its_stack_or_in_the_temporary_folder(tmp_path, monkeypatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    stack = tmp_path / "Riff 1"
    stack.mkdir()
    assert default_result("reef", str(stack)) == (tmp_path / "Riff 1.segmented.ome.zarr", True)
    assert default_result("reef", str(tmp_path / "a.ome.tif"))[0].name == "a.segmented.ome.zarr"
    for source in (None, str(tmp_path / "gone" / "a.tif")):
        path, lasts = default_result("reef/1: left", source)
        assert path == tmp_path / "tmp" / "fossiledit" / "reef_1_ left.segmented.ome.zarr"
        assert not lasts


def test_what_lies_there_is_said(tmp_path) -> None:
    path = tmp_path / "a.zarr"
    assert state_of(path) == ""
    store = LabelStore.create(path, shape=(2, 3, 4), about={})
    store.write(1, np.ones((3, 4), int))
    assert state_of(path) == "An unfinished result is there: 1 of 2 slices are done."
    store.write(0, np.ones((3, 4), int))
    store.finish()
    assert state_of(path) == "A finished result is there."
    (tmp_path / "b").mkdir()
    assert "Something else is there" in state_of(tmp_path / "b")


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        (("mm",) * 3, (0.5, 0.145, 0.145)),
        (("micrometer",) * 3, (0.0005, 0.000145, 0.000145)),
        (("pixel",) * 3, None),
        (("mm", "pixel", "pixel"), None),
        ((), None),
    ],
)
def test_the_voxel_size_follows_the_layers_units(units, expected) -> None:
    found = voxel_size({"scale": np.array((0.5, 0.145, 0.145)), "units": units})
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_layers_slices_are_a_stack() -> None:
    data = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    source = StackSource("reef", data, (2, 3, 4), False, {})
    assert as_stack(source, ["a", "b"]).names == ["a", "b"]
    stack = as_stack(source, ["another stack's"])
    assert stack.names == ["slice 0", "slice 1"]
    assert stack.images.shape == (2, 3, 4, 3)
    np.testing.assert_array_equal(stack[1][..., 0], data[1])


def test_live_labels_follow_the_disk(tmp_path) -> None:
    store = LabelStore.create(tmp_path / "a.zarr", shape=(3, 4, 5), about={})
    live = live_labels(store)
    assert (live.shape, live.dtype) == ((3, 4, 5), np.int32)
    assert not live[1].any()
    store.write(1, np.full((4, 5), 7))
    assert (live[1] == 7).all()
    assert (np.asarray(live)[:, 0, 0] == [0, 7, 0]).all()
