"""Page 4: find out how the model errs, by painting over part of a slice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QSpinBox

from napari_fossiledit.widgets.layers import placed
from napari_fossiledit.widgets.page import Page, note, quiet_combo, row, say, set_ready
from napari_fossiledit.widgets.picker import ColourPicker, Swatch
from napari_fossiledit.widgets.preferences import labelled_slices
from napari_fossiledit.widgets.probe_jobs import Preview, Probed, preview_task, probe_task
from napari_fossiledit.widgets.segment_page import add_segmented
from napari_fossiledit.widgets.tables import FigureTable, figure, share

__all__ = ["ProbePage"]

_TARGETS = {"Everything but the fossils": "others", "The fossils": "fossils"}
_FILLS = {"Median colour of the rock": "median", "A colour picked in the image": "colour"}
THIS, SEVERAL = "This slice", "Labelled slices"


class ProbePage(Page):
    """Perturb slices, and compare what the model says."""

    title = "Find weaknesses"

    def build(self) -> None:
        """Make the page's widgets."""
        self.body.addWidget(
            note("Paint over part of a slice and see whether the model changes its mind.")
        )
        self._build_recipe()
        self.preview = self.button("Preview the painted slice", self._preview)
        self.body.addWidget(self.preview)
        self.scope = quiet_combo(QComboBox())
        self.scope.addItems([THIS, SEVERAL])
        self.scope.currentTextChanged.connect(self.refresh)
        self.at_most = QSpinBox()
        self.at_most.setRange(1, 50)
        self.at_most.setPrefix("at most ")
        self.at_most.setValue(labelled_slices())
        self.body.addLayout(row(note("Probe"), self.scope, self.at_most, stretch=1))
        self.probe = self.button("Probe the model", self._probe, main=True)
        self.body.addWidget(self.probe)
        self.table = FigureTable()
        self.diagnosis = note()
        self.show_layers = self.button("Show the three versions as layers", self._show_layers)
        for widget in (self.table, self.diagnosis, self.show_layers):
            self.body.addWidget(widget)
        self._shown: Any = None

    def _build_recipe(self) -> None:
        self.target, self.fill = quiet_combo(QComboBox()), quiet_combo(QComboBox())
        self.target.addItems(list(_TARGETS))
        self.fill.addItems(list(_FILLS))
        self.swatch, self.pick = Swatch(), self.button("Pick in image", lambda: None)
        self.picker = ColourPicker(self.bench, self.pick)
        self.picker.picked.connect(self._picked)
        self.pick.toggled.connect(self.bench.touch)
        self.fraction = QDoubleSpinBox()
        self.fraction.setRange(1, 100)
        self.fraction.setDecimals(0)
        self.fraction.setSuffix(" %")
        self.fraction.setValue(100)
        self.fraction.setToolTip(
            "Below 100 %, whole patches are painted in random order until this share is reached."
        )
        self.seed = QSpinBox()
        self.seed.setRange(0, 9999)
        self.seed.setToolTip("Another seed paints other patches.")
        self._form = self.form()
        self._form.addRow("Paint over", self.target)
        self._form.addRow("with", self.fill)
        self.colour_row = row(self.swatch, self.pick, stretch=1)
        self._form.addRow("Colour", self.colour_row)
        self._form.addRow("Share", self.fraction)
        self._form.addRow("Seed", self.seed)
        for spin in (self.fraction, self.seed):
            spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            spin.valueChanged.connect(self._recipe_chosen)
        for combo in (self.target, self.fill):
            combo.activated.connect(self._recipe_chosen)

    def _recipe_chosen(self, *_: Any) -> None:
        self.session.recipe = replace(
            self.session.recipe,
            target=_TARGETS[self.target.currentText()],
            fill=_FILLS[self.fill.currentText()],
            fraction=self.fraction.value() / 100,
            seed=self.seed.value(),
        )

    def _picked(self, colour: tuple[int, int, int]) -> None:
        self.session.recipe = replace(self.session.recipe, fill="colour", colour=colour)

    def refresh(self) -> None:
        """Show the recipe, the buttons' state and the last probe."""
        recipe = self.session.recipe
        self.target.setCurrentText(next(k for k, v in _TARGETS.items() if v == recipe.target))
        self.fill.setCurrentText(next(k for k, v in _FILLS.items() if v == recipe.fill))
        self.swatch.show_colour(recipe.colour)
        self._form.setRowVisible(self.colour_row, recipe.fill == "colour")
        self._form.setRowVisible(self.seed, recipe.fraction < 1)
        self.at_most.setVisible(self.scope.currentText() == SEVERAL)
        down = self.pick.isChecked()
        self.pick.setText("Click on mud in the image…" if down else "Pick in image")
        set_ready(self.pick, "" if down else self.bench.why_not(), "Then click on bare mud.")
        unpicked = recipe.fill == "colour" and recipe.colour is None
        missing = "Pick the mud's colour in the image first." if unpicked else ""
        set_ready(
            self.preview,
            self.bench.why_not(labels=True) or missing,
            "Adds the painted slice as a new image layer.",
        )
        set_ready(
            self.probe,
            self.bench.why_not(labels=True, model=True) or missing,
            "Predict the slice as it is, with all else painted over, and with the fossils painted.",
        )
        probed = self.session.result("probe")
        if probed is not self._shown:
            self._shown = probed
            self._show(probed)
        self.show_layers.setVisible(probed is not None)
        set_ready(
            self.show_layers,
            self.bench.why_not(),
            "The painted images and what the model finds in each, as new layers.",
        )

    def _sources(self) -> tuple[Any, Any, Any]:
        session, bench = self.session, self.bench
        return bench.stack(), bench.labels(session.labels), bench.labels(session.confusers)

    def _needs(self) -> list[str]:
        session = self.session
        return [session.stack, session.labels, session.confusers]

    def _preview(self) -> None:
        self.bench.attempt(self._start_preview)

    def _start_preview(self) -> None:
        if self.bench.why_not(labels=True):
            return
        stack, labels, _ = self._sources()
        z, recipe = self.bench.current_z(), self.session.recipe
        self.bench.start(
            lambda: preview_task(stack, labels, z, recipe),
            title="Paint the slice",
            on_done=self._previewed,
            needs=[self.session.stack, self.session.labels],
        )

    def _previewed(self, made: Preview) -> None:
        self._add_slice(made.image, f"{made.stack.name} {made.z}: {made.words}", made)
        if made.reached < 1:
            self.bench.tell(f"{made.reached:.0%} of the target's pixels were painted.")

    def _add_slice(self, image: Any, name: str, at: Any) -> Any:
        flat = at.stack.flat
        return self.bench.add_image(
            image if flat else image[None], name, placed(at.stack.place, at.z), rgb=True
        )

    def _probe(self) -> None:
        self.bench.attempt(self._start_probe)

    def _start_probe(self) -> None:
        if self.bench.why_not(labels=True, model=True):
            return
        stack, labels, confusers = self._sources()
        one = self.scope.currentText() == THIS
        only, at_most = self.bench.current_z() if one else None, self.at_most.value()
        segmenter, recipe = self.session.segmenter, self.session.recipe
        self.bench.start(
            lambda: probe_task(segmenter, stack, labels, confusers, recipe, only, at_most),
            title="Probe the model",
            on_done=lambda result: self.session.set_result("probe", result),
            holds_weights=True,
            needs=self._needs(),
        )

    def _show(self, probed: Probed | None) -> None:
        if probed is None:
            self.table.fill([], [])
            say(self.diagnosis, "")
            return
        rows = probed.result.rows
        scores = [r.scores for r in rows]
        head = ["", "original", "others\npainted", "fossils\npainted"]
        table = [
            ["Precision", *(figure(s.matched_mean.precision) for s in scores)],
            ["Recall", *(figure(s.matched_mean.recall) for s in scores)],
            ["IoU", *(figure(s.matched_mean.iou) for s in scores)],
            ["Fossils found", *(f"{s.matched} of {s.total}" for s in scores)],
            ["False detections", *(str(s.false_detections) for s in scores)],
            ["Spurious pixels", *(share(s.spurious_fraction) for s in scores)],
        ]
        if scores[0].confuser_share is not None:
            table.append(["Confusers claimed", *(share(s.confuser_share) for s in scores)])
        self.table.fill(head, table)
        count = len(probed.slices)
        where = f"Slice {probed.z}" if count == 1 else f"{count} labelled slices"
        say(self.diagnosis, f"{where}: {probed.result.diagnosis}")

    def _show_layers(self) -> None:
        probed = self.session.result("probe")
        if probed is None:
            return
        for version in probed.result.rows:
            if version.version != "original":
                self._add_slice(
                    version.images[0], f"{probed.stack.name} {probed.z}: {version.version}", probed
                )
            add_segmented(
                self.bench.add_labels,
                probed.painted[version.version],
                f"found {probed.z}: {version.version}",
                probed.stack.place,
                visible=version.version != "original",
            )
