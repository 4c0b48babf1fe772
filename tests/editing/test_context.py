from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from napari_fossiledit.editing import Adam, LowRank, Ridge, Source, rewrite
from napari_fossiledit.editing.solvers import context_directions, second_moment
from napari_fossiledit.editing.sources import edit_mask
from napari_fossiledit.errors import InputError


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).to(dtype)


def by_the_letter(key, mask, moment, rank):
    """The published recipe over all rows at once."""
    values, vectors = torch.linalg.eigh(moment)
    z = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    k = key.permute(0, 2, 3, 1).reshape(-1, key.shape[1])
    w = mask.reshape(-1, 1)
    rows = (w * (k @ z))[w[:, 0] > 0]
    right = torch.linalg.svd(rows, full_matrices=False).Vh
    directions = torch.linalg.qr(z @ right[:rank].T).Q
    return (directions * (directions.T @ rows.sum(0)).sign()).T


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_the_published_recipe_without_its_rows(rank):
    others = [random(1, 5, 9, 8, seed=7), random(2, 5, 6, 6, seed=8)]
    key = random(2, 5, 12, 10) + random(1, 5, 1, 1, seed=2)
    mask = random(2, 1, 12, 10, seed=1).clamp(min=0)
    moment = second_moment([key, *others])
    found = context_directions(key, mask, moment, rank)
    expected = by_the_letter(key, mask, moment, rank)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)
    eye = torch.eye(rank, dtype=torch.float64)
    torch.testing.assert_close(found @ found.T, eye)


def test_the_second_moment_is_uncentred_and_weighted():
    keys = [random(1, 4, 5, 6) + 3, random(2, 4, 3, 3, seed=1)]
    masks = [random(1, 1, 5, 6, seed=2).abs(), None]
    k = torch.cat([key.permute(0, 2, 3, 1).reshape(-1, 4) for key in keys])
    w = torch.cat([masks[0].reshape(-1), torch.ones(18, dtype=torch.float64)])
    expected = (k * w[:, None]).T @ k / w.sum()
    torch.testing.assert_close(second_moment(keys, masks), expected)
    torch.testing.assert_close(second_moment(keys[0]), second_moment([keys[0]]))


def test_the_direction_of_the_area_is_found():
    """Rank 1: what the area adds to the rock around, seen through the rock's own moment."""
    key = random(1, 6, 40, 40)
    planted = F.normalize(random(6, seed=3), dim=0)
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 5:15, 5:15] = 1
    rock = second_moment(key)
    key = key + 20 * mask * planted[:, None, None]
    found = context_directions(key.float(), mask, rock, 1)
    assert found.dtype == torch.float32
    assert float(found[0].double() @ planted) > 0.99
    assert not found.requires_grad


def test_dead_channels_do_no_harm():
    key = random(1, 5, 12, 12)
    key[:, 2] = 0
    mask = torch.ones(1, 1, 12, 12)
    found = context_directions(key, mask, second_moment(key), 4)
    assert found.isfinite().all()
    assert found[:, 2].abs().max() < 1e-9
    with pytest.raises(InputError, match="at most 4"):
        context_directions(key, mask, second_moment(key), 5)


def test_bad_input_is_named():
    key, mask = random(1, 5, 6, 6), torch.ones(1, 1, 6, 6)
    moment = second_moment(key)

    def fails(words, call, *given):
        with pytest.raises(InputError, match=words):
            call(*given)

    fails("5 channels: choose a rank from 1 to 5", context_directions, key, mask, moment, 6)
    fails("choose a rank from 1", context_directions, key, mask, moment, 0)
    fails("keys hold NaN", context_directions, key / 0, mask, moment, 1)
    fails("moments of the keys hold NaN", context_directions, key, mask, moment / 0, 1)
    fails("moment's shape", context_directions, key, mask, moment[:2], 1)
    fails("No position", context_directions, key, mask * 0, moment, 1)
    fails("keys hold NaN", second_moment, key / 0)
    fails("at least one slice", second_moment, [])
    fails("2 masks", second_moment, [key], [mask, mask])
    fails("differ in channels", second_moment, [key, key[:, :3]])


def test_rewrite_takes_context_slices(segmenter, scene):
    """The directions come from the moment of the edited and the context's slices together."""
    image, painted, fossils = scene
    others = [image[::-1].copy(), np.full_like(image, 90)]
    options = {"layers": ["fpn.0"], "solver": LowRank(rank=2)}
    alone = rewrite(segmenter, image, painted, fossils, **options)
    told = rewrite(segmenter, image, painted, fossils, context=others, **options)
    assert not torch.equal(told.deltas["fpn.0"], alone.deltas["fpn.0"])
    assert told.provenance["context_slices"] == 2
    assert "context_slices" not in alone.provenance

    found = segmenter.features(image, ["fpn.0"])["fpn.0"]
    mask = edit_mask(Source(image, painted, fossils), found)
    keys = [segmenter.features(one, ["fpn.0"])["fpn.0"].key for one in (image, *others)]
    span = context_directions(found.key, mask, second_moment(keys), 2)
    delta = told.deltas["fpn.0"].permute(0, 2, 3, 1).reshape(-1, found.key.shape[1])
    torch.testing.assert_close(delta @ span.T @ span, delta, atol=1e-5, rtol=1e-4)


def test_context_of_a_layer_fed_by_others_is_that_of_the_edited_model(segmenter, scene):
    image, painted, fossils = scene
    solver = Adam(steps=2, lr=1e-3, rank=1)
    both = rewrite(segmenter, image, painted, fossils, context=[image], solver=solver)
    assert set(both.deltas) == {"fpn.0"}
    layers = ["fpn.0", "fpn.1", "rpn.conv"]
    one = rewrite(segmenter, image, painted, fossils, layers=layers, context=[image], solver=solver)
    # A context of the edited slice alone adds nothing to its own moment.
    same = rewrite(segmenter, image, painted, fossils, layers=layers, solver=solver)
    torch.testing.assert_close(one.deltas["rpn.conv"], same.deltas["rpn.conv"])


def test_context_is_refused_where_it_has_no_say(segmenter, scene):
    for solver in (Ridge(), Adam(steps=1)):
        with pytest.raises(InputError, match="choose the solver low_rank, or adam with a rank"):
            rewrite(segmenter, *scene, solver=solver, context=[scene[0]])
