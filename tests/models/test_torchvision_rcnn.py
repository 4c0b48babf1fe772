from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
import torch

from napari_fossiledit import progress
from napari_fossiledit.errors import Cancelled, InputError, ModelError, OutOfMemoryError
from napari_fossiledit.models.hooks import capture
from napari_fossiledit.models.preprocess import Preprocess
from napari_fossiledit.models.segmenter import Segmenter
from napari_fossiledit.models.torchvision_rcnn import RPN, TorchvisionRCNN

from .conftest import tiny


def test_it_is_a_segmenter(segmenter: TorchvisionRCNN) -> None:
    assert isinstance(segmenter, Segmenter)
    assert segmenter.name == "tiny"
    assert segmenter.class_names == ("cup",)
    assert segmenter.device == torch.device("cpu")


def test_predictions_are_sorted_deterministic_and_inside(
    segmenter: TorchvisionRCNN, image: np.ndarray
) -> None:
    first, second = segmenter.predict(image), segmenter.predict(image)
    assert len(first) > 5
    assert first.shape == (100, 140)
    assert np.all(np.diff(first.scores) <= 0)
    assert np.array_equal(first.boxes, second.boxes)
    assert np.array_equal(first.scores, second.scores)
    for a, b in zip(first.crops, second.crops, strict=True):
        assert np.array_equal(a.mask, b.mask)
        rows, columns = a.window
        assert 0 <= rows.start <= rows.stop <= 100
        assert 0 <= columns.start <= columns.stop <= 140
    assert first.boxes.min() >= 0
    assert np.all(first.boxes.max(0) <= [140, 100, 140, 100])
    assert set(first.classes) == {0}


def test_masks_are_computed_only_for_what_the_threshold_leaves(
    segmenter: TorchvisionRCNN, image: np.ndarray
) -> None:
    everything = segmenter.predict(image)
    threshold = float(everything.scores[3])
    with capture(segmenter.model, ["roi_heads.mask_head"]) as seen:
        some = segmenter.predict(image, score_threshold=threshold)
    assert len(some) == 4
    assert sum(len(given) for given, _ in seen["roi_heads.mask_head"]) == 4
    assert np.array_equal(some.boxes, everything.boxes[:4])
    assert len(segmenter.predict(image, max_detections=2)) == 2
    assert len(segmenter.predict(image, score_threshold=1.0)) == 0


def test_mask_thresholds_share_one_pass(segmenter: TorchvisionRCNN, image: np.ndarray) -> None:
    with capture(segmenter.model, ["backbone"]) as seen:
        cuts = segmenter.predict_mask_thresholds(image, [0.3, 0.5, 0.7])
    assert len(seen["backbone"]) == 1
    assert [len(c) for c in cuts] == [len(cuts[0])] * 3
    areas = np.array([c.areas() for c in cuts])
    assert np.all(np.diff(areas, axis=0) <= 0)
    alone = segmenter.predict(image, mask_threshold=0.7)
    assert np.array_equal(alone.areas(), areas[2])


def test_it_finds_what_torchvisions_own_forward_finds(image: np.ndarray) -> None:
    """The prediction written out gives stock torchvision's detections and mask probabilities."""
    segmenter = tiny(seed=5)
    model: Any = segmenter.model
    mean, std = segmenter.preprocess.mean, segmenter.preprocess.std
    model.transform.image_mean, model.transform.image_std = list(mean), list(std)
    model.transform.min_size, model.transform.max_size = (150,), 1000
    model.roi_heads.score_thresh, model.roi_heads.detections_per_img = 0.0, 500
    resizing = TorchvisionRCNN(model, preprocess=Preprocess(mean, std, 150, 1000))
    tensor = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    with torch.no_grad():
        theirs = model([tensor])[0]
    ours = resizing.predict(image)
    assert len(ours) == len(theirs["boxes"]) > 5
    np.testing.assert_allclose(ours.boxes, theirs["boxes"].numpy(), atol=1e-3)
    np.testing.assert_allclose(ours.scores, theirs["scores"].numpy(), atol=1e-6)
    for i in range(0, len(ours), 5):
        soft = theirs["masks"][i, 0].numpy()
        # torchvision pastes on whole pixels; inside the box both agree where it is clear-cut.
        inside = np.zeros_like(soft, bool)
        inside[ours.crops[i].window] = True
        clear = inside & (np.abs(soft - 0.5) > 0.1)
        if clear.sum() > 50:
            assert np.mean(ours.mask(i)[clear] == (soft >= 0.5)[clear]) > 0.9


