"""Ask the advisor: which remedy, if any, makes this model better on this stack."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_fossiledit.errors import InputError
from napari_fossiledit.widgets.advice_view import AdvicePicture, AdviceTable
from napari_fossiledit.widgets.advise_jobs import Advised, AdviseJob, ask_task, save_advice
from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.edit_jobs import parse_slices
from napari_fossiledit.widgets.layers import stack_problem
from napari_fossiledit.widgets.page import note, say, set_ready

__all__ = ["AdvisorBox"]

_LEAST, _USUAL, _MOST = 2, 6, 50


class AdvisorBox(QWidget):
    """One button that tries every remedy, and what it found.

    Parameters
    ----------
    bench : Bench
    button : callable
        The page's, see `Page.button`.
    """

    def __init__(self, bench: Bench, button: Any) -> None:
        super().__init__()
        self._bench, self._session = bench, bench.session
        self._shown: Any = None
        self.trained_on = QLineEdit()
        self.trained_on.setPlaceholderText("none of this stack; or e.g. 0, 12-14")
        self.trained_on.setToolTip(
            "They are rehearsed when the model is fitted, and never judge: on its training slices "
            "there is little left to mend, and every figure flatters the model."
        )
        self.trained_on.textChanged.connect(bench.touch)
        self.at_most = QSpinBox()
        self.at_most.setRange(_LEAST, _MOST)
        self.at_most.setPrefix("at most ")
        self.at_most.setValue(_USUAL)
        self.at_most.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.at_most.setToolTip(
            "So many other labelled slices, spread over the stack. More of them give narrower "
            "intervals, and take longer."
        )
        self.ask = button("Ask the advisor", self._ask, main=True)
        self.save = button("Save figures…", self._save)
        self.sentence, self.where = note(), note()
        self.sentence.setStyleSheet("QLabel { font-weight: bold; }")
        self.table, self.picture = AdviceTable(), AdvicePicture()
        self._lay_out()
        self.refresh()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(
            note(
                "Tries thresholds, edits and fine-tuning on labelled slices held out in turn, and "
                "says which one to take, or none. Takes some minutes; the model stays as it is."
            )
        )
        layout.addWidget(QLabel("The model was trained on slices:"))
        layout.addWidget(self.trained_on)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Judge on", self.at_most)
        layout.addLayout(form)
        for widget in (self.ask, self.sentence, self.where, self.table, self.picture, self.save):
            layout.addWidget(widget)

    # ---- what is shown --------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the last advice, and whether one can be asked for."""
        set_ready(
            self.ask,
            self._why_not(),
            "Fit every remedy on one labelled slice, judge it on the others, and compare.",
        )
        advised = self._session.result("advice")
        if advised is not self._shown:
            self._shown = advised
            self._show(advised)
        set_ready(
            self.save,
            "" if advised is not None else "Ask the advisor first.",
            "Write the picture as PNG, and beside it all figures as JSON.",
        )
        self.save.setVisible(advised is not None)

    def _show(self, advised: Advised | None) -> None:
        advice = None if advised is None else advised.advice
        say(self.sentence, "" if advice is None else advice.sentence)
        say(self.where, "" if advised is None else advised.words)
        self.table.show_advice(advice)
        self.picture.show_advice(advice)

    def _why_not(self) -> str:
        why = self._bench.why_not(model=True, labels=True)
        if why:
            return why
        layer = self._bench.stack_layer
        problem = stack_problem(layer)
        if problem:
            return problem
        count = 1 if layer.ndim == 2 else int(layer.data.shape[0])
        if count < _LEAST:
            return "The advisor needs a stack with at least two labelled slices."
        try:
            known = self._known(count)
        except InputError as error:
            return f"Trained on: {error}"
        if count - len(known) < _LEAST:
            return "The advisor needs at least two slices that the model was not trained on."
        return ""

    def _known(self, count: int) -> tuple[int, ...]:
        text = self.trained_on.text().strip()
        return parse_slices(text, count) if text else ()

    # ---- what it does ---------------------------------------------------------------------

    def _ask(self) -> None:
        self._bench.attempt(self._begin)

    def _begin(self) -> None:
        session, bench = self._session, self._bench
        labels = None if self._why_not() else bench.labels(session.labels)
        if labels is None:
            return
        stack = bench.stack()
        entries = () if session.edits is None else session.edits.entries
        active = [entry for entry in entries if entry.active]
        job = AdviseJob(
            segmenter=session.segmenter,
            stack=stack,
            labels=labels,
            confusers=bench.labels(session.confusers),
            edits=tuple(entry.edit for entry in active),
            names=tuple(entry.name for entry in active),
            trained_on=self._known(stack.shape[0]),
            at_most=self.at_most.value(),
        )
        bench.start(
            lambda: ask_task(job),
            title="Ask the advisor",
            on_done=lambda advised: session.set_result("advice", advised),
            holds_weights=True,
            needs=[session.stack, session.labels, session.confusers],
        )

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the figures", "advice.png", "Pictures (*.png)"
        )
        if path:
            self._bench.attempt(lambda: self.save_to(path))

    def save_to(self, path: str) -> None:
        """Write the picture, and the JSON that it can be drawn from again.

        Raises
        ------
        OutputError
            When the files cannot be written there.
        """
        if self._shown is not None:
            picture, figures = save_advice(self._shown.advice, path)
            self._bench.tell(f"Written: {picture.name} and {figures.name}.")
