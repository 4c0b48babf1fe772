"""Parts of the Rewrite page that need no viewer: live queue, plot, slices' numbers."""

from __future__ import annotations

import threading
import time

import pytest

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import checkpoint
from napari_fossiledit.widgets.edit_jobs import parse_slices
from napari_fossiledit.widgets.plots import BLUE, ORANGE, LinePlot, Series, _in_view
from napari_fossiledit.widgets.solver_specs import SOLVERS, SolverChoice, offered
from napari_fossiledit.widgets.tasks import LatestOnly


def endless(began: threading.Event) -> None:
    began.set()
    while True:
        checkpoint()
        time.sleep(0.005)


def test_a_newer_value_stops_a_slow_prediction(qtbot) -> None:
    latest, began, done = LatestOnly(), threading.Event(), []
    told = []
    latest.settled.connect(told.append)
    latest.submit("live", lambda: endless(began))
    assert began.wait(5)
    latest.submit("other", lambda: done.append("other"), instead=True)
    assert latest.waiting, "jobs of another key go on"
    latest.submit("live", lambda: done.append("live"), instead=True)
    qtbot.waitUntil(lambda: not latest.waiting)
    qtbot.waitUntil(lambda: told == [""])
    assert done == ["other", "live"]


def test_closing_ends_a_running_prediction_at_once() -> None:
    latest, began = LatestOnly(), threading.Event()
    latest.submit("live", lambda: endless(began))
    assert began.wait(5)
    start = time.monotonic()
    latest.close()
    assert time.monotonic() - start < 2
    assert not latest.waiting


def test_the_view_holds_the_edits_curve_and_what_of_the_rival_lies_beside_it(qtbot) -> None:
    edit = Series("edit", [0.9, 0.8], [0.8, 0.9], BLUE, 1, ["0", "1"])
    rival = Series("rival", [0.95, 0.85, 0.3], [0.7, 0.85, 0.96], ORANGE, None, (), beside=True)
    points = _in_view([rival, edit])
    assert min(x for x, _ in points) == pytest.approx(0.775)
    assert max(x for x, _ in points) == pytest.approx(0.925)
    assert (0.85, 0.85) in points
    # Where the rival's line leaves the view, between its own points.
    assert dict(points)[min(x for x, _ in points)] == pytest.approx(0.85 + 0.11 * 0.075 / 0.55)
    assert len(_in_view([rival])) == 3, "alone, it is shown whole"
    plot = LinePlot("precision over recall", height=200)
    qtbot.addWidget(plot)
    plot.show_series([rival, edit])
    assert not plot.grab().isNull()
    assert plot.series[0].beside


def test_numbers_of_slices_are_read_in_their_order() -> None:
    assert parse_slices("7, 3-5 ;3", 10) == (7, 3, 4, 5)
    for text, part in (
        (" , ", "Write the numbers"),
        ("1-2-3", "'1-2-3' is no slice"),
        ("-1", "'-1' is no slice"),
        ("5-3", "There is no slice 5-3"),
        ("9-10", "slices 0 to 9"),
    ):
        with pytest.raises(InputError, match=part):
            parse_slices(text, 10)


def test_the_pages_solvers_are_the_librarys() -> None:
    from napari_fossiledit.editing import solver_from_dict

    assert offered() == SOLVERS
    for spec in SOLVERS:
        defaults = SolverChoice(spec.kind, spec.defaults()).settings()
        assert defaults == type(defaults)()
        assert solver_from_dict(defaults.to_dict()) == defaults
        assert defaults.to_dict()["name"] == spec.kind
