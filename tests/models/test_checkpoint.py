from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_fossiledit import models
from napari_fossiledit.errors import FossilEditError, ModelError, OutputError
from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN

from .conftest import tiny


class Payload:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


def plain(error: BaseException) -> bool:
    text = str(error)
    return "\n" not in text and text.endswith(".") and len(text) < 300


def test_saved_and_loaded_is_the_same_model(tmp_path: Path, image: np.ndarray) -> None:
    segmenter = tiny(seed=2)
    path = tmp_path / "mine.safetensors"
    models.save(segmenter, path, notes={"data": "discs"})
    again = models.load(path, device="cpu")
    assert again.fingerprint() == segmenter.fingerprint()
    assert again.name == "mine"
    assert again.class_names == ("cup",)
    assert again.preprocess == segmenter.preprocess
    assert again.metadata["notes"] == {"data": "discs"}
    assert np.array_equal(again.predict(image).scores, segmenter.predict(image).scores)


def test_half_precision_is_half_the_size_and_close(tmp_path: Path, image: np.ndarray) -> None:
    segmenter = tiny()
    models.save(segmenter, tmp_path / "full.safetensors")
    models.save(segmenter, tmp_path / "half.safetensors", half=True)
    sizes = [(tmp_path / f"{n}.safetensors").stat().st_size for n in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]
    half = models.load(tmp_path / "half.safetensors", device="cpu")
    weight = half.weight("backbone.fpn.layer_blocks.0.0")
    assert weight.dtype == torch.float32
    torch.testing.assert_close(
        weight, segmenter.weight("backbone.fpn.layer_blocks.0.0"), atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_pickle_is_refused_and_never_run(tmp_path: Path, zipped: bool) -> None:
    trace = tmp_path / "trace"
    path = tmp_path / "model.pth"
    torch.save(
        {"backbone.body.conv1.weight": torch.zeros(1), "x": Payload(trace)},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(ModelError, match="stranger's code") as caught:
        models.load(path, device="cpu")
    assert plain(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pkl", ".safetensors", ".bin", ""])
def test_a_bare_hostile_pickle_is_refused_whatever_its_name(tmp_path: Path, suffix: str) -> None:
    trace = tmp_path / "trace"
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps(Payload(trace)))
    with pytest.raises(ModelError) as caught:
        models.load(path, device="cpu")
    assert plain(caught.value)
    assert not trace.exists()


def test_the_payload_would_have_worked(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    pickle.loads(pickle.dumps(Payload(trace)))
    assert trace.exists()


@pytest.mark.parametrize("keep", [0, 4, 200, 5000])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    whole = tmp_path / "whole.safetensors"
    models.save(tiny(), whole)
    torch.save(tiny().model.state_dict(), tmp_path / "whole.pth")
    for suffix in (".safetensors", ".pth"):
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes((tmp_path / f"whole{suffix}").read_bytes()[:keep])
        with pytest.raises(ModelError) as caught:
            models.load(cut, device="cpu")
        assert plain(caught.value)


def test_files_that_are_no_model(tmp_path: Path) -> None:
    cases: dict[str, Any] = {}
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pth")
    torch.save([1, 2], tmp_path / "b.pth")
    torch.save({"model": {"weights": [1]}}, tmp_path / "c.pth")
    save_file({"a": torch.zeros(2)}, tmp_path / "d.safetensors")
    (tmp_path / "e.txt").write_text("hello")
    (tmp_path / "f.pth").write_text("hello")
    with zipfile.ZipFile(tmp_path / "g.pth", "w") as archive:
        archive.writestr("readme", "no weights")
    (tmp_path / "h").mkdir()
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ModelError) as caught:
            models.load(path, device="cpu")
        cases[path.name] = str(caught.value)
        assert plain(caught.value), caught.value
    assert len(cases) == 8


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model file .*nowhere\.pth"):
        models.load(tmp_path / "nowhere.pth")


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"channels": 10**9}},
        {"config": {"channels": "many"}},
        {"config": {"surprise": 1}},
        {"config": {"anchors": [[1, 2]]}},
        {"config": {"channels": 32}},
        {"version": 99},
        {"architecture": "other"},
        {"class_names": ["a", "b"]},
        {"preprocess": {"median": 1}},
        {"config": None},
    ],
)
def test_descriptions_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    segmenter = tiny()
    about = dict(segmenter.metadata)
    for key, value in change.items():
        about[key] = {**about[key], **value} if isinstance(value, dict) else value
    notes = {"format": "fossiledit-segmenter", "model": json.dumps(about)}
    state = {k: t.contiguous() for k, t in segmenter.model.state_dict().items()}
    save_file(state, tmp_path / "odd.safetensors", notes)
    with pytest.raises(ModelError) as caught:
        models.load(tmp_path / "odd.safetensors", device="cpu")
    assert plain(caught.value)


def test_a_description_that_is_no_json_is_refused(tmp_path: Path) -> None:
    for model in ("{", "[]", "3", json.dumps({"version": 1})):
        save_file(
            {"a": torch.zeros(2)},
            tmp_path / "odd.safetensors",
            {"format": "fossiledit-segmenter", "model": model},
        )
        with pytest.raises(ModelError, match="damaged"):
            models.load(tmp_path / "odd.safetensors", device="cpu")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    segmenter = tiny()
    name = segmenter.editable_layers()[0].name
    segmenter.set_weight(name, segmenter.weight(name) * float("nan"))
    models.save(segmenter, tmp_path / "nan.safetensors")
    with pytest.raises(ModelError, match="not finite"):
        models.load(tmp_path / "nan.safetensors", device="cpu")


def test_unknown_backends_and_missing_devices(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="backend 'tensorflow' is unknown"):
        models.load("demo", backend="tensorflow")
    with pytest.raises(ModelError, match="device 'abacus' is unknown"):
        models.load("demo", device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="has only"):
            models.load("demo", device="cuda")


@pytest.mark.parametrize("version", ["", "_v2"])
def test_a_torchvision_state_dict_loads(tmp_path: Path, version: str) -> None:
    from torchvision.models import detection

    maker = getattr(detection, f"maskrcnn_resnet50_fpn{version}")
    torch.manual_seed(0)
    model = maker(weights=None, weights_backbone=None, num_classes=3)
    path = tmp_path / "net.pth"
    torch.save({"model": model.state_dict(), "epoch": 3}, path)
    segmenter = models.load(path, device="cpu")
    assert isinstance(segmenter, TorchvisionRCNN)
    assert segmenter.class_names == ("class 0", "class 1")
    assert segmenter.preprocess.shortest == 800
    state = segmenter.model.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
    layers = segmenter.editable_layers()
    assert [layer.level for layer in layers] == ["P2", "P3", "P4", "P5", "RPN"]
    assert layers[0].shape == (256, 256, 3, 3)
    del state["rpn.head.cls_logits.weight"]
    torch.save(state, path)
    with pytest.raises(ModelError, match="do not fit"):
        models.load(path, device="cpu")


def test_writing_where_one_cannot_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.safetensors"
    models.save(tiny(), path)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="cannot be written"):
        models.save(tiny(), tmp_path / "nowhere" / "mine.safetensors")

    def full(*args: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        models.save(tiny(1), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["mine.safetensors"]


def test_errors_are_ours() -> None:
    assert issubclass(ModelError, FossilEditError)


@pytest.mark.parametrize("source", [None, 3, ["demo"]])
def test_what_is_no_path_is_told(source) -> None:
    with pytest.raises(ModelError, match="a file's path or 'demo'"):
        models.load(source)
