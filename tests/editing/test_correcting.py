"""Edits by fitting: `labels` (correct) and `distil`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_fossiledit import editing, models, perturb
from napari_fossiledit.editing.correcting import correct_task
from napari_fossiledit.errors import EditError, InputError, ModelError
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.models.augment import targets_of
from napari_fossiledit.models.backbone_lite import LiteConfig
from napari_fossiledit.models.lessons import anchor_lesson
from napari_fossiledit.models.lite import new_lite
from napari_fossiledit.models.student import Student, own_random, seeded_state
from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN
from napari_fossiledit.progress import Progress

TINY = LiteConfig(width=0.25, channels=16, box_width=24, mask_convolutions=1, proposals=40)
SHORT = editing.Labels(steps=3, proposal_steps=3, views=2, crop=64)
PYRAMID = editing.Labels(steps=3, views=2, crop=64, heads=False)


def discs(seed: int) -> LabelledSlice:
    rng = np.random.default_rng(seed)
    image = rng.integers(40, 70, (96, 112, 3), dtype=np.uint8)
    labels = np.zeros(image.shape[:2], np.int32)
    y, x = np.mgrid[:96, :112]
    for i, (cy, cx, r) in enumerate([(25, 30, 12), (65, 60, 16), (20, 75, 9)], start=1):
        inside = (y - cy) ** 2 + (x - cx) ** 2 < r * r
        labels[inside] = i
        image[inside] = rng.integers(170, 220, (int(inside.sum()), 3), dtype=np.uint8)
    return LabelledSlice(image, labels, name=f"discs {seed}")


@pytest.fixture
def model() -> TorchvisionRCNN:
    return new_lite(TINY, name="tiny", class_names=("cup",), seed=0)


def total_loss(model: TorchvisionRCNN, piece: LabelledSlice) -> float:
    """The network's own loss on a slice, over fixed draws."""
    student = Student(model, [])
    keys = student.keys_of_image(piece.image)
    state = seeded_state(0)
    with torch.no_grad(), own_random(state):
        found = [student.losses(keys, [targets_of(piece.labels, model.device)]) for _ in range(4)]
    return float(np.mean([sum(float(v) for v in losses.values()) for losses in found]))


def test_the_student_computes_what_the_model_computes(model: TorchvisionRCNN) -> None:
    image = discs(0).image
    student = Student(model, [])
    mine = student.pyramid(student.keys_of_image(image))
    given = model.preprocess(image, model.device)
    with torch.no_grad():
        theirs = model.model.backbone(given.tensor)
    assert list(mine) == list(theirs)
    assert all(torch.allclose(mine[name], theirs[name], atol=1e-6) for name in theirs)


@pytest.mark.parametrize("pyramid", [False, True])
def test_correcting_lowers_the_loss_and_leaves_the_model(model, pyramid: bool) -> None:
    piece, before = discs(0), model.fingerprint()
    layers = [editing.output_layers(model)[0].name] if pyramid else None
    settings = editing.Labels(steps=25, proposal_steps=40, lr=3e-3, views=4, crop=96)
    edit = editing.correct(model, [piece], layers=layers, solver=settings)
    assert model.fingerprint() == before
    start = total_loss(model, piece)
    with editing.EditStack.of(model).trial(edit) as set_strength:
        set_strength(1.0)
        end = total_loss(model, piece)
    assert end < 0.8 * start
    assert model.fingerprint() == before  # undone bit for bit
    # The heads alone are fitted in two phases on cached regions.
    assert len(edit.losses["total"]) == (25 if pyramid else 65)


def test_only_the_free_tensors_change(model: TorchvisionRCNN) -> None:
    outputs = [layer.name for layer in editing.output_layers(model)]
    heads = editing.correct(model, [discs(0)], solver=SHORT)
    assert not set(heads.deltas) & set(outputs)
    assert {"roi_heads.box_predictor.cls_score", "rpn.head.cls_logits.bias"} <= set(heads.deltas)
    plain = editing.correct(model, [discs(0)], solver=PYRAMID)
    assert sorted(plain.deltas) == sorted(outputs)
    assert all(bool(delta.abs().max() > 0) for delta in plain.deltas.values())
    one = editing.correct(
        model, [discs(0)], layers=outputs[:1], solver=replace(PYRAMID, biases=True)
    )
    assert sorted(one.deltas) == [outputs[0], f"{outputs[0]}.bias"]
    both = editing.correct(model, [discs(0)], layers=outputs[:1], solver=SHORT)
    assert set(both.deltas) == set(heads.deltas) | {outputs[0]}


