from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from napari_fossiledit import editing, models, perturb
from napari_fossiledit.errors import InputError, ModelError
from napari_fossiledit.models.detectron2_rcnn import Detectron2RCNN
from napari_fossiledit.models.preprocess import Preprocess
from napari_fossiledit.models.weights_file import read_weights

from .detectron2_models import HERE, NAMES, Expected, expected, found_again

FPN = [f"backbone.fpn_output{level}" for level in (2, 3, 4, 5)]


def load(name: str = NAMES[0], file: str = "model_final.pth") -> Detectron2RCNN:
    segmenter = models.load(HERE / name / file, device="cpu", backend="torchvision")
    assert isinstance(segmenter, Detectron2RCNN)
    return segmenter


@pytest.fixture(params=NAMES)
def both(request: pytest.FixtureRequest) -> tuple[str, Expected]:
    return request.param, expected(request.param)


@pytest.mark.parametrize("file", ["model_final.pth", "model_final.pkl"])
def test_features_are_those_of_detectron2(both: tuple[str, Expected], file: str) -> None:
    name, theirs = both
    found = load(name, file).features(theirs.image)
    assert list(found) == FPN
    for layer, pair in found.items():
        for ours, key in ((pair.key, f"key_p{layer[-1]}"), (pair.value, f"p{layer[-1]}")):
            wanted = theirs.arrays[key]
            assert ours.shape == wanted.shape
            off = np.linalg.norm(ours.numpy() - wanted) / np.linalg.norm(wanted)
            assert off < 1e-4, f"{layer} {key}"


@pytest.mark.parametrize("file", ["model_final.pth", "model_final.pkl"])
def test_every_detection_of_detectron2_is_found(both: tuple[str, Expected], file: str) -> None:
    name, theirs = both
    found = load(name, file).predict(theirs.image)
    assert len(found) == 50
    assert all(found_again(theirs, found))


def test_proposals_are_those_of_detectron2(both: tuple[str, Expected]) -> None:
    from napari_fossiledit.models.detect import propose

    name, theirs = both
    segmenter = load(name)
    given = segmenter.preprocess(theirs.image, segmenter.device)
    with torch.no_grad():
        pyramid = segmenter.model.backbone(given.tensor)
        boxes = propose(segmenter.model.rpn, pyramid, given.content, given.padded).numpy()
    wanted = theirs.arrays["proposal_boxes"]
    assert len(boxes) == len(wanted) == 1000
    near = np.abs(wanted[:, None] - boxes[None]).max(-1).min(axis=1)
    assert (near < 0.01).mean() > 0.995


def test_a_pth_and_a_pkl_are_one_model() -> None:
    assert load().fingerprint() == load(file="model_final.pkl").fingerprint()
    assert load().fingerprint() != load(NAMES[1]).fingerprint()


def test_layers_have_detectron2s_names() -> None:
    layers = load().editable_layers()
    assert [layer.name for layer in layers] == [*FPN, "proposal_generator.rpn_head.conv"]
    assert [layer.level for layer in layers] == ["P2", "P3", "P4", "P5", "RPN"]
    assert [layer.stride for layer in layers] == [4, 8, 16, 32, 4]
    assert layers[0].shape == (24, 24, 3, 3)


def test_weights_are_those_of_the_file() -> None:
    segmenter, file = load(), read_weights(HERE / NAMES[0] / "model_final.pth")
    for layer in segmenter.editable_layers():
        assert torch.equal(segmenter.weight(layer.name), file.tensors[f"{layer.name}.weight"])
        bias = segmenter.bias(layer.name)
        assert bias is not None
        assert torch.equal(bias, file.tensors[f"{layer.name}.bias"])


def test_edited_and_undone_to_the_bit() -> None:
    segmenter, theirs = load(), expected(NAMES[0])
    before = segmenter.fingerprint()
    predicted = segmenter.predict(theirs.image)
    fossils = np.zeros(theirs.image.shape[:2], bool)
    fossils[60:160, 80:220] = True
    painted = perturb.apply(theirs.image, fossils, perturb.Colour((120, 70, 58)))
    edit = editing.rewrite(
        segmenter, theirs.image, painted, fossils, layers=[*FPN, "proposal_generator.rpn_head.conv"]
    )
    edit.apply(segmenter)
    assert segmenter.fingerprint() != before
    changed = segmenter.predict(theirs.image)
    assert not np.array_equal(changed.scores, predicted.scores)
    edit.remove(segmenter)
    assert segmenter.fingerprint() == before
    assert np.array_equal(segmenter.predict(theirs.image).scores, predicted.scores)


def test_nothing_is_made_on_the_default_device() -> None:
    theirs = expected(NAMES[0])
    with torch.device("meta"):
        segmenter = load()
        found = segmenter.predict(theirs.image)
        features = segmenter.features(theirs.image)
        fingerprint = segmenter.fingerprint()
    assert all(found_again(theirs, found))
    assert features[FPN[0]].value.device.type == "cpu"
    assert fingerprint == load().fingerprint()


