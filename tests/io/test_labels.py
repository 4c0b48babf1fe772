from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fossiledit import io
from napari_fossiledit.errors import InputError

LABELS = np.zeros((3, 6, 8), np.int32)
LABELS[0, 1:3, 1:3] = 1
LABELS[1, 2:4, 2:4] = 300
LABELS[1, 5, 5] = 70000
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3), np.uint8)


def test_tiff_round_trip_with_voxel_size(tmp_path: Path) -> None:
    io.write_labels(tmp_path / "l.tif", LABELS, voxel_size=(0.5, 0.145, 0.145))
    back = io.read_labels(tmp_path / "l.tif")
    assert back.dtype == np.int32
    assert np.array_equal(back, LABELS)
    assert io.open_stack(tmp_path / "l.tif").voxel_size == (0.5, 0.145, 0.145)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool, np.float32])
def test_one_slice_of_any_kind(tmp_path: Path, dtype: type) -> None:
    labels = (LABELS[0] * 1).astype(dtype)
    tifffile.imwrite(tmp_path / "l.tif", labels.astype(np.uint8) if dtype is bool else labels)
    assert np.array_equal(io.read_labels(tmp_path / "l.tif"), LABELS[0])
    assert np.array_equal(io.as_labels(labels), LABELS[0])


def test_uint16_and_palette_png(tmp_path: Path) -> None:
    io.write_labels(tmp_path / "l.png", np.minimum(LABELS[1], 65535))
    back = io.read_labels(tmp_path / "l.png")
    assert back.max() == 65535
    assert back[2, 2] == 300
    palette = Image.fromarray(LABELS[0].astype(np.uint8), mode=None).convert("P")
    palette.putdata(LABELS[0].ravel().tolist())
    palette.save(tmp_path / "p.png")
    assert np.array_equal(io.read_labels(tmp_path / "p.png"), LABELS[0])


def test_grey_saved_as_rgb_is_read_and_colours_are_refused(tmp_path: Path) -> None:
    rgb = np.dstack([LABELS[0].astype(np.uint8)] * 3)
    io.write_image(tmp_path / "g.png", rgb)
    assert np.array_equal(io.read_labels(tmp_path / "g.png"), LABELS[0])
    rgb[0, 0] = (1, 2, 3)
    io.write_image(tmp_path / "c.png", rgb)
    with pytest.raises(InputError, match="colour picture"):
        io.read_labels(tmp_path / "c.png")


def test_folder_of_labels(tmp_path: Path) -> None:
    for i in (0, 1, 2):
        io.write_labels(tmp_path / f"s{9 + i}_labels.tif", LABELS[i])
    assert np.array_equal(io.read_labels(tmp_path), LABELS)
    io.write_labels(tmp_path / "s12_labels.tif", LABELS[0, :4])
    with pytest.raises(InputError, match=r"s12_labels\.tif have 4 x 8"):
        io.read_labels(tmp_path)


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.array([[-1, 0]]), "-1"),
        (np.array([[0.5, 0]]), "fractions"),
        (np.array([[np.nan, 0]]), "NaN"),
        (np.array([[2**40, 0]]), "1099511627776"),
        (np.zeros((0, 3), int), "no pixels"),
        (np.zeros((2, 2), complex), "complex"),
        (np.zeros(4, int), "1 axes"),
    ],
)
def test_bad_values_are_refused(array: np.ndarray, what: str) -> None:
    with pytest.raises(InputError, match=what):
        io.as_labels(array)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "l.png").write_bytes(b"broken")
    (tmp_path / "l.tif").write_bytes(b"broken")
    io.write_image(tmp_path / "l.jpg", IMAGES[0])
    (tmp_path / "l.npy").touch()
    for name in ("l.png", "l.tif", "l.jpg", "l.npy", "missing.tif"):
        with pytest.raises(InputError, match=name):
            io.read_labels(tmp_path / name)


def _images(folder: Path) -> Path:
    folder.mkdir()
    for i, image in enumerate(IMAGES):
        io.write_image(folder / f"s{i}.png", image)
    return folder


