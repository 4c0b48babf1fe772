"""`Session`: what the pages of the plugin share. No Qt and no napari, so it is testable alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_fossiledit.widgets.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_fossiledit.models.segmenter import EditableLayer

__all__ = ["ModelInfo", "Recipe", "Session"]

_SCORED = {"probe", "compare", "advice"}  # figures that depend on classes and zoom


@dataclass(frozen=True)
class ModelInfo:
    """What the Model page tells of a loaded model."""

    source: str
    name: str
    classes: tuple[str, ...]
    device: str
    weights: int | None = None
    weight_bytes: int | None = None
    layers: tuple[EditableLayer, ...] = ()
    default_layers: frozenset[str] = frozenset()
    facts: tuple[tuple[str, str], ...] = ()
    fossil_classes: tuple[int, ...] = (0,)
    input_zoom: float = 1.0


@dataclass
class _Choices:
    stack: str = ""
    labels: str = ""
    confusers: str = ""


@dataclass
class _State:
    layers: _Choices = field(default_factory=_Choices)
    recipe: Recipe = field(default_factory=Recipe)
    segmenter: Any = None
    edits: Any = None
    model: ModelInfo | None = None
    results: dict[str, Any] = field(default_factory=dict)
    used: set[tuple[str, int]] = field(default_factory=set)


class Session:
    """Choices and results of one viewer, with a signal for each kind of change.

    Signals
    -------
    layers_changed, recipe_changed, model_changed, classes_changed, edits_changed
        Without arguments: read the properties.
    results_changed : str
        The name of the result that is new (or gone).
    """

    layers_changed = Signal()
    recipe_changed = Signal()
    model_changed = Signal()
    classes_changed = Signal()
    edits_changed = Signal()
    results_changed = Signal(str)

    def __init__(self) -> None:
        self._state = _State()

    @property
    def stack(self) -> str:
        """Name of the layer that holds the stack, or ''."""
        return self._state.layers.stack

    @property
    def labels(self) -> str:
        """Name of the layer that holds the fossils' labels, or ''."""
        return self._state.layers.labels

    @property
    def confusers(self) -> str:
        """Name of the layer that holds the confusers, or ''."""
        return self._state.layers.confusers

    def choose(
        self,
        *,
        stack: str | None = None,
        labels: str | None = None,
        confusers: str | None = None,
    ) -> None:
        """Choose layers by name; None leaves a choice as it is, '' clears it."""
        changed = False
        for what, name in (("stack", stack), ("labels", labels), ("confusers", confusers)):
            if name is not None and name != getattr(self._state.layers, what):
                setattr(self._state.layers, what, name)
                changed = True
        if changed:
            self.layers_changed.emit()

    def renamed(self, old: str, new: str) -> None:
        """Follow a layer that the user renamed."""
        chosen = self._state.layers
        self.choose(**{k: new for k in vars(chosen) if old and getattr(chosen, k) == old})
        if old != new:
            self._state.used = {(new if n == old else n, z) for n, z in self._state.used}

    def removed(self, name: str) -> None:
        """Forget a layer that was deleted."""
        chosen = self._state.layers
        self.choose(**{k: "" for k in vars(chosen) if getattr(chosen, k) == name})

    @property
    def recipe(self) -> Recipe:
        """How the next perturbation is made."""
        return self._state.recipe

    @recipe.setter
    def recipe(self, recipe: Recipe) -> None:
        if recipe != self._state.recipe:
            self._state.recipe = recipe
            self.recipe_changed.emit()

    @property
    def segmenter(self) -> Any:
        """The loaded `Segmenter`, or None."""
        return self._state.segmenter

    @property
    def edits(self) -> Any:
        """The segmenter's `EditStack`, or None."""
        return self._state.edits

    @property
    def model(self) -> ModelInfo | None:
        """Facts about the loaded model, or None."""
        return self._state.model

    def set_model(self, segmenter: Any, edits: Any, info: ModelInfo | None) -> None:
        """Take a newly loaded model (or None); results of the model before are forgotten."""
        self._state.segmenter, self._state.edits, self._state.model = segmenter, edits, info
        self._state.used.clear()
        for name in list(self._state.results):
            self.set_result(name, None)
        self.model_changed.emit()
        self.edits_changed.emit()

    def set_fossil_classes(self, numbers: Iterable[int]) -> None:
        """Choose which classes are the fossil; figures of another choice are forgotten.

        Parameters
        ----------
        numbers : iterable of int
            Numbers into the model's ``classes``, at least one.
        """
        info, chosen = self._state.model, tuple(sorted(set(numbers)))
        if info is not None and chosen and chosen != info.fossil_classes:
            self._change_view(replace(info, fossil_classes=chosen))

    def set_input_zoom(self, zoom: float) -> None:
        """Choose how much larger the network sees the slices; figures of another are forgotten."""
        info = self._state.model
        if info is not None and zoom != info.input_zoom:
            self._change_view(replace(info, input_zoom=zoom))

    def _change_view(self, info: ModelInfo) -> None:
        """The same weights find other instances now."""
        self._state.model = info
        for name in _SCORED & set(self._state.results):
            self.set_result(name, None)
        self.classes_changed.emit()

    def touch_edits(self) -> None:
        """Say that the edit stack's content changed."""
        self.edits_changed.emit()

    @property
    def active_edits(self) -> int:
        """How many edits are switched on."""
        entries = () if self.edits is None else self.edits.entries
        return sum(1 for entry in entries if entry.active)

    def result(self, name: str) -> Any:
        """A result by name, or None."""
        return self._state.results.get(name)

    def set_result(self, name: str, value: Any) -> None:
        """Keep a result (None forgets it)."""
        if value is None:
            self._state.results.pop(name, None)
        else:
            self._state.results[name] = value
        self.results_changed.emit(name)

    def mark_used(self, stack: str, slices: Iterable[int]) -> None:
        """Remember slices that an edit, or the choice of its strength, has seen."""
        self._state.used.update((stack, int(z)) for z in slices)

    def used_slices(self, stack: str) -> set[int]:
        """Slices of ``stack`` on which no honest comparison can be made."""
        return {z for name, z in self._state.used if name == stack}
