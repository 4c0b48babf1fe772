"""`RecipeBox`: page 4's settings of a perturbation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.fill_rows import FillRows
from napari_fossiledit.widgets.page import quiet_combo, row, set_ready
from napari_fossiledit.widgets.recipe import FillChoice, Recipe

__all__ = ["RecipeBox"]

_TARGETS = {
    "others": "Everything but the fossils",
    "fossils": "The fossils",
    "both": "Both, the fossils with a texture",
}
_UNITS = {"components": "by patches", "instances": "by instances", "pixels": "by pixels"}
_FILTER = "Recipe of a perturbation (*.json);;All files (*)"
_MOST_SEED = 2**31 - 1
_SOFTEST = 2.0  # px; a recipe that was loaded may be softer


class _Share(QDoubleSpinBox):
    """Percent without idle zeros."""

    def textFromValue(self, value: float) -> str:  # noqa: N802 - the name is Qt's
        return f"{value:g}"


class RecipeBox(QWidget):
    """All settings of the session's recipe, and its file.

    Signals
    -------
    changed
        The session's recipe was changed here; sooner than the bench tells it.
    """

    changed: ClassVar[Any] = Signal()

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench, self._session = bench, bench.session
        self.target = quiet_combo(QComboBox())
        for target, name in _TARGETS.items():
            self.target.addItem(name, target)
        self.target.activated.connect(lambda: self._set(target=self.target.currentData()))
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self._form.addRow("Paint over", self.target)
        self.fill = FillRows(bench, self._form, "with")
        self.fill.changed.connect(self._fill_chosen)
        self.texture = FillRows(bench, self._form, "Fossils get")
        self.texture.changed.connect(lambda choice: self._set(texture=choice))
        self._build_numbers()
        self.save = QPushButton("Save recipe…")
        self.save.clicked.connect(lambda: self._ask_save())
        self.load = QPushButton("Load recipe…")
        self.load.clicked.connect(lambda: self._ask_load())
        self.load.setToolTip("Take all settings from a recipe's file; it paints the same bytes.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._form)
        layout.addLayout(row(self.save, self.load))
        for picker in self._pickers:
            picker.beginning.connect(lambda mine=picker: self._one_only(mine))

    def _build_numbers(self) -> None:
        self.fraction = _Share()
        self.fraction.setRange(0.1, 100)
        self.fraction.setDecimals(1)
        self.fraction.setSuffix(" %")
        self.fraction.setToolTip("How much of it is painted, chosen at random below 100 %.")
        self.fraction.valueChanged.connect(lambda value: self._set(fraction=value / 100))
        self.by = quiet_combo(QComboBox())
        for unit, name in _UNITS.items():
            self.by.addItem(name, unit)
        self.by.setToolTip(
            "Whole connected patches, whole labelled instances, or single pixels, in random order "
            "until the share is reached."
        )
        self.by.activated.connect(lambda: self._set(by=self.by.currentData()))
        self.feather = QDoubleSpinBox()
        self.feather.setRange(0, _SOFTEST)
        self.feather.setDecimals(1)
        self.feather.setSingleStep(0.5)
        self.feather.setSuffix(" px")
        self.feather.setSpecialValueText("hard")
        self.feather.setToolTip(
            "A hard edge is a cue of its own; over 1 or 2 px the paint fades in from its edge."
        )
        self.feather.valueChanged.connect(lambda value: self._set(feather=value))
        self.seed = QSpinBox()
        self.seed.setRange(0, _MOST_SEED)
        self.seed.setToolTip("Another seed paints other patches, other noise, another quilt.")
        self.seed.valueChanged.connect(lambda value: self._set(seed=value))
        for spin in (self.fraction, self.feather, self.seed):
            spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._form.addRow("Share", row(self.fraction, self.by, stretch=0))
        self._form.addRow("Edge", self.feather)
        self._form.addRow("Seed", self.seed)

    @property
    def _pickers(self) -> tuple[Any, ...]:
        return (*self.fill.pickers, *self.texture.pickers)

    def _one_only(self, mine: Any) -> None:
        for picker in self._pickers:
            if picker is not mine:
                picker.cancel()

    # ---- to and from the session ------------------------------------------------------------

    def _set(self, **changes: Any) -> None:
        # Only what was changed: a recipe that was loaded may be finer than the boxes show.
        self._session.recipe = replace(self._session.recipe, **changes)
        self.changed.emit()

    def _fill_chosen(self, choice: FillChoice) -> None:
        self._set(
            fill=choice.kind,
            colour=choice.colour,
            window=choice.window,
            mirrored=choice.mirrored,
            patch=choice.patch,
        )

    def refresh(self) -> None:
        """Show the session's recipe; rows that do not matter are hidden."""
        recipe = self._session.recipe
        numbers = (self.target, self.fraction, self.by, self.feather, self.seed)
        blockers = [QSignalBlocker(widget) for widget in numbers]
        self.target.setCurrentIndex(self.target.findData(recipe.target))
        if round(self.fraction.value(), 1) != round(100 * recipe.fraction, 1):
            self.fraction.setValue(100 * recipe.fraction)
        self.by.setCurrentIndex(self.by.findData(recipe.by))
        self.feather.setMaximum(max(_SOFTEST, recipe.feather))
        self.feather.setValue(recipe.feather)
        self.seed.setValue(min(recipe.seed, _MOST_SEED))
        for blocker in blockers:
            blocker.unblock()
        self.by.setVisible(recipe.fraction < 1)
        self.fill.show(recipe.main)
        self.texture.show(recipe.texture, visible=recipe.target == "both")
        self._form.setRowVisible(self.seed, recipe.random)
        set_ready(
            self.save,
            recipe.missing,
            "Write all settings to a file, also for the command 'fossiledit perturb --recipe'.",
        )

    # ---- files ------------------------------------------------------------------------------

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the recipe", "recipe.json", _FILTER)
        if path:
            self.save_to(path)

    def save_to(self, path: str) -> None:
        """Write the recipe to a file; without a suffix it gets ``.json``."""
        whole = Path(path) if Path(path).suffix else Path(path + ".json")
        if self._bench.attempt(lambda: self._session.recipe.save(whole)):
            self._bench.tell(f"The recipe was written to {whole.name}.")

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load a recipe", "", _FILTER)
        if path:
            self.load_from(path)

    def load_from(self, path: str) -> None:
        """Take the settings from a file."""

        def load() -> None:
            self._session.recipe = Recipe.load(path)

        self._bench.attempt(load)
