"""``fossiledit link``: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_fossiledit import io, volume
from napari_fossiledit.cli import execute

Capsys = pytest.CaptureFixture[str]
VOXEL = (0.5, 0.145, 0.145)


def _slices() -> np.ndarray:
    """Two fossils under other labels in every slice; one is missed once, one speck comes."""
    labels = np.zeros((5, 20, 30), np.int32)
    for z in range(5):
        labels[z, 2:10, 2:12] = 1 + z % 2
        if z != 2:
            labels[z, 12:18, 15:28] = 2 - z % 2
    labels[4, 0, 29] = 9
    return labels


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return _store(tmp_path / "läbels mit leer.ome.zarr")


def _store(path: Path, done: int = 5) -> Path:
    store = io.LabelStore.create(path, shape=(5, 20, 30), voxel_size=VOXEL, about={"kind": "x"})
    for z, labels in enumerate(_slices()[:done]):
        ids = [int(i) for i in np.unique(labels) if i]
        store.write(z, labels, {"id": ids, "score": [0.9] * len(ids)})
    if done == 5:
        store.finish()
    return path


def _refused(words: list[Any], capsys: Capsys, *parts: str) -> None:
    capsys.readouterr()
    assert execute([str(word) for word in words]) == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if not x.startswith("Note: ")]
    assert len(lines) == 1
    for part in parts:
        assert part in lines[0]


def test_a_store_is_linked_to_a_store(store: Path, tmp_path: Path, capsys: Capsys) -> None:
    out, figures = tmp_path / "s.ome.zarr", tmp_path / "s.json"
    assert execute(["link", str(store), "--out", str(out), "--json", str(figures)]) == 0
    assert "3 specimens in 5 slices (1 of them in one slice only; 0" in capsys.readouterr().out
    made = io.LabelStore.open(out, whole=True)
    assert np.array_equal(np.stack(list(made)), volume.link(_slices()))
    assert made.voxel_size == VOXEL
    assert len(made.read_table("specimens")) == 3
    told = json.loads(figures.read_text())
    assert (told["specimens"], told["left_out"], told["settings"]["gap"]) == (3, 0, 2)
    assert told["table"]["slices"] == [5, 4, 1]
    # Once more: it is done already, and stays.
    assert execute(["link", str(store), "--out", str(out)]) == 0


def test_a_tiff_and_a_folder_are_linked_to_a_tiff(tmp_path: Path, capsys: Capsys) -> None:
    io.write_labels(tmp_path / "labels.tif", _slices(), voxel_size=VOXEL)
    (tmp_path / "labels").mkdir()
    for z, labels in enumerate(_slices()):
        io.write_labels(tmp_path / "labels" / f"s{z}.png", labels)
    for name in ("labels.tif", "labels"):
        out = tmp_path / f"{name} linked.tif"
        words = ["link", str(tmp_path / name), "--out", str(out), "--min-voxels", "2"]
        assert execute(words) == 0
        assert "2 specimens in 5 slices (0 of them in one slice only, 1 left out" in (
            capsys.readouterr().out
        )
        assert np.array_equal(io.read_labels(out), volume.link(_slices(), minimum_voxels=2))
    assert io.open_labels(tmp_path / "labels.tif linked.tif").voxel_size == VOXEL


def test_options_reach_linking(store: Path, tmp_path: Path) -> None:
    for number, (words, count) in enumerate(
        (
            (["--gap", "1"], 4),
            (["--min-slices", "2"], 2),
            (["--min-overlap", "1", "--min-iou", "1"], 3),
            (["--join-branches"], 3),
        )
    ):
        figures = tmp_path / f"{number}.json"
        out = tmp_path / f"{number}.zarr"
        words = ["link", str(store), "--out", str(out), "--json", str(figures), *words]
        assert execute(words) == 0
        assert json.loads(figures.read_text())["specimens"] == count


def test_a_voxel_size_can_be_given(store: Path, tmp_path: Path, capsys: Capsys) -> None:
    for name in ("s.zarr", "s.tif"):
        words = ["link", str(store), "--out", str(tmp_path / name)]
        assert execute([*words, "--voxel-size", "0.4,0.2,0.1"]) == 0
        assert io.open_labels(tmp_path / name).voxel_size == pytest.approx((0.4, 0.2, 0.1))
    out = tmp_path / "t.zarr"
    for wrong in ("0,1,1", "1,2", "a,b,c", "-1,1,1"):
        _refused(["link", store, "--out", out, f"--voxel-size={wrong}"], capsys, "voxel")


def test_an_unfinished_segmentation(tmp_path: Path, capsys: Capsys) -> None:
    path = _store(tmp_path / "half.ome.zarr", done=3)
    out = tmp_path / "s.zarr"
    _refused(["link", path, "--out", out], capsys, "unfinished", "3 of 5 slices are done")
    assert not out.exists()
    assert execute(["link", str(path), "--out", str(out), "--unfinished"]) == 0
    assert "3 of 5 slices are done" in capsys.readouterr().err
    assert not io.LabelStore.open(out, whole=True)[4].any()


def test_bad_input_is_refused(store: Path, tmp_path: Path, capsys: Capsys) -> None:
    out = tmp_path / "s.zarr"
    _refused(["link", tmp_path / "none", "--out", out], capsys, "There are no labels")
    (tmp_path / "empty").mkdir()
    _refused(["link", tmp_path / "empty", "--out", out], capsys, "empty")
    _refused(["link", store, "--out", out, "--gap", "0"], capsys, "gap is 0")
    _refused(["link", store, "--out", out, "--min-iou", "2"], capsys, "least IoU is 2")
    _refused(["link", store, "--out", out, "--min-slices", "0"], capsys, "1 or more")
    _refused(["link", store, "--out", tmp_path / "s.csv"], capsys, ".ome.zarr or .tif")
    _refused(["link", store, "--out", tmp_path / "no" / "s.tif"], capsys, "no folder")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    tifffile.imwrite(mixed / "a.tif", np.ones((5, 5), np.int32))
    tifffile.imwrite(mixed / "b.tif", np.ones((5, 6), np.int32))
    _refused(["link", mixed, "--out", out], capsys, "b.tif", "5 x 6", "one size")
    tifffile.imwrite(tmp_path / "large.tif", np.full((2, 5, 5), 2**31, np.uint32))
    _refused(["link", tmp_path / "large.tif", "--out", out], capsys, "2147483648")
    tifffile.imwrite(tmp_path / "minus.tif", np.full((2, 5, 5), -1, np.int32))
    _refused(["link", tmp_path / "minus.tif", "--out", out], capsys, "-1")
    assert not out.exists()


def test_nothing_is_written_over(store: Path, tmp_path: Path, capsys: Capsys) -> None:
    tiff = tmp_path / "there.tif"
    tiff.write_bytes(b"mine")
    _refused(["link", store, "--out", tiff], capsys, "never written over")
    assert tiff.read_bytes() == b"mine"
    _refused(["link", store, "--out", store], capsys, "never written over")
    folder = tmp_path / "photographs.zarr"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"mine")
    _refused(["link", store, "--out", folder], capsys, "never written over")
    out = tmp_path / "s.zarr"
    assert execute(["link", str(store), "--out", str(out)]) == 0
    _refused(["link", store, "--out", out, "--gap", "1"], capsys, "settings")
    _refused(["link", store, "--out", out, "--min-slices", "2"], capsys, "settings")
