"""Which slices an edit is made from."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QLineEdit, QVBoxLayout, QWidget

from napari_fossiledit.widgets.edit_jobs import parse_slices
from napari_fossiledit.widgets.page import quiet_combo, row

__all__ = ["SlicesBox"]

THIS, THESE, ALL = "the slice shown", "these slices:", "all labelled slices"
_HOW = {
    "jointly": "jointly: the order does not matter",
    "in sequence": "in sequence: the last has the last word",
}


class SlicesBox(QWidget):
    """The slice shown, a list of numbers, or all that are labelled; jointly or in sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.scope = quiet_combo(QComboBox())
        self.scope.addItems([THIS, THESE, ALL])
        self.numbers = QLineEdit()
        self.numbers.setPlaceholderText("3, 7-9")
        self.numbers.setToolTip("Numbers of labelled slices, in the order in which they are taken.")
        self.how = quiet_combo(QComboBox())
        for how, words in _HOW.items():
            self.how.addItem(words, how)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.scope, self.numbers, stretch=1))
        self.rehearse = QLineEdit()
        self.rehearse.setPlaceholderText("slices the model was trained on, if here: 0, 12")
        self.rehearse.setToolTip(
            "They are rehearsed beside the corrected ones, so that the model forgets nothing."
        )
        layout.addWidget(self.how)
        layout.addWidget(self.rehearse)
        self.scope.currentTextChanged.connect(lambda: self.show_how(True))
        self.show_how(True)

    def show_how(self, paints: bool) -> None:
        """Show what matters: for a solver that paints, or for one that fits to labels."""
        scope = self.scope.currentText()
        self.numbers.setVisible(scope == THESE)
        self.how.setVisible(scope != THIS and paints)
        self.rehearse.setVisible(not paints)

    @property
    def several(self) -> bool:
        """Whether more than the slice shown is meant."""
        return self.scope.currentText() != THIS

    def chosen(self, count: int) -> tuple[int, ...] | None:
        """The slices (none for the one shown, None for all labelled) of a stack of ``count``.

        Raises
        ------
        InputError
            If the numbers cannot be read, or there is no such slice.
        """
        scope = self.scope.currentText()
        if scope == ALL:
            return None
        return () if scope == THIS else parse_slices(self.numbers.text(), count)

    def rehearsed(self, count: int) -> tuple[int, ...]:
        """Slices that the model was trained on, of a stack of ``count``; often none."""
        text = self.rehearse.text().strip()
        return parse_slices(text, count) if text else ()

    def words(self, z: int) -> str:
        """What the edit is made from, as the start of a sentence."""
        scope = self.scope.currentText()
        if scope == THIS:
            return f"Edits from slice {z}, the one shown."
        if scope == ALL:
            return "Edits from all labelled slices, so none is left to choose the strength on."
        return f"Edits from slices {self.numbers.text() or '…'}."