def test_the_models_own_limits_hold() -> None:
    segmenter, theirs = load(), expected(NAMES[0])
    assert segmenter.limits == models.Limits(0.05, 50)
    assert len(segmenter.predict(theirs.image, max_detections=500)) == 50
    assert len(segmenter.predict(theirs.image, max_detections=7)) == 7
    assert min(segmenter.predict(theirs.image, score_threshold=0.8).scores) >= 0.8


def test_its_folder_tells_it_from_others() -> None:
    assert load().name == "r50_bgr_caffe2/model_final"


def test_facts_say_what_it_is() -> None:
    facts = load().facts
    assert facts["Kind"] == "detectron2 Mask R-CNN R-50-FPN"
    assert facts["Input"] == "BGR, shortest edge 240, longest at most 400 pixels"
    assert facts["At most"] == "50 instances a slice, scores from 0.05"


def load_as(
    names: list[str] | None = None, fossil: list[int | str] | None = None
) -> Detectron2RCNN:
    segmenter = models.load(
        HERE / NAMES[0] / "model_final.pth",
        device="cpu",
        backend="torchvision",
        class_names=names,
        fossil_classes=fossil,
    )
    assert isinstance(segmenter, Detectron2RCNN)
    return segmenter


def test_class_names_are_the_users_or_numbers() -> None:
    assert load_as().class_names == ("class 0", "class 1")
    assert load(NAMES[1]).class_names == ("fossil",)
    assert load_as(["cup", "clot"]).class_names == ("cup", "clot")
    with pytest.raises(InputError, match="needs 2 class names, not 1"):
        load_as(["cup"])
    with pytest.raises(InputError, match="alike"):
        load_as(["cup", "cup"])


@pytest.mark.parametrize("fossil", [["clot"], [1], ["1"]])
def test_only_the_fossils_classes_are_predicted(fossil: list[int | str]) -> None:
    theirs = expected(NAMES[0])
    everything = load().predict(theirs.image)
    segmenter = load_as(["cup", "clot"], fossil)
    assert segmenter.fossil_classes == (1,)
    found = segmenter.predict(theirs.image)
    assert set(found.classes) == {1}
    # Those that detectron2 finds of this class, and more of it in the place of the others.
    of_it = everything.scores[everything.classes == 1]
    assert np.allclose(found.scores[: len(of_it)], of_it, atol=1e-5)
    segmenter.fossil_classes = (0, 1)
    assert set(segmenter.predict(theirs.image).classes) == {0, 1}


def test_classes_that_are_not_there() -> None:
    with pytest.raises(InputError, match="no class 'shell': choose among 0 = class 0"):
        load_as(fossil=["shell"])
    with pytest.raises(InputError, match="numbered 0 to 1"):
        load_as(fossil=[2])
    with pytest.raises(InputError, match="choose at least one"):
        load_as(fossil=[])
    segmenter = load()
    with pytest.raises(InputError, match="choose at least one"):
        segmenter.fossil_classes = ()
    assert segmenter.fossil_classes == (0, 1)


# Weights and config that do not belong together


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the first model's folder."""
    return Path(shutil.copytree(HERE / NAMES[0], tmp_path / "model"))


def rewrite(folder: Path, **changes: object) -> None:
    """Change tensors of the checkpoint; None takes one away."""
    checkpoint = torch.load(folder / "model_final.pth", weights_only=False)
    for key, value in changes.items():
        if value is None:
            del checkpoint["model"][key]
        else:
            checkpoint["model"][key] = value
    torch.save(checkpoint, folder / "model_final.pth")


