"""One edit from several slices: jointly, in sequence, and both mappings in either order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fossiledit import editing, perturb
from napari_fossiledit.editing.several import rewrite_several_task
from napari_fossiledit.editing.sources import edit_mask
from napari_fossiledit.errors import InputError


def source(seed: int, shape: tuple[int, int] = (48, 64), target: str = "others") -> editing.Source:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    fossils = np.zeros(shape, np.int32)
    fossils[8:24, 8:24] = 1
    painted = perturb.apply(image, fossils > 0, perturb.Colour((120, 70, 58)), target=target)
    return editing.Source(image, painted, fossils)


def largest_difference(one: editing.Edit, other: editing.Edit) -> float:
    return max(float((one.deltas[k] - other.deltas[k]).abs().max()) for k in one.deltas)


LAYERS = ["fpn.0", "fpn.1"]


@pytest.mark.parametrize("solver", [editing.Ridge(), editing.LowRank(rank=2), editing.L1()])
def test_jointly_the_order_of_slices_does_not_matter(segmenter, solver):
    sources = [source(1), source(2, (40, 72)), source(3)]
    kinds = {"layers": LAYERS, "solver": solver}
    one = editing.rewrite_several(segmenter, sources, **kinds)
    other = editing.rewrite_several(segmenter, sources[::-1], **kinds)
    assert largest_difference(one, other) < 1e-5


def test_jointly_a_slice_given_twice_is_the_slice_alone(segmenter):
    alone = editing.rewrite_several(segmenter, [source(1)], layers=LAYERS)
    twice = editing.rewrite_several(segmenter, [source(1), source(1)], layers=LAYERS)
    assert largest_difference(alone, twice) < 1e-5
    assert "slices_taken" not in alone.provenance
    assert twice.provenance["slices_taken"] == "jointly"


def test_slices_of_different_sizes_are_solved_as_one_regression(segmenter):
    """Against normal equations put together by hand from each slice's own patches."""
    sources = [source(1), source(2, (40, 72))]
    edit = editing.rewrite_several(segmenter, sources, layers=["fpn.0"])
    gram, cross, total = 0.0, 0.0, 0.0
    for each in sources:
        found = editing.capture(segmenter, each.image, each.painted, ["fpn.0"])["fpn.0"]
        mask = edit_mask(each, found.original)
        x = torch.nn.functional.unfold(found.original.key, 3, padding=1)[0].double()
        r = (found.target - found.original.value)[0].flatten(1).double()
        m = mask.flatten().double()
        gram, cross = gram + (x * m) @ x.T, cross + (r * m) @ x.T
        total += float(m.sum())
    gram, cross = gram / total, cross / total
    width = gram.shape[0]
    system = gram + 0.1 * gram.trace() / width * torch.eye(width, dtype=torch.float64)
    expected = torch.linalg.solve(system, cross.T).T
    assert torch.allclose(edit.deltas["fpn.0"].flatten(1).double(), expected, atol=1e-5)


def test_in_sequence_each_step_stands_on_the_ones_before(segmenter):
    first, second = source(1), source(2)
    edit = editing.rewrite_several(segmenter, [first, second], how="in sequence", layers=LAYERS)
    before = segmenter.fingerprint()
    one = editing.rewrite(segmenter, first.image, first.perturbed, first.fossils, layers=LAYERS)
    with editing.EditStack.of(segmenter).trial(one, 1.0):
        two = editing.rewrite(
            segmenter, second.image, second.perturbed, second.fossils, layers=LAYERS
        )
    for layer in LAYERS:
        together = one.deltas[layer] + two.deltas[layer]
        assert torch.allclose(edit.deltas[layer], together, atol=1e-6)
    assert segmenter.fingerprint() == before
    assert edit.has_seen(first.image)
    assert edit.has_seen(second.image)
    assert not edit.has_seen(source(9).image)


def test_biases_go_in_sequence_as_well(segmenter):
    edit = editing.rewrite_several(
        segmenter,
        [source(1), source(2)],
        how="in sequence",
        layers=LAYERS,
        solver=editing.Ridge(biases=True),
    )
    assert set(edit.deltas) == {"fpn.0", "fpn.0.bias", "fpn.1", "fpn.1.bias"}
    assert set(edit.losses) == set(LAYERS)


def test_both_mappings_in_either_order_differ(segmenter):
    others, fossils = source(1), source(1, target="fossils")
    one = editing.rewrite_several(segmenter, [others, fossils], how="in sequence", layers=LAYERS)
    other = editing.rewrite_several(segmenter, [fossils, others], how="in sequence", layers=LAYERS)
    assert largest_difference(one, other) > 1e-4
    assert one.provenance["perturbation"]["target"] == "others"
    assert one.provenance["other_slices"][0]["perturbation"]["target"] == "fossils"


def test_a_cancelled_sequence_leaves_the_model(segmenter):
    before = segmenter.fingerprint()
    task = rewrite_several_task(segmenter, [source(1), source(2)], how="in sequence", layers=LAYERS)
    for step in task:
        if step.message.startswith("slice 2"):
            break
    assert segmenter.fingerprint() != before  # the second is solved on the first
    task.close()
    assert segmenter.fingerprint() == before


def test_the_edit_file_keeps_all_its_slices(segmenter, tmp_path):
    edit = editing.rewrite_several(segmenter, [source(1), source(2)], how="in sequence")
    loaded = editing.load_edit(edit.save(tmp_path / "edit.safetensors"))
    assert loaded.made_from == edit.made_from
    assert len(edit.made_from) == 2


def test_bad_input_is_told(segmenter):
    with pytest.raises(InputError, match="at least one"):
        editing.rewrite_several(segmenter, [])
    with pytest.raises(InputError, match="jointly or in sequence"):
        editing.rewrite_several(segmenter, [source(1)], how="by turns")
    bare = editing.Source(source(1).image, source(1).painted, np.zeros((48, 64), bool))
    with pytest.raises(InputError, match="no fossil"):
        editing.rewrite_several(segmenter, [source(1), bare], how="in sequence")