def test_volume_beside_a_folder(tmp_path: Path) -> None:
    images = _images(tmp_path / "images")
    io.write_labels(tmp_path / "l.tif", LABELS)
    slices = io.open_labelled(images, tmp_path / "l.tif", tmp_path / "l.tif")
    assert [s.name for s in slices] == ["s0", "s1", "s2"]
    assert {s.group for s in slices} == {"images"}
    for piece, image, labels in zip(slices, IMAGES, LABELS, strict=True):
        assert np.array_equal(piece.image, image)
        assert np.array_equal(piece.labels, labels)
        assert np.array_equal(piece.confusers, labels)
    # A slice with no fossils is read; of a volume it may be left out as not annotated.
    assert not slices[2].fossils.any()
    found = io.read_labelled(images, tmp_path / "l.tif", leave_out_empty=True)
    assert found.indices == [0, 1]
    assert "1 slices of l.tif carry no label" in found.notes[-1]
    assert found.index("s1") == found.index("1") == found.index("s1.png") == 1
    with pytest.raises(InputError, match="no labelled slice s2: choose one of s0, s1"):
        found.index("s2")


def test_pairs_by_stem_with_suffixes(tmp_path: Path) -> None:
    images = _images(tmp_path / "images")
    labels = tmp_path / "labels"
    labels.mkdir()
    io.write_labels(labels / "s0.tif", LABELS[0])
    io.write_labels(labels / "s2_mask.png", LABELS[2])
    io.write_labels(labels / "s0_confusers.tif", LABELS[1])
    found = io.read_labelled(images, labels, leave_out_empty=True)
    assert [s.name for s in found.slices] == ["s0", "s2"]
    assert found.indices == [0, 2]
    assert np.array_equal(found.slices[0].labels, LABELS[0])
    assert np.array_equal(found.slices[0].confusers, LABELS[1])
    assert found.slices[1].confusers is None
    # An empty label file is kept: somebody looked and found nothing.
    assert not found.slices[1].fossils.any()
    assert "1 images without a label file" in found.notes[-1]


def test_images_and_labels_in_one_folder(tmp_path: Path) -> None:
    images = _images(tmp_path / "both")
    for i in range(2):
        io.write_labels(images / f"s{i}_labels.tif", LABELS[i])
    slices = io.open_labelled(images, images)
    assert [s.name for s in slices] == ["s0", "s1"]
    assert np.array_equal(slices[1].labels, LABELS[1])


def test_other_names_are_paired_in_order_only_when_as_many(tmp_path: Path) -> None:
    images = _images(tmp_path / "images")
    labels = tmp_path / "labels"
    labels.mkdir()
    for i in range(3):
        io.write_labels(labels / f"annotation{i}.tif", LABELS[i])
    found = io.read_labelled(images, labels)
    assert np.array_equal(found.slices[1].labels, LABELS[1])
    assert "natural order" in found.notes[0]
    (labels / "annotation2.tif").unlink()
    with pytest.raises(InputError, match=r"name them alike, e\.g\. s0\.tif"):
        io.read_labelled(images, labels)
    with pytest.raises(InputError, match="No label file"):
        io.read_labelled(images, images)


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    images = _images(tmp_path / "images")
    io.write_labels(tmp_path / "two.tif", LABELS[:2])
    with pytest.raises(InputError, match=r"labels two\.tif have 2 x 6 x 8 .* images 3 x 6 x 8"):
        io.open_labelled(images, tmp_path / "two.tif")
    io.write_labels(tmp_path / "l.tif", LABELS)
    with pytest.raises(InputError, match="confusers have 2 x 6 x 8"):
        io.open_labelled(images, tmp_path / "l.tif", tmp_path / "two.tif")
    labels = tmp_path / "labels"
    labels.mkdir()
    io.write_labels(labels / "s0.tif", LABELS[0, :4])
    with pytest.raises(InputError, match="labels of s0 have 4 x 8"):
        io.open_labelled(images, labels)
    io.write_labels(labels / "s0.tif", LABELS)
    with pytest.raises(InputError, match="3 pages"):
        io.open_labelled(images, labels)
    io.write_labels(tmp_path / "none.tif", LABELS * 0)
    with pytest.raises(InputError, match="are empty"):
        io.open_labelled(images, tmp_path / "none.tif", leave_out_empty=True)
