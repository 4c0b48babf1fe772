"""The advisor: remedies with known worth, judged on slices that did not make them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_fossiledit import models
from napari_fossiledit.errors import InputError, ModelError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.metrics import Interval
from napari_fossiledit.models.backbone_lite import LiteConfig
from napari_fossiledit.models.lite import new_lite
from napari_fossiledit.pipeline import Advice, Judged, advise, advise_task
from napari_fossiledit.pipeline.advice import recommend
from napari_fossiledit.pipeline.advice_figure import advice_figure
from napari_fossiledit.pipeline.remedies import (
    EditRemedy,
    FineTuning,
    Fitted,
    InputZoom,
    MaskThreshold,
    ScoreThreshold,
    default_remedies,
)
from napari_fossiledit.progress import Progress

SIDE = 48


def slices(count: int = 4) -> list[LabelledSlice]:
    """Four squares each, the same places, so that every slice weighs alike."""
    labels = np.zeros((SIDE, SIDE), np.int32)
    for number, (y, x) in enumerate([(2, 2), (2, 26), (26, 2), (26, 26)], start=1):
        labels[y : y + 12, x : x + 12] = number
    noise = np.random.default_rng(0).integers(0, 40, (SIDE, SIDE, 3))
    image = (np.where(labels[..., None] > 0, 200, 90) + noise).astype(np.uint8)
    return [
        LabelledSlice(image + np.uint8(i), labels, name=f"z {i}", group=f"reef {i}")
        for i in range(count)
    ]


class HalfBlind:
    """Finds the first two fossils of every slice, the same at every threshold."""

    name = "half blind"
    limits = models.Limits()

    def predict_mask_thresholds(self, image, cuts, **options):
        return [kept(slices(1)[0].labels, 2) for _ in cuts]


def kept(labels: np.ndarray, fossils: int) -> Instances:
    found = Instances.from_labels(np.where(labels <= fossils, labels, 0))
    return Instances.from_crops(found.shape, found.crops, scores=np.full(len(found), 0.9))


class Known:
    """A remedy that finds so many fossils at each setting."""

    setting = "strength"
    neutral = 0.0
    usual = 1.0

    def __init__(self, key: str, finds: dict[float, int], error: Exception | None = None) -> None:
        self.key, self.title, self.finds, self.error = key, key.title(), finds, error
        self.made: list[int] = []

    @property
    def settings(self) -> tuple[float, ...]:
        return tuple(self.finds)

    def try_task(self, work, made_from, held_out):
        if self.error is not None:
            raise self.error
        yield Progress(0, 1, "working")
        self.made.append(made_from)
        assert made_from not in held_out
        found = {
            x: {j: kept(work.slices[j].labels, n) for j in held_out} for x, n in self.finds.items()
        }
        return Fitted(found, 1.5)


def test_the_best_remedy_is_recommended_at_its_best_setting() -> None:
    good = Known("good", {0.0: 2, 0.5: 4, 1.0: 3})
    fair = Known("fair", {0.0: 2, 1.0: 3})
    bad = Known("bad", {0.0: 2, 1.0: 1})
    advice = advise(HalfBlind(), slices(), remedies=[bad, fair, good])
    assert advice.recommended == "good"
    assert advice.remedy("good").best == 0.5
    assert advice.remedy("good").gain.value == pytest.approx(1 - 51 / 101)
    assert advice.remedy("fair").gain.value == pytest.approx(76 / 101 - 51 / 101)
    assert advice.remedy("bad").best == 0.0  # no setting of it is better than none
    assert advice.remedy("bad").gain.value == 0
    assert "solver good, strength 0.5" in advice.sentence
    assert "95 % CI" in advice.sentence
    assert len(good.made) == len(set(good.made)) == 3  # from three slices in turn


def test_where_nothing_helps_nothing_is_recommended() -> None:
    advice = advise(HalfBlind(), slices(), remedies=[Known("bad", {0.0: 2, 1.0: 1})])
    assert advice.recommended is None
    assert advice.sentence.startswith("Keep the model as it is")


def test_an_uncertain_gain_is_not_recommended() -> None:
    unsure = Judged("a", "Edit: a", "strength", best=1.0, gain=Interval(0.02, -0.01, 0.05))
    key, sentence = recommend([unsure])
    assert key is None
    assert "may be chance" in sentence
    sure = Judged("b", "Edit: b", "strength", best=1.0, gain=Interval(0.018, 0.01, 0.03))
    assert recommend([sure])[0] == "b"
    assert recommend([Judged.failed("c", "C", "x", "why")])[0] is None


def test_a_remedy_that_cannot_be_tried_costs_no_other() -> None:
    broken = Known("broken", {0.0: 2}, ModelError("This model has no heads: choose another."))
    advice = advise(HalfBlind(), slices(), remedies=[broken, Known("good", {0.0: 2, 1.0: 4})])
    assert advice.recommended == "good"
    assert advice.remedy("broken").problem.startswith("This model has no heads")


def test_a_setting_is_never_chosen_on_the_slice_it_is_judged_on() -> None:
    """Each setting helps on one slice alone: chosen on the others, none of them helps there."""

    class Flattering(Known):
        def try_task(self, work, made_from, held_out):
            yield Progress(0, 1, "working")
            found = {0.0: {j: kept(work.slices[j].labels, 2) for j in held_out}}
            for x in (1.0, 2.0, 3.0):
                found[x] = {j: kept(work.slices[j].labels, 4 if j == x else 1) for j in held_out}
            return Fitted(found)

    remedy = Flattering("flattering", {0.0: 2, 1.0: 0, 2.0: 0, 3.0: 0})
    advice = advise(HalfBlind(), slices(), remedies=[remedy], most_made_from=4)
    assert advice.remedy("flattering").gain.value <= 0
    assert advice.recommended is None


def test_two_slices_take_the_usual_setting() -> None:
    remedy = Known("good", {0.0: 2, 0.5: 2, 1.0: 4})
    advice = advise(HalfBlind(), slices(2), remedies=[remedy])
    assert advice.remedy("good").gain.value == pytest.approx(1 - 51 / 101)
    assert advice.remedy("good").best == 1.0
    assert "strength 0" not in advice.sentence


def test_the_picture_comes_from_the_json_alone() -> None:
    from napari_fossiledit.pipeline.figures import png_bytes

    advice = advise(
        HalfBlind(),
        slices(),
        remedies=[MaskThreshold(), ScoreThreshold(), Known("good", {0.0: 2, 1.0: 4})],
    )
    again = Advice.from_dict(json.loads(json.dumps(advice.to_dict())))
    assert again.to_dict() == advice.to_dict()
    assert png_bytes(advice_figure(again)) == png_bytes(advice_figure(advice))
    with pytest.raises(InputError, match="not written by the advisor"):
        Advice.from_dict({"model": "demo"})


def test_bad_input_is_told() -> None:
    with pytest.raises(InputError, match="at least two labelled slices"):
        advise(HalfBlind(), slices(1))
    with pytest.raises(InputError, match="at least one slice, not 0"):
        advise(HalfBlind(), slices(), most_made_from=0)
    with pytest.raises(InputError, match="no labelled slice"):
        advise(HalfBlind(), [])
    full = [LabelledSlice(s.image, np.ones_like(s.labels), name=s.name) for s in slices(2)]
    with pytest.raises(InputError, match="cover the slices whole"):
        advise(HalfBlind(), full)


@pytest.fixture
def tiny():
    config = LiteConfig(width=0.25, channels=16, box_width=24, mask_convolutions=1, proposals=40)
    return new_lite(config, name="tiny", class_names=("cup",), seed=0)


def test_real_remedies_leave_the_model_as_it_was(tiny) -> None:
    from napari_fossiledit import editing

    before = tiny.fingerprint()
    remedies = [
        EditRemedy("ridge", "Edit: ridge", editing.Ridge(), (0.5,), 0.5),
        EditRemedy("labels", "Labels", editing.Labels(steps=1, views=1, crop=32), (1.0,), 1.0),
        EditRemedy(
            "zoomed", "Zoomed", editing.Labels(steps=1, views=1, crop=32), (1.0,), 1.0, zoom=1.5
        ),
        EditRemedy("agreement", "Agreement", editing.Agreement(steps=1, views=1), (1.0,), 1.0),
        FineTuning(steps=1),
    ]
    advice = advise(tiny, slices(2), remedies=remedies, trained_on=slices(3)[2:])
    problems = {judged.key: judged.problem for judged in advice.remedies}
    # This untrained model is sure of nothing.
    assert "agrees with itself on no fossil" in problems.pop("agreement")
    assert set(problems.values()) == {""}
    assert advice.remedy("fine-tuning").detail == "1 steps"
    assert advice.trained_on == 1
    assert tiny.fingerprint() == before
    assert tiny.input_zoom == 1


def test_every_zoom_is_predicted_once_and_given_back(tiny, monkeypatch) -> None:
    seen = []
    predict = tiny.predict

    def counted(image, **options):
        seen.append(tiny.input_zoom)
        return predict(image, **options)

    monkeypatch.setattr(tiny, "predict", counted)
    advice = advise(tiny, slices(3), remedies=[InputZoom(settings=(1.0, 2.0))])
    assert seen == [2.0] * 3  # though three slices held out the others in turn
    assert tiny.input_zoom == 1
    assert [point.setting for point in advice.remedy("input zoom").points] == [1.0, 2.0]


def test_agreement_is_made_from_the_image_alone(tiny, monkeypatch) -> None:
    from napari_fossiledit import editing
    from napari_fossiledit.editing import agreement

    seen = []

    def agreed(segmenter, image, settings):
        seen.append(image)
        yield Progress(1, 1)
        return slices(1)[0].labels, np.zeros((SIDE, SIDE), bool)

    monkeypatch.setattr(agreement, "agreed_labels_task", agreed)
    solver = editing.Agreement(steps=1, proposal_steps=1, views=1)
    pieces = slices(2)
    advice = advise(tiny, pieces, remedies=[EditRemedy("agreement", "A", solver, (1.0,), 1.0)])
    assert advice.remedy("agreement").problem == ""
    assert [image is piece.image for image, piece in zip(seen, pieces, strict=True)] == [True] * 2


def test_a_cancelled_run_leaves_the_model_as_it_was(tiny) -> None:
    from napari_fossiledit import editing

    before = tiny.fingerprint()
    remedy = EditRemedy("ridge", "Edit: ridge", editing.Ridge(), (0.5,), 0.5)
    task = advise_task(tiny, slices(2), remedies=[remedy])
    for step in task:
        if step.message.startswith("Edit: ridge: predicting"):
            break
    assert tiny.fingerprint() != before
    task.close()
    assert tiny.fingerprint() == before


def test_the_default_remedies_need_ever_more_of_the_user() -> None:
    keys = [remedy.key for remedy in default_remedies()]
    assert keys == [
        "mask threshold",
        "score threshold",
        "input zoom",
        "ridge",
        "adam",
        "distil",
        "agreement",
        "labels",
        "zoomed labels",
        "fine-tuning",
    ]
    for remedy in default_remedies():
        assert remedy.neutral in remedy.settings
        assert remedy.usual in remedy.settings
