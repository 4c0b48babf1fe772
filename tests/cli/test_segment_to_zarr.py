"""``fossiledit segment`` to an OME-Zarr: resumed, tiled, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_fossiledit import io
from napari_fossiledit.cli import execute

Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def words(reef: Path, tiny_model: Path) -> list[str]:
    model = ["--model", str(tiny_model), "--device", "cpu", "--score", "0"]
    return ["segment", str(reef / "images"), *model]


def _figures(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_a_result_folder_holds_what_the_tiff_holds(
    words: list[str], tmp_path: Path, capsys: Capsys
) -> None:
    out, tif, figures = tmp_path / "Größe 1.ome.zarr", tmp_path / "l.tif", tmp_path / "f.json"
    assert execute([*words, "--out", str(out), "--json", str(figures)]) == 0
    assert "slices, written to" in capsys.readouterr().out
    assert execute([*words, "--out", str(tif)]) == 0
    store = io.LabelStore.open(out, whole=True)
    assert store.voxel_size == (0.5, 0.145, 0.145)
    assert store.names == ["0000", "0001", "0002"]
    np.testing.assert_array_equal(np.stack(list(store)), io.read_labels(tif))
    found = _figures(figures)
    assert found["instances"] == len(store.table())
    assert [row["name"] for row in found["slices"]] == store.names
    assert found["done_before"] == 0
    assert found["tile"] is None
    assert found["fingerprint"] == store.about["model"]["fingerprint"]
    assert (out / "instances.csv").is_file()


def test_it_says_where_it_goes_on(words: list[str], tmp_path: Path, capsys: Capsys) -> None:
    out, figures = tmp_path / "l.ome.zarr", tmp_path / "f.json"
    assert execute([*words, "--out", str(out)]) == 0
    whole = {f: f.read_bytes() for f in out.rglob("*") if f.is_file()}
    from napari_fossiledit.io import store_files

    store = io.LabelStore.open(out)
    store._set_complete(False)
    store_files.mark_file(out, 1).unlink()
    capsys.readouterr()
    assert execute([*words, "--out", str(out), "--json", str(figures)]) == 0
    assert "2 of 3 slices are done; going on." in capsys.readouterr().out
    assert _figures(figures)["done_before"] == 2
    assert {f: f.read_bytes() for f in out.rglob("*") if f.is_file()} == whole


def test_tiles_are_said(words: list[str], tmp_path: Path, capsys: Capsys) -> None:
    large = tmp_path / "large.png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (300, 200, 3), np.uint8)).save(large)
    words[1] = str(large)
    out, figures = tmp_path / "l.ome.zarr", tmp_path / "f.json"
    assert execute([*words, "--out", str(out), "--tile", "256", "--json", str(figures)]) == 0
    assert "tiles of 256 pixels" in capsys.readouterr().err
    assert _figures(figures)["tile"] == 256


def test_a_slice_that_cannot_be_read_is_named_and_the_rest_goes_on(
    words: list[str], tmp_path: Path, capsys: Capsys
) -> None:
    import tifffile

    folder = tmp_path / "slices"
    folder.mkdir()
    for i, image in enumerate(io.open_stack(words[1])):
        tifffile.imwrite(folder / f"s{i}.tif", image, photometric="rgb")
    data = (folder / "s1.tif").read_bytes()
    (folder / "s1.tif").write_bytes(data[:-4000])
    words[1] = str(folder)
    out, figures = tmp_path / "l.ome.zarr", tmp_path / "f.json"
    capsys.readouterr()
    assert execute([*words, "--out", str(out), "--json", str(figures)]) == 0
    shown = capsys.readouterr()
    assert "2 slices" in shown.out
    assert "s1" in shown.err
    assert "1 of 3 slices could not be read" in shown.err
    assert "Traceback" not in shown.err
    assert _figures(figures)["failed"] == 1
    (folder / "s1.tif").write_bytes(data)
    assert execute([*words, "--out", str(out), "--json", str(figures)]) == 0
    assert _figures(figures)["failed"] == 0
    assert _figures(figures)["done_before"] == 2


def test_bad_input_is_one_sentence_and_changes_nothing(
    words: list[str], tmp_path: Path, other_model: Path, capsys: Capsys
) -> None:
    out = tmp_path / "l.ome.zarr"
    assert execute([*words, "--out", str(out)]) == 0
    before = {f: f.read_bytes() for f in out.rglob("*") if f.is_file()}
    other = [*words]
    other[other.index("--model") + 1] = str(other_model)
    score = [*words[:-1], "0.5"]
    for bad, part in (
        ([*other, "--out", str(out)], "another model"),
        ([*score, "--out", str(out)], "confidence: 0.0, not 0.5"),
        ([*words, "--out", str(out), "--tile", "512"], "tiles: none, not 512"),
        ([*words, "--out", str(out), "--tile", "5"], "too small"),
        ([*words, "--out", str(out), "--link"], "fossiledit link"),
        ([*words, "--out", str(tmp_path / "l.tif"), "--tile", "512"], ".ome.zarr"),
        ([*words, "--out", str(tmp_path / "l.tif"), "--scheduler", "tcp://a:1"], ".ome.zarr"),
        ([*words, "--out", str(tmp_path / "no" / "l.ome.zarr")], "there is no folder"),
        ([*words, "--out", words[1] + ".zarr/x.zarr"], "there is no folder"),
        ([*words, "--out", str(tmp_path / "n.zarr"), "--scheduler", "nonsense"], "scheduler"),
    ):
        capsys.readouterr()
        assert execute(bad) == 2, bad
        lines = capsys.readouterr().err.strip().splitlines()
        lines = [line for line in lines if not line.startswith("Note: ")]
        assert len(lines) == 1, lines
        assert part in lines[0]
    assert {f: f.read_bytes() for f in out.rglob("*") if f.is_file()} == before
    assert not (tmp_path / "n.zarr").exists()
