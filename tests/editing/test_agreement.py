"""Labels that a model gives itself."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from napari_fossiledit import editing
from napari_fossiledit.editing.agreement import _seen, _turned
from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances
from napari_fossiledit.models.backbone_lite import LiteConfig
from napari_fossiledit.models.lite import new_lite
from napari_fossiledit.models.segmenter import Limits


class Pale:
    """Takes what is pale for a fossil; what is red only where the slice lies as photographed."""

    limits = Limits()

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.input_zoom = 1.0
        self.seen: list[float] = []

    def predict(self, image, *, score_threshold, max_detections):
        self.seen.append(self.input_zoom)
        pale = label(image[..., 0] > 200)
        if image[0, 0, 2] == 255:  # the marked corner is up and left
            red = label(image[..., 1] > 200)
            pale = np.where(red > 0, red + pale.max(), pale)
        found = Instances.from_labels(pale)
        return Instances.from_crops(found.shape, found.crops, scores=np.full(len(found), 0.9))


def marked(shape=(40, 56)) -> np.ndarray:
    image = np.full((*shape, 3), 60, np.uint8)
    image[0, 0, 2] = 255
    image[5:15, 6:20, 0] = 250
    image[24:34, 8:16, 0] = 250
    image[10:20, 35:50, 1] = 250
    return image


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 7), st.integers(0, 1000))
def test_detections_of_a_turned_slice_come_back_to_their_place(number: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros((23, 37), np.int32)
    for value in range(1, 4):
        y, x = int(rng.integers(0, 15)), int(rng.integers(0, 30))
        labels[y : y + int(rng.integers(2, 8)), x : x + int(rng.integers(2, 7))] = value
    turned = _turned(np.stack([labels] * 3, axis=-1).astype(np.uint8), number)[..., 0]
    seen = _seen(Instances.from_labels(turned.astype(np.int32)), number)
    back = np.zeros_like(labels)
    values = [v for v in np.unique(turned) if v]
    for value, crop in zip(values, seen.crops, strict=True):
        back[crop.window][crop.mask] = value
    assert np.array_equal(back, labels)


def test_what_every_view_shows_is_a_fossil_and_the_rest_is_not() -> None:
    labels, undecided = editing.agreed_labels(Pale(), marked())
    assert labels.max() == 2
    assert np.array_equal(labels > 0, marked()[..., 0] > 200)
    assert not undecided.any()  # one view of eight is less than doubtful
    doubtful = editing.Agreement(doubtful=0.1)
    labels, undecided = editing.agreed_labels(Pale(), marked(), doubtful)
    assert labels.max() == 2
    assert np.array_equal(undecided, marked()[..., 1] > 200)


def test_a_model_teaches_itself_and_the_edit_says_so() -> None:
    config = LiteConfig(width=0.25, channels=16, box_width=24, mask_convolutions=1, proposals=40)
    model = new_lite(config, name="tiny", class_names=("cup",), seed=0)
    before = model.fingerprint()
    solver = editing.Agreement(
        sure=0.02, doubtful=0.01, steps=2, proposal_steps=2, views=2, lr=1e-4
    )
    image = np.random.default_rng(0).integers(0, 256, (96, 112, 3), dtype=np.uint8)
    edit = editing.teach_itself(model, [image], solver=solver)
    assert model.fingerprint() == before
    assert edit.has_seen(image)
    assert editing.solver_from_dict(edit.provenance["solver"]) == solver
    assert any(float(delta.abs().max()) > 0 for delta in edit.deltas.values())


def test_bad_input_is_told() -> None:
    with pytest.raises(InputError, match="at least one"):
        editing.teach_itself(Pale(), [])
    with pytest.raises(InputError, match="agrees with itself on no fossil"):
        editing.teach_itself(Pale(), [np.zeros((32, 32, 3), np.uint8)])
    with pytest.raises(InputError, match="lower first"):
        editing.Agreement(sure=0.2, doubtful=0.5)
    image = marked()
    with pytest.raises(InputError, match="use teach_itself"):
        editing.rewrite(Pale(), image, image, image[..., 0] > 200, solver=editing.Agreement())


def test_views_take_the_zooms_in_turn_and_give_the_models_own_back() -> None:
    model = Pale()
    model.input_zoom = 2.0
    editing.agreed_labels(model, marked(), editing.Agreement(zooms=(1.0, 1.5)))
    # Each of the four quarter turns is seen at both, once as it is and once mirrored.
    assert model.seen == [2.0, 3.0, 2.0, 3.0, 3.0, 2.0, 3.0, 2.0]
    assert model.input_zoom == 2.0


@pytest.mark.parametrize("zooms", [(), (0.0,), (1.0, float("nan"))])
def test_zooms_out_of_range_are_told(zooms: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="one zoom or more, each between"):
        editing.Agreement(zooms=zooms)
