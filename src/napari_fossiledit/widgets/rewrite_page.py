"""Page 5: mend the weakness by rewriting convolutions."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QSpinBox

from napari_fossiledit.progress import Progress
from napari_fossiledit.widgets.edit_jobs import (
    Mended,
    MendJob,
    Others,
    Strengthened,
    mend_task,
    strength_task,
)
from napari_fossiledit.widgets.edit_list import STRONGEST, EditList
from napari_fossiledit.widgets.export_box import ExportBox
from napari_fossiledit.widgets.page import LayerCombo, Page, note, row, say, set_ready
from napari_fossiledit.widgets.plots import BLUE, GREEN, ORANGE, LinePlot, Series
from napari_fossiledit.widgets.preferences import labelled_slices
from napari_fossiledit.widgets.solver_box import LayerChecklist, SolverBox

__all__ = ["RewritePage"]

_COLOURS = (ORANGE, BLUE, GREEN, "#cc79a7", "#d55e00", "#f0e442")
# Ridge solves to the end and is used in part; Adam stops early and is used whole.
_USUAL_STRENGTH = {"ridge": 0.15, "adam": 1.0}
_BUTTONS = 72  # px


class RewritePage(Page):
    """Make an edit from the current slice, and look after the list of edits."""

    title = "Rewrite"

    def build(self) -> None:
        """Make the page's widgets."""
        self._fossils = ""
        self.fossils = LayerCombo(
            self.bench,
            lambda layer: isinstance(layer, Labels),
            lambda: self._fossils or self.session.labels,
            self._choose_fossils,
        )
        self.fossils.setToolTip(
            "Any labels of the fossils: yours, or a prediction that you corrected."
        )
        self.recipe = note()
        self.checklist = LayerChecklist()
        self.solver = SolverBox()
        form = self.form()
        form.addRow("Fossils", self.fossils)
        self.body.addWidget(self.recipe)
        self.body.addWidget(self.checklist)
        self.body.addWidget(self.solver)
        self._build_strength()
        self.mend = self.button("Mend this weakness", self._mend, main=True)
        self.body.addWidget(self.mend)
        self.loss = LinePlot("loss over step (1 = before the edit)")
        self.scan = LinePlot("mean precision and recall over strength")
        self.said = note()
        self.edits = EditList(self.bench, self.button)
        self.rescan = self.button("Choose its strength on other labelled slices", self._rescan)
        self.export = ExportBox(self.bench, self.button)
        for widget in (self.said, self.loss, self.edits, self.rescan, self.scan, self.export):
            self.body.addWidget(widget)
        self._curves: dict[str, list[float]] = {}
        self._scanned: list[tuple[float, float]] = []  # strength and precision, as they come

    def _build_strength(self) -> None:
        self.auto = QCheckBox("Choose the strength on other slices")
        self.auto.setChecked(True)
        self.auto.setToolTip("The strength decides: too strong an edit loses fossils.")
        self.at_most = QSpinBox()
        self.at_most.setRange(1, 50)
        self.at_most.setValue(labelled_slices())
        self.at_most.setPrefix("at most ")
        # napari's style puts wide buttons beside the text, which Qt does not allow for.
        text = self.at_most.fontMetrics().horizontalAdvance("at most 50")
        self.at_most.setMinimumWidth(text + _BUTTONS)
        self.at_most.setToolTip("So many other labelled slices, spread over the stack.")
        self.strength = QDoubleSpinBox()
        self.strength.setRange(0.0, STRONGEST)
        self.strength.setSingleStep(0.05)
        self.strength.setValue(_USUAL_STRENGTH["ridge"])
        self.strength.setPrefix("Strength ")
        self.body.addLayout(row(self.auto, self.at_most, stretch=0))
        self.body.addWidget(self.strength)
        self.auto.toggled.connect(lambda on: self.strength.setVisible(not on))
        self.strength.setVisible(False)
        self.solver.kind.currentTextChanged.connect(
            lambda: self.strength.setValue(_USUAL_STRENGTH[self.solver.choice().kind])
        )

    def _choose_fossils(self, name: str) -> None:
        self._fossils = name
        self.bench.touch()

    def refresh(self) -> None:
        """Show what would be edited, and the list of edits."""
        if self._fossils and self.bench.layer(self._fossils) is None:
            self._fossils = ""
        self.fossils.refresh()
        self.checklist.show_model(self.session.model)
        recipe, z = self.session.recipe, self.bench.current_z()
        words = f"{recipe.words[0].upper()}{recipe.words[1:]} (page 4)."
        if recipe.target == "fossils":
            words += " The usual edit paints everything but the fossils."
        say(self.recipe, f"Edits from slice {z}, the one shown. {words}")
        self.edits.refresh()
        self.export.refresh()
        why = self._why_not()
        set_ready(
            self.mend,
            why,
            "Rewrite the ticked layers so that this slice looks to the model like the painted one.",
        )
        none = "" if self.edits.selected is not None else "There is no edit in the list."
        set_ready(
            self.rescan,
            none or self.bench.why_not(labels=True, model=True),
            "Try several strengths of the selected edit and keep the best.",
        )

    def _why_not(self) -> str:
        why = self.bench.why_not(model=True)
        if why:
            return why
        if self.bench.layer(self.fossils.currentText()) is None:
            return "Choose a labels layer with fossils first."
        if not self.checklist.chosen():
            return "Tick at least one layer to rewrite."
        recipe = self.session.recipe
        if recipe.fill == "colour" and recipe.colour is None:
            return "Pick the mud's colour in the image first (page 4)."
        return ""

    def _others(self, without: set[int]) -> Others | None:
        session = self.session
        labels = self.bench.labels(session.labels)
        if labels is None:
            return None
        confusers = self.bench.labels(session.confusers)
        return Others(labels, confusers, self.at_most.value(), frozenset(without))

    def _mend(self) -> None:
        self.bench.attempt(self._start_mending)

    def _start_mending(self) -> None:
        if self._why_not():
            return
        name = self.fossils.currentText()
        fossils = self.bench.labels(name)
        if fossils is None:
            return
        z = self.bench.current_z()
        job = MendJob(
            segmenter=self.session.segmenter,
            stack=self.bench.stack(),
            fossils=fossils,
            z=z,
            recipe=self.session.recipe,
            layers=self.checklist.chosen(),
            solver=self.solver.choice(),
            strength=self.strength.value(),
            others=self._others({z}) if self.auto.isChecked() else None,
        )
        self._begin_curves()
        self.bench.start(
            lambda: mend_task(job),
            title="Mend this weakness",
            on_done=self._mended,
            on_progress=self._progressed,
            holds_weights=True,
            needs=[self.session.stack, name, self.session.labels],
        )

    def _begin_curves(self) -> None:
        self._curves, self._scanned = {}, []
        for plot in (self.loss, self.scan):
            plot.show_series([])
        say(self.said, "")

    def _progressed(self, progress: Progress) -> None:
        """Draw the loss, then the scan over strengths, as they come."""
        if isinstance(progress.data, tuple):
            self._scanned.append(progress.data)
            self._show_scan()
        elif isinstance(progress.data, int | float):
            level = progress.message.split(":")[0]
            self._curves.setdefault(level, []).append(float(progress.data))
            self._show_losses(self._curves)

    def _show_losses(self, curves: Any) -> None:
        lines = []
        for colour, (name, losses) in zip(_COLOURS, curves.items(), strict=False):
            if len(losses) > 1 and losses[0] > 0:
                relative = [loss / losses[0] for loss in losses]
                lines.append(Series(name, range(len(losses)), relative, colour))
        self.loss.show_series(lines)

    def _show_scan(self) -> None:
        """What is known of a scan that still runs."""
        x, y = zip(*self._scanned, strict=True)
        self.scan.show_series([Series("precision", x, y, BLUE)])

    def _mended(self, mended: Mended) -> None:
        edit, job = mended.edit, mended.job
        strength, active, words = _verdict(mended.found, job.strength)
        stack = self.session.edits
        chosen = mended.found.edit or edit.with_strength(strength)
        entry = stack.add(chosen, strength, wait=False)
        if not active:
            stack.set_active(entry, False, wait=False)
        self._sync(job.stack.name, {job.z, *mended.found.used})
        if job.others is not None and mended.found.choice is None:
            words = (
                "No other slice is labelled, so the strength could not be chosen: it is "
                f"{strength:g}. Look at the result on page 6, or label another slice."
            )
        levels = {layer.name: layer.level for layer in self._layers()}
        self._show_losses({levels.get(k, k): v for k, v in edit.losses.items()})
        self._show_choice(mended.found)
        seconds = edit.provenance.get("seconds", {})
        took = (
            f" Features {seconds['features']:.1f} s, solving {seconds['solve']:.1f} s."
            if {"features", "solve"} <= set(seconds)
            else ""
        )
        say(self.said, words + took)
        self.edits.select(len(stack.entries) - 1)

    def _layers(self) -> Any:
        return () if self.session.model is None else self.session.model.layers

    def _sync(self, stack: str, used: set[int]) -> None:
        self.session.mark_used(stack, used)
        self.bench.latest.submit("sync", self.session.edits.sync)
        self.session.touch_edits()

    def _show_choice(self, found: Strengthened) -> None:
        """Both sides of the bargain, with a large point at the strength that was chosen."""
        if found.choice is None:
            return
        x = [strength for strength, _ in found.choice.points]
        means = [scores.matched_mean for _, scores in found.choice.points]
        at = x.index(found.choice.strength) if found.choice.strength in x else None
        self.scan.show_series(
            [
                Series("precision", x, [mean.precision for mean in means], BLUE, at),
                Series("recall", x, [mean.recall for mean in means], ORANGE, at),
            ]
        )

    def _rescan(self) -> None:
        self.bench.attempt(self._start_scan)

    def _start_scan(self) -> None:
        at = self.edits.selected
        if at is None or self.bench.why_not(labels=True, model=True):
            return
        others = self._others(set())
        if others is None:
            return
        edit = self.session.edits.entries[at].edit
        job = MendJob(
            self.session.segmenter,
            self.bench.stack(),
            others.labels,
            0,
            self.session.recipe,
            (),
            self.solver.choice(),
            0.0,
        )
        self._begin_curves()
        name = job.stack.name

        def done(found: Strengthened) -> None:
            self._rescanned(name, found)

        self.bench.start(
            lambda: strength_task(job, edit, others),
            title="Choose the strength",
            on_done=done,
            on_progress=self._progressed,
            holds_weights=True,
            needs=[self.session.stack, self.session.labels],
        )

    def _rescanned(self, stack: str, found: Strengthened) -> None:
        if found.choice is None:
            say(self.said, "No other slice is labelled: label one or two more.")
            return
        strength, active, words = _verdict(found, 0.0)
        edits = self.session.edits
        edits.replace_edit(found.edit, wait=False)
        edits.set_strength(found.edit, strength, wait=False)
        edits.set_active(found.edit, active, wait=False)
        self._sync(stack, set(found.used))
        self._show_choice(found)
        say(self.said, words)


def _verdict(found: Strengthened, fallback: float) -> tuple[float, bool, str]:
    """Strength, whether to switch the edit on, and the sentence that says so."""
    choice = found.choice
    if choice is None:
        return fallback, True, f"The edit is switched on at strength {fallback:g}."
    if choice.worth_it:
        return choice.strength, True, choice.sentence
    return choice.strength, False, f"{choice.sentence} It is in the list, switched off."
