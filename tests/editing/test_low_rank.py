from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from napari_fossiledit.editing import (
    L1,
    Adam,
    LowRank,
    Ridge,
    rewrite,
    rewrite_task,
    solver_from_dict,
)
from napari_fossiledit.editing.solvers import (
    adam,
    context_directions,
    low_rank,
    low_rank_task,
    ridge,
    second_moment,
)
from napari_fossiledit.errors import Cancelled, InputError
from napari_fossiledit.progress import CancelToken, driven, run


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).to(dtype)


def conv(key: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None):
    return F.conv2d(key, weight, bias, padding=weight.shape[2] // 2)


@pytest.fixture
def layer():
    """Key, weight, bias of a small layer: D = 45, 400 positions."""
    return random(1, 5, 20, 20), random(4, 5, 3, 3, seed=1), random(4, seed=2)


@pytest.fixture
def planted(layer):
    """Mask, context direction of its keys, and a delta of rank 1 along it."""
    key, _, _ = layer
    mask = torch.zeros(1, 1, 20, 20, dtype=torch.float64)
    mask[..., 4:17, 3:18] = 1
    context = context_directions(key, mask, second_moment(key), 1)
    return mask, context, torch.einsum("odyx,di->oiyx", random(4, 1, 3, 3, seed=3), context)


def test_a_planted_delta_of_rank_1_is_recovered(layer, planted):
    key, weight, bias = layer
    mask, _, delta = planted
    target = conv(key, weight + delta, bias)
    found = low_rank(key, target, weight, bias, mask=mask, rank=1, damping=1e-12)
    assert (found.delta - delta).norm() / delta.norm() < 1e-8
    assert found.cost.startswith("rank 1: 195 positions, one 9 x 9")


def test_adam_of_rank_1_recovers_it_too(layer, planted):
    key, weight, bias = layer
    mask, context, delta = planted
    target = conv(key, weight + delta, bias)
    found = adam(key, target, weight, bias, mask=mask, steps=600, lr=1e-2, context=context)
    assert (found.delta - delta).norm() / delta.norm() < 0.02


@pytest.mark.parametrize("rank", [1, 3])
def test_it_is_least_squares_within_the_span(layer, rank):
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    context = torch.linalg.qr(random(5, rank, seed=7)).Q.T
    mask = random(1, 1, 20, 20, seed=5).clamp(min=0)
    keep = (random(1, 1, 20, 20, seed=6) > 1).double()
    options = {"damping": 0.05, "keep_keys": [(key, keep)], "keep_weight": 0.5}
    found = low_rank(key, target, weight, bias, mask=mask, context=context, **options)
    c = torch.einsum("dc,nchw->ndhw", context, key)
    x = F.unfold(c, 3, padding=1)[0]
    r = (target - conv(key, weight, bias)).reshape(4, -1)
    m, k = mask.reshape(-1), keep.reshape(-1)
    moment = (x * m) @ x.T / m.sum()
    system = moment + 0.5 * (x * k) @ x.T / k.sum()
    system.diagonal().add_(0.05 * moment.diagonal().mean())
    small = torch.linalg.solve(system, x @ (r * m).T / m.sum()).T.reshape(4, rank, 3, 3)
    expected = torch.einsum("odyx,di->oiyx", small, context)
    torch.testing.assert_close(found.delta, expected, atol=1e-10, rtol=1e-8)
    assert found.losses[-1] < found.losses[0]


def test_full_rank_is_ridge(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    found = low_rank(key, target, weight, bias, rank=5)
    expected = ridge(key, target, weight, bias)
    torch.testing.assert_close(found.delta, expected.delta, atol=1e-10, rtol=1e-7)
    assert found.losses == pytest.approx(expected.losses)


def test_nothing_perturbed_gives_a_zero_delta(layer):
    key, weight, bias = layer
    assert torch.count_nonzero(low_rank(key, conv(key, weight, bias), weight, bias).delta) == 0


def test_ready_patches_are_kept_too(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    patches = F.unfold(key, 3, padding=1)[0].T.reshape(400, 5, 3, 3)
    ones = torch.ones(1, 1, 20, 20)
    found = [
        low_rank(key, target, weight, bias, rank=2, keep_keys=keep, keep_weight=1.0).delta
        for keep in (patches, [(key, ones)])
    ]
    torch.testing.assert_close(*found)


def test_bad_input_is_named(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias)
    for rank in (0, 6):
        with pytest.raises(InputError, match="5 channels: choose a rank from 1 to 5"):
            low_rank(key, target, weight, bias, rank=rank)
    for solve in (low_rank, adam):
        with pytest.raises(InputError, match="context's shape"):
            solve(key, target, weight, bias, context=torch.ones(2, 9))
        with pytest.raises(InputError, match="choose a rank from 1 to 5"):
            solve(key, target, weight, bias, context=torch.ones(6, 5))
    with pytest.raises(InputError, match="keys hold NaN"):
        low_rank(key / 0, target, weight, bias)
    with pytest.raises(InputError, match="No position"):
        low_rank(key, target, weight, bias, mask=torch.zeros(1, 1, 20, 20))
    for keep in (random(3, 2, 3, 3), [(key[:, :2], torch.ones(1, 1, 20, 20))]):
        with pytest.raises(InputError, match="channels"):
            low_rank(key, target, weight, bias, keep_keys=keep, keep_weight=1.0)
    with pytest.raises(InputError, match="keep set"):
        low_rank(key, target, weight, bias, keep_weight=1.0)
    flat = torch.ones_like(key)
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., 5:15, 5:15] = 1
    context = torch.eye(5)[:1]
    with pytest.raises(InputError, match="raise the damping"):
        low_rank(flat, target, weight, bias, mask=mask, damping=0, context=context)
    with pytest.raises(InputError, match="span only 1 directions"):
        low_rank(flat, target, weight, bias, mask=mask, rank=2)


def test_cancelling_leaves_all_as_it_was(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias) + 1
    token = CancelToken()
    running = driven(low_rank_task(key, target, weight, bias), token)
    next(running)
    token.cancel()
    with pytest.raises(Cancelled):
        next(running)
    assert torch.is_grad_enabled()
    with torch.device("meta"):
        assert run(low_rank_task(key, target, weight, bias)).delta.device.type == "cpu"


@pytest.mark.parametrize("solver", [Adam(steps=12, rank=2), LowRank(rank=2), L1()])
def test_rewrite_takes_every_solver(segmenter, scene, solver, tmp_path):
    image, painted, fossils = scene
    layers = ["fpn.0", "fpn.1", "rpn.conv"]
    edit = rewrite(segmenter, image, painted, fossils, layers=layers, solver=solver)
    facts = edit.provenance
    assert facts["solver"] == solver.to_dict()
    assert solver_from_dict(json.loads(json.dumps(facts["solver"]))) == solver
    for layer in layers:
        delta = edit.deltas[layer]
        assert facts["loss"][layer]["after"] < facts["loss"][layer]["before"]
        by_channel = delta.permute(1, 0, 2, 3).flatten(1)
        singular = torch.linalg.svdvals(by_channel.double())
        rank = int((singular > 1e-5 * singular[0]).sum())
        assert rank == 6 if isinstance(solver, L1) else rank == 2
    with torch.device("meta"):
        again = rewrite(segmenter, image, painted, fossils, layers=layers, solver=solver)
    assert all(torch.equal(again.deltas[layer], edit.deltas[layer]) for layer in layers)


@pytest.mark.parametrize("solver", [LowRank(rank=2, keep_weight=2.0), L1(keep_weight=2.0)])
def test_rewrite_hands_over_the_slices_to_keep(segmenter, scene, solver):
    image, painted, fossils = scene
    kept = [(image[::-1].copy(), fossils[::-1].copy())]
    edit = rewrite(segmenter, image, painted, fossils, solver=solver, keep=kept)
    free = rewrite(segmenter, image, painted, fossils, solver=replace(solver, keep_weight=0.0))
    assert edit.provenance["kept_slices"] == 1
    assert edit.deltas["fpn.0"].norm() < free.deltas["fpn.0"].norm()


def test_a_rank_above_the_channels_is_refused_by_rewrite(segmenter, scene):
    for solver in (Adam(rank=7), LowRank(rank=7)):
        with pytest.raises(InputError, match="6 channels: choose a rank from 1 to 6"):
            rewrite(segmenter, *scene, solver=solver)


def test_settings_of_full_rank_are_written_as_before():
    assert Adam(steps=3).to_dict() == {"name": "adam", "steps": 3, "lr": 5e-5}
    with pytest.raises(InputError, match="choose ridge or l1 or low_rank or adam"):
        solver_from_dict({"name": "magic"})


@pytest.mark.parametrize("solver", [Ridge(), L1(), LowRank(rank=1), Adam(steps=2)])
def test_a_level_without_a_free_cell_is_skipped_and_reported(segmenter, scene, solver):
    """One free cell of P2 is too little for any of P3's to count."""
    image, painted, _ = scene
    fossils = np.ones((60, 52), bool)
    fossils[8:12, 8:24] = False
    seen = []
    task = rewrite_task(
        segmenter, image, painted, fossils, layers=["fpn.0", "fpn.1"], solver=solver
    )
    edit = run(task, seen.append)
    assert edit.layers == ("fpn.0",)
    (skipped,) = edit.provenance["skipped_layers"]
    assert skipped["name"] == "fpn.1"
    assert skipped["level"] == "P3"
    assert any("P3 is skipped" in step.message for step in seen)
    assert seen[-1].done <= seen[-1].total
    with pytest.raises(InputError, match="finer resolution"):
        rewrite(segmenter, image, painted, fossils, layers=["fpn.1"], solver=solver)
    whole = rewrite(segmenter, *scene, layers=["fpn.0", "fpn.1"], solver=solver)
    assert whole.provenance["skipped_layers"] == []
