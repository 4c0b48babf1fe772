"""Our own model files: hostile settings in them, and writing that fails."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from safetensors.torch import save_file

from napari_fossiledit.errors import ModelError, OutputError
from napari_fossiledit.models import formats
from napari_fossiledit.models.weights_file import WeightsFile, read_weights

GOOD = {"version": 1, "architecture": formats.LITE, "class_names": ["shell"]}


def ours(folder: Path, model: str) -> WeightsFile:
    path = folder / "x.safetensors"
    save_file({"a": torch.ones(1)}, path, {"format": formats.FORMAT, "model": model})
    return read_weights(path)


def test_what_a_file_says(tmp_path: Path) -> None:
    weights = ours(tmp_path, json.dumps(GOOD))
    assert formats.is_ours(weights)
    assert formats.about(weights) == GOOD


@pytest.mark.parametrize(
    "model",
    [
        "",
        "1",
        "[]",
        "{}",
        '{"version": 1}',
        '{"version": Infinity, "architecture": "x"}',
        '{"version": -Infinity, "architecture": "x"}',
        '{"version": NaN, "architecture": "x"}',
        '{"version": null, "architecture": "x"}',
        '{"version": ' + "9" * 5000 + ', "architecture": "x"}',
        '{"version": 1, "config": ' + '{"a":' * 100_000 + "1" + "}" * 100_001,
        "[" * 100_000,
    ],
)
def test_settings_that_are_damaged(tmp_path: Path, model: str) -> None:
    with pytest.raises(ModelError, match=r"x\.safetensors is damaged"):
        formats.about(ours(tmp_path, model))


def test_newer_files_are_named_in_clean_words(tmp_path: Path) -> None:
    model = {"version": 10**50, "architecture": "new\x1b[31m\n" + "x" * 1000}
    with pytest.raises(ModelError, match="another version") as caught:
        formats.about(ours(tmp_path, json.dumps(model)))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


def test_names_of_classes() -> None:
    assert formats.names({}) is None
    assert formats.names({"class_names": None}) is None
    assert formats.names({"class_names": ["a", "b c"]}) == ("a", "b c")
    found = formats.names({"class_names": ["a\x1b[31m\n", "y" * 500]})
    assert found == ("a[31m", "y" * 77 + "...")


@pytest.mark.parametrize("names", ["ab", 5, {}, {"a": 1}, [], [1], ["a", None], [""], ["\n"], [[]]])
def test_names_that_are_none(names: Any) -> None:
    with pytest.raises(ModelError, match=r"x\.pth is damaged"):
        formats.names({"class_names": names}, Path("x.pth"))
    with pytest.raises(ModelError, match="The model file is damaged"):
        formats.names({"class_names": names})


def test_written_whole(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 248 + ".pth")  # within 255, with no place for another ending
    formats.write(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def torch_on_a_full_disk(_: IO[bytes]) -> None:
    raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0\nmore")


def full(_: IO[bytes]) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("fill", "says"), [(torch_on_a_full_disk, "the disk may be full"), (full, "No space left")]
)
def test_a_failed_write_keeps_the_old_file(tmp_path: Path, fill: Any, says: str) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match=says) as caught:
        formats.write(path, fill)
    assert "inline_container" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a\0b.pth", "a" * 300 + ".pth", "a" * 100 + "\0.pth"])
def test_names_no_file_can_have(tmp_path: Path, name: str) -> None:
    begun: list[int] = []
    with pytest.raises(OutputError, match="cannot be written") as caught:
        formats.write(tmp_path / name, lambda file: begun.append(1))
    assert not begun
    assert "\0" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        formats.write(tmp_path / "none" / "x.pth", lambda file: file.write(b"a"))
