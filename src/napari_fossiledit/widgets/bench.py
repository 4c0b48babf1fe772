"""`Bench`: one viewer, its session and its task runner. All pages of a viewer share one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_fossiledit.errors import FossilEditError
from napari_fossiledit.widgets.layers import (
    LabelSource,
    StackSource,
    as_role,
    free_name,
    is_stack,
    role,
)
from napari_fossiledit.widgets.session import Session
from napari_fossiledit.widgets.tasks import LatestOnly, Outcome, TaskRunner

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from napari_fossiledit.progress import Progress, Task

__all__ = ["Bench"]

_benches: dict[int, Bench] = {}


class Bench(QObject):
    """What the pages work with.

    Signals
    -------
    changed
        Something shown on a page may have changed; many changes in a row are told once.
    """

    changed: ClassVar[Any] = Signal()

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.session = Session()
        self.runner = TaskRunner(self)
        self.latest = LatestOnly(self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(20)
        self._timer.timeout.connect(self.changed)
        self._names: dict[int, str] = {}
        self._connect()
        self._adopt_layers()

    @classmethod
    def of(cls, viewer: Viewer) -> Bench:
        """The viewer's bench, made when first asked for."""
        viewer = getattr(viewer, "__wrapped__", viewer)
        bench = _benches.get(id(viewer))
        if bench is None:
            window = getattr(viewer.window, "_qt_window", None)
            bench = _benches[id(viewer)] = cls(viewer, window)
            if window is not None:
                key = id(viewer)
                window.destroyed.connect(lambda: _forget(key))
        return bench

    def _connect(self) -> None:
        session, layers = self.session, self.viewer.layers
        for signal in (
            session.layers_changed,
            session.recipe_changed,
            session.model_changed,
            session.classes_changed,
            session.edits_changed,
            session.results_changed,
        ):
            signal.connect(self.touch)
        layers.events.inserted.connect(self._on_inserted)
        layers.events.removed.connect(self._on_removed)
        self.viewer.dims.events.current_step.connect(self.touch)
        self.viewer.dims.events.ndisplay.connect(self.touch)
        self.runner.started.connect(self.touch)
        self.runner.ended.connect(self._on_ended)
        self.latest.settled.connect(self._on_settled)

    def _disconnect(self) -> None:
        layers = self.viewer.layers
        layers.events.inserted.disconnect(self._on_inserted)
        layers.events.removed.disconnect(self._on_removed)
        self.viewer.dims.events.current_step.disconnect(self.touch)
        self.viewer.dims.events.ndisplay.disconnect(self.touch)

    def close(self) -> None:
        """Cancel what runs, wait for it, and let go of the viewer."""
        self.runner.close()
        self.latest.close()
        self._disconnect()

    # ---- layers ---------------------------------------------------------------------------

    def _adopt_layers(self) -> None:
        for layer in self.viewer.layers:
            self._watch(layer)
        self._choose_missing()

    def _watch(self, layer: Layer) -> None:
        self._names[id(layer)] = layer.name
        layer.events.name.connect(self._on_renamed)

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)
        self._choose_missing()
        self.touch()

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        layer.events.name.disconnect(self._on_renamed)
        self._names.pop(id(layer), None)
        self.session.removed(layer.name)
        self.runner.layer_removed(layer)
        self._choose_missing()
        self.touch()

    def _on_renamed(self, event: Any) -> None:
        layer = event.source
        old = self._names.get(id(layer), "")
        self._names[id(layer)] = layer.name
        self.session.renamed(old, layer.name)
        self.touch()

    def _choose_missing(self) -> None:
        """Choose the obvious layers for the user; results of the plugin are never obvious."""
        from napari.layers import Labels

        session = self.session
        if not session.stack:
            stacks = [layer for layer in self.viewer.layers if is_stack(layer)]
            stacks.sort(key=lambda layer: not getattr(layer, "rgb", False))
            session.choose(stack=stacks[0].name if stacks else None)
        labels = [x for x in self.viewer.layers if isinstance(x, Labels) and role(x) != "result"]
        others = [x for x in labels if role(x) == "confusers" or "confuser" in x.name.lower()]
        fossils = [x for x in labels if x not in others]
        if not session.labels and fossils:
            session.choose(labels=fossils[0].name)
        if not session.confusers and others:
            session.choose(confusers=others[0].name)

    def layer(self, name: str) -> Layer | None:
        """A layer by name, or None."""
        return self.viewer.layers[name] if name and name in self.viewer.layers else None

    @property
    def stack_layer(self) -> Any:
        """The chosen stack's layer, or None."""
        return self.layer(self.session.stack)

    def stack(self) -> StackSource:
        """The chosen stack, for a worker (check `needs` first)."""
        return StackSource.of(self.stack_layer)

    def labels(self, name: str) -> LabelSource | None:
        """A labels layer by name, for a worker; None when there is no such layer.

        Raises
        ------
        InputError
            When it does not fit the stack.
        """
        layer: Any = self.layer(name)
        return None if layer is None else LabelSource.of(layer, self.stack(), self.stack_layer)

    def current_z(self) -> int:
        """Number of the stack's slice that the viewer shows."""
        layer = self.stack_layer
        if layer is None or layer.ndim == 2:
            return 0
        z = float(layer.world_to_data(self.viewer.dims.point)[0])
        return min(max(round(z), 0), self.stack().shape[0] - 1)

    def add_labels(self, data: Any, name: str, place: dict[str, Any], **options: Any) -> Any:
        """Add a result as a new Labels layer; no layer is ever written over."""
        return self._add("labels", data, name, place, options)

    def add_image(self, data: Any, name: str, place: dict[str, Any], **options: Any) -> Any:
        """Add a result as a new Image layer."""
        return self._add("image", data, name, place, options)

    def _add(
        self, kind: str, data: Any, name: str, place: dict[str, Any], options: dict[str, Any]
    ) -> Any:
        step = self.viewer.dims.current_step
        taken = [layer.name for layer in self.viewer.layers]
        add = getattr(self.viewer, f"add_{kind}")
        layer = add(
            data, name=free_name(name, taken), metadata=as_role("result"), **place, **options
        )
        self.viewer.dims.current_step = step
        return layer

    # ---- tasks ----------------------------------------------------------------------------

    def start(
        self,
        make: Callable[[], Task[Any]],
        *,
        title: str,
        on_done: Callable[[Any], None],
        on_progress: Callable[[Progress], None] | None = None,
        holds_weights: bool = False,
        needs: Sequence[str] = (),
    ) -> bool:
        """Start a task (see `TaskRunner.start`); ``needs`` are names of layers."""
        layers = tuple(self.layer(name) for name in needs if name)
        return self.runner.start(
            make,
            title=title,
            on_done=on_done,
            on_progress=on_progress,
            holds_weights=holds_weights,
            needs=layers,
        )

    def change_model(self, key: str, change: Callable[[], None]) -> None:
        """Change the loaded model's settings now, or as soon as the prediction that runs has ended.

        It keeps its own to its end, and the window must not wait for it.
        """
        segmenter = self.session.segmenter

        def safely() -> None:
            with segmenter.lock:
                change()

        if not segmenter.lock.acquire(blocking=False):
            self.latest.submit(key, safely)
            return
        try:
            change()
        finally:
            segmenter.lock.release()

    def attempt(self, job: Callable[[], Any]) -> bool:
        """Do something at once on the main thread; an error the user can mend is shown."""
        try:
            job()
        except FossilEditError as error:
            self.tell_error(str(error))
            return False
        return True

    def tell_error(self, message: str) -> None:
        """Show a plain sentence as a napari error notification."""
        show_error(message)

    def tell(self, message: str) -> None:
        """Show a plain sentence as a napari notification."""
        show_info(message)

    def why_not(self, *, model: bool = False, stack: bool = True, labels: bool = False) -> str:
        """Why a start button must stay disabled; '' when nothing is missing."""
        session = self.session
        if self.runner.busy:
            return f"'{self.runner.title}' is running: wait for it, or cancel it below."
        if stack and self.stack_layer is None:
            return "Choose a stack first (page 1)."
        if labels and self.layer(session.labels) is None:
            return "Choose a labels layer with fossils first (page 1)."
        if model and session.segmenter is None:
            return "Load a model first (page 2)."
        return ""

    def touch(self, *_: Any) -> None:
        """Tell the pages soon that something changed."""
        if not self._timer.isActive():
            self._timer.start()

    def _on_ended(self, outcome: Outcome) -> None:
        self.touch()
        if outcome.state == "failed":
            if "was deleted while" in outcome.message:
                show_warning(outcome.message)
            else:
                self.tell_error(outcome.message)

    def _on_settled(self, message: str) -> None:
        if message:
            self.tell_error(message)
        self.session.touch_edits()


def _forget(key: int) -> None:
    bench = _benches.pop(key, None)
    if bench is not None:
        bench.close()