def test_a_large_slice_gets_more_proposals(segmenter: TorchvisionRCNN) -> None:
    assert segmenter._proposals((384, 384)) == 40
    assert segmenter._proposals((768, 768)) == 160
    assert segmenter._proposals((20000, 20000)) == 2000


def test_editable_layers_are_found_in_the_model(segmenter: TorchvisionRCNN) -> None:
    layers = segmenter.editable_layers()
    assert [layer.level for layer in layers] == ["P2", "P3", "P4", "P5", RPN]
    assert [layer.stride for layer in layers] == [4, 8, 16, 32, 4]
    assert all(layer.shape == (16, 16, 3, 3) for layer in layers)
    assert layers[0].name == "backbone.fpn.layer_blocks.0.0"


def test_a_model_without_a_pyramid_says_so() -> None:
    segmenter = tiny()
    del segmenter.model.backbone.fpn.layer_blocks
    with pytest.raises(ModelError, match="no feature pyramid"):
        segmenter.editable_layers()


def test_features_are_the_convolutions_own_input_and_output(
    segmenter: TorchvisionRCNN, image: np.ndarray
) -> None:
    segmenter.editable_layers()
    with capture(segmenter.model, ["backbone.body", "rpn.head"]) as seen:
        features = segmenter.features(image)
    assert len(seen["backbone.body"]) == 1
    assert not seen["rpn.head"]
    assert list(features) == [x.name for x in segmenter.editable_layers() if x.level != RPN]
    name = "backbone.fpn.layer_blocks.1.0"
    pair = features[name]
    assert pair.content == (100, 140)
    assert pair.padded == (128, 160)
    assert pair.key.shape == (1, 16, 16, 20)
    bias = segmenter.bias(name)
    weight = segmenter.weight(name).requires_grad_()
    value = torch.nn.functional.conv2d(pair.key, weight, bias, padding=1)
    torch.testing.assert_close(value, pair.value)
    value.sum().backward()
    assert weight.grad is not None


def test_the_proposal_convolution_is_captured_when_asked_for(
    segmenter: TorchvisionRCNN, image: np.ndarray
) -> None:
    name = segmenter.editable_layers()[-1].name
    pair = segmenter.features(image, [name])[name]
    finest = segmenter.features(image)["backbone.fpn.layer_blocks.0.0"]
    torch.testing.assert_close(pair.key, finest.value)
    assert float(pair.value.min()) < 0  # before the ReLU


def test_unknown_layers_are_refused(segmenter: TorchvisionRCNN, image: np.ndarray) -> None:
    with pytest.raises(ModelError, match="no editable layer"):
        segmenter.features(image, ["backbone.body.stem"])
    with pytest.raises(ModelError, match="no editable layer"):
        segmenter.weight("nonsense")
    with pytest.raises(ModelError, match="made for another model"):
        segmenter.set_weight("backbone.fpn.layer_blocks.0.0", torch.zeros(3, 3, 3, 3))


def test_weights_written_and_put_back_are_bit_identical(
    segmenter: TorchvisionRCNN, image: np.ndarray
) -> None:
    name = "backbone.fpn.layer_blocks.0.0"
    before, weight = segmenter.fingerprint(), segmenter.weight(name)
    first = segmenter.predict(image)
    segmenter.set_weight(name, weight + 0.1)
    assert segmenter.fingerprint() != before
    assert not np.array_equal(segmenter.predict(image).scores, first.scores)
    segmenter.set_weight(name, weight)
    assert segmenter.fingerprint() == before
    assert np.array_equal(segmenter.predict(image).scores, first.scores)


