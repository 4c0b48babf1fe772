from __future__ import annotations

import numpy as np
import torch

from napari_fossiledit.editing import Edit
from napari_fossiledit.editing.merging import merge_edits
from napari_fossiledit.editing.provenance_words import provenance_rows, skipped_words
from napari_fossiledit.widgets.live_jobs import steady
from napari_fossiledit.widgets.provenance import provenance_html

FACTS = {
    "base_fingerprint": "a" * 64,
    "model": "demo",
    "slice": "reef, slice 3",
    "image_sha256": "b" * 64,
    "image_shape": [256, 320, 3],
    "perturbation": {"fill": {"kind": "median"}, "target": "others"},
    "layers": [{"name": "fpn.0", "level": "P2"}],
    "skipped_layers": [{"name": "fpn.3", "level": "P5", "reason": "no cell lies in the area"}],
    "solver": {"name": "adam", "steps": 70, "lr": 5e-5, "rank": None},
    "loss": {"fpn.0": {"before": 0.2, "after": 0.1}},
    "seconds": {"features": 1.25, "solve": 2.0},
    "strength_chosen_on": ["c" * 64, "d" * 64],
    "strength_chosen_on_names": ["slice 1", "slice 5"],
    "strength_choice": {"sentence": "Strength 0.5 is the best.", "beside": "On the curve."},
    "made_on_top_of": [{"name": "first", "strength": 0.2, "identity": "x"}],
    "versions": {"torch": "2.0"},
    "date": "2026-01-02T03:04:05+00:00",
}


def edit(facts=None, name="e", fill=1.0) -> Edit:
    return Edit(name, {"fpn.0": torch.full((1, 1, 3, 3), fill)}, facts or dict(FACTS), {}, 0.5)


def test_everything_known_is_told() -> None:
    rows = dict(provenance_rows(edit(), 0.4, "a" * 64))
    assert rows["Base model"] == "demo (aaaaaaaaaaaa…, the model that is loaded)"
    assert rows["Slice"] == "reef, slice 3, 256 × 320 pixels, image bbbbbbbbbbbb…"
    assert "median" in rows["Painted"]
    assert rows["Layers"] == "P2. P5 was skipped: no cell lies in the area."
    assert rows["Solver"] == "adam, step by step; steps 70, rate 5e-05"
    assert rows["Loss"] == "P2: 0.2 → 0.1 (-50%)"
    assert rows["Took"] == "features 1.2 s, solve 2.0 s"
    assert rows["Strength"] == (
        "0.4 now. 0.5 was chosen on 2 labelled slices (slice 1, slice 5). Strength 0.5 is the best."
    )
    assert rows["Mask threshold"] == "On the curve."
    assert rows["Made on top of"] == "first at 0.2"
    assert rows["Date"] == "2026-01-02 03:04:05 UTC"
    other = dict(provenance_rows(edit(), None, "9" * 64))
    assert "NOT the model that is loaded" in other["Base model"]
    assert skipped_words(edit()) == "P5 was skipped: no cell lies in the area."


def test_a_merged_edit_tells_its_parts() -> None:
    merged = merge_edits([(edit(name="one"), 0.5), (edit(name="two", fill=2.0), 0.25)])
    rows = dict(provenance_rows(merged, 1.0))
    assert rows["Parts"] == "one × 0.5; two × 0.25"
    assert rows["Strength"].startswith("1 now. The parts' strengths were chosen on 2 labelled")
    assert rows["Slice"] == "reef, slice 3"
    assert rows["Layers"] == "P2"


def test_a_files_nonsense_is_left_out_and_escaped() -> None:
    facts = {key: 7 for key in FACTS} | {"model": "<b>x</b>", "base_fingerprint": "f"}
    rows = provenance_rows(edit(facts), 0.5)
    shown = provenance_html(rows)
    assert "&lt;b&gt;" in shown
    assert "<b>x" not in shown
    for key, value in FACTS.items():
        if isinstance(value, list):
            provenance_rows(edit({**FACTS, key: [7, {"name": 1}]}))
        if isinstance(value, dict):
            provenance_rows(edit({**FACTS, key: {"x": [1], "name": {}, "before": "y"}}))


def test_fossils_that_stay_keep_their_number() -> None:
    before = np.zeros((6, 6), np.int32)
    before[0:2, 0:3], before[4:6, 0:3] = 5, 2
    now = np.zeros((6, 6), np.int32)
    now[4:6, 0:2], now[0:2, 0:3], now[0:2, 4:6] = 1, 2, 3
    assert steady(now, before).tolist() == [0, 2, 5, 1]
    assert steady(now, None).tolist() == [0, 1, 2, 3]
    assert steady(now, before[:3]).tolist() == [0, 1, 2, 3]
    assert steady(np.zeros((6, 6), np.int32), before).tolist() == [0]
    split = np.where(before == 5, 1, 0).astype(np.int32)
    split[0, 0] = 2
    assert steady(split, before).tolist() == [0, 5, 1]
