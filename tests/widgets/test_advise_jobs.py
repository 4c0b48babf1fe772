"""The advisor's task on layers' slices, its words, and its files."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from napari_fossiledit.errors import InputError, OutputError
from napari_fossiledit.metrics import Interval
from napari_fossiledit.models.backbone_lite import LiteConfig
from napari_fossiledit.models.lite import new_lite
from napari_fossiledit.pipeline import Advice, Judged
from napari_fossiledit.pipeline import advisor as library
from napari_fossiledit.pipeline.advice_figure import advice_figure
from napari_fossiledit.pipeline.figures import png_bytes
from napari_fossiledit.pipeline.remedies import MaskThreshold, ScoreThreshold
from napari_fossiledit.progress import run
from napari_fossiledit.widgets.advice_view import dock_figure
from napari_fossiledit.widgets.advise_jobs import Advised, AdviseJob, ask_task, save_advice

SIDE = 48


class Stack:
    """A stack of noise; the slice's number is its darkest pixel."""

    name = "reef"

    def __init__(self, count: int) -> None:
        self.shape = (count, SIDE, SIDE)

    def read(self, z: int) -> np.ndarray:
        image = np.random.default_rng(z).integers(60, 200, (SIDE, SIDE, 3)).astype(np.uint8)
        image[0, 0] = z
        return image


class Labels:
    """Two squares in every slice that is labelled."""

    name = "fossils"

    def __init__(self, *labelled: int) -> None:
        self._labelled = labelled

    def labelled(self) -> list[int]:
        return list(self._labelled)

    def read(self, z: int) -> np.ndarray:
        labels = np.zeros((SIDE, SIDE), np.int32)
        if z in self._labelled:
            labels[4:16, 4:16], labels[28:40, 28:40] = 1, 2
        return labels


@pytest.fixture(scope="module")
def tiny():
    config = LiteConfig(width=0.25, channels=16, box_width=24, mask_convolutions=1, proposals=20)
    return new_lite(config, name="tiny", class_names=("cup",), seed=0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(library, "default_remedies", lambda: (MaskThreshold(), ScoreThreshold()))


def job(tiny, *labelled: int, **options) -> AdviseJob:
    return AdviseJob(tiny, Stack(8), Labels(*labelled), None, **options)


def seen(*numbers: int):
    return SimpleNamespace(has_seen=lambda image: int(image[0, 0, 0]) in numbers)


def test_slices_of_the_training_and_of_active_edits_are_not_judged(tiny) -> None:
    asked = job(tiny, 0, 1, 2, 4, 5, trained_on=(0, 7), edits=(seen(4),), names=("mud",), at_most=9)
    advised = run(ask_task(asked))
    assert advised.slices == (1, 2, 5)
    assert advised.advice.trained_on == 1  # slice 7 has no labels to rehearse
    assert advised.words.startswith("reef, slices 1, 2, 5; ")
    assert "1 slice was rehearsed" in advised.words
    assert "'mud', switched on" in advised.words


def test_no_more_slices_are_read_than_asked_for(tiny) -> None:
    assert run(ask_task(job(tiny, *range(8), at_most=2))).slices == (0, 7)


@pytest.mark.parametrize(
    ("labelled", "options", "says"),
    [
        ((), {}, "are empty"),
        ((3,), {}, "at least two labelled slices, but there is one: label another"),
        ((2, 3), {"trained_on": (2,)}, "that the model was not trained on, but there is one"),
        ((2, 3), {"trained_on": (2, 3)}, "that the model was not trained on, but there is none"),
        ((2, 3), {"edits": (seen(2, 3),)}, "that no active edit has seen, but there is none"),
        (
            (1, 2, 3),
            {"edits": (seen(2),), "trained_on": (3,)},
            "not trained on and that no active edit has seen, but there is one",
        ),
    ],
)
def test_too_few_labelled_slices_are_told(tiny, labelled, options, says) -> None:
    with pytest.raises(InputError, match=says):
        run(ask_task(job(tiny, *labelled, **options)))


def advice(problem: str = "") -> Advice:
    gain = Interval(0.05, 0.02, 0.08)
    tried = Judged("ridge", "Edit: ridge", "strength", best=0.2, gain=gain, seconds=2.0)
    other = Judged.failed("adam", "Edit: adam", "strength", problem or "No.")
    return Advice("demo", ("slice 1", "slice 2"), ("slice 1",), 0, (tried, other), "ridge", "Do.")


def test_the_picture_can_be_drawn_again_from_its_json(tmp_path) -> None:
    picture, figures = save_advice(advice(), tmp_path / "reef.v2")
    assert (picture.name, figures.name) == ("reef.v2.png", "reef.v2.json")
    again = Advice.from_dict(json.loads(figures.read_text(encoding="utf-8")))
    assert png_bytes(advice_figure(again)) == picture.read_bytes()
    save_advice(advice(), picture)  # the pair may be replaced


def test_a_json_file_of_something_else_is_not_overwritten(tmp_path) -> None:
    (tmp_path / "labels.json").write_text("{}")
    with pytest.raises(OutputError, match=r"labels\.json already"):
        save_advice(advice(), tmp_path / "labels.png")
    assert (tmp_path / "labels.json").read_text() == "{}"
    assert not (tmp_path / "labels.png").exists()


def test_the_dock_s_picture_is_in_the_theme_s_ink() -> None:
    point = library.AdvicePoint(0.0, 0.5, 0.8, 0.7, 0.6, 3, 1)
    judged = Judged("ridge", "Edit: ridge", "strength", gain=Interval(0, 0, 0), points=(point,))
    shown = Advice("demo", ("a", "b"), ("a",), 0, (judged,), None, "Keep.")
    figure = dock_figure(shown, 380, 620, "#f0f1f2")
    above, below = figure.axes
    assert figure.get_size_inches().tolist() == [3.8, 6.2]
    assert above.get_position().y0 > below.get_position().y0
    assert below.get_legend() is None
    assert len(figure.legends) == 1
    colours = {line.get_color() for line in below.lines}
    assert "black" not in colours
    assert "#f0f1f2" in colours


def test_words_without_training_or_edits() -> None:
    words = Advised(advice(), "reef", (1, 2)).words
    assert words == "reef, slices 1, 2; remedies were made from slice 1."
