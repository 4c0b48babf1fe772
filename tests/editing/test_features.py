from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from napari_fossiledit.editing.features import capture, layer_mask, pool_mask
from napari_fossiledit.errors import InputError, ModelError
from napari_fossiledit.models.segmenter import KeyValue


def test_pooling_by_whole_pixels_is_average_pooling():
    mask = np.random.default_rng(0).random((64, 48)) < 0.4
    expected = F.avg_pool2d(torch.from_numpy(mask)[None, None].float(), 4)
    assert torch.equal(pool_mask(mask, (16, 12)), expected)


@pytest.mark.parametrize("size", [(7, 5), (3, 11), (1, 1), (20, 30), (10, 10)])
def test_pooling_to_any_size_keeps_the_area(size):
    mask = np.random.default_rng(1).random((10, 13)) < 0.5
    pooled = pool_mask(mask, size)
    assert pooled.shape == (1, 1, *size)
    assert pooled.dtype == torch.float32
    assert pooled.mean().item() == pytest.approx(mask.mean(), abs=1e-6)
    assert pool_mask(np.ones((10, 13), bool), size).numpy() == pytest.approx(1.0)


def test_a_cut_pixel_counts_by_its_share():
    found = pool_mask(np.array([[1, 0, 0]], bool), (1, 2))
    assert found.numpy().ravel() == pytest.approx([2 / 3, 0])


def test_batches_and_tensors_keep_their_device_and_order():
    masks = torch.zeros(3, 1, 8, 8)
    masks[1] = 1
    with torch.device("meta"):
        pooled = pool_mask(masks, (2, 2))
    assert pooled.mean((1, 2, 3)).tolist() == [0, 1, 0]
    assert pool_mask(masks[:, 0].numpy(), (2, 2)).shape == (3, 1, 2, 2)


@pytest.mark.parametrize("shape", [(4,), (1, 2, 4, 4), (0, 4)])
def test_what_is_no_mask_is_refused(shape):
    with pytest.raises(InputError, match="mask"):
        pool_mask(np.zeros(shape, bool), (2, 2))
    with pytest.raises(InputError, match="0 cells"):
        pool_mask(np.ones((4, 4), bool), (0, 2))


def test_the_mask_of_a_layer_is_zero_in_the_padding():
    key = torch.zeros(1, 2, 8, 8)
    at = KeyValue(key, key, content=(24, 20), padded=(32, 32))
    found = layer_mask(np.ones((48, 40), bool), at)
    expected = torch.zeros(8, 8)
    expected[:6, :5] = 1
    torch.testing.assert_close(found[0, 0], expected)


def test_the_mask_of_a_layer_is_resized_with_the_image():
    key = torch.zeros(1, 2, 4, 4)
    mask = np.zeros((32, 32), bool)
    mask[:, :8] = True
    found = layer_mask(mask, KeyValue(key, key, content=(16, 16), padded=(16, 16)))
    torch.testing.assert_close(found[0, 0], torch.tensor([1.0, 0, 0, 0]).expand(4, 4))


def test_capture_takes_keys_of_the_original_and_values_of_both(segmenter, scene):
    image, painted, _ = scene
    found = capture(segmenter, image, painted, ["fpn.0", "fpn.1"])
    for name, captured in found.items():
        original, other = segmenter.features(image)[name], segmenter.features(painted)[name]
        assert torch.equal(captured.original.key, original.key)
        assert torch.equal(captured.original.value, original.value)
        assert torch.equal(captured.target, other.value)
        assert torch.equal(captured.weight, segmenter.weight(name))


def test_capture_names_the_layer_whose_features_are_not_finite(segmenter, scene):
    image, painted, _ = scene
    segmenter.set_weight("fpn.1", segmenter.weight("fpn.1") * float("nan"))
    with pytest.raises(ModelError, match=r"fpn\.1"):
        capture(segmenter, image, painted, ["fpn.0", "fpn.1"])
    with pytest.raises(InputError, match="perturb this very slice"):
        capture(segmenter, image, painted[1:], ["fpn.0"])
