from __future__ import annotations

import gc
import threading
import weakref

import pytest
import torch

from napari_fossiledit.editing import Edit, EditStack, load_edit, merge_edits
from napari_fossiledit.errors import EditError, InputError


def make_edit(segmenter, name="edit", layers=("fpn.0", "fpn.1"), seed=0) -> Edit:
    generator = torch.Generator().manual_seed(seed)
    deltas = {
        layer: torch.randn(segmenter.weight(layer).shape, generator=generator) for layer in layers
    }
    return Edit(name, deltas, {"base_fingerprint": EditStack.of(segmenter).base_fingerprint})


def weights(segmenter):
    return {layer.name: segmenter.weight(layer.name) for layer in segmenter.editable_layers()}


def same(a, b) -> bool:
    # Bit for bit: -0.0 is not 0.0 here.
    return all(torch.equal(a[n].view(torch.int32), b[n].view(torch.int32)) for n in a)


def test_apply_and_remove_leave_every_bit(segmenter):
    segmenter.set_weight("fpn.0", segmenter.weight("fpn.0") * 0 - 0.0)
    segmenter.set_weight("fpn.1", -torch.zeros_like(segmenter.weight("fpn.1")))
    before, fingerprint = weights(segmenter), segmenter.fingerprint()
    edit = make_edit(segmenter)
    entry = edit.apply(segmenter, 0.7)
    assert entry.strength == 0.7
    for layer, delta in edit.deltas.items():
        torch.testing.assert_close(segmenter.weight(layer), before[layer] + 0.7 * delta)
    assert segmenter.fingerprint() != fingerprint
    edit.apply(segmenter, 0.0)
    assert same(weights(segmenter), before)
    edit.apply(segmenter, 1.5)
    edit.remove(segmenter)
    assert same(weights(segmenter), before)
    assert segmenter.fingerprint() == fingerprint
    edit.remove(segmenter)  # not there any more: nothing happens


def test_a_stack_of_edits(segmenter):
    before = weights(segmenter)
    stack = EditStack.of(segmenter)
    assert EditStack.of(segmenter) is stack
    a = make_edit(segmenter, "a", seed=1)
    b = make_edit(segmenter, "b", ("fpn.0",), seed=2)
    c = make_edit(segmenter, "a", ("rpn.conv",), seed=3)
    entries = [stack.add(a, 0.5), stack.add(b), stack.add(c, 0.1)]
    assert [e.name for e in stack.entries] == ["a", "b", "a (2)"]
    assert [e.edit for e in stack.entries] == [a, b, c]
    expected = before["fpn.0"] + 0.5 * a.deltas["fpn.0"] + b.deltas["fpn.0"]
    torch.testing.assert_close(segmenter.weight("fpn.0"), expected)
    stack.set_active(entries[1], False)
    stack.set_strength(a, 0.25)
    torch.testing.assert_close(
        segmenter.weight("fpn.0"), before["fpn.0"] + 0.25 * a.deltas["fpn.0"]
    )
    stack.move(2, 0)
    assert [e.edit for e in stack.entries] == [c, a, b]
    assert stack.rename(0, "clots").name == "clots"
    assert [e.name for e in stack.entries] == ["clots", "a", "b"]
    stack.remove(entries[0])
    assert len(stack) == 2
    torch.testing.assert_close(segmenter.weight("fpn.0"), before["fpn.0"])
    stack.set_active(b, True)
    stack.clear()
    assert stack.entries == ()
    assert same(weights(segmenter), before)


def test_the_same_edit_lies_there_once(segmenter):
    stack = EditStack.of(segmenter)
    edit = make_edit(segmenter)
    stack.add(edit, 0.5)
    stack.set_active(0, False)
    stack.add(edit.with_name("copy"), 0.6, name="mine")
    (entry,) = stack.entries
    assert (entry.strength, entry.active, entry.name) == (0.6, True, "mine")


