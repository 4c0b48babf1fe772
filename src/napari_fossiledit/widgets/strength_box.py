"""How an edit's strength is chosen: by hand, or on other labelled slices by a rule."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QSpinBox, QVBoxLayout, QWidget

from napari_fossiledit.editing.strength import RECALL_LOSS, RULES
from napari_fossiledit.widgets.edit_jobs import Others
from napari_fossiledit.widgets.page import quiet_combo, row
from napari_fossiledit.widgets.preferences import labelled_slices

__all__ = ["STRONGEST", "StrengthBox"]

STRONGEST = 1.5
_BUTTONS = 72  # px: napari's style puts wide buttons beside the text, Qt does not allow for them
_WORDS = {"most precise": "Take the most precise", "strongest": "Take the strongest"}


class StrengthBox(QWidget):
    """A tick for the automatic choice with its settings; else a number."""

    def __init__(self) -> None:
        super().__init__()
        self.auto = QCheckBox("Choose the strength on other slices")
        self.auto.setChecked(True)
        self.auto.setToolTip("The strength decides: too strong an edit loses fossils.")
        self.at_most = QSpinBox()
        self.at_most.setRange(1, 50)
        self.at_most.setValue(labelled_slices())
        self.at_most.setPrefix("at most ")
        text = self.at_most.fontMetrics().horizontalAdvance("at most 50")
        self.at_most.setMinimumWidth(text + _BUTTONS)
        self.at_most.setToolTip("So many other labelled slices, spread over the stack.")
        self.rule = quiet_combo(QComboBox())
        for rule in RULES:
            self.rule.addItem(_WORDS[rule], rule)
        self.rule.setToolTip(
            "Of the strengths tried that keep recall, take the most precise, or the strongest."
        )
        self.loss = QDoubleSpinBox()
        self.loss.setRange(0.0, 1.0)
        self.loss.setDecimals(3)
        self.loss.setSingleStep(0.005)
        self.loss.setValue(RECALL_LOSS)
        self.loss.setPrefix("recall falls by ≤ ")
        text = self.loss.fontMetrics().horizontalAdvance("recall falls by ≤ 0.035")
        self.loss.setMinimumWidth(text + _BUTTONS)
        self.loss.setToolTip(
            "The recall floor: mean recall on these slices may fall by so much, no more."
        )
        self.strength = QDoubleSpinBox()
        self.strength.setRange(0.0, STRONGEST)
        self.strength.setSingleStep(0.05)
        self.strength.setPrefix("Strength ")
        self.strength.setVisible(False)
        self._rules = QWidget()
        inner = row(self.rule, self.loss, stretch=0)
        inner.setContentsMargins(0, 0, 0, 0)
        self._rules.setLayout(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.auto, self.at_most, stretch=0))
        layout.addWidget(self._rules)
        layout.addWidget(self.strength)
        for spin in (self.at_most, self.loss, self.strength):
            spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.auto.toggled.connect(self._toggled)

    def _toggled(self, on: bool) -> None:
        self._rules.setVisible(on)
        self.strength.setVisible(not on)

    def others(self, labels: Any, confusers: Any, without: set[int]) -> Others:
        """Where and by which rule a strength is chosen."""
        return Others(
            labels,
            confusers,
            self.at_most.value(),
            frozenset(without),
            str(self.rule.currentData()),
            self.loss.value(),
        )
