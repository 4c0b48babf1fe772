"""The table of specimens, linked with the viewer, and its figures."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QVBoxLayout, QWidget

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.figure_picture import FigurePicture
from napari_fossiledit.widgets.frame_table import FrameTable
from napari_fossiledit.widgets.measure_jobs import save_table, specimen_table_task
from napari_fossiledit.widgets.measurement_names import (
    column_tip,
    column_title,
    numeric_columns,
)
from napari_fossiledit.widgets.page import note, quiet_combo, row, say, set_ready, warn
from napari_fossiledit.widgets.specimen_figures import histogram_figure, rose_figure
from napari_fossiledit.widgets.specimens import Specimens

__all__ = ["MeasureBox"]

_FILES = "Table as CSV (*.csv);;Table as Parquet (*.parquet)"
_PLOT = 230  # px
_ROSE = "azimuth_deg"


class MeasureBox(QWidget):
    """Measure the specimens; their table, a histogram and a rose.

    Parameters
    ----------
    bench : Bench
    specimens : Specimens
    button : callable
        Makes the page's buttons.
    go_to : callable
        Brings a specimen into view, by its number.
    """

    def __init__(self, bench: Bench, specimens: Specimens, button: Any, go_to: Any) -> None:
        super().__init__()
        self._bench, self._specimens, self._go_to = bench, specimens, go_to
        self.surface = QCheckBox("Surface areas (takes most of the time)")
        self.surface.setChecked(True)
        self.start = button("Measure", self._start, main=True)
        self.save = button("Save the table…", self._save)
        self.caution = note()
        self.table = FrameTable(rows=9)
        self.said = note()
        self.plot = quiet_combo(QComboBox())
        self.picture = FigurePicture(_PLOT)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.surface)
        layout.addLayout(row(self.start, self.save, stretch=0))
        for widget in (self.caution, self.said, self.table, self.plot, self.picture):
            layout.addWidget(widget)
        self.table.picked.connect(self._picked)
        self.plot.activated.connect(lambda _: self._draw())
        specimens.changed.connect(self.refresh)
        specimens.selected_changed.connect(self._selected)
        self._shown: Any = None

    def refresh(self) -> None:
        """Show the table there is, and whether it is up to date."""
        specimens = self._specimens
        why = self._bench.why_not(stack=False)
        if not why and specimens.layer is None:
            why = "Choose specimens first: link labels above."
        if not why and not specimens.unit_now:
            why = "The layer's axes have different units: set them to one, e.g. mm."
        again = " again" if specimens.stale else ""
        self.start.setText(f"Measure{again}")
        set_ready(self.start, why, "Volume, surface, shape and orientation of every specimen.")
        nothing = "" if specimens.table is not None else "Measure the specimens first."
        set_ready(self.save, nothing, "As CSV for spreadsheets, or as Parquet.")
        if specimens.table is not self._shown:
            self._shown = specimens.table
            self._fill()
        warn(
            self.caution,
            "The table is out of date: specimens were edited since. Measure again."
            if specimens.stale
            else "",
        )

    def _start(self) -> None:
        specimens = self._specimens
        layer, size = specimens.layer, specimens.voxel_size
        if layer is None or size is None or self._bench.why_not(stack=False):
            return
        data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
        name, unit, surface = layer.name, specimens.unit_now, self.surface.isChecked()
        edits = specimens.edits

        def done(table: Any) -> None:
            if specimens.layer is layer:
                specimens.set_table(table, unit, stale=specimens.edits != edits)
                self._selected()

        self._bench.start(
            lambda: specimen_table_task(data, name, size, unit, surface=surface),
            title="Measure specimens",
            on_done=done,
            needs=[name],
        )

    def _fill(self) -> None:
        specimens, table = self._specimens, self._specimens.table
        unit = specimens.unit
        self.table.show_frame(
            table, lambda name: column_title(name, unit), lambda name: column_tip(name, unit)
        )
        chosen = self.plot.currentData()
        with QSignalBlocker(self.plot):
            self.plot.clear()
            for name in [] if table is None else numeric_columns(table.columns):
                title = column_title(name, unit).split("\n")[0]
                self.plot.addItem(f"Histogram: {title}", name)
            if table is not None and _ROSE in table:
                self.plot.addItem("Rose: azimuth of the longest axes", "rose")
            self.plot.setCurrentIndex(max(0, self.plot.findData(chosen)))
            if chosen is None and table is not None:
                wanted = next((n for n in table.columns if n.startswith("volume_")), "")
                self.plot.setCurrentIndex(max(0, self.plot.findData(wanted)))
        self.plot.setVisible(table is not None)
        if table is None:
            say(self.said, "")
        else:
            count = len(table)
            say(
                self.said,
                f"{count} specimen{'' if count == 1 else 's'}. Click a row to go there; click a "
                "specimen in the viewer to find its row. Ctrl+C copies the table.",
            )
        self._draw()

    def _draw(self) -> None:
        specimens, table = self._specimens, self._specimens.table
        name = self.plot.currentData()
        if table is None or not name:
            self.picture.show_figure(None)
            return
        if name == "rose":
            azimuth = table[_ROSE].to_numpy(float)
            self.picture.show_figure(lambda *look: rose_figure(azimuth, *look))
            self.picture.setToolTip(
                "Directions of the longest axes in the section, clockwise from the image's upper "
                "edge. An axis has two ends: each is drawn twice (0 to 180°, mirrored). A petal's "
                "area stands for its number of specimens; the line is the mean axis."
            )
            return
        values, unit = table[name].to_numpy(float), specimens.unit
        chosen = values[table["id"].isin(specimens.selected).to_numpy()]
        self.picture.show_figure(
            lambda *look: histogram_figure(values, name, unit, *look, chosen=chosen)
        )
        self.picture.setToolTip(
            f"{column_tip(name, unit)} Dashed: the median. Orange: the selected specimens."
        )

    # ---- selection ------------------------------------------------------------------------

    def _picked(self, rows: list[int]) -> None:
        table = self._specimens.table
        if table is None:
            return
        ids = table["id"].to_numpy()[rows].tolist()
        self._specimens.select(ids)
        if ids:
            self._bench.attempt(lambda: self._go_to(ids[-1]))

    def _selected(self) -> None:
        """Show in the table what is selected in the viewer."""
        table = self._specimens.table
        if table is None:
            return
        place = {int(number): i for i, number in enumerate(table["id"].tolist())}
        self.table.choose([place[i] for i in self._specimens.selected if i in place])
        self._draw()

    # ---- saving ---------------------------------------------------------------------------

    def _save(self) -> None:
        name = "" if self._specimens.layer is None else self._specimens.layer.name
        start = f"{name or 'specimens'}.csv".replace(":", "").replace("/", "-")
        path, picked = QFileDialog.getSaveFileName(self, "Save the table", start, _FILES)
        if path:
            suffix = ".parquet" if "parquet" in picked and "." not in path[-9:] else ""
            self._bench.attempt(lambda: self.save_to(path + suffix))

    def save_to(self, path: str) -> None:
        """Write the table as CSV or Parquet.

        Raises
        ------
        OutputError
            When the file cannot be written there.
        """
        if self._specimens.table is None:
            return
        target = save_table(self._specimens.table, path)
        stale = " It was measured before the last edits." if self._specimens.stale else ""
        self._bench.tell(f"The table was saved to {target}.{stale}")