def test_weight_is_a_copy(segmenter: TorchvisionRCNN) -> None:
    name = segmenter.editable_layers()[0].name
    before = segmenter.fingerprint()
    segmenter.weight(name).zero_()
    bias = segmenter.bias(name)
    assert bias is not None
    bias.fill_(7)
    assert segmenter.fingerprint() == before


def test_every_tensor_names_its_device(segmenter: TorchvisionRCNN, image: np.ndarray) -> None:
    expected = segmenter.predict(image)
    with torch.device("meta"):
        again = segmenter.predict(image)
        names = [layer.name for layer in segmenter.editable_layers()]
        features = segmenter.features(image, names)
        segmenter.set_weight(names[0], segmenter.weight(names[0]))
        segmenter.fingerprint()
        assert len(tiny().predict(image)) == len(expected)
    assert np.array_equal(again.scores, expected.scores)
    assert all(pair.key.device.type == "cpu" for pair in features.values())


def test_cancelling_ends_a_running_pass_and_leaves_the_model(
    segmenter: TorchvisionRCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    before = segmenter.fingerprint()
    token, started = progress.CancelToken(), threading.Event()
    blocks = segmenter.model.backbone.body.blocks

    def slow(module: Any, args: Any, output: Any) -> None:
        started.set()
        time.sleep(0.1)

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
    assert segmenter.lock.acquire(timeout=1)
    segmenter.lock.release()
    segmenter.predict(image)


def test_weights_wait_for_a_running_prediction(
    segmenter: TorchvisionRCNN, image: np.ndarray
) -> None:
    name = segmenter.editable_layers()[0].name
    weight = segmenter.weight(name)
    written = threading.Event()

    def write() -> None:
        segmenter.set_weight(name, weight * 0)
        written.set()

    with segmenter.lock:
        thread = threading.Thread(target=write)
        thread.start()
        assert not written.wait(0.2)
        assert torch.equal(segmenter.weight(name), weight)
    thread.join(10)
    assert written.is_set()


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 4), np.uint8),
        np.zeros((20, 20, 3), np.float32),
        np.zeros((20, 20, 3), np.uint16),
        np.zeros((0, 20, 3), np.uint8),
    ],
)
def test_images_of_another_kind_are_refused(segmenter: TorchvisionRCNN, bad: Any) -> None:
    with pytest.raises(InputError):
        segmenter.predict(bad)
    with pytest.raises(InputError):
        segmenter.features(bad)


def test_settings_out_of_range_are_refused(segmenter: TorchvisionRCNN, image: np.ndarray) -> None:
    with pytest.raises(InputError, match="score threshold"):
        segmenter.predict(image, score_threshold=1.5)
    with pytest.raises(InputError, match="mask threshold"):
        segmenter.predict(image, mask_threshold=-0.1)
    with pytest.raises(InputError, match="max_detections"):
        segmenter.predict(image, max_detections=0)


def test_slices_of_any_size(segmenter: TorchvisionRCNN) -> None:
    for shape in ((1, 1), (5, 300), (33, 64)):
        found = segmenter.predict(np.zeros((*shape, 3), np.uint8))
        assert found.shape == shape


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    ],
)
def test_too_little_memory_is_said_plainly(
    segmenter: TorchvisionRCNN,
    image: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    before = segmenter.fingerprint()

    def fail(*args: Any) -> Any:
        raise error

    monkeypatch.setattr(segmenter.model.backbone.body, "forward", fail)
    with pytest.raises(OutOfMemoryError, match="too little memory for a slice of 100 x 140"):
        segmenter.predict(image)
    with pytest.raises(OutOfMemoryError):
        segmenter.features(image)
    assert segmenter.fingerprint() == before


def test_other_faults_are_not_hidden(
    segmenter: TorchvisionRCNN, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(segmenter.model.backbone.body, "forward", fail)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        segmenter.predict(image)