def test_a_copy_takes_the_place_of_its_edit(segmenter):
    stack = EditStack.of(segmenter)
    edit = make_edit(segmenter)
    stack.add(edit, 0.5, name="mine")
    stack.set_active(0, False)
    before = weights(segmenter)
    copy = edit.with_strength(0.2)
    entry = stack.replace_edit(copy)
    assert stack.entries == (entry,)
    assert entry.edit is copy
    assert (entry.strength, entry.active, entry.name) == (0.5, False, "mine")
    assert same(weights(segmenter), before)
    with pytest.raises(EditError, match="no longer applied"):
        stack.replace_edit(make_edit(segmenter, seed=1))


@pytest.mark.parametrize("strength", [-0.1, 1.51, float("nan"), float("inf"), "much", None])
def test_strengths_out_of_range_are_refused(segmenter, strength):
    before = weights(segmenter)
    edit = make_edit(segmenter)
    with pytest.raises(InputError, match="between 0 and"):
        edit.apply(segmenter, strength)
    assert EditStack.of(segmenter).entries == ()
    edit.apply(segmenter, 0.0)
    with pytest.raises(InputError, match="between 0 and"):
        EditStack.of(segmenter).set_strength(0, strength)
    assert same(weights(segmenter), before)


def test_edits_for_another_model_are_refused(segmenter, other_segmenter):
    edit = make_edit(segmenter)
    before = weights(other_segmenter)
    with pytest.raises(EditError, match="another model"):
        edit.apply(other_segmenter)
    base = EditStack.of(segmenter).base_fingerprint
    gone = Edit("x", {"fpn.9": torch.zeros(1, 1, 3, 3)}, {"base_fingerprint": base})
    with pytest.raises(EditError, match=r"fpn\.9"):
        gone.apply(segmenter)
    shape = Edit("x", {"fpn.0": torch.zeros(1, 1, 3, 3)}, {"base_fingerprint": base})
    with pytest.raises(EditError, match="shape"):
        shape.apply(segmenter)
    assert same(weights(other_segmenter), before)


def test_unknown_entries_are_refused(segmenter):
    stack = EditStack.of(segmenter)
    edit = make_edit(segmenter)
    for which in (0, -1, edit):
        with pytest.raises(EditError, match="no longer applied"):
            stack.remove(which)
    stack.add(edit)
    with pytest.raises(InputError, match="empty"):
        stack.rename(0, "  ")
    with pytest.raises(InputError, match="at least one layer"):
        Edit("nothing", {})


def test_a_trial_ends_with_what_the_entries_say(segmenter):
    stack = EditStack.of(segmenter)
    below, edit = make_edit(segmenter, "below", seed=1), make_edit(segmenter, seed=2)
    stack.add(below, 0.5)
    before = weights(segmenter)

    def fail():
        with stack.trial(edit, 0.3) as set_strength:
            torch.testing.assert_close(
                segmenter.weight("fpn.0"), before["fpn.0"] + 0.3 * edit.deltas["fpn.0"]
            )
            set_strength(0.0)
            assert same(weights(segmenter), before)
            set_strength(1.0)
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail()
    assert same(weights(segmenter), before)
    assert len(stack) == 1
    # An edit that already lies there is not counted twice.
    with stack.trial(below, 1.0):
        expected = before["fpn.0"] + 0.5 * below.deltas["fpn.0"]
        torch.testing.assert_close(segmenter.weight("fpn.0"), expected)


def test_kept_brings_entries_back(segmenter):
    stack = EditStack.of(segmenter)
    edit = make_edit(segmenter)
    stack.add(edit, 0.4)
    before = weights(segmenter)
    with stack.kept():
        stack.clear()
        stack.add(make_edit(segmenter, "other", seed=5))
    assert [e.strength for e in stack.entries] == [0.4]
    assert same(weights(segmenter), before)


