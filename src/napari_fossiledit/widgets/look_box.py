"""Colours of the specimens, and whether only the selected are shown."""

from __future__ import annotations

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtWidgets import QCheckBox, QComboBox, QVBoxLayout, QWidget

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.colour_legend import ColourLegend
from napari_fossiledit.widgets.measurement_names import (
    axial_columns,
    column_title,
    numeric_columns,
)
from napari_fossiledit.widgets.page import quiet_combo, set_ready
from napari_fossiledit.widgets.specimen_colours import Scale, colours_by, only, scale_of
from napari_fossiledit.widgets.specimens import Specimens

__all__ = ["LookBox"]

BY_NUMBER = "number"


class LookBox(QWidget):
    """Colour the specimens' layers by number or by a measurement.

    Parameters
    ----------
    bench : Bench
    specimens : Specimens
    """

    def __init__(self, bench: Bench, specimens: Specimens) -> None:
        super().__init__()
        self._bench, self._specimens = bench, specimens
        self._base: dict[int, object] = {}  # by the layer's id: its colours as they were
        self.by = quiet_combo(QComboBox())
        self.only = QCheckBox("Show only the selected")
        self.legend = ColourLegend()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.by, self.legend, self.only):
            layout.addWidget(widget)
        self.by.activated.connect(lambda _: self.paint())
        self.only.toggled.connect(lambda _: self.paint())
        specimens.selected_changed.connect(self._selected)
        specimens.changed.connect(self.refresh)
        self._offered: list[str] = []

    @property
    def column(self) -> str:
        """The measurement that gives the colours, or ''."""
        return str(self.by.currentData() or "")

    def refresh(self) -> None:
        """Offer the measurements there are."""
        specimens = self._specimens
        table = specimens.table
        names = [] if table is None else numeric_columns(table.columns)
        names = [n for n in names if np.isfinite(table[n].to_numpy(float)).any()]  # type: ignore[index]
        if [BY_NUMBER, *names] != self._offered:
            chosen = self.column
            self.by.clear()
            self.by.addItem("Colours by number", "")
            for name in names:
                title = column_title(name, specimens.unit).replace("\n", " in ")
                self.by.addItem(f"Colours by {title}", name)
            self.by.setCurrentIndex(max(0, self.by.findData(chosen)))
            self._offered = [BY_NUMBER, *names]
            if chosen != self.column:
                self.paint()
        none = specimens.layer is None
        why = "Choose specimens first." if none else "" if names else "Measure the specimens first."
        set_ready(self.by, why, "What the colours tell. Specimens without a value are grey.")
        why = "Choose specimens first." if none else ""
        if not why and not specimens.selected and not self.only.isChecked():
            why = "Select specimens first: click them in the viewer, or in the table."
        set_ready(self.only, why, "Hide all others, in 3D and in the slices.")

    def _selected(self) -> None:
        if self.only.isChecked():
            self.paint()
        self.refresh()

    def paint(self) -> None:
        """Colour the specimens' layers as chosen."""
        specimens = self._specimens
        scale = self._scale()
        for layer in (specimens.layer, specimens.preview):
            if layer is not None:
                self._paint_layer(layer, scale)
        if scale is None:
            self.legend.show_scale(None, "")
        else:
            title = column_title(self.column, specimens.unit).replace("\n", " in ")
            stale = " (before the last edits)" if specimens.stale else ""
            self.legend.show_scale(scale, title + stale)

    def _scale(self) -> Scale | None:
        table = self._specimens.table
        if table is None or self.column not in table:
            return None
        return scale_of(table[self.column], axial=self.column in axial_columns(table.columns))

    def _paint_layer(self, layer: object, scale: Scale | None) -> None:
        base = self._base_of(layer)
        specimens, selected = self._specimens, self._specimens.selected
        filtered = self.only.isChecked() and selected
        if scale is None and not filtered:
            layer.colormap = base  # type: ignore[attr-defined]
            return
        if scale is None:
            colours = only(selected, base.map)  # type: ignore[attr-defined]
        else:
            table = specimens.table
            assert table is not None
            colours = colours_by(table["id"], table[self.column], scale)
            if filtered:
                colours = only(selected, colours)
        layer.colormap = DirectLabelColormap(color_dict=colours)  # type: ignore[attr-defined]

    def _base_of(self, layer: object) -> object:
        """The layer's colours before this box changed them."""
        colormap = layer.colormap  # type: ignore[attr-defined]
        mine = isinstance(colormap, DirectLabelColormap) and id(layer) in self._base
        if not mine:
            self._base[id(layer)] = colormap
        return self._base[id(layer)]
