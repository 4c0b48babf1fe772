from __future__ import annotations

import json
import shutil
from pathlib import Path

import nrrd
import numpy as np
import pandas as pd
import pytest
import trimesh

from napari_fossiledit import io, volume
from napari_fossiledit.cli import execute

SIZE = (0.5, 0.145, 0.145)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    out = np.zeros((6, 30, 40), np.int32)
    out[1:5, 4:14, 5:25] = 3
    out[2:4, 20:26, 8:14] = 8
    out[0:2, 20:29, 30:] = 12
    return out


@pytest.fixture(scope="module")
def tiff(labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("linked") / "spécimens 1.tif"
    io.write_labels(path, labels, voxel_size=SIZE)
    return path


def _store(labels: np.ndarray, path: Path, *, finish: bool = True) -> Path:
    store = io.LabelStore.create(path, shape=labels.shape, voxel_size=SIZE, about={})
    for z, plane in enumerate(labels[: None if finish else 4]):
        ids = np.unique(plane[plane > 0])
        store.write(z, plane, {"id": ids, "score": ids / 100, "specimen": ids})
    if finish:
        store.finish()
    return path


def _sentence(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    lines = [line for line in shown.err.splitlines() if not line.startswith("Note:")]
    assert len(lines) == 1
    return lines[0]


def test_measure_writes_what_the_library_measures(
    tiff: Path, labels: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = volume.measure(labels, SIZE)
    words = ["measure", str(tiff), "--json", str(tmp_path / "m.json")]
    for name in ("t.csv", "t.parquet"):
        assert execute([*words, "--out", str(tmp_path / name)]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), wanted)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), wanted)
    shown = capsys.readouterr()
    assert "3 specimens measured" in shown.out
    assert "volume_mm3" in shown.out
    assert "1 of 3 specimens touch the edge" in shown.err
    figures = json.loads((tmp_path / "m.json").read_text("utf-8"))
    assert figures["specimens"] == 3
    assert figures["voxel_size"] == list(SIZE)
    assert figures["table"]["volume_mm3"] == pytest.approx(wanted["volume_mm3"].tolist())
    assert figures["table"]["mean_score"] == [None, None, None]


def test_measure_reads_stores_and_folders_and_finds_scores(
    labels: np.ndarray, tmp_path: Path
) -> None:
    store = _store(labels, tmp_path / "s.ome.zarr")
    folder = tmp_path / "each"
    folder.mkdir()
    for z, plane in enumerate(labels):
        io.write_labels(folder / f"{z}.png", plane)
    plain = volume.measure(labels, SIZE, surface=False)
    words = ["--no-surface", "--out", str(tmp_path / "t.csv")]
    assert execute(["measure", str(store), *words]) == 0
    found = pd.read_csv(tmp_path / "t.csv")
    assert found["mean_score"].tolist() == pytest.approx([0.03, 0.08, 0.12])
    assert found["surface_mm2"].isna().all()
    size = ["--voxel-size", "0.5,0.145,0.145"]
    assert execute(["measure", str(folder), *words, *size]) == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), plain)


def test_scores_from_a_table_of_instances(tiff: Path, tmp_path: Path) -> None:
    scores = tmp_path / "instances.csv"
    head = "slice;name;id;class;score;x0;y0;x1;y1;area\n"
    scores.write_text(head + "1;b;1;0;0,9;5;4;25;14;200\n".replace("0,9", "0.9"), "utf-8-sig")
    words = ["measure", str(tiff), "--no-surface", "--out", str(tmp_path / "t.csv")]
    assert execute([*words, "--scores", str(scores)]) == 0
    assert pd.read_csv(tmp_path / "t.csv")["mean_score"].tolist() == pytest.approx(
        [0.9, np.nan, np.nan], nan_ok=True
    )


def test_units_and_sections(tiff: Path, labels: np.ndarray, tmp_path: Path) -> None:
    out, sections = tmp_path / "t.csv", tmp_path / "areas.csv"
    words = ["measure", str(tiff), "--no-surface", "--out", str(out)]
    assert execute([*words, "--unit", "um", "--sections", str(sections)]) == 0
    micro = pd.read_csv(out)
    assert micro["volume_um3"][0] == pytest.approx(800 * np.prod(SIZE) * 1e9)
    areas = pd.read_csv(sections)
    assert list(areas) == ["id", "slice", "area_um2"]
    assert areas["area_um2"].sum() * 500 == pytest.approx(micro["volume_um3"].sum())
    io.write_labels(tmp_path / "no.tif", labels)
    words[1] = str(tmp_path / "no.tif")
    assert execute([*words, "--unit", "pixel"]) == 0
    assert pd.read_csv(out)["volume_pixel3"].tolist() == [800, 72, 180]