def test_a_viewer_need_not_wait_for_a_prediction(segmenter):
    stack = EditStack.of(segmenter)
    edit = make_edit(segmenter)
    stack.add(edit, 0.0)
    before = weights(segmenter)
    held, release = threading.Event(), threading.Event()

    def predict():
        with segmenter.lock:
            held.set()
            release.wait(10)

    thread = threading.Thread(target=predict)
    thread.start()
    assert held.wait(10)
    try:
        for strength in (0.2, 0.5, 0.9):
            stack.set_strength(0, strength, wait=False)
        assert stack.entries[0].strength == 0.9
        assert stack.pending
        assert torch.equal(segmenter.net.outputs[0].weight, before["fpn.0"])
    finally:
        release.set()
        thread.join()
    stack.sync()
    assert not stack.pending
    torch.testing.assert_close(
        segmenter.weight("fpn.0"), before["fpn.0"] + 0.9 * edit.deltas["fpn.0"]
    )


def test_a_failing_write_leaves_everything_as_it_was(segmenter, monkeypatch):
    stack = EditStack.of(segmenter)
    before = weights(segmenter)
    real, calls = segmenter.set_weight, []

    def fails_once(layer, weight):
        calls.append(layer)
        if len(calls) == 2:
            raise MemoryError
        real(layer, weight)

    monkeypatch.setattr(segmenter, "set_weight", fails_once)
    with pytest.raises(MemoryError):
        stack.add(make_edit(segmenter))
    assert stack.entries == ()
    assert same(weights(segmenter), before)


def test_changes_are_told(segmenter):
    stack = EditStack.of(segmenter)
    told = []
    stack.changed.connect(lambda: told.append(len(stack)))
    edit = make_edit(segmenter)
    stack.add(edit)
    stack.rename(0, "new")
    stack.set_strength(0, 0.5)
    stack.clear()
    assert told == [1, 1, 1, 0]


def test_rebase_takes_the_weights_as_they_are(segmenter):
    edit = make_edit(segmenter)
    segmenter.set_weight("fpn.0", segmenter.weight("fpn.0") + 1)  # as training does
    stack = EditStack.rebase(segmenter)
    assert stack.base_fingerprint == segmenter.fingerprint()
    with pytest.raises(EditError, match="another model"):
        stack.add(edit)


def test_a_stack_dies_with_its_segmenter(segmenter):
    gone = weakref.ref(EditStack.of(type(segmenter)()))
    gc.collect()
    assert gone() is None


def test_half_precision_weights_come_back(segmenter):
    segmenter.net.half()
    before = segmenter.weight("fpn.0")
    edit = make_edit(segmenter)
    edit.apply(segmenter, 0.3)
    assert segmenter.weight("fpn.0").dtype == torch.float16
    assert not torch.equal(segmenter.weight("fpn.0"), before)
    edit.remove(segmenter)
    assert torch.equal(segmenter.weight("fpn.0"), before)


def test_under_a_meta_default_device(segmenter):
    edit = make_edit(segmenter)
    before = weights(segmenter)
    with torch.device("meta"):
        edit.apply(segmenter, 0.5)
        assert segmenter.weight("fpn.0").device.type == "cpu"
        edit.remove(segmenter)
    assert same(weights(segmenter), before)


def test_a_duplicate_is_an_edit_of_its_own(segmenter, tmp_path):
    stack = EditStack.of(segmenter)
    edit = make_edit(segmenter)
    stack.add(edit, 0.5, name="mine")
    stack.add(make_edit(segmenter, "above", seed=4), 0.25)
    before = weights(segmenter)
    copy = stack.duplicate(0)
    assert [e.name for e in stack.entries] == ["mine", "mine (2)", "above"]
    assert (copy.active, copy.strength) == (False, 0.5)
    assert copy.edit.identity != edit.identity
    assert same(weights(segmenter), before)
    third = stack.duplicate(copy, name="third")
    assert len({e.edit.identity for e in stack.entries}) == 4
    assert stack.entries.index(third) == 2
    # Either may change, or be tried, without the other.
    stack.set_active(copy, True)
    stack.set_active(0, False)
    torch.testing.assert_close(segmenter.weight("fpn.0"), before["fpn.0"])
    stack.set_active(0, True)
    with stack.trial(copy.edit, 0.0):
        assert same(weights(segmenter), before)
    again = load_edit(copy.edit.save(tmp_path / "copy.safetensors"))
    assert again.identity == copy.edit.identity
    stack.remove(copy)
    stack.remove(third)
    assert same(weights(segmenter), before)


