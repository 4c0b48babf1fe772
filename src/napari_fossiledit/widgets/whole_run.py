"""The run of page 3 over a whole stack: a layer that fills as slices arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QLabel

from napari_fossiledit.errors import FossilEditError, OutputError
from napari_fossiledit.io.slices import Slices
from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.layers import StackSource
from napari_fossiledit.widgets.page import say, warn
from napari_fossiledit.widgets.result_box import ResultBox
from napari_fossiledit.widgets.tasks import Outcome
from napari_fossiledit.widgets.whole_jobs import Live, Whole, as_stack, live_labels, whole_task

__all__ = ["WholeRun"]

_PATH = "fossiledit_path"
_LOOK = 200  # ms
_SHOWN = 3  # damaged slices that are named


class WholeRun(QObject):
    """Starts a run, shows its slices, and says how it ended.

    Parameters
    ----------
    bench : Bench
    result : ResultBox
        Where the result goes.
    said, caution : QLabel
        The page's notes.
    """

    def __init__(self, bench: Bench, result: ResultBox, said: QLabel, caution: QLabel) -> None:
        super().__init__(result)
        self._bench, self._result = bench, result
        self._said, self._caution = said, caution
        self._running = False
        self._store: Any = None
        self._layer: Any = None
        self._live = Live()
        self._unseen: set[int] = set()
        self._clock = QTimer(self)
        self._clock.setInterval(_LOOK)
        self._clock.timeout.connect(self._look)
        bench.runner.ended.connect(self._ended)

    def start(self, source: StackSource, score: float, edited: str) -> None:
        """Segment all slices of ``source``."""
        segmenter = self._bench.session.segmenter
        out, numbered, live = self._result.path, not self._result.chosen, Live()
        if not self._bench.attempt(lambda: _make_parent(out)):
            return
        self._what = f"{source.name}: {source.shape[0]} slices{edited}"
        self._place, self._store, self._layer, self._live = source.place, None, None, live
        say(self._said, "")
        warn(self._caution, "")
        layer = self._bench.stack_layer
        stack = as_stack(source, layer.metadata.get("fossiledit_names"))
        self._running = self._bench.runner.start(
            lambda: whole_task(segmenter, stack, out, score=score, numbered=numbered, live=live),
            title=f"Segment all {source.shape[0]} slices",
            on_done=self._done,
            holds_weights=True,
            needs=(layer,),
            stays="The slices that are done stay; the same button goes on with the others.",
        )
        if self._running:
            self._clock.start()

    def _look(self) -> None:
        """Show the result once it is there, and the slice in view once that is done."""
        if self._store is None:
            begun = self._live.begun
            if begun is None:
                return
            self._store = begun.store
            self._unseen = {int(z) for z in np.flatnonzero(~self._store.done())}
            self._show()
            where = f"Kept in {self._store.path}."
            say(self._said, f"{begun.sentence}. {where}" if begun.sentence else where)
        z = self._bench.current_z()
        if z in self._unseen and self._store.is_done(z):
            self._unseen.discard(z)
            if self._alive():
                self._layer.refresh()

    def _show(self) -> None:
        """Show the result: in the layer that shows it already, or in a new one."""
        path = str(self._store.path)
        shown = [
            layer
            for layer in self._bench.viewer.layers
            if layer.metadata.get(_PATH) == path and isinstance(layer.data, Slices)
        ]
        if shown:
            self._layer = shown[0]
        else:
            live = live_labels(self._store)
            self._layer = self._bench.add_labels(live, self._what, self._place, opacity=0.6)
            self._layer.editable = False
            self._layer.metadata[_PATH] = path
        self._bench.session.set_result("volume", self._layer.name)

    def _alive(self) -> bool:
        return self._layer is not None and self._layer in self._bench.viewer.layers

    def _done(self, result: Whole) -> None:
        self._look()
        slices = len(result.store) - len(result.problems)
        say(
            self._said,
            f"{result.count:,} instance{'' if result.count == 1 else 's'} in {slices:,} slices, "
            f"kept in {result.store.path}.",
        )
        warn(self._caution, " ".join([*_named(result), result.caution]).strip())

    def _ended(self, outcome: Outcome) -> None:
        if not self._running:
            return
        self._running = False
        self._clock.stop()
        if outcome.state != "done" and self._store is not None:
            self._store = _reopened(self._store.path)
            if self._store is not None:
                say(
                    self._said,
                    f"{self._store.state} and stay in {self._store.path}: press the button again "
                    "to go on.",
                )
        self._result.show_state()


def _named(result: Whole) -> list[str]:
    """Damaged slices, the first ones by name."""
    problems = list(result.problems.values())
    if not problems:
        return []
    more = len(problems) - _SHOWN
    said = [*problems[:_SHOWN], f"{more} more could not be read."] if more > 0 else problems
    return [*said, "Mend their files, open the stack again and press the button once more."]


def _reopened(path: Path) -> Any:
    from napari_fossiledit.io import LabelStore

    try:
        return LabelStore.open(path)
    except FossilEditError:  # the user removed it meanwhile
        return None


def _make_parent(out: Path) -> None:
    """Make the temporary folder's part of the path; other folders are the user's to make."""
    import tempfile

    if out.parent.is_dir():
        return
    if out.parent.parent == Path(tempfile.gettempdir()):
        out.parent.mkdir(exist_ok=True)
        return
    raise OutputError(
        f"The result cannot be kept as {out}: there is no folder {out.parent}; make it first, or "
        "choose another."
    )
