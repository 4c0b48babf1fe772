from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fossiledit import io
from napari_fossiledit.errors import InputError


def _write(folder: Path, names: list[str], size: tuple[int, int] = (4, 6)) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (len(names), *size, 3), np.uint8)
    for name, image in zip(names, images, strict=True):
        io.write_image(folder / name, image)
    return images


def test_folder_is_read_lazily_in_natural_order(tmp_path: Path) -> None:
    images = _write(tmp_path / "s", ["s10.png", "s9.png", "s8.png"])
    stack = io.open_stack(tmp_path / "s")
    assert stack.names == ["s8", "s9", "s10"]
    assert stack.images.shape == (3, 4, 6, 3)
    assert hasattr(stack.images, "dask")
    assert np.array_equal(np.asarray(stack.images), images[::-1])
    assert np.array_equal(stack[1], images[1])
    assert stack.notes == ()
    # Only opening reads every header; a slice reads its own file alone.
    (tmp_path / "s" / "s10.png").unlink()
    assert np.array_equal(stack[0], images[2])


def test_gaps_in_the_numbering_are_noted(tmp_path: Path) -> None:
    _write(tmp_path / "s", ["a1.png", "a2.png", "a5.png", "a6.png"])
    assert "number 3 and 1 more missing" in io.open_stack(tmp_path / "s").notes[0]
    _write(tmp_path / "t", ["a5.png", "a10.png", "a15.png"])
    assert io.open_stack(tmp_path / "t").notes == ()
    _write(tmp_path / "u", ["reef.png", "quarry2.png", "hill_9.png"])
    assert io.open_stack(tmp_path / "u").notes == ()


def test_another_size_is_refused_with_the_slice_named(tmp_path: Path) -> None:
    _write(tmp_path / "s", ["a1.png", "a2.png"])
    _write(tmp_path / "s", ["a3.png"], (5, 6))
    with pytest.raises(InputError, match=r"Slice a3\.png has 5 x 6 .* a1\.png 4 x 6"):
        io.open_stack(tmp_path / "s")


def test_labels_among_the_images_are_left_out(tmp_path: Path) -> None:
    _write(tmp_path / "s", ["a1.jpg", "a2.jpg", "a1_mask.png", "a2_labels.tif"])
    stack = io.open_stack(tmp_path / "s")
    assert stack.names == ["a1", "a2"]
    assert "left out" in stack.notes[0]


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_tiff_of_many_pages(
    tmp_path: Path, compression: str | None, channels: tuple[int, ...]
) -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 8, 9, *channels), np.uint8)
    kind = "rgb" if channels else "minisblack"
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, array, photometric=kind, compression=compression)
    stack = io.open_stack(path)
    wanted = array if channels else np.repeat(array[..., None], 3, -1)
    assert np.array_equal(np.asarray(stack.images), wanted)
    assert stack.names[4] == "s_0004"


def test_planar_and_imagej_tiffs(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 9), np.uint8)
    path = tmp_path / "ij.tif"
    tifffile.imwrite(
        path,
        array,
        imagej=True,
        resolution=(1 / 0.145, 1 / 0.145),
        metadata={"axes": "ZCYX", "spacing": 0.5, "unit": "mm"},
    )
    stack = io.open_stack(path)
    assert np.array_equal(np.asarray(stack.images), np.moveaxis(array, 1, -1))
    assert stack.voxel_size == pytest.approx((0.5, 0.145, 0.145), rel=1e-4)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"compression": "zlib"}], ids=str)
def test_deep_tiffs_of_both_byte_orders(
    tmp_path: Path, byteorder: Literal["<", ">"], options: dict[str, Any]
) -> None:
    array = np.random.default_rng(0).integers(0, 65536, (5, 8, 9), np.uint16)
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, array, photometric="minisblack", byteorder=byteorder, **options)
    wanted = np.rint(array / 65535 * 255)
    assert np.array_equal(np.asarray(io.open_stack(path).images)[..., 1], wanted)


def test_ome_voxel_size(tmp_path: Path) -> None:
    path = tmp_path / "s.ome.tif"
    tifffile.imwrite(
        path,
        np.zeros((3, 8, 9), np.uint8),
        metadata={
            "axes": "ZYX",
            "PhysicalSizeX": 145,
            "PhysicalSizeY": 145,
            "PhysicalSizeZ": 0.5,
            "PhysicalSizeZUnit": "mm",
        },
        photometric="minisblack",
    )
    assert io.open_stack(path).voxel_size == pytest.approx((0.5, 0.145, 0.145))


def test_voxel_size_beside_the_images(tmp_path: Path) -> None:
    _write(tmp_path / "s", ["a1.png", "a2.png"])
    (tmp_path / "s" / "voxel_size.json").write_text(json.dumps({"voxel_size_mm": [0.5, 0.1, 0.1]}))
    assert io.open_stack(tmp_path / "s").voxel_size == (0.5, 0.1, 0.1)
    assert io.open_stack(tmp_path / "s", voxel_size=(1, 2, 3)).voxel_size == (1, 2, 3)


@pytest.mark.parametrize(
    "content", ["[0, 1]", "[0, 1, 1]", "[-1, 1, 1]", "[1, NaN, 1]", "{", '"a"']
)
def test_a_sidecar_without_a_size_is_refused(tmp_path: Path, content: str) -> None:
    _write(tmp_path / "s", ["a1.png", "a2.png"])
    (tmp_path / "s" / "voxel_size.json").write_text(f'{{"voxel_size_mm": {content}}}')
    with pytest.raises(InputError, match=r"voxel_size\.json holds no voxel size: correct it"):
        io.open_stack(tmp_path / "s")
    # What the user gives goes before it.
    assert io.open_stack(tmp_path / "s", voxel_size=(1, 1, 1)).voxel_size == (1, 1, 1)