def test_without_a_voxel_size_or_with_a_wrong_one(
    labels: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "no.tif", tmp_path / "t.csv"
    io.write_labels(path, labels)
    assert execute(["measure", str(path), "--out", str(out)]) == 2
    said = _sentence(capsys)
    assert "--voxel-size 0.5,0.145,0.145" in said
    assert "--unit pixel" in said
    assert execute(["mesh", str(path), "--out", str(tmp_path / "m.stl")]) == 2
    assert "--voxel-size 1,1,1" in _sentence(capsys)
    for wrong in ("0,1,1", "1,-1,1", "nan,1,1", "1,1", "a,b,c", "inf,1,1", ""):
        for command, name in (("measure", "t.csv"), ("mesh", "m.stl")):
            words = [command, str(path), "--out", str(tmp_path / name), "--voxel-size", wrong]
            assert execute(words) == 2
            assert "voxel size" in _sentence(capsys)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["no.tif"]


def test_what_measure_refuses(
    tiff: Path, labels: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = _store(labels, tmp_path / "u.ome.zarr", finish=False)
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    (tmp_path / "broken.parquet").write_text("no")
    out = ["--out", str(tmp_path / "t.csv")]
    for words, part in (
        ([str(unfinished), *out], "4 of 6 slices are done"),
        ([str(tmp_path / "none.tif"), *out], "There are no labels"),
        ([str(tiff), "--out", str(tmp_path / "t.xlsx")], ".csv or .parquet"),
        ([str(tiff), "--out", str(tmp_path / "no" / "t.csv")], "no folder"),
        ([str(tiff), *out, "--scores", str(tmp_path / "wrong.csv")], "columns score"),
        ([str(tiff), *out, "--scores", str(tmp_path / "broken.parquet")], "as a table"),
        ([str(tiff), *out, "--scores", str(tmp_path / "none.csv")], "no table"),
        ([str(tiff), *out, "--json", str(tmp_path / "t.csv")], "Two results"),
        ([str(tiff), *out, "--unit", "furlong"], "--unit"),
    ):
        assert execute(["measure", *words]) == 2, words
        assert part in _sentence(capsys), words
    assert not (tmp_path / "t.csv").exists()


def test_nothing_to_measure_or_to_mesh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    io.write_labels(tmp_path / "e.tif", np.zeros((2, 6, 6), int), voxel_size=SIZE)
    assert execute(["measure", str(tmp_path / "e.tif"), "--out", str(tmp_path / "t.csv")]) == 0
    assert "all is background" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "t.csv")) == 0
    assert execute(["mesh", str(tmp_path / "e.tif"), "--out", str(tmp_path / "m.stl")]) == 2
    assert "all is background" in _sentence(capsys)


def test_mesh_writes_a_file_a_specimen(
    tiff: Path, labels: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["mesh", str(tiff), "--out", str(tmp_path / "meshes"), "--json"]
    assert execute([*words, str(tmp_path / "m.json"), "--ids", "3, 8-8"]) == 0
    assert "2 meshes written" in capsys.readouterr().out
    files = sorted((tmp_path / "meshes").iterdir())
    assert [f.name for f in files] == ["specimen_0003.stl", "specimen_0008.stl"]
    figures = json.loads((tmp_path / "m.json").read_text("utf-8"))["meshes"]
    for file, i, row in zip(files, (3, 8), figures, strict=True):
        made = trimesh.load(file)
        assert made.is_watertight
        assert made.volume == pytest.approx((labels == i).sum() * np.prod(SIZE), rel=0.01)
        assert (row["id"], row["file"]) == (i, file.name)
        assert row["volume_mm3"] == pytest.approx(made.volume, rel=1e-4)
    assert execute(["mesh", str(tiff), "--out", str(tmp_path / "p"), "--format", "ply"]) == 0
    assert len(list((tmp_path / "p").glob("*.ply"))) == 3


def test_mesh_writes_a_scene_and_the_volume(tiff: Path, labels: np.ndarray, tmp_path: Path) -> None:
    scene, whole = tmp_path / "reef.obj", tmp_path / "reef.nrrd"
    words = ["mesh", str(tiff), "--out", str(scene), "--volume", str(whole)]
    assert execute([*words, "--no-smooth"]) == 0
    made = trimesh.load_scene(scene, split_objects=True, group_material=False)
    assert sorted(made.geometry) == ["specimen_0003", "specimen_0008", "specimen_0012"]
    assert all(part.is_watertight for part in made.geometry.values())
    data, header = nrrd.read(str(whole))
    assert np.array_equal(data.T, labels)
    assert np.diag(header["space directions"]).tolist() == [0.145, 0.145, 0.5]
    first = scene.read_bytes()
    assert execute(words) == 0
    assert scene.read_bytes() != first  # smoothed


def test_what_mesh_refuses(
    tiff: Path, labels: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.tif"
    shutil.copy(tiff, mine)
    out = ["--out", str(tmp_path / "m.stl")]
    for words, part in (
        ([*out, "--ids", "3,x"], '"x" in --ids'),
        ([*out, "--ids", "3,4"], "no specimen 4"),
        ([*out, "--ids", ""], "--ids"),
        (["--out", str(tmp_path / "m.fbx")], ".stl, .ply, .obj, .glb"),
        ([*out, "--volume", str(tmp_path / "v.raw")], ".nrrd or .tif"),
        ([*out, "--volume", str(mine)], "overwrite"),
        ([*out, "--format", "dwg"], "--format"),
    ):
        assert execute(["mesh", str(mine), *words]) == 2, words
        assert part in _sentence(capsys), words
    assert [p.name for p in tmp_path.iterdir()] == ["mine.tif"]
    assert np.array_equal(io.read_labels(mine), labels)


def test_thin_specimens_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sponge = np.random.default_rng(0).random((8, 12, 12)) > 0.5
    labels = np.where(sponge, 4, 0)
    io.write_labels(tmp_path / "t.tif", labels, voxel_size=SIZE)
    assert execute(["mesh", str(tmp_path / "t.tif"), "--out", str(tmp_path / "m.ply")]) == 0
    assert "1 specimens are so thin in places" in capsys.readouterr().err


def test_both_take_the_options_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("measure", "mesh"):
        assert execute([command, "--help"]) == 0
        shown = capsys.readouterr().out
        assert f"fossiledit {command} [OPTIONS] SPECIMENS" in shown
        for option in ("--device", "--seed", "--json", "--voxel-size"):
            assert option in shown
