"""Stacks and label volumes opened and saved by napari itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image, Labels
from napari.utils.notifications import notification_manager
from PIL import Image as Picture

from napari_fossiledit import io
from napari_fossiledit._reader import get_reader
from napari_fossiledit._writer import voxel_size_in_mm
from napari_fossiledit.errors import InputError, OutputError

pytestmark = pytest.mark.viewer

RGB = np.random.default_rng(0).integers(0, 256, (6, 40, 50, 3), np.uint8)
LABELS = (RGB[..., 0] > 200).astype(np.int32) * 5
VOXEL = (0.5, 0.145, 0.145)
PLUGIN = "napari-fossiledit"


def folder(path):
    path.mkdir()
    for z, image in enumerate(RGB):
        io.write_image(path / f"s{z}.png", image)
    io.write_voxel_file(path, VOXEL)
    return path


def tiff(path):
    io.write_stack(path.with_suffix(".tif"), RGB, voxel_size=VOXEL)
    return path.with_suffix(".tif")


def ome_zarr(path):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=np.moveaxis(RGB, -1, 0), chunks=(3, 1, 40, 50))
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": a, "type": "space", "unit": "millimeter"} for a in "zyx"]
    scale = [{"type": "scale", "scale": [1, *VOXEL]}]
    group.attrs["multiscales"] = [
        {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    ]
    return path


def result(path, *, whole=True):
    store = io.LabelStore.create(path, shape=LABELS.shape, voxel_size=VOXEL, about={})
    for z, labels in enumerate(LABELS if whole else LABELS[:2]):
        store.write(z, labels)
    if whole:
        store.finish()
    return path


def placed(layer) -> None:
    np.testing.assert_allclose(layer.scale, VOXEL)
    assert [f"{unit:~}" for unit in layer.units] == ["mm"] * 3
    assert layer.axis_labels == ("z", "y", "x")


@pytest.mark.parametrize("make", [folder, tiff, ome_zarr])
def test_a_stack_is_one_lazy_rgb_layer_with_its_size(make_napari_viewer, tmp_path, make) -> None:
    viewer = make_napari_viewer()
    (layer,) = viewer.open(make(tmp_path / "reef 1.zarr"), plugin=PLUGIN)
    assert isinstance(layer, Image)
    assert layer.rgb
    assert layer.ndim == 3
    assert layer.name == "reef 1"
    assert not isinstance(layer.data, np.ndarray)
    placed(layer)
    for z in (0, 3, 4):
        viewer.dims.set_point(0, z * VOXEL[0])
        np.testing.assert_array_equal(layer._data_view, RGB[z])
    assert layer.metadata["fossiledit_path"].endswith(("reef 1.zarr", "reef 1.tif"))


def test_a_real_window_shows_the_slices_and_the_pages_take_them(shown_hands, tmp_path) -> None:
    hands = shown_hands
    hands.viewer.open(folder(tmp_path / "reef"), plugin=PLUGIN)
    hands.viewer.open(result(tmp_path / "found.ome.zarr"), plugin=PLUGIN)
    hands.settle()
    assert hands.names() == ["reef", "found"]
    assert hands.session.stack == "reef"
    np.testing.assert_array_equal(hands.bench.stack().read(2), RGB[2])
    placed(hands.viewer.layers["found"])
    assert isinstance(hands.viewer.layers["found"], Labels)
    hands.session.choose(labels="found")
    np.testing.assert_array_equal(hands.bench.labels("found").read(3), LABELS[3])
    assert "6 slices of 40 × 50 pixels" in hands.page("Stack and labels").facts.text()
    assert hands.viewer.screenshot(flash=False).any()


def test_an_unfinished_result_is_said(make_napari_viewer, tmp_path) -> None:
    viewer = make_napari_viewer()
    path = result(tmp_path / "found.ome.zarr", whole=False)
    (layer,) = viewer.open(path, plugin=PLUGIN)
    said = notification_manager.records[-1]
    assert "found.ome.zarr is unfinished: 2 of 6 slices are done" in said.message
    assert said.severity == "warning"
    np.testing.assert_array_equal(np.asarray(layer.data[1]), LABELS[1])
    assert not np.asarray(layer.data[3]).any()


def test_what_cannot_be_opened_is_said_in_a_sentence(make_napari_viewer, tmp_path) -> None:
    viewer = make_napari_viewer()
    (folder(tmp_path / "s") / "voxel_size.json").write_text(json.dumps([0, 1, 1]))
    with pytest.raises(InputError, match="no voxel"):
        viewer.open(tmp_path / "s", plugin=PLUGIN)
    assert "holds no voxel size" in notification_manager.records[-1].message


def test_ordinary_images_are_left_to_napari(make_napari_viewer, tmp_path) -> None:
    for name in ("a.png", "a.jpg"):
        Picture.fromarray(RGB[0]).save(tmp_path / name)
        assert get_reader(str(tmp_path / name)) is None
    (tmp_path / "empty").mkdir()
    assert get_reader(str(tmp_path / "empty")) is None
    assert get_reader([str(tmp_path / "a.png"), str(tmp_path / "a.jpg")]) is None
    viewer = make_napari_viewer()
    (layer,) = viewer.open(tmp_path / "a.png")
    assert layer.source.reader_plugin == "napari"


@pytest.mark.parametrize(
    ("name", "micrometres"), [("l.ome.zarr", False), ("l.zarr", True), ("l.tif", True)]
)
def test_labels_are_saved_with_their_size_and_read_back(
    make_napari_viewer, tmp_path, name, micrometres
) -> None:
    viewer = make_napari_viewer()
    factor, unit = (1000, "um") if micrometres else (1, "mm")
    layer = viewer.add_labels(LABELS, scale=np.array(VOXEL) * factor, units=(unit,) * 3)
    path = tmp_path / f"ünd {name}"
    assert viewer.layers.save(str(path), plugin=PLUGIN) == [str(path)]
    assert io.open_labels(path).voxel_size == pytest.approx(VOXEL)
    (again,) = viewer.open(path, plugin=PLUGIN)
    np.testing.assert_array_equal(np.asarray(again.data), layer.data)
    placed(again)


def test_labels_are_saved_for_slicer(make_napari_viewer, tmp_path) -> None:
    import nrrd

    viewer = make_napari_viewer()
    layer = viewer.add_labels(LABELS)
    path = str(tmp_path / "l.nrrd")
    with pytest.raises(OutputError, match="needs the voxel size in mm"):
        viewer.layers.save(path, plugin=PLUGIN)
    layer.scale, layer.units = VOXEL, ("mm",) * 3
    assert viewer.layers.save(path, plugin=PLUGIN) == [path]
    data, header = nrrd.read(path)
    np.testing.assert_array_equal(data.T, LABELS)
    np.testing.assert_allclose(np.diag(header["space directions"]), VOXEL[::-1])


def test_labels_that_cannot_be_saved_are_refused_in_a_sentence(
    make_napari_viewer, tmp_path
) -> None:
    viewer = make_napari_viewer()
    viewer.add_labels(np.full((2, 5, 6), 2**31, np.int64))
    for name in ("l.tif", "l.zarr"):
        with pytest.raises(OutputError, match="hold the number 2147483648"):
            viewer.layers.save(str(tmp_path / name), plugin=PLUGIN)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "l.zarr").mkdir()
    (tmp_path / "l.zarr" / "mine").touch()
    with pytest.raises(OutputError, match="is there already"):
        viewer.layers.save(str(tmp_path / "l.zarr"), plugin=PLUGIN)


def test_a_flat_layer_and_one_without_units(tmp_path) -> None:
    assert voxel_size_in_mm({"scale": (2, 3), "units": ("mm", "mm")}) == (2, 2, 3)
    assert voxel_size_in_mm({"scale": (1, 2, 3), "units": ("pixel",) * 3}) is None
    assert voxel_size_in_mm({}) is None


def test_tiffs_of_labels_are_told_from_photographs(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", LABELS)
    tifffile.imwrite(tmp_path / "b_labels.tif", LABELS.astype(np.uint8))
    tifffile.imwrite(tmp_path / "c.tif", LABELS.astype(np.uint16))
    assert [io.holds_labels(tmp_path / f) for f in ("a.tif", "b_labels.tif", "c.tif")] == [
        True,
        True,
        False,
    ]


def test_the_page_opens_a_folder_and_sets_the_voxel_size(hands, tmp_path) -> None:
    path = folder(tmp_path / "reef")
    (path / "voxel_size.json").unlink()
    (path / "s2.png").unlink()
    page = hands.page("Stack and labels")
    page.open.open_path(path)
    hands.wait()
    assert hands.outcomes[-1].state == "done", hands.outcomes[-1].message
    assert hands.session.stack == "reef"
    assert "numbering of the slices has gaps" in page.open.said.text()
    assert "voxel size is unknown" in page.problem.text()
    hands.viewer.add_labels(LABELS[:5], name="fossils")
    hands.press(page.voxel.set)
    assert "voxel size 0 x 0 x 0 cannot be" in notification_manager.records[-1].message
    for box, value in zip(page.voxel.lengths, VOXEL, strict=True):
        box.setValue(value)
    hands.press(page.voxel.set)
    hands.settle()
    for name in ("reef", "fossils"):
        placed(hands.viewer.layers[name])
    assert "0.5 × 0.145 × 0.145 mm" in page.facts.text()
    assert page.problem.text() == ""


def test_the_page_says_what_it_cannot_open(hands, tmp_path) -> None:
    hands.page("Stack and labels").open.open_path(tmp_path)
    hands.wait()
    assert "holds no PNG, JPEG or TIFF image" in hands.outcomes[-1].message
    assert hands.names() == []
