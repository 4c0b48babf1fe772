"""Page 6: the model before and after an edit, as layers and in figures."""

from __future__ import annotations

import math
from typing import Any

from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QSpinBox

from napari_fossiledit.widgets.advisor_box import AdvisorBox
from napari_fossiledit.widgets.compare_jobs import GAINED, LOST, Compared, CompareJob, compare_task
from napari_fossiledit.widgets.curve_series import curve_series
from napari_fossiledit.widgets.layers import placed
from napari_fossiledit.widgets.page import (
    Page,
    Section,
    note,
    quiet_combo,
    row,
    say,
    set_ready,
    warn,
)
from napari_fossiledit.widgets.plots import BLUE, ORANGE, LinePlot, Series
from napari_fossiledit.widgets.segment_page import add_segmented
from napari_fossiledit.widgets.tables import FigureTable, figure, share, signed

__all__ = ["ComparePage"]

THIS, LABELLED = "This slice", "Other labelled slices"
LOST_COLOUR, GAINED_COLOUR = ORANGE, BLUE


class ComparePage(Page):
    """Compare the model without and with an edit."""

    title = "Compare"

    def build(self) -> None:
        """Make the page's widgets."""
        self.edit = quiet_combo(QComboBox())
        self.scope = quiet_combo(QComboBox())
        self.scope.addItems([LABELLED, THIS])
        self.at_most = QSpinBox()
        self.at_most.setRange(1, 200)
        self.at_most.setPrefix("at most ")
        self.at_most.setValue(4)
        self.curves = QCheckBox("Draw the curves over strength and mask threshold")
        self.curves.setChecked(True)
        self.curves.setToolTip("Takes about three times as long.")
        form = self.form()
        form.addRow("Edit", self.edit)
        self.scope_row = row(self.scope, self.at_most, stretch=0)
        form.addRow("Slices", self.scope_row)
        self.body.addWidget(self.curves)
        self.start = self.button("Compare before and after", self._start, main=True)
        self.body.addWidget(self.start)
        self.caution = note()
        self.table = FigureTable()
        self.plot = LinePlot("mean precision over mean recall", height=230)
        self.sentence = note()
        self.legend = QLabel(
            f"<span style='background:{LOST_COLOUR}'>&nbsp;&nbsp;&nbsp;&nbsp;</span> lost &nbsp; "
            f"<span style='background:{GAINED_COLOUR}'>&nbsp;&nbsp;&nbsp;&nbsp;</span> gained "
            "by the edit, in the layer 'difference'"
        )
        self.legend.setWordWrap(True)
        for widget in (self.caution, self.legend, self.table, self.sentence, self.plot):
            self.body.addWidget(widget)
        self.advisor = AdvisorBox(self.bench, self.button)
        self.advice = Section("Which remedy is best?", self.advisor)
        self.body.addWidget(self.advice)
        self.scope.currentTextChanged.connect(self.refresh)
        self.edit.currentTextChanged.connect(self.refresh)
        self._shown: Any = None

    def refresh(self) -> None:
        """Offer the edits there are, and show the last comparison."""
        entries = () if self.session.edits is None else self.session.edits.entries
        names = [entry.name for entry in entries] or ["(no edit yet)"]
        if names != [self.edit.itemText(i) for i in range(self.edit.count())]:
            self.edit.blockSignals(True)
            self.edit.clear()
            self.edit.addItems(names)
            self.edit.setCurrentIndex(len(names) - 1)
            self.edit.blockSignals(False)
        this = self.scope.currentText() == THIS
        self.at_most.setVisible(not this)
        why = self.bench.why_not(model=True, labels=not this)
        if not why and not entries:
            why = "Make an edit first (page 5)."
        set_ready(
            self.start, why, "Predict without and with the edit, score both, and add the layers."
        )
        used = self.session.used_slices(self.session.stack)
        z = self.bench.current_z()
        warn(
            self.caution,
            f"Slice {z} was used to make the edit or to choose its strength: figures on it flatter "
            "the edit. Move to another slice."
            if this and z in used
            else "",
        )
        compared = self.session.result("compare")
        if compared is not self._shown:
            self._shown = compared
            self._show(compared)
        self.legend.setVisible(compared is not None)
        self.advisor.refresh()

    def _start(self) -> None:
        self.bench.attempt(self._begin)

    def _begin(self) -> None:
        this = self.scope.currentText() == THIS
        session, bench = self.session, self.bench
        entries = () if session.edits is None else session.edits.entries
        at = self.edit.currentIndex()
        if bench.why_not(model=True, labels=not this) or not 0 <= at < len(entries):
            return
        entry, stack = entries[at], bench.stack()
        job = CompareJob(
            segmenter=session.segmenter,
            edit=entry.edit,
            strength=entry.strength,
            name=entry.name,
            stack=stack,
            labels=bench.labels(session.labels),
            confusers=bench.labels(session.confusers),
            only=bench.current_z() if this else None,
            at_most=self.at_most.value(),
            without=frozenset() if this else frozenset(session.used_slices(stack.name)),
            curves=self.curves.isChecked(),
        )
        bench.start(
            lambda: compare_task(job),
            title="Compare before and after",
            on_done=self._done,
            holds_weights=True,
            needs=[session.stack, session.labels, session.confusers],
        )

    def _done(self, compared: Compared) -> None:
        job = compared.job
        place = job.stack.place
        count = len(compared.slices)
        where = f"slice {compared.slices[0]}" if count == 1 else f"{count} slices"
        for words, result in (("before", compared.before), ("after", compared.after)):
            add_segmented(self.bench.add_labels, result, f"{where}: {words}", place, visible=False)
        colours = {None: "transparent", 0: "transparent", LOST: LOST_COLOUR, GAINED: GAINED_COLOUR}
        self.bench.add_labels(
            compared.difference,
            f"{where}: difference",
            placed(place, compared.before.first),
            colormap=DirectLabelColormap(color_dict=colours),
            features={"index": [0, LOST, GAINED], "change": ["none", "lost", "gained"]},
            opacity=0.8,
        )
        self._go_to(compared)
        if compared.seen:  # a loaded edit tells so only by its record
            self.session.mark_used(job.stack.name, compared.slices)
        self.session.set_result("compare", compared)

    def _go_to(self, compared: Compared) -> None:
        """Show a slice that was compared, so that the new layers are seen."""
        layer = self.bench.stack_layer
        z = self.bench.current_z()
        if layer is None or layer.ndim == 2 or z in compared.slices:
            return
        nearest = min(compared.slices, key=lambda other: abs(other - z))
        world = layer.data_to_world((nearest, 0, 0))
        self.bench.viewer.dims.set_point(self.bench.viewer.dims.ndim - 3, float(world[0]))

    def _show(self, compared: Compared | None) -> None:
        if compared is None or compared.comparison is None:
            self.table.fill([], [])
            self.plot.show_series([])
            count = "" if compared is None else _counts(compared)
            say(self.sentence, count)
            return
        self.table.fill(["", "before", "after", "difference\n95 % interval"], _rows(compared))
        shown = ", ".join(map(str, compared.slices))
        total = compared.comparison.before.scores.total
        say(
            self.sentence,
            f"'{compared.job.name}' at strength {compared.job.strength:g}; slices {shown}; "
            f"{total} fossils. {compared.comparison.sentence}",
        )
        self._draw(compared.comparison)

    def _draw(self, comparison: Any) -> None:
        chosen = comparison.strength
        self.plot.show_series(
            [
                _line(comparison.threshold_curve, ORANGE, beside=True),
                _line(comparison.strength_curve, BLUE, chosen),
            ]
        )


