"""Page 3: predict a slice, a range of slices or the whole stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QSpinBox

from napari_fossiledit.widgets.jobs import Segmented, segment_task
from napari_fossiledit.widgets.layers import placed
from napari_fossiledit.widgets.page import Page, note, quiet_combo, row, say, set_ready, warn
from napari_fossiledit.widgets.preferences import confidence
from napari_fossiledit.widgets.result_box import ResultBox
from napari_fossiledit.widgets.whole_run import WholeRun

__all__ = ["SegmentPage"]

THIS, RANGE, ALL = "This slice", "A range of slices", "The whole stack"


class SegmentPage(Page):
    """Segment slices into a new labels layer."""

    title = "Segment"

    def build(self) -> None:
        """Make the page's widgets."""
        self.scope = quiet_combo(QComboBox())
        self.scope.addItems([THIS, RANGE, ALL])
        self.first, self.last = QSpinBox(), QSpinBox()
        self.first.valueChanged.connect(lambda z: self.last.setMinimum(z))
        self.score = QDoubleSpinBox()
        self.score.setRange(0.0, 1.0)
        self.score.setSingleStep(0.05)
        self.score.setValue(confidence())
        self.score.setToolTip(
            "Detections that the model is less sure of are left out. 0 shows everything."
        )
        for spin in (self.first, self.last, self.score):
            spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        form = self.form()
        form.addRow("Slices", self.scope)
        self.range_row = row(self.first, note("to"), self.last)
        self.range_row.itemAt(1).widget().setVisible(True)
        form.addRow("From", self.range_row)
        form.addRow("Confidence", self.score)
        self.result = ResultBox()
        form.addRow("Result", self.result)
        self._form = form
        self.start = self.button("Segment", self._start, main=True)
        self.body.addWidget(self.start)
        self.said = note()
        self.body.addWidget(self.said)
        self.caution = note()
        self.body.addWidget(self.caution)
        self.whole = WholeRun(self.bench, self.result, self.said, self.caution)
        self.scope.currentTextChanged.connect(self.refresh)

    def refresh(self) -> None:
        """Fit the range to the stack, and the button to what is there."""
        layer = self.bench.stack_layer
        slices = 1 if layer is None else self.bench.stack().shape[0]
        if self.last.maximum() != slices - 1:
            self.first.setRange(0, slices - 1)
            self.last.setRange(0, slices - 1)
            self.last.setValue(slices - 1)
        self._form.setRowVisible(self.range_row, self.scope.currentText() == RANGE)
        self._form.setRowVisible(self.result, self._to_disk(slices))
        if layer is not None:
            came_from = layer.metadata.get("fossiledit_path") or layer.source.path
            self.result.set_stack(layer.name, came_from)
        z = self.bench.current_z()
        texts = {
            THIS: f"Segment slice {z}" if slices > 1 else "Segment this slice",
            RANGE: "Segment the range",
            ALL: f"Segment all {slices} slices" if slices > 1 else "Segment this slice",
        }
        self.start.setText(texts[self.scope.currentText()])
        set_ready(
            self.start,
            self.bench.why_not(model=True),
            "Every slice is kept on disk as soon as it is done; stopped, it can go on later."
            if self._to_disk(slices)
            else "The instances become a new labels layer; no layer is written over.",
        )

    def _to_disk(self, slices: int) -> bool:
        return self.scope.currentText() == ALL and slices > 1

    def numbers(self) -> list[int]:
        """The slices to segment."""
        scope = self.scope.currentText()
        if scope == THIS:
            return [self.bench.current_z()]
        if scope == ALL:
            return list(range(self.bench.stack().shape[0]))
        return list(range(self.first.value(), self.last.value() + 1))

    def _start(self) -> None:
        if self.bench.why_not(model=True):
            return
        source, numbers = self.bench.stack(), self.numbers()
        if self._to_disk(source.shape[0]):
            self.whole.start(source, self.score.value(), self._edited())
            return
        segmenter, score = self.session.segmenter, self.score.value()
        where = f"slice {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} slices"
        self._what = f"{source.name}: {where}{self._edited()}"
        self._place = source.place
        self._where, self._several = where, len(numbers) > 1
        self.bench.start(
            lambda: segment_task(segmenter, source, numbers, score=score),
            title=f"Segment {where}",
            on_done=self._done,
            holds_weights=len(numbers) > 1,
            needs=[source.name],
        )

    def _edited(self) -> str:
        edits = self.session.active_edits
        return f", {edits} edits" if edits > 1 else ", edited" if edits else ""

    def _done(self, result: Segmented) -> None:
        layer = add_segmented(self.bench.add_labels, result, self._what, self._place)
        if self._several:
            self.session.set_result("volume", layer.name)
        count = f"{result.count} instance{'' if result.count == 1 else 's'}"
        hint = (
            " Point at one to read its number, confidence and size in the status bar."
            if result.count
            else " Try a lower confidence."
        )
        say(self.said, f"{count} in {self._where}.{hint}")
        warn(self.caution, result.caution)


def add_segmented(
    add: Callable[..., Any], result: Segmented, name: str, place: dict[str, Any], **options: Any
) -> Any:
    """Add predictions as a labels layer with its instances' facts."""
    return add(
        result.labels,
        name,
        placed(place, result.first),
        features=result.features,
        opacity=options.pop("opacity", 0.6),
        **options,
    )
