"""The paper's tables as trials, their keys, and what each paints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from experiment_parts import pieces

from napari_fossiledit import perturb
from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances
from napari_fossiledit.metrics import score_instances
from napari_fossiledit.pipeline.experiment_paint import blocks, paint, texture_window
from napari_fossiledit.pipeline.experiment_plan import (
    Settings,
    Step,
    paper_trials,
    slice_sha,
    trial_key,
)
from napari_fossiledit.pipeline.experiment_trial import scores_from_plain, scores_to_plain

NAMES = ["reef 1, z 4", "reef 1, z 12", "reef 1, z 20"]


@pytest.fixture(scope="module")
def piece():
    return pieces((12,))[0]


def rows(number: str, settings: Settings | None = None, names=NAMES) -> list[tuple]:
    trials = paper_trials(settings or Settings(), names)
    return [(t.row, t.steps) for t in trials if t.table == number and t.solver == "ours"]


def test_the_tables_are_laid_out_as_in_the_paper() -> None:
    assert [steps for _, steps in rows("2")] == [(Step(0),), (Step(1),), (Step(2),)]
    assert [s.fraction for _, (s,) in rows("3")] == [0.01, 0.35, 1.0] * 2
    assert [name for name, _ in rows("4")] == [
        "z 4 → z 12",
        "z 12 → z 4",
        "z 4 → z 12 → z 20",
        "z 20 → z 12 → z 4",
        "all 3 jointly",
    ]
    assert all(step.target == "fossils" for _, (step,) in rows("5"))
    assert [s.fraction for _, (s,) in rows("6")] == [0.06, 0.49, 1.0] * 2
    assert [step.target for _, (step,) in rows("7")] == ["both"] * 2
    first = rows("8")[0][1], rows("8")[1][1]
    assert first[0] == first[1][::-1]
    assert rows("4", names=["a"]) == []


def test_equal_trials_share_a_key_wherever_they_are_shown() -> None:
    trials = paper_trials(Settings(), NAMES)
    keys = {(t.table, t.row, t.solver): trial_key(t, Settings(), {}) for t in trials}
    for solver in ("paper", "ours"):
        whole = keys["3", "100 % of reef 1, z 4", solver]
        assert whole == keys["2", "reef 1, z 4", solver]
    assert len(set(keys.values())) == len(trials) - 2 * 2 * 2  # 100 % of tables 3 and 6


def test_a_key_changes_with_all_that_it_stands_for() -> None:
    trial = paper_trials(Settings(), NAMES)[0]
    base = trial_key(trial, Settings(), {"model": "a"})
    assert base == trial_key(trial, Settings(), {"model": "a"})
    others = [
        trial_key(trial, Settings(), {"model": "b"}),
        trial_key(trial, Settings(seed=1), {"model": "a"}),
        trial_key(trial, Settings(fill="noise"), {"model": "a"}),
        trial_key(trial, Settings(resamples=10), {"model": "a"}),
        trial_key(replace(trial, solver="ours"), Settings(), {"model": "a"}),
        trial_key(replace(trial, steps=(Step(0, fraction=0.5),)), Settings(), {"model": "a"}),
        trial_key(None, Settings(), {"model": "a"}),
    ]
    assert len({base, *others}) == len(others) + 1


def test_a_slice_is_told_by_image_labels_and_confusers(piece) -> None:
    same = replace(piece, labels=piece.labels.astype(np.uint16))
    assert slice_sha(same) == slice_sha(piece)
    image, labels = piece.image.copy(), piece.labels.copy()
    image[0, 0, 0] ^= 1
    labels[0, 0] = 99
    for other in (
        replace(piece, image=image),
        replace(piece, labels=labels),
        replace(piece, confusers=None),
        replace(piece, name="b"),
    ):
        assert slice_sha(other) != slice_sha(piece)


def test_all_of_the_rock_is_the_perturbation_of_the_house(piece) -> None:
    painted = paint(piece, Step(0), Settings())
    wanted = perturb.apply(piece.image, piece.fossils, "median")
    assert np.array_equal(painted.source.painted, wanted.image)
    assert np.array_equal(painted.source.inside, piece.fossils)
    assert painted.reached == 1


def test_a_part_of_the_rock_is_whole_blocks_and_only_they_are_edited(piece) -> None:
    part = paint(piece, Step(0, fraction=0.35), Settings())
    whole = paint(piece, Step(0), Settings()).source.painted
    changed = ~part.source.inside
    assert np.array_equal(part.source.painted[changed], whole[changed])
    assert np.array_equal(part.source.painted[~changed], piece.image[~changed])
    assert not (changed & piece.fossils).any()
    numbers = blocks(piece.labels.shape)
    taken = np.isin(numbers, np.unique(numbers[changed]))
    assert np.array_equal(changed, taken & ~piece.fossils)
    assert 0.35 <= part.reached <= 0.45
    again = paint(piece, Step(0, fraction=0.35), Settings())
    assert np.array_equal(again.source.painted, part.source.painted)
    other = paint(piece, Step(0, fraction=0.35), Settings(seed=1))
    assert not np.array_equal(other.source.painted, part.source.painted)


def test_a_part_of_the_fossils_is_whole_fossils(piece) -> None:
    part = paint(piece, Step(0, "fossils", 0.49), Settings())
    ids = np.unique(piece.labels[part.source.inside])
    assert np.array_equal(part.source.inside, np.isin(piece.labels, ids[ids > 0]))
    assert part.reached >= 0.49
    assert np.array_equal(part.source.painted[~piece.fossils], piece.image[~piece.fossils])


def test_a_fraction_that_no_set_of_fossils_reaches_is_said(piece) -> None:
    labels = (piece.labels > 0).astype(np.int32)  # one fossil: all or nothing
    part = paint(replace(piece, labels=labels), Step(0, "fossils", 0.06), Settings())
    assert part.reached == 1
    assert part.notes == ("6 % was asked for; whole fossils reach 100 %",)


def test_both_at_once(piece) -> None:
    painted = paint(piece, Step(0, "both"), Settings(texture=(0, 0, 8, 8)))
    mud = paint(piece, Step(0), Settings()).source.painted
    tile = paint(piece, Step(0, "fossils"), Settings(texture=(0, 0, 8, 8))).source.painted
    wanted = np.where(piece.fossils[..., None], tile, mud)
    assert np.array_equal(painted.source.painted, wanted)
    assert painted.source.perturbation["target"] == "both"


def test_the_texture_comes_from_within_the_fossil_least_like_the_rock() -> None:
    (piece,) = pieces((12,))
    image = np.full_like(piece.image, 90)
    labels = np.zeros_like(piece.labels)
    labels[5:35, 5:35], labels[50:80, 50:80] = 1, 2
    image[labels == 1], image[labels == 2] = 120, 200
    y0, x0, y1, x1 = texture_window(replace(piece, image=image, labels=labels))
    assert y1 - y0 == x1 - x0 == 15
    assert (labels[y0:y1, x0:x1] == 2).all()


def test_the_texture_never_crosses_from_one_fossil_into_the_next(piece) -> None:
    image = np.full_like(piece.image, 90)
    labels = np.zeros_like(piece.labels)
    labels[10:40, 10:30], labels[10:40, 30:50] = 1, 2
    image[labels > 0] = 200
    y0, x0, y1, x1 = texture_window(replace(piece, image=image, labels=labels))
    assert len(np.unique(labels[y0:y1, x0:x1])) == 1
    assert labels[y0, x0] > 0


def test_bad_settings_are_said() -> None:
    with pytest.raises(InputError, match="no area"):
        Settings(texture=(5, 5, 5, 9))
    with pytest.raises(InputError, match="fraction"):
        Settings(fractions=(0.0,))
    with pytest.raises(InputError, match="images must be at least 1"):
        Settings(images=0)


def test_scores_survive_a_file_bit_for_bit(piece) -> None:
    import json

    found = Instances.from_labels(np.roll(piece.labels, 3, axis=1))
    scores = score_instances(piece.labels, found, confusers=piece.confusers, groups=["a"])
    read = scores_from_plain(json.loads(json.dumps(scores_to_plain(scores))))
    assert read.to_dict(resamples=20) == scores.to_dict(resamples=20)
    assert read.individual == scores.individual
    for name in ("slice_index", "precision", "recall", "iou", "matched_index"):
        mine, other = getattr(read, name), getattr(scores, name)
        assert mine.dtype == other.dtype
        assert np.array_equal(mine, other)