def refused(folder: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        models.load(folder / "model_final.pth", device="cpu", backend="torchvision")
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")


def test_weights_without_a_config(copy: Path) -> None:
    (copy / "config.yaml").unlink()
    refused(copy, "was trained with detectron2 and needs its config.yaml")


def test_a_config_in_place_of_the_weights(copy: Path) -> None:
    with pytest.raises(ModelError, match="is a config, not a model's weights"):
        models.load(copy / "config.yaml", device="cpu")
    (copy / "model_final.pth").unlink()
    refused(copy, "no model file")


def test_a_config_for_another_kind_of_model(copy: Path) -> None:
    with pytest.raises(ModelError, match="demo model takes no config"):
        models.load("demo", config=copy / "config.yaml", device="cpu")


def test_the_trainings_folder_is_enough(copy: Path) -> None:
    (copy / "model_final.pkl").unlink()
    segmenter = models.load(copy, device="cpu", backend="torchvision")
    assert segmenter.fingerprint() == load().fingerprint()


def test_the_config_may_lie_elsewhere_and_be_named(copy: Path) -> None:
    moved = copy.parent / "settings of run 3.yaml"
    (copy / "config.yaml").rename(moved)
    segmenter = models.load(
        copy / "model_final.pth", config=moved, device="cpu", backend="torchvision"
    )
    assert segmenter.facts["Config"] == "settings of run 3.yaml"


def test_the_first_tensors_that_differ_are_named(copy: Path) -> None:
    text = (copy / "config.yaml").read_text().replace("NUM_CLASSES: 2", "NUM_CLASSES: 5")
    (copy / "config.yaml").write_text(text)
    refused(
        copy,
        r"do not fit the config config.yaml \(roi_heads.box_predictor.cls_score.weight is 3 x 48 "
        r"where the config asks for 6 x 48, .* and 3 more\)",
    )


def test_missing_and_surplus_tensors_are_named(copy: Path) -> None:
    rewrite(copy, **{"backbone.fpn_lateral3.weight": None, "backbone.extra.weight": torch.ones(2)})
    refused(
        copy,
        r"\(backbone.fpn_lateral3.weight is missing, backbone.extra.weight is not in the config's",
    )


def test_tensors_that_are_not_finite_are_named(copy: Path) -> None:
    rewrite(copy, **{"backbone.fpn_output4.weight": torch.full((24, 24, 3, 3), float("nan"))})
    refused(copy, r"not finite numbers \(backbone.fpn_output4.weight\)")


def test_what_old_versions_wrote_beside_is_left_out(copy: Path) -> None:
    rewrite(
        copy,
        **{
            "pixel_mean": torch.zeros(3, 1, 1),
            "proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(3, 4),
        },
    )
    segmenter = models.load(copy / "model_final.pth", device="cpu", backend="torchvision")
    assert segmenter.fingerprint() == load().fingerprint()


def test_half_precision_weights_load(copy: Path) -> None:
    checkpoint = torch.load(copy / "model_final.pth", weights_only=False)
    checkpoint["model"] = {k: t.half() for k, t in checkpoint["model"].items()}
    torch.save(checkpoint, copy / "model_final.pth")
    segmenter = models.load(copy / "model_final.pth", device="cpu", backend="torchvision")
    assert segmenter.weight(FPN[0]).dtype == torch.float32
    assert len(segmenter.predict(expected(NAMES[0]).image)) == 50


def test_one_missing_statistic_is_no_early_checkpoint(copy: Path) -> None:
    rewrite(copy, **{"backbone.bottom_up.res3.0.conv1.norm.running_var": None})
    refused(copy, r"res3.0.conv1.norm.running_var is missing")


def test_weights_that_are_no_real_numbers(copy: Path) -> None:
    name = "backbone.fpn_output4.weight"
    rewrite(copy, **{name: torch.zeros(24, 24, 3, 3, dtype=torch.complex64)})
    refused(copy, "no real numbers but torch.complex64")


def test_a_score_at_the_limit_is_dropped_as_detectron2_does(copy: Path) -> None:
    settings = yaml.safe_load((copy / "config.yaml").read_text())
    settings["MODEL"]["ROI_HEADS"]["SCORE_THRESH_TEST"] = 1.0
    (copy / "config.yaml").write_text(yaml.safe_dump(settings))
    bias = torch.tensor([200.0, 0.0, 0.0])  # a score of exactly 1
    rewrite(copy, **{"roi_heads.box_predictor.cls_score.bias": bias})
    segmenter = models.load(copy / "model_final.pth", device="cpu", backend="torchvision")
    assert segmenter.limits.score_threshold == 1.0
    assert len(segmenter.predict(expected(NAMES[0]).image)) == 0


@pytest.mark.parametrize(
    ("shape", "at_800", "at_240"),
    [
        ((2072, 3472), (795, 1333), (239, 400)),
        ((148, 640), (308, 1333), (92, 400)),
        ((121, 946), (170, 1333), (51, 400)),
        ((210, 620), (451, 1333), (135, 400)),
        ((302, 604), (666, 1333), (200, 400)),
        ((1998, 3348), (795, 1333), (239, 400)),
        ((1, 900), (1, 1333), (1, 400)),
    ],
)
def test_sizes_are_those_of_detectron2(
    shape: tuple[int, int], at_800: tuple[int, int], at_240: tuple[int, int]
) -> None:
    """Answers of its ResizeShortestEdge.get_output_shape; in one step, halves fall otherwise."""
    for short, long, wanted in ((800, 1333, at_800), (240, 400, at_240)):
        prepare = Preprocess((0, 0, 0), (1, 1, 1), shortest=short, longest=long, pillow=True)
        assert prepare.resized(shape) == wanted


def test_a_body_for_starting_a_training_is_no_model(tmp_path: Path) -> None:
    torch.save({"model": {"stem.conv1.weight": torch.zeros(8, 3, 7, 7)}}, tmp_path / "r50.pth")
    with pytest.raises(ModelError, match="only a ResNet body"):
        models.load(tmp_path / "r50.pth", device="cpu")


def test_an_unsupported_setting_is_refused_by_name(copy: Path) -> None:
    text = (copy / "config.yaml").read_text().replace("NAME: RPN\n", "NAME: RRPN\n")
    (copy / "config.yaml").write_text(text)
    refused(copy, "MODEL.PROPOSAL_GENERATOR.NAME = 'RRPN'")
