from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from napari_fossiledit import io
from napari_fossiledit.errors import InputError, OutputError

NOISE = np.random.default_rng(0).integers(0, 2**31, (2, 256, 256), np.int32)
IMAGE = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)


def _only(folder: Path, *names: str) -> bool:
    return sorted(f.name for f in folder.iterdir()) == sorted(names)


def _interrupted(writing: AbstractContextManager[Path], below: str = "") -> None:
    with writing as temporary:
        (temporary / below if below else temporary).write_text("half")
        raise KeyboardInterrupt


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        _interrupted(io.atomic(target))
    assert target.read_text() == "old"
    assert _only(tmp_path, "a.txt")
    with io.atomic(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert _only(tmp_path, "a.txt")


def test_full_disk(full_disk: Path) -> None:
    for name, write in (
        ("l.tif", lambda p: io.write_labels(p, NOISE)),
        ("i.png", lambda p: io.write_image(p, IMAGE)),
        ("i.tif", lambda p: io.write_image(p, IMAGE)),
        ("j.json", lambda p: io.write_json(p, {"x": NOISE[0]})),
    ):
        with pytest.raises(OutputError, match=f"disk is full.*{name}"):
            write(full_disk / name)
        assert _only(full_disk)


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    target = tmp_path / "l.tif"
    io.write_labels(target, NOISE[:, :8, :8])

    def refuse(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("napari_fossiledit.io.save._flush", refuse)
    with pytest.raises(OutputError, match="disk is full"):
        io.write_labels(target, NOISE)
    assert np.array_equal(io.read_labels(target), NOISE[:, :8, :8])
    assert _only(tmp_path, "l.tif")


def test_read_only_folder(read_only: Path) -> None:
    with pytest.raises(OutputError, match="read-only"):
        io.write_labels(read_only / "l.tif", NOISE)
    with pytest.raises(OutputError, match="read-only"):
        io.make_folder(read_only / "new")
    with pytest.raises(OutputError, match="read-only"):
        io.check_writable(read_only / "l.tif")
    with pytest.raises(OutputError, match="read-only"), io.atomic_folder(read_only):
        pass


def test_missing_and_mistaken_folders(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        io.write_json(tmp_path / "no" / "j.json", {})
    with pytest.raises(OutputError, match="is a folder"):
        io.write_json(tmp_path, {})
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a file has its name"):
        io.make_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="a file has its name"):
        io.make_folder(tmp_path / "file" / "below")
    with pytest.raises(OutputError, match="there is no folder"):
        io.check_writable(tmp_path / "no" / "j.json")


def test_a_folder_is_filled_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupted(io.atomic_folder(tmp_path / "new"), "a.txt")
    assert _only(tmp_path)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "mine.txt").write_text("mine")
    with pytest.raises(KeyboardInterrupt):
        _interrupted(io.atomic_folder(kept), "a.txt")
    assert _only(kept, "mine.txt")
    with io.atomic_folder(kept) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a.txt").write_text("x")
    assert _only(kept, "mine.txt", "sub")
    assert (kept / "sub" / "a.txt").read_text() == "x"


def test_json_takes_numpy_and_nan(tmp_path: Path) -> None:
    @dataclass
    class Point:
        x: float
        y: np.float32

    value = {
        1: np.float64("nan"),
        "a": np.arange(3),
        "p": Point(1.0, np.float32(2)),
        "t": (True, None, np.int64(4), Path("f")),
        "µ": float("inf"),
    }
    io.write_json(tmp_path / "j.json", value)
    assert json.loads((tmp_path / "j.json").read_text(encoding="utf-8")) == {
        "1": None,
        "a": [0, 1, 2],
        "p": {"x": 1.0, "y": 2.0},
        "t": [True, None, 4, "f"],
        "µ": None,
    }


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    for name, labels in (
        ("l.png", NOISE),
        ("l.png", NOISE[0]),
        ("l.npy", NOISE),
        ("l.tif", NOISE * 0.5),
    ):
        with pytest.raises(InputError, match=name):
            io.write_labels(tmp_path / name, labels)
    with pytest.raises(InputError, match=r"i\.gif"):
        io.write_image(tmp_path / "i.gif", IMAGE)
    with pytest.raises(InputError, match="8-bit"):
        io.write_image(tmp_path / "i.png", IMAGE.astype(float))
    assert _only(tmp_path)


def test_slices_are_written_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "l.tif"
    for limit in (2**32, 0):  # classic and with 64-bit offsets
        monkeypatch.setattr("napari_fossiledit.io.save._LARGEST_CLASSIC", limit)
        io.write_label_slices(path, iter(NOISE), NOISE.shape, voxel_size=(0.5, 0.1, 0.1))
        assert np.array_equal(io.read_labels(path), NOISE)
        stack = io.open_stack(path)
        assert stack.voxel_size == (0.5, 0.1, 0.1)
        assert len(stack) == 2
        assert stack[1].shape == (256, 256, 3)


def test_a_stack_comes_back_with_its_voxel_size(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)
    io.write_stack(tmp_path / "stack.tif", images, voxel_size=(0.5, 0.145, 0.145))
    stack = io.open_stack(tmp_path / "stack.tif")
    np.testing.assert_array_equal(np.asarray(stack.images), images)
    assert stack.voxel_size == (0.5, 0.145, 0.145)
    with pytest.raises(InputError, match="8-bit RGB slices"):
        io.write_stack(tmp_path / "grey.tif", images[..., 0])
