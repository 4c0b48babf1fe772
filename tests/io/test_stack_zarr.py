"""OME-Zarr images and plain zarr arrays as stacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_fossiledit import io
from napari_fossiledit.errors import InputError

RGB = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3), np.uint8)
UNITS = {"z": 0.5, "y": 145.0, "x": 145.0}


def ome(path: Path, data: np.ndarray, axes: str, version: str, **more: Any) -> Path:
    """Write an OME-Zarr image with two levels, as its specification says."""
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    factors = [2 if a in "yx" else 1 for a in axes]
    levels = [data, data[tuple(slice(None, None, f) for f in factors)]]
    chunks = [1 if a in "ztc" else 16 for a in axes]
    datasets = []
    for i, level in enumerate(levels):
        group.create_array(f"s{i}", data=level, chunks=more.get("chunks", tuple(chunks)))
        scale = [UNITS.get(a, 1.0) * (f**i) for a, f in zip(axes, factors, strict=True)]
        step = {"type": "scale", "scale": scale}
        datasets.append({"path": f"s{i}", "coordinateTransformations": [step]})
    kinds = {"t": "time", "c": "channel"}
    described = []
    for a in axes:
        described.append({"name": a, "type": kinds.get(a, "space")})
        if a in "zyx":
            described[-1]["unit"] = "millimeter" if a == "z" else "micrometer"
    scales: dict[str, Any] = {"name": "reef", "axes": described, "datasets": datasets}
    if version == "0.4":
        scales["version"] = "0.4"
        group.attrs["multiscales"] = [scales]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [scales]}
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["czyx", "zyxc", "tczyx", "zcyx"])
def test_ome_zarr(tmp_path: Path, version: str, axes: str) -> None:
    order = ["zyxc".index(a) for a in axes if a != "t"]
    data = np.transpose(RGB, order)
    path = ome(tmp_path / "ree f.ome.zarr", data[None] if "t" in axes else data, axes, version)
    stack = io.open_stack(path)
    assert stack.images.shape == RGB.shape
    np.testing.assert_array_equal(np.asarray(stack.images), RGB)
    np.testing.assert_array_equal(stack[3], RGB[3])
    assert stack.names[2] == "ree f_0002"
    assert stack.voxel_size == pytest.approx((0.5, 0.145, 0.145))
    assert stack.notes == ()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_grey_16_bit_ome_zarr(tmp_path: Path, version: str) -> None:
    grey = RGB[..., 0].astype(np.uint16) * 10
    stack = io.open_stack(ome(tmp_path / "s.zarr", grey, "zyx", version))
    assert stack.images.shape == RGB.shape
    assert any("16-bit, scaled to 8-bit by 0 to 4095" in note for note in stack.notes)
    assert any("grey" in note for note in stack.notes)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("chunks", [(1, 20, 30, 3), (2, 16, 16, 3), (5, 20, 30, 1)])
def test_plain_arrays(tmp_path: Path, zarr_format: Any, chunks: tuple[int, ...]) -> None:
    path = tmp_path / "s.zarr"
    zarr.create_array(path, data=RGB, chunks=chunks, zarr_format=zarr_format)
    stack = io.open_stack(path, voxel_size=(1, 2, 2))
    np.testing.assert_array_equal(np.asarray(stack.images), RGB)
    np.testing.assert_array_equal(stack[4], RGB[4])
    assert stack.voxel_size == (1, 2, 2)
    assert io.open_stack(path).voxel_size is None
    (path / "voxel_size.json").write_text(json.dumps({"voxel_size_mm": [3, 2, 1]}))
    assert io.open_stack(path).voxel_size == (3, 2, 1)


@pytest.mark.parametrize(
    ("shape", "slices"), [((20, 30), 1), ((4, 20, 30), 4), ((20, 30, 3), 1), ((3, 7, 20, 30), 7)]
)
def test_axes_of_plain_arrays_are_told_by_their_lengths(
    tmp_path: Path, shape: tuple[int, ...], slices: int
) -> None:
    zarr.create_array(tmp_path / "s.zarr", data=np.zeros(shape, np.uint8))
    stack = io.open_stack(tmp_path / "s.zarr")
    assert stack.images.shape == (slices, 20, 30, 3)


def test_axes_of_plain_arrays_are_told_by_their_names(tmp_path: Path) -> None:
    data = np.moveaxis(RGB, -1, 1)[:3]  # (z=3, c=3, y, x): lengths alone cannot tell
    names = ("z", "c", "y", "x")
    zarr.create_array(tmp_path / "s.zarr", data=data, dimension_names=names, zarr_format=3)
    np.testing.assert_array_equal(io.open_stack(tmp_path / "s.zarr")[2], RGB[2])


def test_the_only_image_of_a_group_is_taken(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "s.zarr", mode="w", zarr_format=2)
    ome(tmp_path / "s.zarr" / "0", RGB, "zyxc", "0.4")
    np.testing.assert_array_equal(io.open_stack(tmp_path / "s.zarr")[1], RGB[1])
    ome(tmp_path / "s.zarr" / "1", RGB, "zyxc", "0.4")
    with pytest.raises(InputError, match=r"several images \(0, 1\): open one of them"):
        io.open_stack(tmp_path / "s.zarr")


def test_a_damaged_chunk_names_its_slice(tmp_path: Path) -> None:
    path = ome(tmp_path / "s.zarr", RGB, "zyxc", "0.4")
    for file in (path / "s0").iterdir():
        if file.name.startswith("2."):
            file.write_bytes(b"rubbish")
    stack = io.open_stack(path)
    np.testing.assert_array_equal(stack[1], RGB[1])
    with pytest.raises(InputError, match=r"Slice 2 of s\.zarr cannot be read"):
        stack[2]


@pytest.mark.parametrize(
    ("axes", "shape", "said"),
    [
        ("tzyx", (2, 3, 4, 5), "2 time points"),
        ("czyx", (2, 3, 4, 5), "2 channels"),
        ("zyq", (3, 4, 5), "has the axes zyq"),
    ],
)
def test_what_is_no_stack_is_refused(
    tmp_path: Path, axes: str, shape: tuple[int, ...], said: str
) -> None:
    path = ome(tmp_path / "s.zarr", np.zeros(shape, np.uint8), axes, "0.4")
    with pytest.raises(InputError, match=said):
        io.open_stack(path)


def test_damaged_descriptions_are_refused(tmp_path: Path) -> None:
    path = ome(tmp_path / "s.zarr", RGB, "zyxc", "0.4")
    content = json.loads((path / ".zattrs").read_text())
    del content["multiscales"][0]["datasets"][0]["path"]
    (path / ".zattrs").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"multiscales\) is damaged"):
        io.open_stack(path)
    (tmp_path / "t.zarr").mkdir()
    (tmp_path / "t.zarr" / "zarr.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as zarr"):
        io.open_stack(tmp_path / "t.zarr")


def test_labels_are_no_stack(tmp_path: Path) -> None:
    store = io.LabelStore.create(tmp_path / "l.zarr", shape=(2, 4, 5), about={})
    with pytest.raises(InputError, match="holds labels, not photographs"):
        io.open_stack(store.path)
