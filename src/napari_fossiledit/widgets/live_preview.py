"""`LivePreview`: one layer that shows the slice painted by the recipe of the moment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar
from weakref import ref

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_fossiledit.errors import Cancelled, FossilEditError, InputError
from napari_fossiledit.progress import CancelToken, driven, run
from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.layers import placed
from napari_fossiledit.widgets.preview_jobs import Painter, Preview, Wanted, preview_task
from napari_fossiledit.widgets.tasks import LatestOnly, Outcome

__all__ = ["LAYER", "TITLE", "LivePreview"]

_log = logging.getLogger("napari_fossiledit")
LAYER = "live preview"
TITLE = "Live preview"
_STALE_SECONDS = 0.25  # a drag of a spin box sees a picture at least so often
_SETTLE_MS = 200  # a slow fill begins when the settings have rested so long


class LivePreview(QObject):
    """Follows the recipe, the slice and the labels.

    Quick fills are painted in a thread of their own: the newest settings win, settings that came
    and went in between are skipped. Slow ones run as a task, with progress and Cancel.

    Signals
    -------
    shown : Preview
        The layer shows it.
    said : str, bool
        What the user should know about the picture; or, and then True, why there is none.
    switched : bool
        Whether it follows; also when its layer was deleted, which ends it.
    """

    shown: ClassVar[Any] = Signal(object)
    said: ClassVar[Any] = Signal(str, bool)
    switched: ClassVar[Any] = Signal(bool)
    _painted: ClassVar[Any] = Signal(int, object)

    def __init__(self, bench: Bench, parent: QObject) -> None:
        super().__init__(parent)
        self._bench, self.on = bench, False
        self._layer: Any = None
        self._place: dict[str, Any] = {}
        self._painter = Painter()
        self._latest = LatestOnly(self)
        self._token, self._warming = CancelToken(), CancelToken()
        self._number = self._newest_shown = 0
        self._shown_at = 0.0
        self._asked: tuple[Any, ...] = ()
        self._slow: Wanted | None = None
        self._running: Wanted | None = None
        self._strokes = 0
        self._watched: Any = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLE_MS)
        self._timer.timeout.connect(self._start_slow)
        self._painted.connect(self._take)
        bench.runner.ended.connect(self._ended)
        parent.destroyed.connect(_closing(self._latest, lambda: (self._token, self._warming)))
        self._stroke = _stroke_of(self)

    @property
    def busy(self) -> bool:
        """Whether it paints, or prepares what comes next."""
        return self._latest.waiting or self._running is not None or self._slow is not None

    # ---- what is wanted ---------------------------------------------------------------------

    def switch(self, on: bool) -> None:
        """Begin or end following; at the end the layer goes."""
        if on == self.on:
            return
        self.on = on
        self._asked = ()
        if on:
            self.follow()
        else:
            self._stop()
            self._watch(None)
            if self._layer is not None and self._layer in self._bench.viewer.layers:
                self._bench.viewer.layers.remove(self._layer)
            self._layer = None
            self.said.emit("", False)
        self.switched.emit(on)

    def follow(self) -> None:
        """Paint anew if anything that matters has changed since the last time; quick."""
        if not self.on:
            return
        layers = self._bench.viewer.layers
        if self._layer is not None and self._layer not in layers:
            self._layer = None
            self.switch(False)  # deleted by the user
            return
        session = self._bench.session
        stack, labels = self._bench.stack_layer, self._bench.layer(session.labels)
        self._watch(labels)
        z = self._bench.current_z()
        data = None if stack is None or labels is None else (stack.data, labels.data)
        asked = (stack, labels, data and tuple(map(id, data)), z, session.recipe, self._strokes)
        if asked == self._asked:
            return
        self._asked = asked
        self._stop(only_if_stale=True)
        try:
            wanted = self._wanted(z)
        except FossilEditError as error:
            self._stop()
            self.said.emit(str(error), True)
            return
        if wanted.recipe.slow:
            self._token.cancel()
            self._slow = wanted
            self._timer.start()
            self.said.emit("Painting, see below…", False)
        else:
            self._submit(wanted)

    def _wanted(self, z: int) -> Wanted:
        session = self._bench.session
        labels = None
        if self._bench.stack_layer is not None:
            labels = self._bench.labels(session.labels)
        if labels is None:
            raise InputError("For a preview, choose a stack and labels with fossils (page 1).")
        session.recipe.perturbation()  # what is missing is said at once
        return Wanted(self._bench.stack(), labels, z, session.recipe)

    def _stop(self, *, only_if_stale: bool = False) -> None:
        """Give up what is under way; a quick one may end if nothing was shown for a while."""
        self._timer.stop()
        self._slow = None
        self._warming.cancel()
        if self._running is not None:
            self._bench.runner.cancel()
        if not only_if_stale:
            self._number += 1
            self._newest_shown = self._number
        if not only_if_stale or time.monotonic() - self._shown_at < _STALE_SECONDS:
            self._token.cancel()

    def _watch(self, labels: Any) -> None:
        """See strokes on the labels: they change the fossils."""
        if labels is self._watched:
            return
        for layer, change in ((self._watched, "disconnect"), (labels, "connect")):
            for name in ("paint", "labels_update", "data"):
                event = getattr(getattr(layer, "events", None), name, None)
                if event is not None:
                    getattr(event, change)(self._stroke)
        self._watched = labels

    def stroke(self) -> None:
        """Say that the labels were painted on."""
        self._strokes += 1
        self._bench.touch()

    # ---- quick fills ------------------------------------------------------------------------

    def _submit(self, wanted: Wanted) -> None:
        self._number += 1
        number, painter = self._number, self._painter
        self._token, self._warming = token, warming = CancelToken(), CancelToken()
        # Bound to nothing of Qt that may be gone when the thread comes to it.
        tell = _telling(self)

        def job() -> None:
            try:
                tell(number, run(driven(painter.paint_task(wanted), token)))
            except Cancelled:
                return
            except FossilEditError as error:
                tell(number, str(error))
                return
            except Exception as error:
                _log.exception("The live preview failed")
                tell(number, f"The live preview failed ({type(error).__name__}: {error}).")
                return
            try:
                run(driven(painter.warm_task(wanted), warming))
            except (Cancelled, FossilEditError):
                return

        self._latest.submit("preview", job)

    def _take(self, number: int, made: Any) -> None:
        if not self.on or number <= self._newest_shown:
            return
        self._newest_shown = number
        if isinstance(made, Preview):
            self._show(made)
        else:
            self.said.emit(made, True)

    # ---- slow fills -------------------------------------------------------------------------

    def _start_slow(self) -> None:
        wanted = self._slow
        if wanted is None or not self.on or self._bench.runner.busy:
            return  # a running task's end brings us back here
        self._slow = None
        session = self._bench.session
        started = self._bench.start(
            lambda: preview_task(wanted),
            title=TITLE,
            on_done=self._slow_done,
            needs=[session.stack, session.labels],
        )
        self._running = wanted if started else None

    def _slow_done(self, made: Preview) -> None:
        self._running = None
        if self.on:
            self._number += 1
            self._newest_shown = self._number
            self._show(made)

    def _ended(self, outcome: Outcome) -> None:
        mine, self._running = self._running is not None, None
        if self._slow is not None:
            self._timer.start()
        elif mine and self.on and outcome.state == "cancelled":
            self.said.emit("Cancelled: change a setting to paint again.", True)
        elif mine and self.on and outcome.state == "failed":
            self.said.emit(outcome.message, True)

    # ---- the layer --------------------------------------------------------------------------

    def _show(self, made: Preview) -> None:
        image = made.image if made.stack.flat else made.image[None]
        place = placed(made.stack.place, made.z)
        layer = self._layer
        if layer is not None and (
            layer not in self._bench.viewer.layers
            or layer.data.shape != image.shape
            or not _same_but_shifted(self._place, place)
        ):
            if layer in self._bench.viewer.layers:
                self._bench.viewer.layers.remove(layer)
            layer = None
        if layer is None:
            self._add(image, place, made)
        else:
            if not np.array_equal(layer.translate, place["translate"]):
                layer.translate = place["translate"]
            layer.data = image
        self._place = place
        self._shown_at = time.monotonic()
        self.said.emit(" ".join(made.said), False)
        self.shown.emit(made)

    def _add(self, image: Any, place: dict[str, Any], made: Preview) -> None:
        layers = self._bench.viewer.layers
        active = layers.selection.active
        self._layer = self._bench.add_image(image, LAYER, place, rgb=True)
        stack = self._bench.stack_layer
        if stack is not None:  # just above the stack, so that labels stay in sight
            layers.move(layers.index(self._layer), layers.index(stack) + 1)
        layers.selection.active = active


def _same_but_shifted(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        name == "translate" or np.array_equal(value, other[name]) for name, value in one.items()
    )


def _stroke_of(preview: LivePreview) -> Callable[..., None]:
    weak = ref(preview)

    def stroke(*_: Any) -> None:
        found = weak()
        if found is not None and isalive(found):
            found.stroke()

    return stroke


def _telling(preview: LivePreview) -> Callable[[int, object], None]:
    weak = ref(preview)

    def tell(number: int, made: object) -> None:
        found = weak()
        if found is not None and isalive(found):
            found._painted.emit(number, made)

    return tell


def _closing(
    latest: LatestOnly, tokens: Callable[[], tuple[CancelToken, ...]]
) -> Callable[..., None]:
    def close(*_: Any) -> None:
        for token in tokens():
            token.cancel()
        latest.close()

    return close
