"""The real detectron2 behind the protocol, beside the same model carried by torchvision."""

from __future__ import annotations

import functools
import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from napari_fossiledit import editing, models, perturb, progress
from napari_fossiledit.errors import Cancelled, InputError, ModelError
from napari_fossiledit.instances import Instances
from napari_fossiledit.models import detectron2_native
from napari_fossiledit.models.detectron2_native import INSTALL_PAGE, Detectron2Native
from napari_fossiledit.models.hooks import capture
from napari_fossiledit.models.segmenter import Segmenter

DATA = Path(__file__).parents[1] / "data" / "detectron2"
BOTH = ("r50_bgr_caffe2", "r101_rgb")
BACKENDS = ("torchvision", "detectron2")
MASK_HEAD = "roi_heads.mask_head"


@pytest.fixture
def real() -> None:
    """Skip, with the reason, where the real package cannot be used."""
    if reason := detectron2_native.why_not_installed():
        pytest.skip(reason)


@pytest.fixture
def asked_anew() -> Iterator[None]:
    """Let the package be looked for again, and forget the answer afterwards."""
    caches = (detectron2_native.why_not_installed, detectron2_native._package)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def image_of(which: str) -> np.ndarray:
    return np.asarray(Image.open(DATA / which / "image.png").convert("RGB"))


def load(which: str, backend: str, suffix: str = "pth", **options: Any) -> Any:
    folder = DATA / which
    return models.load(
        folder / f"model_final.{suffix}",
        config=folder / "config.yaml",
        device="cpu",
        backend=backend,
        **options,
    )


# Loading anew for every test would take most of this file's time: whoever changes one of these puts
# it back as it was.
shared = functools.lru_cache(maxsize=None)(load)


def relative(one: Any, other: Any) -> float:
    one, other = np.asarray(one), np.asarray(other)
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def full(found: Instances) -> np.ndarray:
    masks = np.zeros((len(found), *found.shape), bool)
    for mask, crop in zip(masks, found.crops, strict=True):
        mask[crop.window] = crop.mask
    return masks


def assert_same(found: Instances, boxes: Any, scores: Any, classes: Any, masks: Any) -> None:
    """Every detection of the reference is there, within the issue's tolerances."""
    assert len(found) == len(boxes) > 0
    own = full(found)
    for box, score, kind, mask in zip(boxes, scores, classes, masks, strict=True):
        near = np.abs(found.boxes - box).max(1) < 0.5
        near &= (np.abs(found.scores - score) < 1e-2) & (found.classes == kind)
        assert any(
            (own[i] & mask).sum() >= 0.99 * (own[i] | mask).sum() for i in np.flatnonzero(near)
        )


def assert_alike(found: Instances, other: Instances) -> None:
    assert_same(found, other.boxes, other.scores, other.classes, full(other))


# Without the package


