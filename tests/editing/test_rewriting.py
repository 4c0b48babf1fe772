from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from napari_fossiledit.editing import (
    Adam,
    EditStack,
    Ridge,
    default_layers,
    load_edit,
    output_layers,
    rewrite,
    rewrite_task,
    solver_from_dict,
)
from napari_fossiledit.editing.features import layer_mask
from napari_fossiledit.editing.provenance_words import provenance_rows
from napari_fossiledit.errors import Cancelled, InputError, ModelError
from napari_fossiledit.models.segmenter import Segmenter
from napari_fossiledit.perturb import Colour, Median, apply
from napari_fossiledit.progress import CancelToken, driven, run


def test_the_fake_is_a_segmenter(segmenter):
    assert isinstance(segmenter, Segmenter)


def test_an_edit_brings_values_to_the_target(segmenter, scene):
    image, painted, fossils = scene
    before = segmenter.fingerprint()
    original, target = segmenter.features(image), segmenter.features(painted)
    edit = rewrite(segmenter, image, painted, fossils, layers=["fpn.0", "fpn.1"])
    assert segmenter.fingerprint() == before
    assert edit.layers == ("fpn.0", "fpn.1")
    edit.apply(segmenter)
    after = segmenter.features(image)
    free = torch.from_numpy(~fossils)[None, None].float()
    for name in edit.layers:
        size = after[name].key.shape[2:]
        free_here = F.interpolate(free, size, mode="area") > 0.9
        was = (original[name].value - target[name].value) * free_here
        now = (after[name].value - target[name].value) * free_here
        assert now.square().sum() < 0.9 * was.square().sum()
        assert torch.equal(after[name].key, original[name].key)
        loss = edit.provenance["loss"][name]
        assert loss["after"] < loss["before"]


def test_the_input_zoom_it_was_made_at_is_told(segmenter, scene):
    edit = rewrite(segmenter, *scene, layers=["fpn.0"])
    assert "input_zoom" not in edit.provenance
    segmenter.input_zoom = 1.5  # the fake shows every slice alike
    edit = rewrite(segmenter, *scene, layers=["fpn.0"])
    assert edit.provenance["input_zoom"] == 1.5
    assert ("Input zoom", "1.5") in provenance_rows(edit)


def test_both_targets_are_edited(segmenter, scene):
    image, _, fossils = scene
    painted = apply(image, fossils, Median(), target="both", texture=Colour((240, 230, 220)))
    target = segmenter.features(painted.image)
    before = segmenter.features(image)["fpn.0"]
    rewrite(segmenter, image, painted, fossils, layers=["fpn.0"]).apply(segmenter)
    after = segmenter.features(image)["fpn.0"]
    cells = F.interpolate(
        torch.from_numpy(fossils)[None, None].float(), before.key.shape[2:], mode="area"
    )
    for part in (cells > 0.9, cells < 0.1):
        was = (before.value - target["fpn.0"].value) * part
        now = (after.value - target["fpn.0"].value) * part
        assert now.square().sum() < 0.9 * was.square().sum()


def test_provenance_says_where_an_edit_came_from(segmenter, scene, tmp_path):
    image, _, fossils = scene
    perturbed = apply(image, fossils, Median())
    options = {"layers": ["fpn.0", "fpn.1"], "solver": Adam(steps=3), "name": "mine"}
    edit = rewrite(segmenter, image, perturbed, fossils, **options)
    facts = edit.provenance
    assert facts["base_fingerprint"] == segmenter.fingerprint()
    assert facts["solver"] == {"name": "adam", "steps": 3, "lr": 5e-5}
    assert facts["perturbation"] == perturbed.perturbation.to_dict()
    assert [layer["level"] for layer in facts["layers"]] == ["P2", "P3"]
    assert len(facts["image_sha256"]) == 64
    assert facts["made_on_top_of"] == []
    assert facts["seconds"]["solve"] > 0
    assert {"torch", "numpy", "napari-fossiledit"} <= set(facts["versions"])
    assert edit.name == "mine"
    assert json.loads(json.dumps(facts)) == facts
    assert load_edit(edit.save(tmp_path / "e.safetensors")).provenance == facts


def test_an_edit_on_top_of_others_says_so(segmenter, scene):
    first = rewrite(segmenter, *scene)
    first.apply(segmenter, 0.3)
    second = rewrite(segmenter, *scene)
    (below,) = second.provenance["made_on_top_of"]
    assert below["identity"] == first.identity
    assert below["strength"] == 0.3
    assert second.base_fingerprint == first.base_fingerprint
    assert second.identity != first.identity
    second.apply(segmenter)


