from __future__ import annotations

import numpy as np
import pytest

from napari_fossiledit import pipeline
from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.perturb import Colour


def test_a_model_that_takes_clots_is_found_out(pale, slices) -> None:
    result = pipeline.probe(pale, slices)
    original, others, fossils = (row.scores for row in result.rows)
    assert (original.true_detections, original.false_detections) == (3, 3)
    assert (others.true_detections, others.false_detections) == (3, 0)
    assert (fossils.true_detections, fossils.false_detections) == (0, 3)
    assert original.confuser_share == fossils.confuser_share == 1.0
    assert others.confuser_share == 0.0
    assert "100% of the confusers' pixels are still claimed" in result.diagnosis


def test_a_gain_from_painting_is_said(pale, slices) -> None:
    # Here the clot grows onto the fossil, so painting it over makes the mask right.
    piece = slices[0]
    image = piece.image.copy()
    image[20:24, 28:50] = (200, 190, 180)
    result = pipeline.probe(pale, [LabelledSlice(image, piece.labels, piece.confusers)])
    assert result.rows[1].scores.matched_mean.precision == 1.0
    assert "precision rises" in result.diagnosis


def test_rows_hold_what_the_model_was_shown(pale, slices) -> None:
    result = pipeline.probe(pale, slices, fill=Colour((1, 2, 3)))
    shown = result.rows[1].images[0]
    assert (shown[slices[0].labels == 0] == (1, 2, 3)).all()
    assert len(pale.seen) == 6
    assert set(result.to_dict()["versions"]) == set(pipeline.VERSIONS)


def test_slices_without_a_fossil_are_left_out_or_refused(pale, slices) -> None:
    blank = LabelledSlice(slices[0].image, np.zeros((80, 80), np.int32))
    assert len(pipeline.probe(pale, [blank, slices[1]]).rows[0].images) == 1
    with pytest.raises(InputError, match="None of the labelled slices has a fossil"):
        pipeline.probe(pale, [blank])
    with pytest.raises(InputError, match="There is no labelled slice"):
        pipeline.probe(pale, [])


def test_closing_the_probe_leaves_the_slices_alone(pale, slices) -> None:
    before = [piece.image.copy() for piece in slices]
    task = pipeline.probe_task(pale, slices)
    next(task)
    task.close()
    for piece, image in zip(slices, before, strict=True):
        np.testing.assert_array_equal(piece.image, image)


class Blind:
    """What the pale segmenter would find, on slices that ``sees`` lets it look at."""

    def __init__(self, pale, sees=lambda image: False) -> None:
        self.pale, self.sees, self.limits = pale, sees, pale.limits

    def predict(self, image, **options) -> Instances:
        return self.pale.predict(image if self.sees(image) else np.zeros_like(image), **options)


def test_a_model_that_finds_nothing_is_told_so(pale, slices) -> None:
    bare = [LabelledSlice(piece.image, piece.labels) for piece in slices]
    for given in (slices, bare):
        said = pipeline.probe(Blind(pale), given).diagnosis
        assert said.startswith("The model finds no fossil on these slices, neither as they are")
        assert "classes count as the fossil" in said
        assert "SCORE_THRESH_TEST" in said
        assert "nan" not in said
        assert "confuser" not in said


def test_fossils_found_only_among_paint_or_only_without(pale, slices) -> None:
    fill = Colour((1, 2, 3))

    def painted(image) -> bool:
        return bool((image == fill.rgb).all(axis=-1).any())

    only = pipeline.probe(Blind(pale, painted), slices, fill=fill).diagnosis
    assert only.startswith("The model finds no fossil on these slices as they are, but 3 of 3")
    none = pipeline.probe(Blind(pale, lambda image: not painted(image)), slices, fill=fill)
    assert "no fossil any more (3 of 3 before): the paint itself is foreign" in none.diagnosis
    assert "nan" not in only + none.diagnosis
