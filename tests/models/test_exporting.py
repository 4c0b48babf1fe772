from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_fossiledit import models
from napari_fossiledit.errors import InputError, ModelError, OutputError
from napari_fossiledit.models.segmenter import Segmenter

from .conftest import tiny
from .detectron2_models import HERE, NAMES, expected

LAYER = "backbone.fpn_output2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HERE / NAMES[0], tmp_path / "model"))


def edited(folder: Path, file: str = "model_final.pth") -> Segmenter:
    segmenter = models.load(folder / file, device="cpu", backend="torchvision")
    segmenter.set_weight(LAYER, segmenter.weight(LAYER) * 1.25)
    return segmenter


def checkpoint(path: Path) -> dict[str, Any]:
    if path.suffix == ".pkl":
        return dict(pickle.loads(path.read_bytes()))
    return dict(torch.load(path, weights_only=False))


def test_only_the_edited_tensors_differ(folder: Path) -> None:
    segmenter = edited(folder)
    done = models.export(segmenter, folder / "edited.pth")
    assert (done.form, done.changed) == ("detectron2", (f"{LAYER}.weight",))
    before, after = (checkpoint(folder / f"{n}.pth") for n in ("model_final", "edited"))
    assert set(before) == set(after)
    assert list(before["model"]) == list(after["model"])
    assert after["iteration"] == before["iteration"]
    for key, tensor in before["model"].items():
        same = torch.equal(tensor, after["model"][key])
        assert tensor.dtype == after["model"][key].dtype
        assert same == (key != f"{LAYER}.weight")
    again = models.load(
        folder / "edited.pth", config=folder / "config.yaml", device="cpu", backend="torchvision"
    )
    image = expected(NAMES[0]).image
    assert again.fingerprint() == segmenter.fingerprint()
    assert np.array_equal(again.predict(image).scores, segmenter.predict(image).scores)


@pytest.mark.parametrize("source", ["model_final.pth", "model_final.pkl"])
def test_as_in_the_model_zoo(folder: Path, source: str) -> None:
    segmenter = edited(folder, source)
    models.export(segmenter, folder / "edited.pkl")
    before, after = checkpoint(folder / "model_final.pkl"), checkpoint(folder / "edited.pkl")
    # detectron2 takes a .pkl for its own only with this key.
    assert "__author__" in after
    for key, array in before["model"].items():
        assert np.array_equal(array, after["model"][key]) == (key != f"{LAYER}.weight")
    again = models.load(folder / "edited.pkl", device="cpu", backend="torchvision")
    assert again.fingerprint() == segmenter.fingerprint()


def test_safetensors_keeps_the_class_names(folder: Path) -> None:
    segmenter = models.load(
        folder / "model_final.pth",
        device="cpu",
        backend="torchvision",
        class_names=["cup", "clot"],
    )
    path = folder.parent / "alone.safetensors"
    models.export(segmenter, path)
    again = models.load(path, device="cpu", backend="torchvision", fossil_classes=["clot"])
    assert again.class_names == ("cup", "clot")
    assert again.fossil_classes == (1,)
    assert again.facts["Config"] == "kept in alone.safetensors"
    renamed = models.load(path, device="cpu", backend="torchvision", class_names=["a", "b"])
    assert renamed.class_names == ("a", "b")
    with pytest.raises(ModelError, match="holds its config itself"):
        models.load(path, config=folder / "config.yaml", device="cpu")


def test_safetensors_needs_no_config(folder: Path) -> None:
    segmenter = edited(folder)
    models.export(segmenter, folder.parent / "alone.safetensors")
    again = models.load(folder.parent / "alone.safetensors", device="cpu", backend="torchvision")
    image = expected(NAMES[0]).image
    assert again.fingerprint() == segmenter.fingerprint()
    assert np.array_equal(again.predict(image).boxes, segmenter.predict(image).boxes)
    # And from there back to detectron2.
    done = models.export(again, folder.parent / "back.pth")
    assert done.changed == ()
    back = models.load(
        folder.parent / "back.pth",
        config=folder / "config.yaml",
        device="cpu",
        backend="torchvision",
    )
    assert back.fingerprint() == segmenter.fingerprint()


def test_a_torchvision_state_dict_fits_torchvisions_own_parts(folder: Path) -> None:
    from torchvision.models.detection.faster_rcnn import TwoMLPHead
    from torchvision.models.detection.mask_rcnn import MaskRCNNHeads

    models.export(edited(folder), folder / "vision.pth", form="torchvision")
    state = checkpoint(folder / "vision.pth")["model"]

    def strictly(module: torch.nn.Module, prefix: str) -> None:
        module.load_state_dict(
            {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
        )

    strictly(TwoMLPHead(24 * 49, 48), "roi_heads.box_head.")
    strictly(MaskRCNNHeads(24, [16] * 4, 1), "roi_heads.mask_head.")
    assert state["roi_heads.box_predictor.cls_score.weight"].shape[0] == 3
    assert "backbone.body.layer1.0.downsample.1.running_var" in state
    with pytest.raises(ModelError, match="for use with torchvision alone"):
        models.load(folder / "vision.pth", device="cpu")


def test_of_full_width_torchvisions_own_model_takes_it_whole(tmp_path: Path) -> None:
    from torchvision.models import detection

    torch.manual_seed(0)
    model = detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=4)
    torch.save(model.state_dict(), tmp_path / "own.pth")
    segmenter = models.load(tmp_path / "own.pth", device="cpu")
    layer = "backbone.fpn.layer_blocks.0.0"
    segmenter.set_weight(layer, segmenter.weight(layer) + 1)
    for name in ("edited.pth", "edited.safetensors"):
        done = models.export(segmenter, tmp_path / name)
        assert done.changed == (f"{layer}.weight",)
        again = models.load(tmp_path / name, device="cpu")
        assert again.fingerprint() == segmenter.fingerprint()
    model.load_state_dict(torch.load(tmp_path / "edited.pth", weights_only=True))


