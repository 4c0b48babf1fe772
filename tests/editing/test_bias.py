"""Biases edited as well: planted ones are recovered, exactly by `ridge`."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from napari_fossiledit import editing, perturb
from napari_fossiledit.editing import solvers
from napari_fossiledit.errors import InputError


def planted(seed: int = 0, rows: int = 24):
    rng = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=rng, dtype=torch.float64)  # noqa: E731
    key, weight, bias = draw(1, 3, rows, rows) + 0.7, draw(4, 3, 3, 3), draw(4)
    delta, shift = draw(4, 3, 3, 3), draw(4)
    target = F.conv2d(key, weight + delta, bias + shift, padding=1)
    return key, target, weight, bias, delta, shift


def test_ridge_recovers_weight_and_bias() -> None:
    key, target, weight, bias, delta, shift = planted()
    found = solvers.ridge(key, target, weight, bias, damping=0.0, biases=True)
    assert torch.allclose(found.delta, delta, atol=1e-8)
    assert torch.allclose(found.bias, shift, atol=1e-8)
    assert found.losses[-1] < 1e-9 < found.losses[0]
    assert solvers.ridge(key, target, weight, bias, damping=0.0).bias is None


@pytest.mark.parametrize("keep_weight", [0.0, 0.7])
def test_ridge_with_bias_is_the_regression_with_a_column_of_ones(keep_weight: float) -> None:
    key, target, weight, bias, *_ = planted()
    target = target + torch.randn(target.shape, generator=torch.Generator().manual_seed(9))
    mask = (torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(1)) > 0.4).double()
    other = planted(5)[0]
    keep = [(other, torch.ones(1, 1, 24, 24, dtype=torch.float64))]
    found = solvers.ridge(
        key,
        target,
        weight,
        bias,
        mask=mask,
        damping=0.2,
        biases=True,
        keep_keys=keep if keep_weight else None,
        keep_weight=keep_weight,
    )
    ones = lambda k: torch.cat([F.unfold(k, 3, padding=1)[0], torch.ones(1, 576)])  # noqa: E731
    x, m = ones(key), mask.flatten() / mask.sum()
    r = (target - F.conv2d(key, weight, bias, padding=1))[0].flatten(1)
    gram, right = (x * m) @ x.T, (r * m) @ x.T
    pull = 0.2 * gram.diagonal()[:-1].mean()
    gram += keep_weight * ones(other) @ ones(other).T / 576
    gram[:-1, :-1] += pull * torch.eye(27, dtype=torch.float64)
    expected = torch.linalg.solve(gram, right.T).T
    assert torch.allclose(found.delta.flatten(1), expected[:, :-1], atol=1e-9)
    assert torch.allclose(found.bias, expected[:, -1], atol=1e-9)
    left = r - expected @ x
    assert found.losses[-1] == pytest.approx(float((m * left.square().sum(0)).sum()))


def test_adam_with_bias_is_torchs_own() -> None:
    key, target, weight, bias, *_ = (t.float() for t in planted())
    found = solvers.adam(key, target, weight, bias, steps=25, lr=1e-2, biases=True)
    free = [weight.clone().requires_grad_(True), bias.clone().requires_grad_(True)]
    optimiser = torch.optim.Adam(free, lr=1e-2)
    for _ in range(25):
        optimiser.zero_grad()
        F.l1_loss(F.conv2d(key, free[0], free[1], padding=1), target).backward()
        optimiser.step()
    assert torch.allclose(found.delta, free[0].detach() - weight, atol=1e-5)
    assert torch.allclose(found.bias, free[1].detach() - bias, atol=1e-5)


@pytest.mark.parametrize("solver", [editing.Ridge(biases=True), editing.Adam(2, 1e-3, biases=True)])
def test_an_edit_holds_the_biases_and_gives_them_back(segmenter, scene, solver) -> None:
    image, _, fossils = scene
    painted = perturb.apply(image, fossils, perturb.Colour((120, 70, 58)))
    edit = editing.rewrite(
        segmenter, image, painted, fossils, layers=["fpn.0", "rpn.conv"], solver=solver
    )
    assert sorted(edit.deltas) == ["fpn.0", "fpn.0.bias", "rpn.conv", "rpn.conv.bias"]
    before = segmenter.fingerprint()
    start = segmenter.bias("fpn.0")
    edit.apply(segmenter, 0.5)
    assert torch.allclose(segmenter.bias("fpn.0"), start + 0.5 * edit.deltas["fpn.0.bias"])
    edit.remove(segmenter)
    assert segmenter.fingerprint() == before
    assert editing.solver_from_dict(edit.provenance["solver"]) == solver


def test_a_layer_without_bias_is_told() -> None:
    key, target, weight, *_ = planted()
    for solver in (solvers.ridge, solvers.adam):
        with pytest.raises(InputError, match="no bias"):
            solver(key, target, weight, biases=True)