@pytest.mark.parametrize("size", [(0, 1, 1), (1, -2, 1), (1, float("nan"), 1), (1, 1), (1, 1, "a")])
def test_voxel_sizes_given_are_checked(tmp_path: Path, size: tuple[float, ...]) -> None:
    _write(tmp_path / "s", ["a1.png"])
    with pytest.raises(InputError, match=r"voxel size .* cannot be: give three lengths above 0"):
        io.open_stack(tmp_path / "s", voxel_size=size)


def test_single_images(tmp_path: Path) -> None:
    images = _write(tmp_path, ["one.png", "one.tif"])
    for name, image in zip(("one.png", "one.tif"), images, strict=True):
        stack = io.open_stack(tmp_path / name)
        assert stack.names == ["one"]
        assert np.array_equal(stack[0], image)


def test_a_16_bit_stack_is_scaled_alike_in_all_slices(tmp_path: Path) -> None:
    array = np.zeros((3, 5, 6), np.uint16)
    array[0, 0, 0], array[2, 0, 0] = 1000, 4000
    tifffile.imwrite(tmp_path / "s.tif", array, photometric="minisblack")
    stack = io.open_stack(tmp_path / "s.tif")
    assert any("16-bit, scaled to 8-bit by 0 to 4095" in note for note in stack.notes)
    assert stack[0].max() == round(1000 / 4095 * 255)
    assert stack[2].max() == round(4000 / 4095 * 255)


def test_nan_names_its_slice(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    for i in range(5):
        image = np.zeros((4, 4), np.float32)
        image[0, 0] = np.nan if i == 1 else 0.5
        tifffile.imwrite(folder / f"a{i}.tif", image)
    stack = io.open_stack(folder)
    assert stack[0].max() == 128
    with pytest.raises(InputError, match="slice a1 has 1 values that are not numbers"):
        _ = stack[1]


def test_slices_by_name_and_number(tmp_path: Path) -> None:
    _write(tmp_path / "s", ["a8.png", "a9.png"])
    stack = io.open_stack(tmp_path / "s")
    assert [stack.index(n) for n in ("a9", "a9.png", "1", "0")] == [1, 1, 1, 0]
    with pytest.raises(InputError, match="There is no slice a7"):
        stack.index("a7")


def test_nothing_to_open(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no stack"):
        io.open_stack(tmp_path / "missing")
    with pytest.raises(InputError, match="holds no PNG"):
        io.open_stack(tmp_path)
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"a\.png"):
        io.open_stack(tmp_path)
    (tmp_path / "a.tif").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"a\.tif"):
        io.open_stack(tmp_path / "a.tif")


def test_a_truncated_slice_is_named_when_read(tmp_path: Path) -> None:
    images = _write(tmp_path / "s", ["a1.png", "a2.png"], (64, 64))
    path = tmp_path / "s" / "a2.png"
    path.write_bytes(path.read_bytes()[:5000])
    stack = io.open_stack(tmp_path / "s")
    assert np.array_equal(stack[0], images[0])
    with pytest.raises(InputError, match=r"a2\.png"):
        _ = stack[1]


def test_a_stack_of_many_pages_inside_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    tifffile.imwrite(folder / "s.tif", np.zeros((6, 8, 9), np.uint8), photometric="minisblack")
    assert len(io.open_stack(folder)) == 6
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(folder / "t.png")
    with pytest.raises(InputError, match=r"s\.tif has several pages"):
        io.open_stack(folder)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_tiffs_as_other_programs_compress_them(tmp_path: Path, compression: str) -> None:
    ramp = np.arange(0, 240, 5, dtype=np.uint8)
    images = np.stack([np.dstack([np.tile(ramp + z, (40, 1))] * 3) for z in range(3)])
    pages = [Image.fromarray(image) for image in images]
    pages[0].save(tmp_path / "one.tif", compression=compression)
    pages[0].save(
        tmp_path / "many.tif", compression=compression, save_all=True, append_images=pages[1:]
    )
    # JPEG alone loses a little.
    most = 8 if compression == "jpeg" else 0
    one = io.read_image(tmp_path / "one.tif").image
    many = np.asarray(io.open_stack(tmp_path / "many.tif").images)
    assert np.abs(one.astype(int) - images[0]).max() <= most
    assert np.abs(many.astype(int) - images).max() <= most


def test_a_missing_decoder_is_not_called_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [Image.fromarray(np.full((40, 50, 3), z, np.uint8)) for z in range(3)]
    pages[0].save(tmp_path / "one.tif", compression="tiff_lzw")
    pages[0].save(
        tmp_path / "many.tif", compression="tiff_lzw", save_all=True, append_images=pages[1:]
    )
    # As where imagecodecs is not installed: tifffile falls back on its own few decoders.
    own = importlib.import_module("tifffile._imagecodecs")
    monkeypatch.setattr(tifffile.tifffile, "imagecodecs", own)
    monkeypatch.setattr(tifffile.TIFF.DECOMPRESSORS, "_codecs", {})
    for read, name in ((io.read_image, "one.tif"), (io.open_stack, "many.tif")):
        with pytest.raises(InputError, match=r"compressed with LZW.*imagecodecs") as caught:
            read(tmp_path / name)
        assert "damaged" not in str(caught.value)
