"""Page 4: find out how the model errs, by painting over part of a slice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from weakref import ref

from qtpy.QtWidgets import QCheckBox, QComboBox, QSpinBox

from napari_fossiledit.widgets.layers import placed
from napari_fossiledit.widgets.live_preview import LivePreview
from napari_fossiledit.widgets.page import Page, note, quiet_combo, row, say, set_ready, warn
from napari_fossiledit.widgets.preferences import labelled_slices
from napari_fossiledit.widgets.preview_jobs import Preview, Wanted, preview_task
from napari_fossiledit.widgets.probe_jobs import probe_task
from napari_fossiledit.widgets.probe_results import ProbeResults
from napari_fossiledit.widgets.recipe_box import RecipeBox
from napari_fossiledit.widgets.textures import texture_map

__all__ = ["ProbePage"]

THIS, SEVERAL = "This slice", "Labelled slices"


class ProbePage(Page):
    """Perturb slices, and compare what the model says."""

    title = "Find weaknesses"

    def build(self) -> None:
        """Make the page's widgets."""
        self.body.addWidget(
            note("Paint over part of a slice and see whether the model changes its mind.")
        )
        self.recipe = RecipeBox(self.bench)
        self.live = QCheckBox("Live preview")
        self.live.setToolTip("One layer shows the slice as these settings paint it.")
        self.live_preview = LivePreview(self.bench, self)
        self.live.toggled.connect(self.live_preview.switch)
        self.recipe.changed.connect(self.live_preview.follow)
        self.preview = self.button("Preview the painted slice", self._preview)
        self.said = note()
        self.live_preview.said.connect(self._say)
        self.live_preview.switched.connect(self.live.setChecked)
        self.body.addWidget(self.recipe)
        self.body.addLayout(row(self.live, self.preview, stretch=1))
        self.body.addWidget(self.said)
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
        self.results = ProbeResults(self.bench, self.button)
        self.body.addWidget(self.results)
        self._shown: Any = None

    def refresh(self) -> None:
        """Show the recipe, the buttons' state and the last probe."""
        self.recipe.refresh()
        self.live_preview.follow()
        self.at_most.setVisible(self.scope.currentText() == SEVERAL)
        missing = self.session.recipe.missing
        set_ready(
            self.preview,
            self.bench.why_not(labels=True) or missing,
            "Adds the painted slice as a new image layer.",
        )
        set_ready(
            self.probe,
            self.bench.why_not(labels=True, model=True) or missing,
            "Predict slices as they are and painted over, and compare fossil by fossil.",
        )
        probed = self.session.result("probe")
        if probed is not self._shown:
            self._shown = probed
            self.results.show_probed(probed)
        self.results.refresh()

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
        wanted = Wanted(stack, labels, self.bench.current_z(), self.session.recipe)
        self.bench.start(
            lambda: preview_task(wanted),
            title="Paint the slice",
            on_done=self._previewed,
            needs=[self.session.stack, self.session.labels],
        )

    def _previewed(self, made: Preview) -> None:
        self._add_slice(made.image, f"{made.stack.name} {made.z}: {made.words}", made)
        self._say(" ".join(made.said))

    def _say(self, text: str, problem: bool = False) -> None:
        if problem:
            warn(self.said, text)
        else:
            self.said.setStyleSheet("")
            say(self.said, text)

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
        layer: Any = self.bench.layer(self.session.labels)
        at = {"stack_layer": ref(self.bench.stack_layer), "labels_layer": ref(layer)}
        textures = texture_map(layer.features)
        self.bench.start(
            lambda: probe_task(
                segmenter, stack, labels, confusers, recipe, only, at_most, textures=textures
            ),
            title="Probe the model",
            on_done=lambda result: self.session.set_result("probe", replace(result, **at)),
            holds_weights=True,
            needs=self._needs(),
        )
