"""The viewer on what the demo wrote."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit import io
from napari_fossiledit.errors import InputError
from napari_fossiledit.widgets.demo_viewer import show_demo

pytestmark = pytest.mark.viewer
VOXEL = (0.5, 0.145, 0.145)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    io.write_stack(
        tmp_path / "slices.tif", rng.integers(0, 255, (4, 20, 30, 3), np.uint8), voxel_size=VOXEL
    )
    for number, name in enumerate(("truth", "before", "after"), start=1):
        labels = np.zeros((4, 20, 30), np.int32)
        labels[:, 2:9, 3:12] = number
        io.write_labels(tmp_path / f"labels_{name}.tif", labels, voxel_size=VOXEL)
    return tmp_path


def test_specimens_are_shown_in_3d_at_their_size(make_napari_viewer, folder):
    viewer = show_demo(folder, make_napari_viewer())
    assert viewer.dims.ndisplay == 3
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown == ["specimens after"]
    for layer in viewer.layers:
        np.testing.assert_allclose(layer.scale, VOXEL)
        assert layer.axis_labels == ("z", "y", "x")
    assert viewer.layers["specimens as labelled"].data[0, 5, 5] == 1
    assert viewer.layers["specimens after"].data[0, 5, 5] == 3


def test_a_folder_without_a_demo_is_said(make_napari_viewer, folder):
    (folder / "labels_after.tif").unlink()
    with pytest.raises(InputError, match=r"labels_after\.tif is missing"):
        show_demo(folder, make_napari_viewer())
