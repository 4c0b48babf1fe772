from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fossiledit import io
from napari_fossiledit.errors import InputError

RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10


def test_rgb_stays_bit_identical_and_without_notes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    converted = io.to_rgb8(image)
    assert np.array_equal(converted.image, image)
    assert converted.notes == ()


def test_grey_is_repeated_and_said() -> None:
    converted = io.to_rgb8(RAMP)
    assert converted.image.shape == (4, 6, 3)
    assert all(np.array_equal(converted.image[..., c], RAMP) for c in range(3))
    assert "grey" in converted.notes[0]


def test_alpha_is_left_out_and_said() -> None:
    rgba = np.dstack([RAMP, RAMP + 1, RAMP + 2, np.zeros_like(RAMP)])
    converted = io.to_rgb8(rgba)
    assert np.array_equal(converted.image, rgba[..., :3])
    assert any("alpha" in note for note in converted.notes)
    grey_alpha = io.to_rgb8(np.dstack([RAMP, RAMP]))
    assert np.array_equal(grey_alpha.image[..., 0], RAMP)


@pytest.mark.parametrize(("top", "expected"), [(255, 255), (1023, 255), (4095, 255), (65535, 255)])
def test_16_bit_is_scaled_by_its_bit_depth(top: int, expected: int) -> None:
    image = np.array([[0, top // 2, top]], np.uint16)
    converted = io.to_rgb8(image)
    assert converted.image[0, :, 0].tolist() == [0, pytest.approx(127, abs=1), expected]
    assert any("16-bit" in note and str(top)[:3] in note for note in converted.notes)


def test_floats_and_bools_are_scaled() -> None:
    assert io.to_rgb8(np.array([[0.0, 0.5, 1.0]])).image[0, :, 0].tolist() == [0, 128, 255]
    assert io.to_rgb8(np.array([[0.0, 20.0, 255.0]])).image[0, :, 0].tolist() == [0, 20, 255]
    assert io.to_rgb8(np.array([[-1.0, 0.0, 1.0]])).image[0, :, 0].tolist() == [0, 128, 255]
    assert io.to_rgb8(np.array([[-1.0, 300.0]])).image[0, :, 0].tolist() == [0, 255]
    assert io.to_rgb8(np.full((2, 2), -7.0)).image.max() == 0
    assert io.to_rgb8(np.array([[True, False]])).image[0, :, 0].tolist() == [255, 0]
    assert "floating point" in io.to_rgb8(np.zeros((2, 2))).notes[1]


def test_channels_first_are_moved() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 7), np.uint8)
    assert np.array_equal(io.to_rgb8(image).image, np.moveaxis(image, 0, -1))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_refused_with_its_count_and_name(bad: float) -> None:
    image = np.zeros((4, 4), np.float32)
    image[1, :3] = bad
    with pytest.raises(InputError, match=r"image a\.tif has 3 values .*NaN.* fill them"):
        io.to_rgb8(image, name="a.tif")


@pytest.mark.parametrize(
    "array",
    [np.zeros((0, 4)), np.zeros((2, 2), complex), np.zeros((2, 2, 2, 2)), np.zeros((9, 9, 9))],
)
def test_what_is_no_image_is_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError):
        io.to_rgb8(array)


def test_reads_png_jpeg_and_tiff(tmp_path: Path) -> None:
    image = np.dstack([RAMP] * 3)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(image).save(tmp_path / "a.jpg", quality=100)
    tifffile.imwrite(tmp_path / "a.tif", image[None], photometric="rgb")
    assert np.array_equal(io.read_image(tmp_path / "a.png").image, image)
    assert np.array_equal(io.read_image(tmp_path / "a.tif").image, image)
    assert np.abs(io.read_image(tmp_path / "a.jpg").image.astype(int) - image).max() <= 3


def test_reads_palette_and_16_bit_png(tmp_path: Path) -> None:
    palette = Image.fromarray(np.dstack([RAMP] * 3)).convert("P")
    palette.save(tmp_path / "p.png")
    assert any("P colours" in note for note in io.read_image(tmp_path / "p.png").notes)
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / "g.png")
    converted = io.read_image(tmp_path / "g.png")
    assert np.array_equal(converted.image[..., 0], RAMP)
    assert any("16-bit" in note for note in converted.notes)


def test_says_that_a_16_bit_colour_png_lost_its_lower_byte(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = b"\0" + struct.pack(">6H", 0x1234, 0, 0xFFFF, 0x8000, 0x00FF, 0x0100)
    (tmp_path / "c.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    converted = io.read_image(tmp_path / "c.png")
    assert converted.image[0].tolist() == [[0x12, 0, 0xFF], [0x80, 0, 1]]
    assert any("lower byte" in note for note in converted.notes)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image at all")
    (tmp_path / "bad.tif").write_bytes(b"II*\0 no image at all")
    (tmp_path / "notes.txt").write_text("x")
    good = tmp_path / "good.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(good)
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:3000])
    for name in ("bad.png", "bad.tif", "notes.txt", "cut.png", "missing.png"):
        with pytest.raises(InputError, match=name):
            io.read_image(tmp_path / name)
    with pytest.raises(InputError, match="is a folder"):
        io.read_image(tmp_path)


def test_a_tiff_of_many_pages_is_no_image(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "many.tif", np.zeros((5, 8, 9), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match="5 pages"):
        io.read_image(tmp_path / "many.tif")