def test_the_demos_kind_goes_to_safetensors_alone(tmp_path: Path) -> None:
    segmenter = tiny()
    models.export(segmenter, tmp_path / "mine.safetensors")
    assert models.load(tmp_path / "mine.safetensors").fingerprint() == segmenter.fingerprint()
    with pytest.raises(InputError, match=r"export it as \.safetensors"):
        models.export(segmenter, tmp_path / "mine.pth")
    with pytest.raises(InputError, match="none of detectron2's"):
        models.export(segmenter, tmp_path / "mine.pkl")


def test_never_over_its_own_file(folder: Path) -> None:
    before = (folder / "model_final.pth").read_bytes()
    with pytest.raises(InputError, match="never written over"):
        models.export(edited(folder), folder / "model_final.pth")
    assert (folder / "model_final.pth").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "form", "match"),
    [
        ("a.txt", "auto", "written as .pth"),
        ("a.pth", "safetensors", "written as .safetensors"),
        ("a.safetensors", "detectron2", "written as .pth"),
        ("a.pth", "onnx", "form 'onnx' is unknown"),
    ],
)
def test_wrong_names_and_forms(folder: Path, name: str, form: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        models.export(edited(folder), folder / name, form=form)
    assert not (folder / name).exists()


def test_a_source_that_has_changed_or_gone(folder: Path) -> None:
    segmenter = edited(folder)
    shutil.copy(HERE / NAMES[0] / "model_final.pkl", folder / "kept.pkl")
    other = checkpoint(folder / "model_final.pth")
    other["model"]["roi_heads.box_head.fc1.bias"] += 1
    (folder / "model_final.pth").unlink()
    torch.save(other, folder / "model_final.pth")
    with pytest.raises(ModelError, match="has changed since the model was loaded"):
        models.export(segmenter, folder / "edited.pth")
    (folder / "model_final.pth").unlink()
    with pytest.raises(ModelError, match="no model file"):
        models.export(segmenter, folder / "edited.pth")
    assert not (folder / "edited.pth").exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 104 vs 98"),
    ],
)
def test_a_full_disk_leaves_nothing_half(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    segmenter = edited(folder)

    def full(*args: Any, **kwargs: Any) -> None:
        raise error

    here = sorted(p.name for p in folder.iterdir())
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match=r"No space left|disk may be full"):
        models.export(segmenter, folder / "edited.pth")
    assert sorted(p.name for p in folder.iterdir()) == here


def test_a_torchvision_source_that_has_changed(tmp_path: Path) -> None:
    from torchvision.models import detection

    models_ = [
        detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=2)
        for _ in range(2)
    ]
    torch.save(models_[0].state_dict(), tmp_path / "own.pth")
    segmenter = models.load(tmp_path / "own.pth", device="cpu")
    (tmp_path / "own.pth").unlink()
    torch.save(models_[1].state_dict(), tmp_path / "own.pth")
    with pytest.raises(ModelError, match="has changed since"):
        models.export(segmenter, tmp_path / "edited.pth")


def test_bfloat16_weights_go_to_the_model_zoos_form(folder: Path) -> None:
    half = checkpoint(folder / "model_final.pth")
    half["model"] = {k: t.bfloat16() for k, t in half["model"].items()}
    (folder / "model_final.pth").unlink()
    torch.save(half, folder / "model_final.pth")
    segmenter = edited(folder)
    models.export(segmenter, folder / "edited.pkl")
    again = models.load(folder / "edited.pkl", device="cpu", backend="torchvision")
    assert again.fingerprint() == segmenter.fingerprint()


def test_after_training_the_whole_model_is_exported(folder: Path) -> None:
    segmenter = models.load(folder / "model_final.pth", device="cpu", backend="torchvision")
    state = {k: t.clone() for k, t in segmenter.model.state_dict().items()}  # type: ignore[attr-defined]
    state["backbone.body.layer1.0.conv1.weight"] *= 1.1
    segmenter.load_weights(state)  # type: ignore[attr-defined]
    done = models.export(segmenter, folder / "trained.pth")
    assert "backbone.bottom_up.res2.0.conv1.weight" in done.changed
    again = models.load(
        folder / "trained.pth", config=folder / "config.yaml", device="cpu", backend="torchvision"
    )
    image = expected(NAMES[0]).image
    np.testing.assert_allclose(
        again.predict(image).scores, segmenter.predict(image).scores, atol=1e-4
    )