def test_what_is_cached_gives_the_networks_own_losses(model: TorchvisionRCNN) -> None:
    """The proposal head on cached patches says what it says on the maps."""
    student = Student(model, [])
    keys = student.keys_of_image(discs(0).image)
    target = targets_of(discs(0).labels, model.device)
    lesson = anchor_lesson(student, keys, target, torch.Generator().manual_seed(0))
    maps = list(student.pyramid(keys).values())
    with torch.no_grad():
        logits, _ = student.rpn.head(maps)
        found = torch.cat([level[0].permute(1, 2, 0).flatten() for level in logits])
        conv = next(m for m in student.rpn.head.conv.modules() if hasattr(m, "kernel_size"))
        hidden = (lesson.patches @ conv.weight.flatten(1).T + conv.bias).relu()
        weight = student.rpn.head.cls_logits.weight.flatten(1)
        mine = (hidden @ weight.T + student.rpn.head.cls_logits.bias)[
            torch.arange(len(lesson.which)), lesson.which
        ]
    # Which anchor each is was drawn at random, so the two are compared as sets of values.
    assert all(bool((found - value).abs().min() < 1e-5) for value in mine)
    assert lesson.positives == int((lesson.fossil > 0).sum()) > 0


def test_an_edit_of_heads_and_biases_goes_through_a_file(model: TorchvisionRCNN, tmp_path) -> None:
    settings = replace(SHORT, biases=True)
    layers = [editing.output_layers(model)[0].name]
    edit = editing.correct(model, [discs(0)], layers=layers, solver=settings, rehearse=[discs(1)])
    loaded = editing.load_edit(edit.save(tmp_path / "edit.safetensors"))
    assert loaded.identity == edit.identity
    assert editing.solver_from_dict(loaded.provenance["solver"]) == settings
    assert loaded.has_seen(discs(0).image)
    assert loaded.has_seen(discs(1).image)
    before = model.fingerprint()
    loaded.apply(model, 0.5)
    assert model.fingerprint() != before
    loaded.remove(model)
    assert model.fingerprint() == before
    other = new_lite(TINY, name="other", class_names=("cup",), seed=1)
    with pytest.raises(EditError, match="another model"):
        loaded.apply(other)


def test_a_seed_gives_the_same_edit_and_the_caller_keeps_his_chance(model) -> None:
    found = []
    for callers in (1, 2):
        torch.manual_seed(callers)
        expected = torch.rand(3, generator=torch.Generator().manual_seed(callers))
        found.append(editing.correct(model, [discs(0)], solver=SHORT))
        assert torch.equal(torch.rand(3), expected)
    assert found[0].identity == found[1].identity
    other = editing.correct(model, [discs(0)], solver=replace(SHORT, seed=1))
    assert other.identity != found[0].identity


def test_cancelling_leaves_the_model_and_says_nothing_more(model: TorchvisionRCNN) -> None:
    before = model.fingerprint()
    task = correct_task(model, [discs(0)], solver=SHORT)
    for step in task:
        if "loss" in step.message:
            break
    task.close()
    assert model.fingerprint() == before
    assert not any(p.requires_grad for p in model.model.parameters())


def test_distilling_an_unpainted_slice_changes_nothing(model: TorchvisionRCNN) -> None:
    """The teacher is then the model itself, so the gradient is zero at the start."""
    piece = discs(0)
    student_loss = editing.rewrite(
        model, piece.image, piece.image.copy(), piece.labels, solver=editing.Distil(steps=1)
    )
    largest = max(float(d.abs().max()) for d in student_loss.deltas.values())
    painted = perturb.apply(piece.image, piece.fossils, perturb.Median())
    real = editing.rewrite(
        model, piece.image, painted, piece.labels, solver=editing.Distil(steps=1)
    )
    # Adam's first step is of the size of the rate wherever a gradient is above its epsilon.
    assert largest <= 2e-5
    gradients = {k: float((d.abs() > 1.9e-6).float().mean()) for k, d in real.deltas.items()}
    none = {k: float((d.abs() > 1.9e-6).float().mean()) for k, d in student_loss.deltas.items()}
    assert sum(gradients.values()) > sum(none.values())


def test_distilling_lowers_the_loss_and_leaves_the_model() -> None:
    model = models.load("demo")  # random weights say the same of every slice
    piece, before = discs(0), model.fingerprint()
    painted = perturb.apply(piece.image, piece.fossils, perturb.Median())
    edit = editing.rewrite(
        model, piece.image, painted, piece.labels, solver=editing.Distil(steps=8, lr=1e-4)
    )
    losses = edit.losses["total"]
    assert losses[-1] < losses[0]
    assert model.fingerprint() == before
    assert edit.provenance["perturbation"]["target"] == "others"
    assert edit.has_seen(piece.image)


