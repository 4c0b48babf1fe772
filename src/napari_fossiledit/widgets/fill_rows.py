"""The rows of a form that choose one fill."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from qtpy.QtCore import QObject, QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QToolButton,
)

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.page import quiet_combo, row, set_ready
from napari_fossiledit.widgets.picker import ColourPicker, PatchPicker, Swatch
from napari_fossiledit.widgets.recipe import FillChoice

__all__ = ["FillRows"]

_NAMES = {
    "median": "Median colour of the rock",
    "colour": "A colour picked in the image",
    "noise": "Noise, mottled like the rock",
    "tile": "Copies of a patch, side by side",
    "quilt": "A quilt sewn from a patch (slow)",
    "inpaint": "Surroundings carried on (small holes)",
}
_TIPS = {
    "median": "One flat colour: the median of all outside the fossils, or of a patch.",
    "colour": "One flat colour, as in the paper.",
    "noise": "As mottled as the rock and in the same colours, but without any shape in it.",
    "tile": "The paper's texture: copies of a crop. Mirrored copies meet without a seam.",
    "quilt": "Pieces of the patch sewn together where they differ least: the most natural rock.",
    "inpaint": "Smooth; for holes of up to some 50 × 50 pixels. Nothing else stays true of rock.",
}
_AUTOMATIC = {
    "median": "all outside the fossils",
    "noise": "all outside the fossils",
    "tile": "the calmest rock",
    "quilt": "the calmest rock",
}
_NO_PATCH = 3  # the spin box's least value stands for "automatic"; a quilt needs 4 px


class FillRows(QObject):
    """A combo box for the kind of fill, and a row for each of its settings.

    Parameters
    ----------
    bench : Bench
    form : QFormLayout
        Gets the rows.
    label : str
        Before the combo box.

    Signals
    -------
    changed : FillChoice
        The user changed a setting.
    """

    changed: ClassVar[Any] = Signal(object)

    def __init__(self, bench: Bench, form: QFormLayout, label: str) -> None:
        super().__init__(form)
        self._bench, self._form, self._choice = bench, form, FillChoice()
        self.kind = quiet_combo(QComboBox())
        for kind, name in _NAMES.items():
            self.kind.addItem(name, kind)
            self.kind.setItemData(self.kind.count() - 1, _TIPS[kind], Qt.ItemDataRole.ToolTipRole)
        self.kind.activated.connect(lambda: self._set(kind=self.kind.currentData()))
        self.swatch, self.pick_colour = Swatch(), QPushButton("Pick in image")
        self.colour_picker = ColourPicker(bench, self.pick_colour)
        self.colour_picker.picked.connect(lambda colour: self._set(colour=colour))
        self.window, self.pick_patch = QLabel(), QPushButton("Pick patch")
        self.patch_picker = PatchPicker(bench, self.pick_patch, lambda: self._choice.kind)
        self.patch_picker.picked.connect(lambda window: self._set(window=window))
        self.forget = QToolButton()
        self.forget.setText("✕")
        self.forget.clicked.connect(lambda: self._set(window=None))
        for button in (self.pick_colour, self.pick_patch):
            button.toggled.connect(bench.touch)
        self.mirrored = QCheckBox("mirror every second copy")
        self.mirrored.toggled.connect(lambda on: self._set(mirrored=on))
        self.patch = QSpinBox()
        self.patch.setRange(_NO_PATCH, 512)
        self.patch.setSuffix(" px")
        self.patch.setSpecialValueText("automatic")
        self.patch.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.patch.setKeyboardTracking(False)
        self.patch.setToolTip(
            "Side of the pieces; larger than the texture's largest feature. "
            "Automatic: half the patch, up to 48 px."
        )
        self.patch.valueChanged.connect(
            lambda side: self._set(patch=None if side == _NO_PATCH else side)
        )
        self._add_rows(label)

    def _add_rows(self, label: str) -> None:
        self._colour_row = row(self.swatch, self.pick_colour, stretch=1)
        self._window_row = row(self.window, self.pick_patch, self.forget, stretch=0)
        self._form.addRow(label, self.kind)
        self._form.addRow("Colour", self._colour_row)
        self._form.addRow("From", self._window_row)
        self._form.addRow("Copies", self.mirrored)
        self._form.addRow("Pieces", self.patch)

    @property
    def pickers(self) -> tuple[ColourPicker, PatchPicker]:
        """The two that wait for the mouse."""
        return self.colour_picker, self.patch_picker

    def _set(self, **changes: Any) -> None:
        self._choice = replace(self._choice, **changes)
        self.changed.emit(self._choice)

    def show(self, choice: FillChoice, *, visible: bool = True) -> None:
        """Show a choice without telling; of its settings those that matter."""
        self._choice = choice
        widgets = (self.kind, self.mirrored, self.patch)
        blockers = [QSignalBlocker(widget) for widget in widgets]
        self.kind.setCurrentIndex(self.kind.findData(choice.kind))
        self.kind.setToolTip(_TIPS[choice.kind])
        self.mirrored.setChecked(choice.mirrored)
        self.patch.setValue(choice.patch or _NO_PATCH)
        for blocker in blockers:
            blocker.unblock()
        self.swatch.show_colour(choice.colour)
        rows = {
            self.kind: True,
            self._colour_row: choice.kind == "colour",
            self._window_row: choice.takes_window,
            self.mirrored: choice.kind == "tile",
            self.patch: choice.kind == "quilt",
        }
        for line, wanted in rows.items():
            self._form.setRowVisible(line, visible and wanted)
        self._show_window(choice, visible=visible and choice.takes_window)
        for picker, line in zip(self.pickers, (self._colour_row, self._window_row), strict=True):
            if not (visible and rows[line]):
                picker.cancel()
        self._show_buttons()

    def _show_window(self, choice: FillChoice, *, visible: bool) -> None:
        if choice.window is None:
            text = "none picked yet" if choice.needs_window else _AUTOMATIC.get(choice.kind, "")
            tip = "No patch was picked."
        else:
            y0, x0, y1, x1 = choice.window
            text = f"{y1 - y0} × {x1 - x0} px at {y0}, {x0}"
            tip = f"Rows {y0} to {y1}, columns {x0} to {x1} of the slice."
        self.window.setText(text)
        self.window.setToolTip(tip)
        self.forget.setVisible(visible and choice.window is not None)
        self.forget.setToolTip("Forget this patch.")

    def _show_buttons(self) -> None:
        for button, up, down, tip in (
            (
                self.pick_colour,
                "Pick in image",
                "Click on the colour…",
                "Then click on a spot of that colour, e.g. on bare mud.",
            ),
            (
                self.pick_patch,
                "Pick patch",
                "Click, or draw it…",
                "Then click on bare rock, or drag a rectangle round the texture.",
            ),
        ):
            waiting = button.isChecked()
            button.setText(down if waiting else up)
            set_ready(button, "" if waiting else self._bench.why_not(), tip)