def test_a_missing_package_is_told(asked_anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not detectron2_native.is_installed()
    assert detectron2_native.why_not_installed() == "the package detectron2 is not installed"
    with pytest.raises(ModelError) as caught:
        load("r50_bgr_caffe2", "detectron2")
    told = str(caught.value)
    assert INSTALL_PAGE in told
    assert "not installed" in told
    assert "torchvision" in told
    assert "\n" not in told


def test_auto_falls_back_where_the_package_is_missing(
    asked_anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    segmenter = load("r50_bgr_caffe2", "auto")
    assert not isinstance(segmenter, Detectron2Native)
    assert segmenter.facts["Backend"].startswith("torchvision")


def test_a_broken_package_is_told_and_passed_over(
    asked_anew: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "detectron2"
    package.mkdir()
    (package / "__init__.py").write_text("raise OSError('libcudart.so.9:\\n no such file')\n")
    for name in [n for n in sys.modules if n.partition(".")[0] == "detectron2"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not detectron2_native.is_installed()
    reason = detectron2_native.why_not_installed()
    assert "cannot be imported (OSError: libcudart.so.9: no such file)" in reason
    with pytest.raises(ModelError, match="libcudart"):
        load("r50_bgr_caffe2", "detectron2")
    segmenter = load("r50_bgr_caffe2", "auto")
    assert not isinstance(segmenter, Detectron2Native)
    assert "libcudart" in segmenter.facts["Backend"]


# With it


@pytest.mark.parametrize("which", BOTH)
@pytest.mark.parametrize("suffix", ["pth", "pkl"])
def test_it_gives_what_the_default_predictor_gave(real: None, which: str, suffix: str) -> None:
    segmenter = shared(which, "detectron2", suffix)
    assert isinstance(segmenter, Segmenter)
    expected, image = np.load(DATA / which / "expected.npz"), image_of(which)
    found = segmenter.predict(image)
    shape = tuple(expected["masks_shape"])
    masks = np.unpackbits(expected["masks"])[: np.prod(shape)].reshape(shape).astype(bool)
    assert_same(found, expected["boxes"], expected["scores"], expected["classes"], masks)
    assert np.all(np.diff(found.scores) <= 0)
    for level, (name, pair) in enumerate(segmenter.features(image).items(), start=2):
        assert name == f"backbone.fpn_output{level}"
        assert relative(pair.key, expected[f"key_p{level}"]) < 1e-5
        assert relative(pair.value, expected[f"p{level}"]) < 1e-5


def test_auto_takes_the_package_where_it_is_installed(real: None) -> None:
    assert isinstance(load("r50_bgr_caffe2", "auto"), Detectron2Native)


@pytest.mark.parametrize("which", BOTH)
def test_both_backends_are_one_model(real: None, which: str) -> None:
    ours, theirs = (shared(which, backend) for backend in BACKENDS)
    image = image_of(which)
    assert ours.fingerprint() == theirs.fingerprint()
    assert ours.class_names == theirs.class_names
    assert ours.limits == theirs.limits
    layers = ours.editable_layers()
    assert layers == theirs.editable_layers()
    assert [layer.level for layer in layers] == ["P2", "P3", "P4", "P5", "RPN"]
    differing = {key for key in ours.facts if ours.facts[key] != theirs.facts.get(key)}
    assert differing == {"Backend"}
    names = [layer.name for layer in layers]
    here, there = ours.features(image, names), theirs.features(image, names)
    for name in names:
        assert torch.equal(ours.weight(name), theirs.weight(name))
        assert torch.equal(ours.bias(name), theirs.bias(name))
        assert here[name].content == there[name].content
        assert here[name].padded == there[name].padded
        assert relative(here[name].key, there[name].key) < 1e-4
        assert relative(here[name].value, there[name].value) < 1e-4
    assert_alike(ours.predict(image), theirs.predict(image))


@pytest.mark.parametrize(("made", "used"), [BACKENDS, BACKENDS[::-1]])
def test_an_edit_made_with_one_backend_applies_with_the_other(
    real: None, made: str, used: str
) -> None:
    which = "r50_bgr_caffe2"
    image, layers = image_of(which), ["backbone.fpn_output2", "backbone.fpn_output3"]
    maker, user = shared(which, made), shared(which, used)
    before = user.fingerprint()
    fossils = np.zeros(image.shape[:2], bool)
    fossils[60:160, 80:200] = True
    painted = perturb.apply(image, fossils, perturb.Median())
    edit = editing.rewrite(maker, image, painted, fossils, layers=layers)
    unedited = user.predict(image)
    for segmenter in (maker, user):
        edit.apply(segmenter, 1.0)
    try:
        assert maker.fingerprint() == user.fingerprint() != before
        assert_alike(user.predict(image), maker.predict(image))
        changed = user.predict(image)
        assert not np.array_equal(changed.scores, unedited.scores)
    finally:
        for segmenter in (maker, user):
            edit.remove(segmenter)
    assert maker.fingerprint() == user.fingerprint() == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_exported_edit_is_what_detectron2_itself_then_finds(
    real: None, backend: str, tmp_path: Path
) -> None:
    from detectron2.config import get_cfg
    from detectron2.engine import DefaultPredictor

    which = "r50_bgr_caffe2"
    segmenter, image = load(which, backend), image_of(which)
    generator = torch.Generator(device="cpu").manual_seed(0)
    for layer in segmenter.editable_layers():
        weight = segmenter.weight(layer.name)
        noise = torch.randn(weight.shape, generator=generator)
        segmenter.set_weight(layer.name, weight + 0.1 * weight.std() * noise)
    models.export(segmenter, tmp_path / "edited.pth", form="detectron2")
    config = get_cfg()
    config.merge_from_file(str(DATA / which / "config.yaml"))
    config.MODEL.WEIGHTS = str(tmp_path / "edited.pth")
    found = DefaultPredictor(config)(image[:, :, ::-1])["instances"]
    assert_same(
        segmenter.predict(image),
        found.pred_boxes.tensor.numpy(),
        found.scores.numpy(),
        found.pred_classes.numpy(),
        found.pred_masks.numpy(),
    )


def test_masks_are_computed_only_for_what_is_wanted(real: None) -> None:
    segmenter, image = shared("r50_bgr_caffe2", "detectron2"), image_of("r50_bgr_caffe2")
    everything = segmenter.predict(image)
    assert segmenter.limits.max_detections == 50 == len(everything)
    threshold = float(everything.scores[9])
    with capture(segmenter.model, [MASK_HEAD + ".deconv"]) as seen:
        some = segmenter.predict(image, score_threshold=threshold, max_detections=30)
    assert sum(len(given) for given, _ in seen[MASK_HEAD + ".deconv"]) == len(some) == 10
    assert np.array_equal(some.boxes, everything.boxes[:10])
    assert len(segmenter.predict(image, max_detections=3)) == 3
    nothing = segmenter.predict(image, score_threshold=1.0)
    assert len(nothing) == 0
    assert nothing.shape == image.shape[:2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_classes_take_none_of_the_fossils_places(real: None, backend: str) -> None:
    segmenter, image = shared("r50_bgr_caffe2", backend), image_of("r50_bgr_caffe2")
    everything = segmenter.predict(image)
    try:
        segmenter.fossil_classes = [1]
        assert segmenter.fossil_classes == (1,)
        found = segmenter.predict(image)
        assert set(found.classes) == {1}
        # Those that detectron2 finds, and more where it stops at 50 of all classes.
        of_it = everything.scores[everything.classes == 1]
        assert len(everything) == len(found) == 50 > len(of_it)
        np.testing.assert_allclose(found.scores[: len(of_it)], of_it, atol=1e-5)
        with pytest.raises(InputError, match="no class 2"):
            segmenter.fossil_classes = [2]
    finally:
        segmenter.fossil_classes = [0, 1]


def test_mask_thresholds_share_one_pass(real: None) -> None:
    segmenter, image = shared("r101_rgb", "detectron2"), image_of("r101_rgb")
    with capture(segmenter.model, ["backbone"]) as seen:
        cuts = segmenter.predict_mask_thresholds(image, [0.3, 0.5, 0.7], max_detections=5)
    assert len(seen["backbone"]) == 1
    areas = np.array([cut.areas() for cut in cuts])
    assert areas.shape == (3, 5)
    assert np.all(np.diff(areas, axis=0) <= 0)


def test_bad_arguments_are_refused(real: None) -> None:
    segmenter, image = shared("r101_rgb", "detectron2"), image_of("r101_rgb")
    with pytest.raises(InputError, match="score threshold"):
        segmenter.predict(image, score_threshold=1.5)
    with pytest.raises(InputError, match="max_detections"):
        segmenter.predict(image, max_detections=0)
    with pytest.raises(InputError, match="RGB"):
        segmenter.predict(image[:, :, 0])
    with pytest.raises(ModelError, match=r"no editable layer 'backbone\.fpn_output9'"):
        segmenter.features(image, ["backbone.fpn_output9"])
    name = segmenter.editable_layers()[0].name
    with pytest.raises(ModelError, match="made for another model"):
        segmenter.set_weight(name, torch.zeros(1, 1, 3, 3, device="cpu"))


def test_its_tensors_are_all_on_the_cpu_whatever_the_default_device(real: None) -> None:
    image = image_of("r101_rgb")
    expected = shared("r101_rgb", "detectron2").predict(image)
    with torch.device("meta"):
        segmenter = load("r101_rgb", "detectron2")
        again = segmenter.predict(image)
        names = [layer.name for layer in segmenter.editable_layers()]
        features = segmenter.features(image, names)
        segmenter.set_weight(names[0], segmenter.weight(names[0]))
        fingerprint = segmenter.fingerprint()
    assert np.array_equal(again.scores, expected.scores)
    assert all(pair.key.device.type == "cpu" for pair in features.values())
    assert fingerprint == shared("r101_rgb", "detectron2").fingerprint()


def test_loading_leaves_the_random_state(real: None) -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    load("r50_bgr_caffe2", "detectron2").predict(image_of("r50_bgr_caffe2"))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def test_cancelling_ends_a_running_pass_and_leaves_the_model(real: None) -> None:
    segmenter, image = shared("r101_rgb", "detectron2"), image_of("r101_rgb")
    before = segmenter.fingerprint()
    token, started = progress.CancelToken(), threading.Event()

    def slow(module: Any, args: Any, output: Any) -> None:
        started.set()
        time.sleep(0.1)

    blocks = segmenter.model.backbone.bottom_up.res4
    handles = [block.register_forward_hook(slow) for block in blocks]
    outcome: list[Any] = []

    def work() -> None:
        try:
            with progress.cancel_scope(token):
                outcome.append(segmenter.predict(image))
        except Cancelled as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(10)
    asked = time.perf_counter()
    token.cancel()
    thread.join(10)
    assert time.perf_counter() - asked < 1.0
    for handle in handles:
        handle.remove()
    assert isinstance(outcome[0], Cancelled)
    assert segmenter.fingerprint() == before
    segmenter.predict(image)


# Settings: every one that is said to be supported changes figures as it does in detectron2


def _wide(merged: dict[str, Any]) -> None:
    """Widths that groups of 32 channels divide."""
    merged["MODEL"]["RESNETS"] |= {
        "STEM_OUT_CHANNELS": 32,
        "RES2_OUT_CHANNELS": 64,
        "WIDTH_PER_GROUP": 32,
    }
    merged["MODEL"]["FPN"]["OUT_CHANNELS"] = 32
    merged["MODEL"]["ROI_MASK_HEAD"]["CONV_DIM"] = 32
    merged["MODEL"]["ROI_BOX_HEAD"]["CONV_DIM"] = 32


def _group_norm(merged: dict[str, Any]) -> None:
    _wide(merged)
    model = merged["MODEL"]
    for section in ("RESNETS", "FPN", "ROI_BOX_HEAD", "ROI_MASK_HEAD"):
        model[section]["NORM"] = "GN"
    model["RESNETS"]["STRIDE_IN_1X1"] = False
    model["ROI_BOX_HEAD"] |= {"NUM_CONV": 2, "NUM_FC": 1}


def _batch_norm(merged: dict[str, Any]) -> None:
    model = merged["MODEL"]
    model["RESNETS"] |= {"NORM": "BN", "DEPTH": 50}
    model["BACKBONE"]["FREEZE_AT"] = 0
    model["FPN"] |= {"NORM": "BN", "FUSE_TYPE": "avg"}


def _pooling(merged: dict[str, Any]) -> None:
    model = merged["MODEL"]
    for head in ("ROI_BOX_HEAD", "ROI_MASK_HEAD"):
        model[head] |= {"POOLER_TYPE": "ROIAlign", "POOLER_SAMPLING_RATIO": 2}
    model["ROI_BOX_HEAD"] |= {"POOLER_RESOLUTION": 5, "BBOX_REG_WEIGHTS": [8.0, 9.0, 4.0, 5.0]}
    model["ROI_MASK_HEAD"] |= {"POOLER_RESOLUTION": 7, "NUM_CONV": 2}


def _proposals(merged: dict[str, Any]) -> None:
    model = merged["MODEL"]
    model["RPN"] |= {
        "CONV_DIMS": [-1, -1],
        "PRE_NMS_TOPK_TEST": 300,
        "POST_NMS_TOPK_TEST": 200,
        "NMS_THRESH": 0.6,
        "BBOX_REG_WEIGHTS": [1.0, 1.5, 2.0, 1.0],
    }
    model["PROPOSAL_GENERATOR"]["MIN_SIZE"] = 6
    model["ANCHOR_GENERATOR"] |= {
        "SIZES": [[16, 24], [40, 50], [70, 90], [130, 160], [260, 300]],
        "ASPECT_RATIOS": [[0.4, 1.0, 1.7]],
        "OFFSET": 0.5,
    }


def _heads(merged: dict[str, Any]) -> None:
    merged["MODEL"]["ROI_HEADS"] |= {
        "NUM_CLASSES": 5,
        "SCORE_THRESH_TEST": 0.2,
        "NMS_THRESH_TEST": 0.3,
    }
    merged["TEST"]["DETECTIONS_PER_IMAGE"] = 12


def _full_size(merged: dict[str, Any]) -> None:
    merged["INPUT"]["MIN_SIZE_TEST"] = 0
    merged["MODEL"]["PIXEL_MEAN"] = [90.0, 100.5, 120.0]
    merged["MODEL"]["PIXEL_STD"] = [50.0, 60.0, 70.0]


def _longest_edge(merged: dict[str, Any]) -> None:
    merged["INPUT"] |= {"MIN_SIZE_TEST": 400, "MAX_SIZE_TEST": 301}


SETTINGS: list[Callable[[dict[str, Any]], None]] = [
    _group_norm,
    _batch_norm,
    _pooling,
    _proposals,
    _heads,
    _full_size,
    _longest_edge,
]


def calibrate(model: Any, image: np.ndarray) -> None:
    """Scale random weights by what they give for an image, as training would.

    The levels share the proposals' layer and scale it one after another: objectness reaches 50,
    where only logits, no sigmoids, still rank the proposals.
    """

    def normalise(module: Any, args: Any) -> None:
        module.running_mean.copy_(args[0].mean((0, 2, 3)))
        module.running_var.copy_(args[0].var((0, 2, 3)) + 1e-3)

    def spread(wanted: float, mean: float) -> Callable[..., Any]:
        def scale(module: Any, args: Any, out: Any) -> Any:
            factor = wanted / float(out.std())
            shift = mean - float(out.mean()) * factor
            module.weight.mul_(factor)
            module.bias.mul_(factor).add_(shift)
            return out * factor + shift

        return scale

    hooks = [
        module.register_forward_pre_hook(normalise)
        for module in model.modules()
        if getattr(module, "running_mean", None) is not None
    ]
    for name, module in model.backbone.bottom_up.named_modules():
        if name.endswith("conv3.norm"):
            module.weight.fill_(0.3)
    for name, wanted, mean in (
        ("proposal_generator.rpn_head.objectness_logits", 2.0, 0.0),
        ("proposal_generator.rpn_head.anchor_deltas", 0.1, 0.0),
        ("roi_heads.box_predictor.cls_score", 1.0, 0.0),
        ("roi_heads.box_predictor.bbox_pred", 0.3, 0.0),
        ("roi_heads.mask_head.predictor", 1.0, 2.0),
    ):
        hooks.append(model.get_submodule(name).register_forward_hook(spread(wanted, mean)))
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float()
    model.inference([{"image": tensor}], do_postprocess=False)
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("change", SETTINGS, ids=lambda change: change.__name__.strip("_"))
def test_settings_mean_the_same_in_both_backends(
    real: None, change: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    merged = yaml.safe_load((DATA / "r50_bgr_caffe2" / "config.yaml").read_text())
    change(merged)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(merged))
    config, image = get_cfg(), image_of("r50_bgr_caffe2")
    config.merge_from_file(str(tmp_path / "config.yaml"))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(1)
        model = build_model(config).eval()
        calibrate(model, image)
    torch.save({"model": model.state_dict()}, tmp_path / "model_final.pth")
    ours, theirs = (
        models.load(tmp_path / "model_final.pth", device="cpu", backend=backend)
        for backend in BACKENDS
    )
    assert ours.fingerprint() == theirs.fingerprint()
    assert ours.editable_layers() == theirs.editable_layers()
    names = [layer.name for layer in ours.editable_layers()]
    here, there = ours.features(image, names), theirs.features(image, names)
    for name in names:
        assert here[name].content == there[name].content
        assert relative(here[name].key, there[name].key) < 1e-3
        assert relative(here[name].value, there[name].value) < 1e-3
    assert_alike(ours.predict(image), theirs.predict(image))


# Files that do not fit


def changed_file(tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    file = torch.load(DATA / "r50_bgr_caffe2" / "model_final.pth", weights_only=True)
    change(file["model"])
    torch.save(file, tmp_path / "changed.pth")
    return tmp_path / "changed.pth"


def load_changed(path: Path) -> Any:
    config = DATA / "r50_bgr_caffe2" / "config.yaml"
    return models.load(path, config=config, device="cpu", backend="detectron2")


def test_weights_that_do_not_fit_are_named(real: None, tmp_path: Path) -> None:
    path = changed_file(tmp_path, lambda t: t.pop("backbone.fpn_output2.weight"))
    with pytest.raises(ModelError, match=r"backbone\.fpn_output2\.weight"):
        load_changed(path)
    path = changed_file(tmp_path, lambda t: t.update({"roi_heads.extra": torch.zeros(1)}))
    with pytest.raises(ModelError, match=r"roi_heads\.extra"):
        load_changed(path)
    with pytest.raises(InputError, match="class names"):
        load("r50_bgr_caffe2", "detectron2", class_names=["one", "two", "three"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_detectron2_fills_in_itself_may_be_missing_or_too_many(
    real: None, backend: str, tmp_path: Path
) -> None:
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    def change(tensors: dict[str, torch.Tensor]) -> None:
        for key in [k for k in tensors if k.endswith(("running_mean", "running_var"))]:
            del tensors[key]
        tensors["pixel_mean"] = torch.full((3, 1, 1), 7.0)
        tensors["proposal_generator.anchor_generator.cell_anchors.0"] = torch.ones(3, 4)

    # A plain dict, as in the pickles of early detectron2: no version to go by.
    path = changed_file(tmp_path, change)
    file = torch.load(path, weights_only=True)
    torch.save({"model": dict(file["model"])}, path)
    config = get_cfg()
    config.merge_from_file(str(DATA / "r50_bgr_caffe2" / "config.yaml"))
    model = build_model(config).eval()
    DetectionCheckpointer(model).load(str(path))
    native = load_changed(path)
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, native.model.state_dict()[key])
    other = models.load(path, config=native.config.path, device="cpu", backend=backend)
    assert other.fingerprint() == native.fingerprint()


@pytest.mark.parametrize("shape", [(1, 900), (900, 1), (1, 1)])
def test_a_slice_of_one_pixel_beside_many(real: None, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = [shared(BOTH[0], backend).predict(image) for backend in BACKENDS]
    assert [one.shape for one in found] == [shape, shape]
    assert_alike(*found)
