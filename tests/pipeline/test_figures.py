from __future__ import annotations

import numpy as np

from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.pipeline import figures
from napari_fossiledit.pipeline.report import ADDED_COLOUR, REMOVED_COLOUR, change_image


def square(*corner: int) -> np.ndarray:
    mask = np.zeros((30, 30), np.int32)
    mask[corner[0] : corner[0] + 10, corner[1] : corner[1] + 10] = 1
    return mask


def test_outlines_tell_true_false_and_missed_apart() -> None:
    labels = square(2, 2) + 2 * square(18, 2)
    piece = LabelledSlice(np.zeros((30, 30, 3), np.uint8), labels)
    found = Instances.from_labels(square(2, 2) + 2 * square(2, 18))
    shown = figures.outlines(piece, found, scale=2)
    assert shown.shape == (60, 60, 3)
    assert tuple(shown[4, 14]) == figures.TRUE_COLOUR
    assert tuple(shown[4, 46]) == figures.FALSE_COLOUR
    assert tuple(shown[36, 14]) == figures.TRUTH_COLOUR
    assert not shown[14, 14].any()


def test_outlines_of_a_slice_without_fossils_or_detections() -> None:
    blank = LabelledSlice(np.full((30, 30, 3), 7, np.uint8), np.zeros((30, 30), np.int32))
    assert (figures.outlines(blank, Instances.empty((30, 30))) == 7).all()
    shown = figures.outlines(blank, Instances.from_labels(square(2, 2)))
    assert tuple(shown[4, 14]) == figures.FALSE_COLOUR


def test_change_shows_removed_and_added_pixels() -> None:
    grey = np.zeros((30, 30, 3), np.uint8)
    image = change_image(
        grey, Instances.from_labels(square(2, 2)), Instances.from_labels(square(18, 2))
    )
    removed, added = image[5, 5].astype(int), image[20, 5].astype(int)
    assert abs(removed - np.array(REMOVED_COLOUR)).max() <= 60
    assert abs(added - np.array(ADDED_COLOUR)).max() <= 60
    assert (image[25, 25] == 40).all()


def test_specimens_take_the_ids_of_the_labelled_ones_they_cover() -> None:
    truth = np.stack([square(2, 2) * 7, square(2, 2) * 7])
    found = np.stack([square(4, 2) * 3 + square(18, 18) * 5] * 2)
    named = figures.as_labelled(found, truth)
    assert (named[found == 3] == 7).all()
    assert (named[found == 5] < 0).all()
    assert (named[found == 0] == 0).all()
