"""Headers of image files agree with what the libraries read; damage is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fossiledit import io
from napari_fossiledit.errors import InputError
from napari_fossiledit.io.headers import Header, read_header, read_headers, tiff_pages

GREY = np.arange(7 * 11, dtype=np.uint8).reshape(7, 11)
RGB = np.dstack([GREY] * 3)


@pytest.mark.parametrize(
    ("name", "image", "kind"),
    [
        ("a.png", GREY, "8-bit grey"),
        ("a.png", RGB, "8-bit colour"),
        ("a.png", GREY.astype(np.uint16), "16-bit grey"),
        ("a.png", np.dstack([GREY] * 4), "8-bit colour"),
        ("a.jpg", GREY, "8-bit grey"),
        ("a.jpeg", RGB, "8-bit colour"),
        ("a.bmp", RGB, ""),
    ],
)
def test_headers_of_pictures(tmp_path: Path, name: str, image: np.ndarray, kind: str) -> None:
    Image.fromarray(image).save(tmp_path / name)
    assert read_header(tmp_path / name) == Header(7, 11, kind)


def test_a_jpeg_with_much_before_its_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[270] = "x" * 5000
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=exif, progressive=True)
    assert read_header(tmp_path / "a.jpg") == Header(7, 11, "8-bit colour")


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    ("image", "options", "kind"),
    [
        (GREY, {}, "8-bit grey"),
        (RGB, {"photometric": "rgb"}, "8-bit colour"),
        (RGB.astype(np.uint16), {"photometric": "rgb", "compression": "zlib"}, "16-bit colour"),
        (GREY.astype(np.float32), {"metadata": None}, "32-bit floating point grey"),
    ],
)
def test_headers_of_tiffs(
    tmp_path: Path,
    bigtiff: bool,
    byteorder: Any,
    image: np.ndarray,
    options: dict[str, Any],
    kind: str,
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image, bigtiff=bigtiff, byteorder=byteorder, **options)
    assert read_header(tmp_path / "a.tif") == Header(7, 11, kind, 1)
    assert len(tiff_pages(tmp_path / "a.tif")[0]) == 1


@pytest.mark.parametrize(
    "options",
    [{}, {"imagej": True}, {"metadata": None}, {"ome": True}, {"compression": "zlib"}],
    ids=str,
)
def test_tiffs_of_many_pages_are_told(tmp_path: Path, options: dict[str, Any]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY] * 5), photometric="minisblack", **options)
    assert read_header(tmp_path / "a.tif").pages != 1


def test_tiffs_of_other_programs(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.tif")
    assert read_header(tmp_path / "a.tif") == Header(7, 11, "8-bit colour", 1)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize("length", [0, 3, 20, 40])
def test_every_damage_is_an_input_error(tmp_path: Path, name: str, length: int) -> None:
    io.write_image(tmp_path / "whole.tif", RGB)
    Image.fromarray(RGB).save(tmp_path / "whole.png")
    Image.fromarray(RGB).save(tmp_path / "whole.jpg")
    data = (tmp_path / f"whole{Path(name).suffix}").read_bytes()
    (tmp_path / name).write_bytes(data[:length])
    found = read_headers([tmp_path / name])[0]
    assert isinstance(found, Header) or name in str(found)


def _folder(path: Path, suffix: str, compression: str | None = None) -> list[np.ndarray]:
    path.mkdir()
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40, 50, 3), np.uint8) for _ in range(6)]
    for i, image in enumerate(images):
        if suffix == "tif":
            tifffile.imwrite(path / f"s{i}.tif", image, compression=compression)
        else:
            Image.fromarray(image).save(path / f"s{i}.{suffix}")
    return images


@pytest.mark.parametrize(
    ("suffix", "compression"), [("tif", None), ("tif", "zlib"), ("png", None), ("jpg", None)]
)
@pytest.mark.parametrize("left", [0.0, 0.02, 0.6])
def test_a_damaged_slice_is_named_and_the_rest_goes_on(
    tmp_path: Path, suffix: str, compression: str | None, left: float
) -> None:
    images = _folder(tmp_path / "s", suffix, compression)
    bad = tmp_path / "s" / f"s3.{suffix}"
    bad.write_bytes(bad.read_bytes()[: int(left * bad.stat().st_size)])
    stack = io.open_stack(tmp_path / "s")
    assert len(stack) == 6
    with pytest.raises(InputError, match=rf"s3\.{suffix}"):
        stack[3]
    for z in (0, 2, 4, 5):
        difference = np.abs(stack[z].astype(int) - images[z])
        assert suffix == "jpg" or not difference.any()
    if left == 0:
        assert any(f"s3.{suffix} cannot be read" in note for note in stack.notes)


def test_a_damaged_first_slice_does_not_keep_the_stack_closed(tmp_path: Path) -> None:
    images = _folder(tmp_path / "s", "tif", "zlib")
    (tmp_path / "s" / "s0.tif").write_bytes(b"II*\0")
    stack = io.open_stack(tmp_path / "s")
    assert np.array_equal(stack[1], images[1])
    with pytest.raises(InputError, match=r"s0\.tif"):
        stack[0]


def test_slices_of_several_kinds_are_said(tmp_path: Path) -> None:
    _folder(tmp_path / "s", "tif")
    deep = np.full((40, 50), 1000, np.uint16)
    tifffile.imwrite(tmp_path / "s" / "s2.tif", deep)
    stack = io.open_stack(tmp_path / "s")
    said = " ".join(stack.notes)
    assert "most are 8-bit colour, but s2.tif 16-bit grey" in said
    assert "16-bit, scaled to 8-bit by 0 to 1023" in said
    assert stack[2].max() == round(1000 / 1023 * 255)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("metadata", [{}, None])
def test_a_tiff_that_was_cut_off(tmp_path: Path, compression: str | None, metadata: Any) -> None:
    path = tmp_path / "s.tif"
    images = np.random.default_rng(0).integers(0, 256, (10, 40, 50, 3), np.uint8)
    with tifffile.TiffWriter(path) as writer:
        if metadata is None:
            for image in images:
                options = {"metadata": None, "contiguous": False, "compression": compression}
                writer.write(image, photometric="rgb", **options)
        else:
            writer.write(images, photometric="rgb", compression=compression)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    stack = io.open_stack(path)
    assert any("s.tif was cut off" in note for note in stack.notes)
    assert np.array_equal(stack[1], images[1])
    if metadata is not None:
        assert len(stack) == 10
        with pytest.raises(InputError, match=r"Slice 8 of s\.tif cannot be read"):
            stack[8]