def test_several_slices_are_distilled_in_turn(model: TorchvisionRCNN) -> None:
    sources = [
        editing.Source(p.image, perturb.apply(p.image, p.fossils, perturb.Median()), p.labels)
        for p in (discs(0), discs(1))
    ]
    edit = editing.rewrite_several(model, sources, solver=editing.Distil(steps=2))
    assert all(edit.has_seen(source.image) for source in sources)


def test_bad_input_is_told(model: TorchvisionRCNN, segmenter) -> None:
    piece = discs(0)
    bare = LabelledSlice(piece.image, np.zeros_like(piece.labels), name="bare")
    with pytest.raises(InputError, match="no fossil"):
        editing.correct(model, [bare])
    with pytest.raises(InputError, match="at least one"):
        editing.correct(model, [])
    with pytest.raises(InputError, match="no editable layer 'nowhere'"):
        editing.correct(model, [piece], layers=["nowhere"])
    with pytest.raises(InputError, match="use correct"):
        editing.rewrite(model, piece.image, piece.image, piece.labels, solver=editing.Labels())
    with pytest.raises(ModelError, match="backend torchvision"):
        editing.correct(segmenter, [piece])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"steps": 0}, "At least one step"),
        ({"lr": 0.0}, "rate must lie"),
        ({"lr": float("nan")}, "rate must lie"),
        ({"proposal_steps": 0}, "At least one step"),
        ({"views": 0}, "at least one view"),
        ({"crop": 8}, "32 pixels"),
        ({"scale": (1.3, 0.8)}, "zoom"),
    ],
)
def test_settings_out_of_range_are_told(settings, says) -> None:
    with pytest.raises(InputError, match=says):
        editing.Labels(**settings)


def test_a_diverging_loss_is_told(model: TorchvisionRCNN) -> None:
    with torch.no_grad():
        model.model.rpn.head.cls_logits.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="weights are damaged"):
        editing.correct(model, [discs(0)], solver=SHORT)


def test_features_that_are_no_numbers_are_told_by_their_layer(model: TorchvisionRCNN) -> None:
    layer = editing.output_layers(model)[0].name
    weight = model.weight(layer)
    weight[0, 0, 0, 0] = float("nan")
    model.set_weight(layer, weight)
    piece = discs(0)
    for call in (
        lambda: editing.correct(model, [piece], solver=SHORT),
        lambda: editing.rewrite(
            model, piece.image, piece.image, piece.labels, solver=editing.Distil(steps=1)
        ),
    ):
        with pytest.raises(ModelError, match=r"layer backbone.fpn.layer_blocks.0 hold NaN"):
            call()


def test_the_region_proposals_alone_can_be_fitted(model: TorchvisionRCNN) -> None:
    layer = model.editable_layers()[-1].name
    edit = editing.correct(model, [discs(0)], layers=[layer], solver=PYRAMID)
    assert sorted(edit.deltas) == [layer]


def test_slices_are_distilled_in_sequence(model: TorchvisionRCNN) -> None:
    sources = [
        editing.Source(p.image, perturb.apply(p.image, p.fossils, perturb.Median()), p.labels)
        for p in (discs(0), discs(1))
    ]
    edit = editing.rewrite_several(
        model, sources, how="in sequence", solver=editing.Distil(steps=2)
    )
    assert len(edit.losses["total"]) == 4
    assert edit.provenance["tensors"] == sorted(edit.deltas)


def test_unlabelled_slices_teach_what_the_model_agrees_on(model, monkeypatch) -> None:
    from napari_fossiledit.editing import agreement

    other = discs(1)

    def agreed(segmenter, image, settings):
        yield Progress(0, 1, "agreeing")
        assert image is other.image
        return other.labels, np.zeros(image.shape[:2], bool)

    monkeypatch.setattr(agreement, "agreed_labels_task", agreed)
    alone = editing.correct(model, [discs(0)], solver=SHORT)
    more = editing.correct(model, [discs(0)], solver=SHORT, unlabelled=[other.image])
    assert more.identity != alone.identity
    assert more.has_seen(other.image)
    layers = [editing.output_layers(model)[0].name]
    with pytest.raises(InputError, match="heads alone"):
        editing.correct(model, [discs(0)], layers=layers, unlabelled=[other.image])
