from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from napari_fossiledit.editing import Edit, EditStack, load_edit
from napari_fossiledit.errors import EditError, OutputError


@pytest.fixture
def edit(segmenter) -> Edit:
    delta = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 6, 3, 3))).float()
    facts = {"base_fingerprint": EditStack.of(segmenter).base_fingerprint, "model": "tiny"}
    return Edit("red mud", {"fpn.0": delta}, facts, {"fpn.0": [2.0, 0.5]}, 0.15)


def facts_of(**changes: object) -> dict[str, str]:
    facts = {"format": 1, "name": "x", "strength": 1.0, "provenance": {}, "losses": {}, **changes}
    return {"fossiledit_edit": json.dumps(facts)}


DELTA = {"fpn.0": np.zeros((6, 6, 3, 3), np.float32)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.text(), strength=st.floats(0, 1.5), note=st.text(max_size=5))
def test_round_trip(edit, tmp_path, name, strength, note):
    path = tmp_path / "edit.safetensors"
    edit = Edit(name, edit.deltas, {**edit.provenance, "note": note}, edit.losses, strength)
    assert edit.save(path) == path
    found = load_edit(path)
    assert (found.name, found.strength) == (name, strength)
    assert found.provenance == edit.provenance
    assert found.losses == edit.losses
    assert found.identity == edit.identity
    assert torch.equal(found.deltas["fpn.0"], edit.deltas["fpn.0"])


def test_a_loaded_edit_works_like_its_original(edit, segmenter, tmp_path):
    before = segmenter.fingerprint()
    edit.apply(segmenter, 0.5)
    applied = segmenter.fingerprint()
    found = load_edit(edit.save(tmp_path / "e.safetensors"))
    found.remove(segmenter)
    assert segmenter.fingerprint() == before
    found.apply(segmenter, 0.5)
    assert segmenter.fingerprint() == applied


def test_under_a_meta_default_device(edit, tmp_path):
    with torch.device("meta"):
        found = load_edit(edit.save(tmp_path / "e.safetensors"))
    assert torch.equal(found.deltas["fpn.0"], edit.deltas["fpn.0"])


def test_a_truncated_file_is_refused_at_any_length(edit, tmp_path):
    path = edit.save(tmp_path / "edit.safetensors")
    content = path.read_bytes()
    lengths = {*range(0, 40), *range(40, len(content), 61), len(content) - 1}
    for length in sorted(lengths):
        path.write_bytes(content[:length])
        with pytest.raises(EditError, match="incomplete or damaged"):
            load_edit(path)


def test_a_file_with_more_at_its_end_is_refused(edit, tmp_path):
    path = edit.save(tmp_path / "edit.safetensors")
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(EditError, match="incomplete or damaged"):
        load_edit(path)


def test_damaged_bytes_never_crash(edit, tmp_path):
    path = edit.save(tmp_path / "edit.safetensors")
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for place in rng.integers(0, 700, 150):
        damaged = content.copy()
        damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(EditError):
            load_edit(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"hello, this is some text and no edit at all",
        b"\x80\x04\x95" + bytes(50),
        bytes(64),
        (10**15).to_bytes(8, "little") + b'{"__metadata__"',
        (2).to_bytes(8, "little") + b"[]",
    ],
)
def test_other_files_are_no_edits(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(EditError, match=r"not an edit"):
        load_edit(path)


def test_a_model_is_no_edit(tmp_path):
    path = tmp_path / "model.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file(DELTA, path, metadata=metadata)
        with pytest.raises(EditError, match="not an edit"):
            load_edit(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 3},
        {"strength": 7},
        {"strength": None},
        {"provenance": []},
        {"losses": {"a": ["b"]}},
        {"losses": [1]},
    ],
)
def test_a_header_that_makes_no_sense_is_refused(tmp_path, changes):
    path = tmp_path / "e.safetensors"
    save_file(DELTA, path, metadata=facts_of(**changes))
    with pytest.raises(EditError, match="damaged"):
        load_edit(path)


def test_other_contents_are_refused(tmp_path):
    path = tmp_path / "e.safetensors"
    save_file(DELTA, path, metadata=facts_of(format=99))
    with pytest.raises(EditError, match="update napari-fossiledit"):
        load_edit(path)
    for metadata in ({"fossiledit_edit": "{"}, {"fossiledit_edit": "[]"}):
        save_file(DELTA, path, metadata=metadata)
        with pytest.raises(EditError, match="damaged"):
            load_edit(path)
    for arrays in (
        {},
        {"a": np.zeros((1,) * 5, np.float32)},
        {"a": np.zeros((1, 1, 1, 1), np.int32)},
    ):
        save_file(arrays, path, metadata=facts_of())
        with pytest.raises(EditError, match="damaged"):
            load_edit(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_is_refused(tmp_path, value):
    path = tmp_path / "e.safetensors"
    delta = DELTA["fpn.0"].copy()
    delta[1, 2, 0, 0] = value
    save_file({"fpn.0": delta}, path, metadata=facts_of())
    with pytest.raises(EditError, match=r"NaN.*fpn\.0"):
        load_edit(path)


def test_a_file_for_another_model_is_refused_when_applied(edit, other_segmenter, tmp_path):
    found = load_edit(edit.save(tmp_path / "e.safetensors"))
    with pytest.raises(EditError, match=r"another model \(tiny\)"):
        found.apply(other_segmenter)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(EditError, match=r"none\.safetensors"):
        load_edit(tmp_path / "none.safetensors")
    with pytest.raises(EditError, match="cannot be read"):
        load_edit(tmp_path)


def test_a_failed_save_leaves_the_old_file(edit, tmp_path, monkeypatch):
    path = edit.save(tmp_path / "e.safetensors")
    before = path.read_bytes()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        edit.with_strength(0.3).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["e.safetensors"]


def test_a_folder_that_is_not_there_is_named(edit, tmp_path):
    with pytest.raises(OutputError, match="choose a folder"):
        edit.save(tmp_path / "none" / "e.safetensors")
    assert not Path(tmp_path / "none").exists()
