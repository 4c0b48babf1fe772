"""Editing specimens by hand: merge, split, delete, fill a missing slice; undo and redo."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from qtpy.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.hand_jobs import apply_edit, hand_edit_task
from napari_fossiledit.widgets.layers import role, spatial
from napari_fossiledit.widgets.page import note, say, set_ready, warn
from napari_fossiledit.widgets.specimen_jobs import copy_task
from napari_fossiledit.widgets.specimens import Specimens, edit_problem

__all__ = ["EditBox"]

_SELECT = "Select a specimen first: click it in the viewer, or in the table."
_UNDO, _REDO = "Control-Z", "Control-Shift-Z"


class EditBox(QWidget):
    """The buttons that change specimens, and what the last one did."""

    def __init__(self, bench: Bench, specimens: Specimens, button: Any) -> None:
        super().__init__()
        self._bench, self._specimens = bench, specimens
        self.caution = note()
        self.copy = button("Copy to edit", self._copy)
        self.merge = button("Merge", lambda: self._start("merge"))
        self.split = button("Split", lambda: self._start("split"))
        self.fill = button("Fill", lambda: self._start("fill"))
        self.delete = button("Delete", lambda: self._start("delete"))
        self.undo = button("Undo", partial(self._step, "undo"))
        self.redo = button("Redo", partial(self._step, "redo"))
        self.said = note()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.caution)
        layout.addWidget(self.copy)
        grid = QGridLayout()
        buttons = (self.merge, self.delete, self.split, self.fill, self.undo, self.redo)
        for i, each in enumerate(buttons):
            grid.addWidget(each, i // 2, i % 2)
        layout.addLayout(grid)
        layout.addWidget(self.said)
        specimens.changed.connect(self._rewire)
        specimens.selected_changed.connect(self.refresh)
        self._keyed: list[Any] = []

    @property
    def z(self) -> int:
        """Slice of the specimens' layer that the viewer shows."""
        layer = self._specimens.layer
        at = round(float(layer.world_to_data(self._bench.viewer.dims.point)[-3]))
        return min(max(at, 0), int(layer.data.shape[0]) - 1)

    def refresh(self) -> None:
        """Enable what can be done now, and say why the rest cannot."""
        layer, selected = self._specimens.layer, self._specimens.selected
        problem = edit_problem(layer)
        own = layer is not None and bool(problem)
        warn(self.caution, problem if own else "")
        self.copy.setVisible(own)
        busy = self._bench.why_not(stack=False)
        set_ready(self.copy, busy, "A copy in memory, as a new layer; the original stays as it is.")
        why = busy or problem or ("" if selected else _SELECT)
        more = "" if len(selected) > 1 else "Select two or more: Ctrl+click in the viewer or table."
        listed = ", ".join(map(str, sorted(selected)[:6])) + (" …" if len(selected) > 6 else "")
        self.merge.setText(f"Merge {len(selected)}" if len(selected) > 1 else "Merge")
        set_ready(self.merge, why or more, f"Make {listed} one specimen.")
        self.delete.setText(f"Delete {len(selected)}" if len(selected) > 1 else "Delete")
        set_ready(self.delete, why, f"Turn {listed} into background.")
        self._refresh_slice_buttons(why)
        for each, name in ((self.undo, "_undo_history"), (self.redo, "_redo_history")):
            history: Any = getattr(layer, name, None)
            nothing = "" if history else f"There is nothing to {each.text().lower()}."
            tip = "Take the last change back (Ctrl+Z)." if each is self.undo else "(Ctrl+Shift+Z)"
            set_ready(each, busy or problem or nothing, tip)

    def _refresh_slice_buttons(self, why: str) -> None:
        selected, layer = self._specimens.selected, self._specimens.layer
        if not why and len(selected) > 1:
            why = "Select a single specimen."
        if not why and self._bench.viewer.dims.ndisplay == 3:
            why = "Go to a slice first ('Back to slices'): it is done at the slice that is shown."
        here = "" if layer is None or why else f" at slice {self.z}"
        self.split.setText(f"Split{here}")
        self.fill.setText(f"Fill{here.replace(' at', '')}")
        row = self._specimens.row_of(selected[0]) if len(selected) == 1 else None
        known = row is not None and not self._specimens.stale
        first, last = -1, 1 << 31
        if row is not None and known:
            first, last = int(row["z_first"]), int(row["z_last"])
        number = selected[0] if selected else 0
        outside = f"Specimen {number} lies in slices {first} to {last}: go to a slice"
        there = not why and bool((np.asarray(layer.data[self.z]) == number).any())
        no_split, no_fill = why, why
        if not why and known and not first < self.z <= last:
            no_split = f"{outside} after the first."
        if not why and there:
            no_fill = f"Slice {self.z} has specimen {number} already: go to one that misses it."
        elif not why and known and not first < self.z < last:
            no_fill = f"{outside} between them that misses it."
        set_ready(self.split, no_split, f"From this slice on, specimen {number} gets a new number.")
        set_ready(
            self.fill, no_fill, "Draw it here from its outlines in the slices before and after."
        )

    # ---- doing ----------------------------------------------------------------------------

    def _start(self, kind: str) -> None:
        specimens, bench = self._specimens, self._bench
        layer, ids = specimens.layer, specimens.selected
        if bench.why_not(stack=False) or edit_problem(layer) or not ids:
            return
        z = self.z if bench.viewer.dims.ndisplay == 2 else 0
        size = (float(layer.scale[-2]), float(layer.scale[-1]))
        edits = specimens.edits
        bench.start(
            lambda: hand_edit_task(layer.data, kind, ids, z, size),
            title={"fill": "Fill a slice"}.get(kind, f"{kind.capitalize()} specimens"),
            on_done=lambda edit: self._done(layer, edit, edits),
            needs=[layer.name],
        )

    def _done(self, layer: Any, edit: Any, edits: int) -> None:
        specimens = self._specimens
        if specimens.layer is not layer or specimens.edits != edits:
            say(self.said, "The labels were changed meanwhile, so nothing was done: try again.")
            return
        if not self._bench.attempt(lambda: apply_edit(layer, edit)):
            return
        say(self.said, f"{edit.words} ({len(edit.values)} voxels). Ctrl+Z takes it back.")
        specimens.select(edit.ids)
        specimens.mark_edited()

    def _step(self, name: str, *_: Any) -> None:
        """Undo or redo on the specimens' layer, also while the 3D preview is the active one."""
        layer = self._specimens.layer
        if layer is None or edit_problem(layer):
            return
        history = getattr(layer, f"_{name}_history", ())
        if not history:
            return
        getattr(layer, name)()
        say(self.said, "Taken back." if name == "undo" else "Done again.")
        self._specimens.mark_edited()

    def _rewire(self) -> None:
        """Let the keys of the specimens' two layers undo the specimens' edits."""
        for layer in (self._specimens.layer, self._specimens.preview):
            if layer is not None and role(layer) == "result" and layer not in self._keyed:
                layer.bind_key(_UNDO, lambda _: self._step("undo"), overwrite=True)
                layer.bind_key(_REDO, lambda _: self._step("redo"), overwrite=True)
                self._keyed.append(layer)
        self._keyed = [x for x in self._keyed if x in self._bench.viewer.layers]
        self.refresh()

    def _copy(self) -> None:
        layer = self._specimens.layer
        if layer is None or self._bench.why_not(stack=False):
            return
        data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
        name, place = layer.name, spatial(layer)

        def done(copy: Any) -> None:
            layer.visible = False
            made = self._bench.add_labels(
                copy, f"{name}: specimens", place, features=layer.features, opacity=layer.opacity
            )
            if self._bench.viewer.dims.ndisplay == 3:
                made.visible = False
            self._specimens.choose(made)
            say(self.said, f"'{made.name}' is a copy: edit it as you like.")

        self._bench.start(lambda: copy_task(data), title="Copy labels", on_done=done, needs=[name])
