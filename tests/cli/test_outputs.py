"""No command overwrites what it reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_fossiledit import io
from napari_fossiledit.cli import execute
from napari_fossiledit.cli.outputs import check_outputs, file_stems
from napari_fossiledit.errors import InputError


@pytest.fixture
def originals(reef: Path, tiny_model: Path, tmp_path: Path) -> Path:
    """Slices as a folder and as a stack, labels, and a model: copies to be put at risk."""
    folder = tmp_path / "originals"
    shutil.copytree(reef, folder)
    io.write_stack(folder / "stack.tif", np.stack(list(io.open_stack(reef / "images"))))
    labels = io.read_labels(reef / "labels.tif")
    io.write_labels(folder / "images" / "0000_labels.tif", labels[0])
    io.write_labels(folder / "lab.tif", labels[0])
    shutil.copy(tiny_model, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["segment", "stack.tif", "--out", "stack.tif"],
        ["segment", "stack.tif", "--out", "images/../stack.tif"],
        ["segment", "images/0000.png", "--out", "images/0000.png"],
        ["segment", "images", "--out", "images"],
        ["segment", "stack.tif", "--out", "l.tif", "--json", "stack.tif"],
        ["segment", "stack.tif", "--out", "l.tif", "--json", "l.tif"],
        ["segment", "stack.tif", "--out", "l.tif", "--json", "model.safetensors"],
        ["perturb", "images/0000.png", "lab.tif", "--out", "images/"],
        ["perturb", "images", "labels.tif", "--out", "images/"],
        ["perturb", "images", "labels.tif", "--out", "p", "--json", "labels.tif"],
        ["probe", "images", "labels.tif", "--json", "images/0001.png"],
        ["edit", "stack.tif", "labels.tif", "--out", "labels.tif"],
        ["edit", "stack.tif", "labels.tif", "--out", "model.safetensors"],
        ["edit", "stack.tif", "labels.tif", "--out", "e.safetensors", "--json", "stack.tif"],
        ["evaluate", "stack.tif", "labels.tif", "--json", "stack.tif"],
        ["evaluate", "stack.tif", "labels.tif", "--confusers", "confusers.tif", "--json",
         "confusers.tif"],
        ["model", "info", "--json", "model.safetensors"],
    ],
)  # fmt: skip
def test_originals_are_kept(
    words: list[str],
    originals: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(originals)
    before = {f: f.read_bytes() for f in originals.rglob("*") if f.is_file()}
    model = [] if words[0] == "perturb" else ["--model", "model.safetensors"]
    capsys.readouterr()
    assert execute([*words, *model]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("Note")]
    assert len(said) == 1
    assert "originals" in said[0] or "Two results" in said[0]
    assert {f: f.read_bytes() for f in originals.rglob("*") if f.is_file()} == before


def test_links_are_seen_through_and_new_files_are_free(tmp_path: Path) -> None:
    photo = tmp_path / "a.tif"
    photo.write_bytes(b"photo")
    link = tmp_path / "link.tif"
    link.symlink_to(photo)
    for read, written in ((photo, link), (link, photo), (tmp_path, link)):
        with pytest.raises(InputError, match="originals"):
            check_outputs([read], [written])
    check_outputs([tmp_path, "demo", None], [tmp_path / "new.tif", None, tmp_path / "j.json"])


def test_every_slice_has_a_file_of_its_own() -> None:
    assert file_stems(["a.png", "b"]) == ["a", "b"]
    assert file_stems(["reef.v2_0000", "reef.v2_0001"]) == ["reef.v2_0000", "reef.v2_0001"]
    assert file_stems(["a.png", "a.jpg"]) == ["a.png", "a.jpg"]
    assert file_stems(["a", "a"]) == ["a_0", "a_1"]
