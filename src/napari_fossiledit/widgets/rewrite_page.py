"""Page 5: mend the weakness by rewriting convolutions."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels

from napari_fossiledit.editing.provenance_words import skipped_words
from napari_fossiledit.progress import Progress
from napari_fossiledit.widgets.curve_series import choice_series, scan_series
from napari_fossiledit.widgets.edit_jobs import (
    Mended,
    MendJob,
    Others,
    Strengthened,
    mend_task,
    strength_task,
)
from napari_fossiledit.widgets.edit_list import EditList
from napari_fossiledit.widgets.export_box import ExportBox
from napari_fossiledit.widgets.page import LayerCombo, Page, note, say, set_ready, warn
from napari_fossiledit.widgets.plots import BLUE, GREEN, ORANGE, LinePlot, Series
from napari_fossiledit.widgets.slices_box import SlicesBox
from napari_fossiledit.widgets.solver_box import LayerChecklist, SolverBox
from napari_fossiledit.widgets.solver_specs import SolverSpec
from napari_fossiledit.widgets.strength_box import StrengthBox

__all__ = ["RewritePage"]

_COLOURS = (ORANGE, BLUE, GREEN, "#cc79a7", "#d55e00", "#f0e442")


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
        self.slices = SlicesBox()
        self.recipe = note()
        self.checklist = LayerChecklist()
        self.solver = SolverBox()
        self.strength_box = StrengthBox()
        self.auto, self.at_most = self.strength_box.auto, self.strength_box.at_most
        self.strength = self.strength_box.strength
        self.strength.setValue(self.solver.spec.strength)
        self._usually_auto = self.solver.spec.auto
        self.solver.kind.currentTextChanged.connect(self._solver_changed)
        for changed in (self.slices.scope.currentTextChanged, self.slices.numbers.textChanged):
            changed.connect(self.bench.touch)
        self.checklist.itemChanged.connect(self.bench.touch)
        form = self.form()
        form.addRow("Fossils", self.fossils)
        form.addRow("Edit from", self.slices)
        for widget in (self.recipe, self.checklist, self.solver, self.strength_box):
            self.body.addWidget(widget)
        self.mend = self.button(self.solver.spec.button, self._mend, main=True)
        self.body.addWidget(self.mend)
        self.loss = LinePlot("loss over step (1 = before the edit)")
        self.scan = LinePlot("mean precision over mean recall", height=230)
        self.said, self.beside, self.caution = note(), note(), note()
        self.edits = EditList(self.bench, self.button)
        self.rescan = self.button("Choose its strength on other labelled slices", self._rescan)
        self.export = ExportBox(self.bench, self.button)
        below = (self.said, self.caution, self.loss, self.edits, self.rescan)
        for widget in (*below, self.scan, self.beside, self.export):
            self.body.addWidget(widget)
        self._curves: dict[str, list[float]] = {}
        # Strength, precision and recall, as they come.
        self._scanned: list[tuple[float, float, float]] = []

    def _solver_changed(self) -> None:
        spec = self.solver.spec
        self.strength.setValue(spec.strength)
        if spec.auto != self._usually_auto:
            self._usually_auto = spec.auto
            self.auto.setChecked(spec.auto)
        self.bench.touch()

    def _choose_fossils(self, name: str) -> None:
        self._fossils = name
        self.bench.touch()

    def refresh(self) -> None:
        """Show what would be edited, and the list of edits."""
        if self._fossils and self.bench.layer(self._fossils) is None:
            self._fossils = ""
        self.fossils.refresh()
        spec = self.solver.spec
        self.checklist.show_model(self.session.model, spec.usual)
        self.slices.show_how(spec.paints)
        self.checklist.setEnabled(spec.reads_labels)  # else the heads alone are fitted
        words = spec.button
        if self.slices.several:
            words = words.replace("this slice's", "these slices'")
            words = words.replace("this slice", "these slices")
        self.mend.setText(words)
        say(self.recipe, f"{self.slices.words(self.bench.current_z())} {self._recipe_words()}")
        self.edits.refresh()
        self.export.refresh()
        why = self._why_not()
        set_ready(
            self.mend,
            why,
            _tip(spec),
        )
        none = "" if self.edits.selected is not None else "There is no edit in the list."
        set_ready(
            self.rescan,
            none or self.bench.why_not(labels=True, model=True),
            "Try several strengths of the selected edit and keep the best.",
        )

    def _fits_heads(self) -> bool:
        return self.solver.choice().values.get("heads", False) is not False

    def _recipe_words(self) -> str:
        if not self.solver.spec.reads_labels:
            return "Nothing is painted, and labels are read of rehearsed slices alone."
        if not self.solver.spec.paints:
            return "Nothing is painted: the labels chosen above are what the model is fitted to."
        recipe = self.session.recipe
        words = f"{recipe.words[0].upper()}{recipe.words[1:]} (page 4)."
        if recipe.target == "fossils":
            words += " The usual edit paints everything but the fossils."
        return words

    def _why_not(self) -> str:
        why = self.bench.why_not(model=True)
        if why:
            return why
        spec = self.solver.spec
        if not spec.reads_labels:
            return ""
        if self.bench.layer(self.fossils.currentText()) is None:
            return "Choose a labels layer with fossils first."
        if not self.checklist.chosen() and not self._fits_heads():
            return "Tick at least one layer to rewrite."
        missing: str = self.session.recipe.missing if spec.paints else ""
        return missing

    def _others(self, without: set[int]) -> Others | None:
        session = self.session
        labels = self.bench.labels(session.labels)
        if labels is None:
            return None
        confusers = self.bench.labels(session.confusers)
        return self.strength_box.others(labels, confusers, without)

    def _mend(self) -> None:
        self.bench.attempt(self._start_mending)

    def _start_mending(self) -> None:
        if self._why_not():
            return
        name = self.fossils.currentText()
        fossils = self.bench.labels(name)
        if fossils is None and self.solver.spec.reads_labels:
            return
        z, count = self.bench.current_z(), self.bench.stack().shape[0]
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
            sources=self.slices.chosen(count),
            rehearse=() if self.solver.spec.paints else self.slices.rehearsed(count),
            how=str(self.slices.how.currentData()),
        )
        self._begin_curves()
        self.bench.start(
            lambda: mend_task(job),
            title=self.solver.spec.button,
            on_done=self._mended,
            on_progress=self._progressed,
            holds_weights=True,
            needs=[self.session.stack, name if fossils is not None else "", self.session.labels],
        )

    def _begin_curves(self) -> None:
        self._curves, self._scanned = {}, []
        for plot in (self.loss, self.scan):
            plot.show_series([])
        for label in (self.said, self.beside, self.caution):
            say(label, "")

    def _progressed(self, progress: Progress) -> None:
        """Draw the loss, then the scan over strengths, as they come."""
        if isinstance(progress.data, tuple):
            self._scanned.append(progress.data)
            self.scan.show_series(scan_series(self._scanned))
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

    def _mended(self, mended: Mended) -> None:
        edit, job = mended.edit, mended.job
        strength, active, words = _verdict(mended.found, job.strength)
        stack = self.session.edits
        chosen = mended.found.edit or edit.with_strength(strength)
        entry = stack.add(chosen, strength, wait=False)
        if not active:
            stack.set_active(entry, False, wait=False)
        self._sync(job.stack.name, {*mended.slices, *mended.found.used})
        if job.others is not None and mended.found.choice is None:
            words = (
                "No other slice is labelled, so the strength could not be chosen: it is "
                f"{strength:g}. Look at the result on page 6, or label another slice."
            )
        warn(self.caution, skipped_words(edit))
        levels = {layer.name: layer.level for layer in self._layers()}
        self._show_losses({levels.get(k, k): v for k, v in edit.losses.items()})
        self._show_choice(mended.found)
        seconds = edit.provenance.get("seconds", {})
        took = ", ".join(
            f"{word} {seconds[key]:.1f} s"
            for key, word in (("features", "features"), ("solve", "solving"))
            if seconds.get(key)
        )
        say(self.said, f"{words} (Took: {took}.)" if took else words)
        self.edits.select(len(stack.entries) - 1)

    def _layers(self) -> Any:
        return () if self.session.model is None else self.session.model.layers

    def _sync(self, stack: str, used: set[int]) -> None:
        self.session.mark_used(stack, used)
        self.bench.latest.submit("sync", self.session.edits.sync)
        self.session.touch_edits()

    def _show_choice(self, found: Strengthened) -> None:
        """Precision over recall, beside the mask threshold, with a large point at the choice."""
        if found.choice is not None:
            self.scan.show_series(choice_series(found.choice))
            self.beside.setStyleSheet("")
            (warn if found.choice.below_threshold_curve else say)(self.beside, found.choice.beside)

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


def _tip(spec: SolverSpec) -> str:
    if spec.paints:
        return (
            "Rewrite the ticked layers so that this slice looks to the model like the painted one."
        )
    if spec.reads_labels:
        return "Fit the model to this slice's labels: no painting is needed."
    return "Fit the model to what it finds itself, however this slice is turned."


def _verdict(found: Strengthened, fallback: float) -> tuple[float, bool, str]:
    """Strength, whether to switch the edit on, and the sentence that says so."""
    choice = found.choice
    if choice is None:
        return fallback, True, f"The edit is switched on at strength {fallback:g}."
    if choice.worth_it:
        return choice.strength, True, choice.sentence
    return choice.strength, False, f"{choice.sentence} It is in the list, switched off."