def _line(curve: Any, colour: str, chosen: float | None = None, *, beside: bool = False) -> Series:
    steps = [point.x for point in curve.points]
    scores = [point.scores for point in curve.points]
    return curve_series(curve.label, steps, scores, colour, chosen, beside=beside)


def _counts(compared: Compared) -> str:
    before, after = compared.before.count, compared.after.count
    return (
        f"Slice {compared.slices[0]} has no labels, so there are no figures: {before} instances "
        f"before, {after} after."
    )


def _rows(compared: Compared) -> list[list[str]]:
    comparison = compared.comparison
    before, after = comparison.before.scores, comparison.after.scores
    change = comparison.differences
    rows = []
    for words, group in (("", "matched_mean"), (", all", "all_mean")):
        for name in ("precision", "recall", "iou"):
            title = ("IoU" if name == "iou" else name.capitalize()) + words
            values = [figure(getattr(getattr(s, group), name)) for s in (before, after)]
            rows.append([title, *values, _interval(change.get(f"{group}.{name}"))])
    rows.append(
        [
            "Spurious pixels",
            share(before.spurious_fraction),
            share(after.spurious_fraction),
            _interval(change.get("spurious_fraction"), points=True),
        ]
    )
    for name in ("true_detections", "false_detections"):
        title = name.replace("_", " ").capitalize()
        rows.append(
            [
                title,
                str(getattr(before, name)),
                str(getattr(after, name)),
                _interval(change.get(name), digits=0),
            ]
        )
    if before.confuser_share is not None:
        rows.append(
            [
                "Confusers claimed",
                share(before.confuser_share),
                share(after.confuser_share),
                _interval(change.get("confuser_share")),
            ]
        )
    return rows


def _interval(interval: Any, *, digits: int = 3, points: bool = False) -> str:
    """A difference above its interval; ``points`` for shares, which the table shows in per cent."""
    if interval is None:
        return signed(None)
    factor, digits = (100, 1) if points else (1, digits)
    unit = " points" if points else " relative" if interval.relative else ""
    value, low, high = (
        signed(factor * number, percent=interval.relative, digits=digits)
        for number in (interval.value, interval.low, interval.high)
    )
    return f"{value}{unit}" if math.isnan(interval.low) else f"{value}{unit}\n[{low}, {high}]"
