from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from napari_fossiledit.editing.features import pool_mask
from napari_fossiledit.editing.solvers import adam, adam_task, ridge, ridge_task
from napari_fossiledit.editing.solvers.moments import moments_task
from napari_fossiledit.editing.solvers.patches import Patches
from napari_fossiledit.errors import Cancelled, InputError
from napari_fossiledit.progress import CancelToken, driven, run

REFERENCES = Path(__file__).parents[1] / "data" / "rewriting"


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).to(dtype)


def conv(key: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None):
    return F.conv2d(key, weight, bias, padding=weight.shape[2] // 2)


@pytest.fixture
def layer():
    """Key, weight, bias of a small layer: D = 45, 400 positions."""
    return random(1, 5, 20, 20), random(4, 5, 3, 3, seed=1), random(4, seed=2)


# adam


@pytest.fixture
def as_the_reference_sums():
    """Two threads: the sign of an error near 0 hangs on the order in which it is summed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("as_the_reference_sums")
@pytest.mark.parametrize("path", sorted(REFERENCES.glob("*.npz")), ids=lambda p: p.stem)
@pytest.mark.parametrize("on_meta", [False, True])
def test_adam_arrives_where_the_reference_does(path, on_meta):
    with np.load(path) as file:
        data = {name: file[name] for name in file.files}
    tensors = {
        name: torch.from_numpy(data[name])
        for name in ("key", "value", "weight", "bias", "context", "expected_weight")
        if name in data
    }
    mask = None
    if "image_mask" in data:
        mask = pool_mask(torch.from_numpy(data["image_mask"]), data["key"].shape[2:])
    with torch.device("meta" if on_meta else "cpu"):
        found = adam(
            tensors["key"],
            tensors["value"],
            tensors["weight"],
            tensors["bias"],
            mask=mask,
            steps=int(data["steps"]),
            lr=float(data["lr"]),
            context=tensors.get("context"),
            projection_every=int(data["projection_every"]),
        )
    expected = tensors["expected_weight"]
    error = (tensors["weight"] + found.delta - expected).norm() / expected.norm()
    assert error < 1e-4
    assert len(found.losses) == int(data["steps"]) + 1
    assert found.losses[-1] < found.losses[0]
    assert found.seconds > 0
    assert found.cost


def test_there_are_three_references():
    assert len(list(REFERENCES.glob("*.npz"))) == 3


def test_adam_leaves_random_state_grad_mode_and_inputs_alone(layer):
    key, weight, bias = layer
    before = torch.get_rng_state(), weight.clone()
    task = adam_task(key, conv(key, weight, bias) + 1, weight, bias, steps=3)
    for _ in task:
        assert torch.is_grad_enabled()
    assert torch.equal(before[0], torch.get_rng_state())
    assert torch.equal(before[1], weight)
    for _ in ridge_task(key, conv(key, weight, bias) + 1, weight, bias):
        assert torch.is_grad_enabled()


def test_adam_accepts_features_made_in_inference_mode(layer):
    with torch.inference_mode():
        key, weight, bias = (t.clone() for t in layer)
        target = conv(key, weight, bias) * 1.1
    assert adam(key, target, weight, bias, steps=2).delta.abs().max() > 0
    assert ridge(key, target, weight, bias).delta.abs().max() > 0


def test_adam_with_a_context_changes_only_its_span(layer):
    key, weight, bias = layer
    context = torch.linalg.qr(random(5, 2, seed=7)).Q.T
    found = adam(key, conv(key, weight, bias) + 1, weight, bias, steps=13, lr=0.01, context=context)
    span = torch.einsum(
        "odyx,di->oiyx", torch.einsum("oiyx,di->odyx", found.delta, context), context
    )
    assert found.delta.abs().max() > 1e-3
    torch.testing.assert_close(found.delta, span, atol=1e-12, rtol=0)


# both


@pytest.mark.parametrize("solve", [ridge, adam])
def test_nothing_perturbed_gives_a_zero_delta(layer, solve):
    key, weight, bias = layer
    found = solve(key, conv(key, weight, bias), weight, bias)
    assert torch.count_nonzero(found.delta) == 0
    assert found.losses[0] == found.losses[-1] == 0


@pytest.mark.parametrize("solve", [ridge, adam])
def test_bad_input_is_named(layer, solve):
    key, weight, bias = layer
    target = conv(key, weight, bias)
    empty = torch.zeros(1, 1, 20, 20)
    with pytest.raises(InputError, match="No position"):
        solve(key, target, weight, bias, mask=empty)
    with pytest.raises(InputError, match="keys hold NaN"):
        solve(key * float("nan"), target, weight, bias)
    with pytest.raises(InputError, match="target values hold NaN"):
        solve(key, target + float("inf"), weight, bias)
    with pytest.raises(InputError, match="pool it to the level"):
        solve(key, target, weight, bias, mask=torch.ones(1, 1, 5, 5))
    with pytest.raises(InputError, match="0 or more"):
        solve(key, target, weight, bias, mask=empty - 1)
    with pytest.raises(InputError, match="masks for"):
        solve(key, target, weight, bias, mask=torch.ones(3, 1, 20, 20))
    with pytest.raises(InputError, match="target's shape"):
        solve(key, target[:, :2], weight, bias)
    with pytest.raises(InputError, match="channels"):
        solve(key[:, :2], target, weight, bias)
    with pytest.raises(InputError, match="bias"):
        solve(key, target, weight, bias[:2])
    with pytest.raises(InputError, match="odd kernels"):
        solve(key, target, weight[..., :2], bias)
    with pytest.raises(InputError, match="four axes"):
        solve(key[0], target, weight, bias)


@pytest.mark.parametrize("task", [ridge_task, adam_task])
def test_cancelling_stops_between_steps(layer, task):
    key, weight, bias = layer
    token = CancelToken()
    running = driven(task(key, conv(key, weight, bias) + 1, weight, bias), token)
    next(running)
    token.cancel()
    with pytest.raises(Cancelled):
        next(running)


def test_settings_out_of_range_are_refused(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias)
    for options in ({"damping": -1}, {"keep_weight": float("nan")}, {"chunk": 0}):
        with pytest.raises(InputError):
            ridge(key, target, weight, bias, **options)
    for options in (
        {"steps": 0},
        {"lr": 0},
        {"projection_every": 0},
        {"context": torch.ones(1, 99)},
    ):
        with pytest.raises(InputError):
            adam(key, target, weight, bias, **options)


# ridge


@pytest.mark.parametrize("form", ["primal", "dual"])
def test_a_planted_weight_is_recovered(layer, form):
    key, weight, bias = layer
    planted = random(4, 5, 3, 3, seed=3)
    if form == "dual":  # fewer positions than unknowns: no noise, so the fit itself is exact
        key = key[..., :5, :5]
    target = conv(key, weight + planted, bias)
    found = ridge(key, target, weight, bias, damping=1e-12, form=form)
    if form == "primal":
        assert (found.delta - planted).norm() / planted.norm() < 1e-8
    torch.testing.assert_close(conv(key, weight + found.delta, bias), target, atol=1e-8, rtol=0)
    assert found.losses[-1] < 1e-15 * found.losses[0]


@pytest.mark.parametrize("binary", [True, False])
def test_the_normal_equations_hold(layer, binary):
    """The solution against an unfolded, unchunked, unsymmetric least squares."""
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    mask = random(1, 1, 20, 20, seed=5).clamp(min=0)
    mask = (mask > 0).double() if binary else mask
    found = ridge(key, target, weight, bias, mask=mask, damping=0.05)
    x = F.unfold(key, 3, padding=1)[0]
    r = (target - conv(key, weight, bias)).reshape(4, -1)
    m = mask.reshape(-1)
    moment = (x * m) @ x.T / m.sum()
    pull = 0.05 * moment.diagonal().mean() * torch.eye(45, dtype=torch.float64)
    expected = torch.linalg.solve(moment + pull, x @ (r * m).T / m.sum()).T
    torch.testing.assert_close(found.delta.reshape(4, -1), expected, atol=1e-12, rtol=1e-9)
    for delta, loss in ((torch.zeros_like(expected), found.losses[0]), (expected, found.losses[1])):
        assert loss == pytest.approx(float(((delta @ x - r).square().sum(0) * m).sum() / m.sum()))


def test_dual_and_primal_agree(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    mask = (random(1, 1, 20, 20, seed=5) > 1).double()
    options = {"mask": mask, "keep_keys": [(key, 1 - mask)], "keep_weight": 0.3}
    primal = ridge(key, target, weight, bias, form="primal", **options)
    dual = ridge(key, target, weight, bias, form="dual", **options)
    torch.testing.assert_close(primal.delta, dual.delta, atol=1e-12, rtol=1e-8)
    assert primal.losses == pytest.approx(dual.losses)
    assert ridge(key, target, weight, bias, mask=mask).cost.endswith("system")


@pytest.mark.parametrize("chunk", [1, 37, 399, 10_000])
def test_chunks_change_nothing(layer, chunk):
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    mask = torch.ones(1, 1, 20, 20, dtype=torch.float64)
    mask[..., 5:12, 4:15] = 0
    whole = ridge(key, target, weight, bias, mask=mask, chunk=400)
    parts = ridge(key, target, weight, bias, mask=mask, chunk=chunk)
    torch.testing.assert_close(parts.delta, whole.delta, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("kernel", [(3, 3), (1, 1), (5, 3), (1, 3), (3, 1)])
@pytest.mark.parametrize("kind", ["full", "holes", "weights"])
def test_blocks_derived_from_each_other_are_the_blocks(kernel, kind):
    key = random(2, 3, 9, 11)
    weights = torch.ones(2, 1, 9, 11, dtype=torch.float64)
    if kind == "holes":
        weights[:, :, 2:7, 3:6] = 0
        weights[1, :, 8, 10] = 0
    elif kind == "weights":
        weights = random(2, 1, 9, 11, seed=1).clamp(min=0)
    patches = Patches(key, kernel, weights)
    residual = random(2, 2, 9, 11, seed=2)
    derived = run(moments_task(patches, residual, 13, shifts=True))
    plain = run(moments_task(patches, residual, 13, shifts=False))
    torch.testing.assert_close(derived.gram.triu(), plain.gram.triu(), atol=1e-11, rtol=0)
    torch.testing.assert_close(derived.right, plain.right)
    assert derived.square == pytest.approx(plain.square)
    x = F.unfold(key, kernel, padding=(kernel[0] // 2, kernel[1] // 2))
    x = x.reshape(2, 3, -1, 99).permute(0, 3, 2, 1).reshape(198, -1)
    expected = (x * weights.reshape(-1, 1)).T @ x
    torch.testing.assert_close(plain.gram.triu(), expected.triu(), atol=1e-11, rtol=0)


def test_the_order_of_images_does_not_matter():
    key, target = random(3, 5, 8, 8), random(3, 4, 8, 8, seed=1)
    weight, mask = random(4, 5, 3, 3, seed=2), random(3, 1, 8, 8, seed=3).abs()
    one = ridge(key, target, weight, mask=mask)
    order = torch.tensor([2, 0, 1])
    other = ridge(key[order], target[order], weight, mask=mask[order])
    torch.testing.assert_close(one.delta, other.delta, atol=1e-12, rtol=1e-9)


def test_float32_is_close_to_float64(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    exact = ridge(key, target, weight, bias).delta
    rough = ridge(*(t.float() for t in (key, target, weight, bias))).delta
    assert rough.dtype == torch.float32
    assert (rough - exact).norm() / exact.norm() < 1e-5


@pytest.mark.parametrize("as_patches", [False, True])
def test_a_heavy_keep_set_leaves_its_values_unmoved(layer, as_patches):
    key, weight, bias = layer
    target = conv(key, weight, bias) + random(1, 4, 20, 20, seed=4)
    keep_mask = torch.zeros(1, 1, 20, 20, dtype=torch.float64)
    keep_mask[..., 3:6, 3:9] = 1
    keep = [(key, keep_mask)]
    if as_patches:
        unfolded = F.unfold(key, 3, padding=1)[0].T.reshape(400, 5, 3, 3)
        keep = unfolded[keep_mask.reshape(-1) > 0]
    mask = 1 - keep_mask
    free = ridge(key, target, weight, bias, mask=mask)
    kept = ridge(key, target, weight, bias, mask=mask, keep_keys=keep, keep_weight=1e9)
    moved = (conv(key, kept.delta) * keep_mask).abs().max()
    assert moved < 1e-6 * (conv(key, free.delta) * keep_mask).abs().max()
    assert kept.delta.abs().max() > 0.01 * free.delta.abs().max()
    assert free.losses[1] < kept.losses[1] < kept.losses[0]


def test_a_keep_set_that_cannot_be_used_is_refused(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias)
    none = torch.zeros(1, 1, 20, 20)
    for keep in (None, [], [(key, none)], key.new_zeros(0, 5, 3, 3), key.new_zeros(2, 7, 3, 3)):
        with pytest.raises(InputError, match=r"[Kk]eep"):
            ridge(key, target, weight, bias, keep_keys=keep, keep_weight=1.0)
    with pytest.raises(InputError, match="channels"):
        ridge(key, target, weight, bias, keep_keys=[(key[:, :2], none + 1)], keep_weight=1.0)


@pytest.mark.parametrize("form", ["primal", "dual"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_singular_system_says_raise_the_damping(form, dtype):
    key = torch.ones(1, 5, 6, 6, dtype=dtype)
    weight = torch.zeros(4, 5, 3, 3, dtype=dtype)
    target = torch.ones(1, 4, 6, 6, dtype=dtype)
    with pytest.raises(InputError, match="raise the damping"):
        ridge(key, target, weight, damping=0, form=form)
    assert ridge(key, target, weight, form=form).delta.isfinite().all()


def test_an_all_zero_key_is_singular_and_not_a_crash():
    with pytest.raises(InputError, match="raise the damping"):
        ridge(torch.zeros(1, 2, 6, 6), torch.ones(1, 2, 6, 6), torch.zeros(2, 2, 3, 3))


def test_ridge_under_a_meta_default_device(layer):
    key, weight, bias = layer
    target = conv(key, weight, bias) + 1
    mask = torch.ones(1, 1, 20, 20)
    mask[..., :8] = 0
    few = torch.zeros(1, 1, 20, 20)
    few[..., 3, 3:9] = 1
    with torch.device("meta"):
        for chosen in (mask, few, None):
            found = ridge(
                key, target, weight, bias, mask=chosen, keep_keys=[(key, few)], keep_weight=1.0
            )
            assert found.delta.device.type == "cpu"


def test_ridge_reports_the_loss(layer):
    key, weight, bias = layer
    seen = []
    found = run(ridge_task(key, conv(key, weight, bias) + 1, weight, bias), seen.append)
    assert seen[-1].data == found.losses[-1]
    assert next(p.data for p in seen if p.data is not None) == found.losses[0]


@pytest.mark.gpu
@pytest.mark.parametrize("solve", [ridge, adam])
def test_on_an_accelerator(layer, solve):
    name = "cuda" if torch.cuda.is_available() else "mps"
    if name == "mps" and not torch.backends.mps.is_available():
        pytest.skip("no GPU")
    key, weight, bias = (t.float() for t in layer)
    target = conv(key, weight, bias) + 1
    here = solve(key, target, weight, bias).delta
    there = solve(*(t.to(name) for t in (key, target, weight, bias))).delta
    assert there.device.type == name
    torch.testing.assert_close(there.cpu(), here, atol=1e-4, rtol=1e-2)