def test_merging_leaves_the_model_and_undoes_to_the_bit(segmenter):
    stack = EditStack.of(segmenter)
    base, fingerprint = weights(segmenter), segmenter.fingerprint()
    a = make_edit(segmenter, "a", ("fpn.0", "fpn.1"), seed=1)
    b = make_edit(segmenter, "b", ("fpn.0", "rpn.conv"), seed=2)
    a.provenance["image_sha256"], b.provenance["image_sha256"] = "s" * 64, "t" * 64
    off = make_edit(segmenter, "off", seed=3)
    stack.add(off, 0.1)
    stack.set_active(0, False)
    stack.add(a, 0.3, name="mine")
    stack.add(b, 0.7)
    before = weights(segmenter)
    entry = stack.merge(name="both")
    assert [e.name for e in stack.entries] == ["off", "both"]
    assert (entry.strength, entry.active) == (1.0, True)
    for layer, weight in weights(segmenter).items():
        torch.testing.assert_close(weight, before[layer], rtol=1e-6, atol=1e-7)
    parts = entry.edit.provenance["merged"]
    assert [(p["name"], p["strength"]) for p in parts] == [("mine", 0.3), ("b", 0.7)]
    assert parts[0]["identity"] == a.identity
    assert entry.edit.made_from == {"s" * 64, "t" * 64}
    assert set(entry.edit.deltas) == {"fpn.0", "fpn.1", "rpn.conv"}
    stack.set_strength(entry, 0.0)
    assert same(weights(segmenter), base)
    stack.remove(entry)
    assert segmenter.fingerprint() == fingerprint


def test_what_cannot_be_merged_is_said(segmenter, other_segmenter):
    stack = EditStack.of(segmenter)
    a, b = make_edit(segmenter, "a", seed=1), make_edit(segmenter, "b", seed=2)
    stack.add(a, 0.3)
    stack.add(b, 0.3)
    stack.set_active(1, False)
    before = weights(segmenter)
    with pytest.raises(InputError, match="at least two edits that are switched on"):
        stack.merge()
    with pytest.raises(InputError, match="'b' is switched off"):
        stack.merge([0, 1])
    with pytest.raises(EditError, match="no longer applied"):
        stack.merge([0, 7])
    with pytest.raises(EditError, match="different models"):
        merge_edits([(a, 1.0), (make_edit(other_segmenter, seed=3), 1.0)])
    with pytest.raises(InputError, match="at least two"):
        merge_edits([(a, 1.0)])
    with pytest.raises(InputError, match="between 0 and"):
        merge_edits([(a, 1.0), (b, 2.0)])
    odd = Edit("odd", {"fpn.0": torch.zeros(1, 1, 3, 3)}, dict(a.provenance))
    with pytest.raises(EditError, match=r"'odd' has another shape at layer fpn\.0"):
        merge_edits([(a, 1.0), (odd, 1.0)])
    assert same(weights(segmenter), before)


@pytest.mark.parametrize(("place", "order"), [(-3, "cab"), (9, "abc"), (1, "acb")])
def test_moving_beyond_the_ends_ends_there(segmenter, place, order):
    stack = EditStack.of(segmenter)
    for seed, name in enumerate("abc"):
        stack.add(make_edit(segmenter, name, seed=seed), 0.1)
    moved = stack.move(2, place, wait=False)
    assert "".join(e.name for e in stack.entries) == order
    assert moved.name == "c"
    stack.sync()
    assert not stack.pending
