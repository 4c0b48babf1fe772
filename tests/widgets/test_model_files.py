from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from napari_fossiledit.errors import InputError, ModelError
from napari_fossiledit.widgets.model_files import ModelFiles, config_beside, sort_files

R50 = Path(__file__).parents[1] / "data" / "detectron2" / "r50_bgr_caffe2"


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_text("MODEL: {}")
    return [folder / name for name in names]


def test_looking_for_a_config_brings_neither_torch_nor_qt() -> None:
    code = (
        "import sys; from napari_fossiledit.widgets import model_files as m;"
        f"assert m.config_beside({str(R50 / 'model_final.pth')!r}).name == 'config.yaml';"
        "bad = {'qtpy', 'PyQt6', 'napari', 'torch', 'detectron2'} & set(sys.modules);"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_config_beside(tmp_path: Path) -> None:
    shutil.copy(R50 / "model_final.pth", tmp_path)
    assert config_beside(str(tmp_path / "model_final.pth")) is None
    for nothing in ("", str(tmp_path), str(tmp_path / "missing.pth"), "a\0b"):
        assert config_beside(nothing) is None


@pytest.mark.parametrize("suffix", [".pth", ".PKL", ".pt", ".safetensors"])
def test_weights_and_config_in_any_order(tmp_path: Path, suffix: str) -> None:
    weights, config = touch(tmp_path, f"w{suffix}", "c.YML")
    assert sort_files([weights, config]) == ModelFiles(weights, config)
    assert sort_files([config, weights]) == ModelFiles(weights, config)
    assert sort_files([config]) == ModelFiles(None, config)


def test_a_folder_gives_the_end_of_the_training(tmp_path: Path) -> None:
    names = ("model_0004999.pth", "model_final.pkl", "model_final.pth", "metrics.json")
    files = touch(tmp_path, *names)
    assert sort_files([tmp_path]) == ModelFiles(files[2])
    files[2].unlink()
    assert sort_files([tmp_path]) == ModelFiles(files[1])
    files[1].unlink()
    assert sort_files([tmp_path]) == ModelFiles(files[0])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["photo.png"], "photo.png is neither a model's weights"),
        (["a.pth", "b.pkl"], "a.pth and b.pkl are both weights"),
        (["a.yaml", "b.yml"], "a.yaml and b.yml are both a config"),
        ([], "Nothing on this computer"),
    ],
)
def test_what_cannot_be_meant_is_said(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        sort_files(touch(tmp_path, *names))


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    files = [*touch(tmp_path / "one", "w.pth"), *touch(tmp_path / "two", "w.pth")]
    with pytest.raises(InputError, match=r"one/w.pth and two/w.pth are both weights"):
        sort_files(files)


def test_unclear_folders_are_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no weights"):
        sort_files([tmp_path])
    touch(tmp_path, "a.pth", "b.pth", "c.pkl", "d.pt")
    with pytest.raises(ModelError, match=r"4 files of weights \(a.pth, b.pth, c.pkl, ...\)"):
        sort_files([tmp_path])
