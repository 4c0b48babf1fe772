from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from napari_fossiledit.editing.features import pool_mask
from napari_fossiledit.editing.solvers import adam, l1, l1_task, ridge
from napari_fossiledit.errors import Cancelled, InputError
from napari_fossiledit.progress import CancelToken, driven, run

REFERENCES = Path(__file__).parents[1] / "data" / "rewriting"


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).to(dtype)


def conv(key: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None):
    return F.conv2d(key, weight, bias, padding=weight.shape[2] // 2)


def masked_loss(key, target, weight, bias, mask=None):
    """The reference's loss, written out."""
    root = 1 if mask is None else mask.sqrt()
    return float(F.l1_loss(conv(key, weight, bias) * root, target * root)) / len(key)


@pytest.fixture
def layer():
    """Key, weight, bias of a small layer: D = 45, 400 positions."""
    return random(1, 5, 20, 20), random(4, 5, 3, 3, seed=1), random(4, seed=2)


@pytest.fixture
def grossly_wrong(layer):
    """A planted delta whose values are grossly wrong at every fifth position."""
    key, weight, bias = layer
    planted = random(4, 5, 3, 3, seed=3)
    target = conv(key, weight + planted, bias)
    wrong = torch.from_numpy(np.random.default_rng(4).random((20, 20)) < 0.2)
    return key, target + 50 * wrong * random(1, 4, 20, 20, seed=5).abs(), weight, bias, planted


def test_gross_errors_draw_ridge_away_but_not_l1(grossly_wrong):
    *problem, planted = grossly_wrong
    found = l1(*problem, damping=0, tolerance=1e-9, iterations=400).delta
    assert (found - planted).norm() / planted.norm() < 1e-6
    found = ridge(*problem, damping=1e-12).delta
    assert (found - planted).norm() / planted.norm() > 0.3


def test_a_planted_weight_is_recovered(layer):
    key, weight, bias = layer
    planted = random(4, 5, 3, 3, seed=3)
    found = l1(key, conv(key, weight + planted, bias), weight, bias, damping=0)
    assert (found.delta - planted).norm() / planted.norm() < 1e-8
    assert found.losses[-1] < 1e-10 * found.losses[0]


def test_nothing_perturbed_gives_a_zero_delta(layer):
    key, weight, bias = layer
    found = l1(key, conv(key, weight, bias), weight, bias)
    assert torch.count_nonzero(found.delta) == 0
    assert found.losses == [0, 0]


@pytest.mark.parametrize("path", sorted(REFERENCES.glob("*.npz")), ids=lambda p: p.stem)
def test_the_loss_is_no_higher_than_adams(path):
    with np.load(path) as file:
        data = {name: torch.from_numpy(file[name]) for name in file.files}
    mask = None
    if "image_mask" in data:
        mask = pool_mask(data["image_mask"], data["key"].shape[2:])
    problem = (data["key"], data["value"], data["weight"], data["bias"])
    steps, lr = int(data["steps"]), float(data["lr"])
    theirs = adam(*problem, mask=mask, steps=steps, lr=lr)
    ours = l1(*problem, mask=mask, damping=1e-4)
    assert ours.losses[0] == pytest.approx(theirs.losses[0], rel=1e-5)
    assert ours.losses[-1] <= theirs.losses[-1]
    weight = data["weight"] + ours.delta
    assert ours.losses[-1] == pytest.approx(
        masked_loss(data["key"], data["value"], weight, data["bias"], mask), rel=1e-4, abs=1e-7
    )


@pytest.mark.parametrize("count", [1, 2])
def test_the_least_absolute_deviation_is_found(count):
    """Against a linear program over an unfolded key, with weights and a batch."""
    from scipy.optimize import linprog

    key, target = random(count, 1, 6, 7), random(count, 1, 6, 7, seed=1)
    weight = random(1, 1, 3, 3, seed=2)
    mask = random(count, 1, 6, 7, seed=3).abs()
    found = l1(key, target, weight, mask=mask, damping=0, tolerance=1e-9, iterations=500)
    root = mask.sqrt().reshape(-1)
    x = F.unfold(key, 3, padding=1).transpose(1, 2).reshape(-1, 9) * root[:, None]
    r = (target - conv(key, weight)).reshape(-1) * root
    n, eye = len(x), np.eye(len(x))
    best = linprog(
        np.r_[np.zeros(9), np.ones(n)],
        A_ub=np.block([[x.numpy(), -eye], [-x.numpy(), -eye]]),
        b_ub=np.r_[r.numpy(), -r.numpy()],
        bounds=[(None, None)] * 9 + [(0, None)] * n,
    )
    assert found.losses[-1] == pytest.approx(best.fun / n / count, rel=1e-4)
    assert min(found.losses) == found.losses[-1]


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("keep_weight", [0.0, 0.3])
def test_damping_and_keep_set_weigh_as_they_say(layer, few, keep_weight):
    """No direction of descent is left for the objective as written down."""
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    mask = random(1, 1, 20, 20, seed=5).abs() if not few else random(1, 1, 20, 20, seed=5) - 1.5
    mask = mask.clamp(min=0)
    keep_mask = (random(1, 1, 20, 20, seed=6) > 2).double()
    options = {"mask": mask, "damping": 0.2, "tolerance": 1e-9, "iterations": 200}
    if keep_weight:
        options |= {"keep_keys": [(key, keep_mask)], "keep_weight": keep_weight}
    found = l1(key, target, weight, bias, **options)
    assert ("45 x 45" in found.cost) != few

    x = F.unfold(key, 3, padding=1)[0]
    r = (target - conv(key, weight, bias)).reshape(4, -1)
    m = mask.reshape(-1)
    kept = keep_mask.reshape(-1)
    moment = (x * m) @ x.T / m.sum()
    scale = (m * r.square()).sum() / (m.sqrt() * r.abs()).sum()

    def objective(delta):
        delta = delta.reshape(4, -1)
        value = scale * (m.sqrt() * (delta @ x - r).abs()).sum() / m.sum()
        value += keep_weight * ((delta @ x).square() * kept).sum() / kept.sum()
        return float(value + 0.2 * moment.diagonal().mean() * delta.square().sum())

    lowest = objective(found.delta)
    assert lowest < objective(torch.zeros_like(found.delta))
    for seed in range(20):
        for size in (0.1, 0.01):
            step = size * random(*weight.shape, seed=seed)
            assert objective(found.delta + step) > lowest
    # Scaling all of it is the one direction that too much or too little damping would leave.
    for factor in (0.95, 1.05):
        assert objective(found.delta * factor) > lowest


@pytest.mark.parametrize("chunk", [37, 10_000])
def test_chunks_change_nothing(layer, chunk):
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    mask = torch.ones(1, 1, 20, 20, dtype=torch.float64)
    mask[..., 5:12, 4:15] = 0
    options = {"mask": mask, "iterations": 10, "tolerance": 0}
    whole = l1(key, target, weight, bias, chunk=400, **options)
    parts = l1(key, target, weight, bias, chunk=chunk, **options)
    torch.testing.assert_close(parts.delta, whole.delta, atol=1e-10, rtol=1e-8)


def test_outside_the_mask_nothing_counts(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., :12] = 1
    other = target.clone()
    other[..., 12:] += 100
    one, two = (l1(key, t, weight, bias, mask=mask).delta for t in (target, other))
    assert torch.equal(one, two)


def test_float32_is_close_to_float64(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    exact = l1(key, target, weight, bias)
    rough = l1(*(t.float() for t in (key, target, weight, bias)))
    assert rough.delta.dtype == torch.float32
    assert rough.losses[-1] == pytest.approx(exact.losses[-1], rel=1e-4)


def test_it_stops_when_it_gains_no_more_and_not_before(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    seen = []
    loose = run(l1_task(key, target, weight, bias, tolerance=0.1), seen.append)
    tight = l1(key, target, weight, bias, tolerance=1e-5)
    assert len(loose.losses) < len(tight.losses) < 102
    assert len(l1(key, target, weight, bias, iterations=3).losses) == 5
    done = [p.done / p.total for p in seen]
    assert done == sorted(done)
    assert seen[-1].data == loose.losses[-1]


def test_bad_input_is_named(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias)

    def fails(words, *problem, **options):
        with pytest.raises(InputError, match=words):
            l1(*problem, **options)

    fails("No position", key, target, weight, bias, mask=torch.zeros(1, 1, 20, 20))
    fails("keys hold NaN", key * float("nan"), target, weight, bias)
    fails("target values hold NaN", key, target / 0, weight, bias)
    fails("target's shape", key, target[:, :2], weight, bias)
    fails("iteration", key, target, weight, bias, iterations=0)
    fails("tolerance", key, target, weight, bias, tolerance=float("nan"))
    fails("damping", key, target, weight, bias, damping=-1)
    fails("keep set", key, target, weight, bias, keep_weight=1)


@pytest.mark.parametrize("few", [False, True])
def test_a_singular_system_says_raise_the_damping(few):
    key, target = torch.ones(1, 5, 20, 20), torch.ones(1, 2, 20, 20)
    weight = torch.zeros(2, 5, 3, 3)
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., 3 : 5 if few else 17, 3:17] = 1
    with pytest.raises(InputError, match="raise the damping"):
        l1(key, target, weight, damping=0, mask=mask)
    assert l1(key, target, weight, mask=mask).delta.isfinite().all()


@pytest.mark.parametrize("few", [False, True])
def test_under_a_meta_default_device_in_inference_mode(layer, few):
    with torch.inference_mode():
        key, weight, bias = (t.clone() for t in layer)
        target = conv(key, weight, bias) + 1
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., : 1 if few else 20] = 1
    with torch.device("meta"):
        found = l1(key, target, weight, bias, mask=mask, keep_keys=[(key, mask)], keep_weight=1)
    assert found.delta.device.type == "cpu"
    assert not found.delta.requires_grad


def test_cancelling_stops_between_steps_and_leaves_all_as_it_was(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    before = [t.clone() for t in (key, weight, bias, target)]
    token = CancelToken()
    running = driven(l1_task(key, target, weight, bias), token)
    while next(running).message != "iteration 2":
        assert torch.is_grad_enabled()
    token.cancel()
    with pytest.raises(Cancelled):
        next(running)
    assert all(torch.equal(*pair) for pair in zip(before, (key, weight, bias, target), strict=True))


@pytest.mark.gpu
def test_on_an_accelerator(layer):
    name = "cuda" if torch.cuda.is_available() else "mps"
    if name == "mps" and not torch.backends.mps.is_available():
        pytest.skip("no GPU")
    key, weight, bias = (t.float() for t in layer)
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4).float()
    here = l1(key, target, weight, bias)
    there = l1(*(t.to(name) for t in (key, target, weight, bias)))
    assert there.delta.device.type == name
    assert there.losses[-1] == pytest.approx(here.losses[-1], rel=1e-3)
