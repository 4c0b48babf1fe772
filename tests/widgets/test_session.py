from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from napari_fossiledit.errors import InputError
from napari_fossiledit.perturb import Colour, Median
from napari_fossiledit.widgets.session import ModelInfo, Recipe, Session


def test_the_session_brings_neither_qt_nor_napari_nor_torch() -> None:
    code = (
        "import sys; from napari_fossiledit.widgets import session; session.Session();"
        "bad = {'qtpy', 'PyQt6', 'napari', 'torch'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_choices_are_told_once_and_only_when_they_change() -> None:
    session, told = Session(), []
    session.layers_changed.connect(lambda: told.append(session.stack))
    session.choose(stack="reef", labels="fossils")
    session.choose(stack="reef")
    session.choose(labels=None)
    assert told == ["reef"]
    assert (session.stack, session.labels, session.confusers) == ("reef", "fossils", "")


def test_a_renamed_layer_is_followed_and_a_deleted_one_forgotten() -> None:
    session = Session()
    session.choose(stack="a", labels="b", confusers="b")
    session.mark_used("a", [3, 5])
    session.renamed("a", "reef")
    session.renamed("b", "cups")
    assert (session.stack, session.labels, session.confusers) == ("reef", "cups", "cups")
    assert session.used_slices("reef") == {3, 5}
    session.removed("cups")
    assert (session.labels, session.confusers) == ("", "")


def test_recipe_makes_the_librarys_perturbation() -> None:
    made = Recipe(target="fossils", fill="colour", colour=(1, 2, 3), fraction=0.5, seed=4)
    perturbation = made.perturbation()
    assert perturbation.fill == Colour((1, 2, 3))
    assert (perturbation.target, perturbation.fraction, perturbation.seed) == ("fossils", 0.5, 4)
    assert Recipe().perturbation().fill == Median()


def test_a_colour_not_picked_yet_is_said() -> None:
    recipe = Recipe(fill="colour")
    assert "still to be picked" in recipe.words
    with pytest.raises(InputError, match="Pick in image"):
        recipe.perturbation()


def test_a_new_model_forgets_results_and_used_slices() -> None:
    session, told = Session(), []
    session.set_result("probe", 1)
    session.mark_used("reef", [1])
    session.model_changed.connect(lambda: told.append("model"))
    session.results_changed.connect(told.append)
    entries = [SimpleNamespace(active=True), SimpleNamespace(active=False)]
    info = ModelInfo("demo", "demo", ("cup",), "cpu")
    session.set_model(object(), SimpleNamespace(entries=entries), info)
    assert told == ["probe", "model"]
    assert session.result("probe") is None
    assert session.used_slices("reef") == set()
    assert session.active_edits == 1
    assert session.model is info


def test_other_fossil_classes_forget_the_figures_of_the_choice_before() -> None:
    session, told = Session(), []
    session.set_fossil_classes([0])  # no model: nothing to choose
    info = ModelInfo("m.pth", "m", ("cup", "clot", "worm"), "cpu", fossil_classes=(0, 1, 2))
    session.set_model(object(), None, info)
    for name in ("probe", "compare", "advice", "volume"):
        session.set_result(name, 1)
    session.mark_used("reef", [1])
    session.classes_changed.connect(lambda: told.append("classes"))
    session.results_changed.connect(told.append)
    session.set_fossil_classes([2, 0])
    assert session.model.fossil_classes == (0, 2)
    assert sorted(told[:3]) == ["advice", "compare", "probe"]
    assert told[3:] == ["classes"]
    assert session.result("volume") == 1
    assert session.used_slices("reef") == {1}
    session.set_fossil_classes([0, 2])
    session.set_fossil_classes([])
    assert session.model.fossil_classes == (0, 2)
    assert told[4:] == []