def test_no_perturbation_gives_no_edit(segmenter, scene):
    image, _, fossils = scene
    for solver in (Ridge(), Adam(steps=2)):
        edit = rewrite(segmenter, image, image, fossils, solver=solver)
        assert all(torch.count_nonzero(delta) == 0 for delta in edit.deltas.values())


def test_positions_in_fossils_and_padding_do_not_count(segmenter, scene):
    """What the perturbed image shows far inside the fossils has no influence."""
    image, painted, fossils = scene
    other = painted.copy()
    other[20:21, 20:21] = 0  # its cells, and those around, lie inside the fossil
    first = rewrite(segmenter, image, painted, fossils, layers=["fpn.0"])
    second = rewrite(segmenter, image, other, fossils, layers=["fpn.0"])
    features = [segmenter.features(x)["fpn.0"].value for x in (painted, other)]
    assert not torch.equal(*features)
    assert torch.equal(first.deltas["fpn.0"], second.deltas["fpn.0"])


def test_painted_fossils_are_edited_where_they_lie(segmenter, scene):
    image, _, fossils = scene
    perturbed = apply(image, fossils, Median(), target="fossils")
    edit = rewrite(segmenter, image, perturbed, fossils, layers=["fpn.0"])
    others = rewrite(segmenter, image, perturbed.image, fossils, layers=["fpn.0"])
    assert not torch.equal(edit.deltas["fpn.0"], others.deltas["fpn.0"])


def masked_loss(at, target, fossils):
    """Mean squared distance to the target over the cells to be edited."""
    free = (layer_mask(fossils, at) < 0.5) & (layer_mask(np.ones_like(fossils), at) >= 0.5)
    distance = (at.value - target).square().sum(1, keepdim=True)
    return float((distance * free).sum() / free.sum())


def test_a_layer_fed_by_edited_layers_is_solved_on_its_new_keys(segmenter, scene):
    image, painted, fossils = scene
    before = segmenter.fingerprint()
    edit = rewrite(segmenter, image, painted, fossils, layers=["rpn.conv", "fpn.0"])
    assert segmenter.fingerprint() == before
    assert edit.layers == ("fpn.0", "rpn.conv")
    alone = rewrite(segmenter, image, painted, fossils, layers=["fpn.0"])
    torch.testing.assert_close(alone.deltas["fpn.0"], edit.deltas["fpn.0"])
    target = segmenter.features(painted)["rpn.conv"].value
    loss = edit.provenance["loss"]["rpn.conv"]
    alone.apply(segmenter)
    found = masked_loss(segmenter.features(image)["rpn.conv"], target, fossils)
    assert found == pytest.approx(loss["before"], rel=1e-4)
    alone.remove(segmenter)
    edit.apply(segmenter)
    found = masked_loss(segmenter.features(image)["rpn.conv"], target, fossils)
    assert found == pytest.approx(loss["after"], rel=1e-4)
    assert loss["after"] < loss["before"]


def test_slices_to_keep_hold_their_features(segmenter, scene):
    image, painted, fossils = scene
    kept_image = np.ascontiguousarray(image[::-1])
    kept_fossils = fossils[::-1]
    options = {"layers": ["rpn.conv", "fpn.0"]}
    before = segmenter.features(kept_image)["fpn.0"].value
    moved = []
    for solver, keep in ((None, ()), (Ridge(keep_weight=1e4), [(kept_image, kept_fossils)])):
        edit = rewrite(segmenter, image, painted, fossils, solver=solver, keep=keep, **options)
        edit.apply(segmenter)
        change = segmenter.features(kept_image)["fpn.0"].value - before
        moved.append(float(change[..., 9:12, 4:8].abs().max()))
        edit.remove(segmenter)
    assert moved[1] < 0.2 * moved[0]
    edit = rewrite(segmenter, image, painted, fossils, keep=[(kept_image, kept_fossils)])
    assert edit.provenance["solver"]["keep_weight"] == 1
    assert edit.provenance["kept_slices"] == 1


def test_bad_input_is_named(segmenter, scene):
    image, painted, fossils = scene

    def fails(match, *args, error=InputError, **options):
        with pytest.raises(error, match=match):
            rewrite(segmenter, *args, **options)

    fails("no fossil", image, painted, np.zeros_like(fossils))
    fails("cover the whole slice", image, painted, np.ones_like(fossils))
    fails("perturb this very slice", image, painted[:, 1:], fossils)
    fails("made on this very image", image, painted, fossils[1:])
    fails("no editable layer 'P9'", image, painted, fossils, layers=["P9"])
    fails("at least one to rewrite", image, painted, fossils, layers=[])
    keep = [(image, fossils)]
    fails("keep weight above 0", image, painted, fossils, solver=Ridge(), keep=keep)
    fails("keep weight above 0", image, painted, fossils, solver=Adam(), keep=keep)
    fails("slice to keep", image, painted, fossils, keep=[(image, fossils[1:])])
    before = segmenter.fingerprint()
    segmenter.set_weight("fpn.1", segmenter.weight("fpn.1") * float("inf"))
    both = ["fpn.0", "fpn.1"]
    fails(r"fpn\.1", image, painted, fossils, layers=both, error=ModelError)
    assert before != segmenter.fingerprint()


def test_a_coarse_layer_without_a_free_cell_is_named(segmenter, scene):
    image, painted, fossils = scene
    fossils = np.ones_like(fossils)
    fossils[:2, :2] = False
    with pytest.raises(InputError, match="finer resolution"):
        rewrite(segmenter, image, painted, fossils)


@pytest.mark.parametrize("how", ["close", "token"])
@pytest.mark.parametrize("steps", [1, 4, 45])
def test_cancelling_midway_leaves_everything(segmenter, scene, how, steps):
    before = segmenter.fingerprint()
    layers = ["fpn.0", "fpn.1", "rpn.conv"]
    token = CancelToken()
    task = driven(rewrite_task(segmenter, *scene, layers=layers, solver=Adam(steps=20)), token)
    for _ in range(steps):
        next(task)
    if how == "close":
        task.close()
    else:
        token.cancel()
        with pytest.raises(Cancelled):
            next(task)
    assert segmenter.fingerprint() == before
    assert EditStack.of(segmenter).entries == ()
    assert segmenter.lock.acquire(blocking=False)
    segmenter.lock.release()


def test_progress_rises_and_carries_the_loss(segmenter, scene):
    for solver in (Adam(steps=5), Ridge()):
        seen = []
        run(rewrite_task(segmenter, *scene, solver=solver), seen.append)
        done = [p.done for p in seen]
        assert done == sorted(done)
        assert all(0 <= p.done <= p.total for p in seen)
        assert any(isinstance(p.data, float) for p in seen)
        assert any(p.message.startswith("P2: ") for p in seen)


def test_under_a_meta_default_device(segmenter, scene):
    layers = ["fpn.0", "fpn.1", "rpn.conv"]
    expected = rewrite(segmenter, *scene, layers=layers)
    with torch.device("meta"):
        edit = rewrite(segmenter, *scene, layers=layers)
        rewrite(segmenter, *scene, solver=Adam(steps=2))
        kept = [(scene[0], scene[2])]
        rewrite(segmenter, *scene, keep=kept)
        edit.apply(segmenter)
    for name in layers:
        torch.testing.assert_close(edit.deltas[name], expected.deltas[name])


def test_the_finest_output_is_the_default(segmenter, monkeypatch):
    assert [layer.level for layer in output_layers(segmenter)] == ["P2", "P3"]
    assert [layer.level for layer in default_layers(segmenter)] == ["P2"]
    monkeypatch.setattr(segmenter, "editable_layers", list)
    with pytest.raises(ModelError, match="feature pyramid"):
        default_layers(segmenter)


def test_solvers_are_written_and_read():
    for solver in (Ridge(0.1, 2.0), Adam(7, 1e-3)):
        assert solver_from_dict(json.loads(json.dumps(solver.to_dict()))) == solver
    with pytest.raises(InputError, match="no solver 'magic'"):
        solver_from_dict({"name": "magic"})
    with pytest.raises(InputError, match="no setting 'lr'"):
        solver_from_dict({"name": "ridge", "lr": 1})


def test_the_room_brings_no_torch_until_it_is_needed():
    code = (
        "import sys, napari_fossiledit.editing as e\n"
        "e.Edit, e.EditStack, e.Ridge, e.rewrite_task, e.choose_strength, e.load_edit\n"
        "assert callable(e.rewrite)\n"
        "assert 'torch' not in sys.modules and 'qtpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
