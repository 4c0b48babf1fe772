"""What a probe found: diagnosis, figures, and every fossil as a point and in a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.go_to import go_to_instance
from napari_fossiledit.widgets.layers import placed
from napari_fossiledit.widgets.page import note, quiet_combo, row, say, set_ready
from napari_fossiledit.widgets.probe_jobs import Probed, version_labels
from napari_fossiledit.widgets.probe_view import (
    SCORE_NAMES,
    figure_table,
    instance_words,
    legend_words,
    place_words,
    slice_number,
    texture_table,
)
from napari_fossiledit.widgets.scatter import Dot, ScatterPlot
from napari_fossiledit.widgets.segment_page import add_segmented
from napari_fossiledit.widgets.tables import FigureTable
from napari_fossiledit.widgets.textures import with_textures, without_slices

__all__ = ["InstanceList", "ProbeResults"]

_ROWS = 8
_SLICE, _ID, _TEXTURE, _ORIGINAL, _PAINTED, _CHANGE = range(6)
_TABLES = "Tables (*.csv *.txt *.json);;All files (*)"


class _Item(QTreeWidgetItem):
    """A line that is sorted by its numbers, not by their texts."""

    def __lt__(self, other: QTreeWidgetItem) -> bool:
        column = self.treeWidget().sortColumn()
        role = Qt.ItemDataRole.UserRole
        mine, theirs = self.data(column, role), other.data(column, role)
        return bool(mine < theirs)


class InstanceList(QTreeWidget):
    """Every labelled fossil, the worst first; a click on a column's head sorts by it."""

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderLabels(["Slice", "Id", "Texture", "as is", "painted", "change"])
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAlternatingRowColors(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.header()
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(28)
        self._fit()
        for column in range(6):
            side = Qt.AlignmentFlag.AlignLeft if column == _TEXTURE else Qt.AlignmentFlag.AlignRight
            self.headerItem().setTextAlignment(column, side | Qt.AlignmentFlag.AlignVCenter)
        self.setToolTip("Click on a fossil to go there; click on a column's head to sort by it.")
        self.hide()

    def fill(self, instances: Any, version: str, score: str) -> None:
        """List instances; each line remembers its place in ``instances``.

        Of several that are equally bad, those that gain most from the paint come first.
        """
        known = any(one.texture for one in instances)
        self.setSortingEnabled(False)
        self.clear()
        items = []
        order = sorted(range(len(instances)), key=lambda i: -instances[i].change(version, score))
        for at in order:
            one = instances[at]
            was, now = one.score("original", score), one.score(version, score)
            values = (slice_number(one.slice), one.instance, one.texture or "", was, now, now - was)
            texts = [str(value) for value in values[:_ORIGINAL]]
            texts += [f"{was:.2f}", f"{now:.2f}", f"{now - was:+.2f}"]
            item = _Item(texts)
            for column, value in enumerate(values):
                item.setData(column, Qt.ItemDataRole.UserRole, value)
                if column != _TEXTURE:
                    item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight)
            item.setData(0, Qt.ItemDataRole.UserRole + 1, at)
            items.append(item)
        self.addTopLevelItems(items)
        self._fit(_TEXTURE if known else _SLICE)
        self.setColumnHidden(_TEXTURE, not known)
        self.setSortingEnabled(True)
        self.sortByColumn(_ORIGINAL, Qt.SortOrder.AscendingOrder)
        header = self.header()
        header.setSortIndicatorShown(False)  # napari draws it over the head's text
        lines = min(_ROWS, max(len(items), 1))
        height = self.sizeHintForRow(0) if items else 0
        self.setFixedHeight(header.sizeHint().height() + lines * height + 2 * self.frameWidth() + 2)
        self.setVisible(bool(items))

    def _fit(self, widest: int = _TEXTURE) -> None:
        """Give every column the room of its head, and what is left to one of them."""
        header = self.header()
        for column in range(self.columnCount()):
            if column == widest:
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
                continue
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            text = max(self.headerItem().text(column), "0000", key=len)
            header.resizeSection(column, self.fontMetrics().horizontalAdvance(text) + 16)

    def place_of(self, item: QTreeWidgetItem) -> int:
        """Place among the instances of a line."""
        return int(item.data(0, Qt.ItemDataRole.UserRole + 1))

    def choose(self, at: int) -> None:
        """Select the line of an instance, without telling."""
        for i in range(self.topLevelItemCount()):
            item = self.topLevelItem(i)
            if self.place_of(item) == at:
                with QSignalBlocker(self):
                    self.setCurrentItem(item)
                self.scrollToItem(item)
                return


class ProbeResults(QWidget):
    """Shows a `Probed`; points and lines lead to the fossils in the viewer.

    Parameters
    ----------
    bench : Bench
    button : callable
        The page's, see `Page.button`.
    """

    def __init__(self, bench: Bench, button: Any) -> None:
        super().__init__()
        self._bench = bench
        self._probed: Probed | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        self.diagnosis, self.more = note(), note()
        self.diagnosis.setStyleSheet("QLabel { font-weight: bold; }")
        self.table, self.by_texture = FigureTable(), FigureTable()
        self.legend = note(
            "Below each figure: the 95 % interval of its change from the original, for shares in "
            "percentage points. Found: detected with a confidence of 0.5 or more."
        )
        self.score, self.version = quiet_combo(QComboBox()), quiet_combo(QComboBox())
        self.score.addItems(list(SCORE_NAMES))
        self.plot, self.list = ScatterPlot(), InstanceList()
        self.hint = note("Each point is a fossil. Click on one, here or in the list, to go there.")
        self.show_layers = button("Show the painted versions as layers", self._show_layers)
        self.save = button("Save the list…", self._save)
        self.load = button("Load textures…", self._load)
        choice = row(QLabel("Show"), self.score, QLabel("of"), self.version)
        choice.setStretch(1, 1)
        choice.setStretch(3, 2)
        self._details = QWidget()
        inner = QVBoxLayout(self._details)
        inner.setContentsMargins(0, 0, 0, 0)
        for widget in (self.table, self.legend, self.by_texture):
            inner.addWidget(widget)
        inner.addLayout(choice)
        for widget in (self.plot, self.hint, self.list):
            inner.addWidget(widget)
        inner.addLayout(row(self.load, self.save))
        inner.addWidget(self.show_layers)
        layout.addWidget(self.diagnosis)
        layout.addWidget(self.more)
        layout.addWidget(self._details)
        self._details.hide()
        self.plot.picked.connect(self._picked)
        self.list.itemClicked.connect(self._clicked)
        self.list.itemActivated.connect(self._clicked)
        self.score.activated.connect(self._draw)
        self.version.activated.connect(self._draw)

    def refresh(self) -> None:
        """Set the buttons' state."""
        set_ready(
            self.show_layers,
            self._why_no_layers(),
            "The painted images and what the model finds in each, as new layers: of the slice "
            "that is shown if it was probed, else of the first.",
        )
        set_ready(
            self.load,
            "" if self._labels() is not None else "The labels that were probed are gone.",
            "A table with the columns id and texture: the next probe tells textures apart. "
            "It becomes a column of the labels layer's features.",
        )
        self.save.setToolTip("All fossils with their scores in every version, as CSV.")

    def _why_no_layers(self) -> str:
        if self._probed is None:
            return ""
        if not self._probed.result.rows[0].images:
            return (
                "The painted images of so many large slices were not kept, to spare memory: "
                "probe fewer slices at once to see them."
            )
        return "" if self._stack() is not None else self._gone()

    def show_probed(self, probed: Probed | None) -> None:
        """Show another probe, or nothing."""
        self._probed = probed
        self._details.setVisible(probed is not None)
        if probed is None:
            say(self.diagnosis, "")
            say(self.more, "")
            self.plot.show_dots([], "", "")
            self.list.fill([], "", "iou")
            return
        result = probed.result
        first, *more = result.findings
        say(self.diagnosis, f"{place_words(result.slices)}: {first}")
        say(self.more, "\n".join([*more, *(f"Note: {line}." for line in result.notes[:3])]))
        self.table.fill(*figure_table(result))
        self.by_texture.fill(*texture_table(result))
        versions = [r.version for r in result.rows if r.version != "original"]
        self.version.clear()
        self.version.addItems(versions)
        self.version.setCurrentText(result.painted)
        self.plot.choose(None)
        self._draw()
        self.refresh()

    def _draw(self, *_: Any) -> None:
        """Draw plot and list for the score and version chosen."""
        from napari_fossiledit.pipeline.probe_figure import texture_colours

        probed = self._probed
        if probed is None:
            return
        name, version = self.score.currentText(), self.version.currentText()
        score, instances = SCORE_NAMES[name], probed.result.instances
        colours = texture_colours([one.texture for one in instances])
        words = legend_words(probed.result)
        order = {words[texture]: colours[texture] for texture in colours}
        dots = [
            Dot(
                one.score("original", score),
                one.score(version, score),
                words[one.texture],
                order[words[one.texture]],
                instance_words(one, version, score),
            )
            for one in instances
        ]
        chosen = self.plot.chosen
        self.plot.show_dots(dots, f"{name}, original", f"{name}, {version}")
        self.list.fill(instances, version, score)
        if chosen is not None:
            self.plot.choose(chosen)
            self.list.choose(chosen)

    # ---- going there ----------------------------------------------------------------------

    def _clicked(self, item: QTreeWidgetItem) -> None:
        at = self.list.place_of(item)
        self.plot.choose(at)
        self.go_to(at)

    def _picked(self, at: int) -> None:
        self.list.choose(at)
        self.go_to(at)

    def go_to(self, at: int) -> None:
        """Bring an instance into view, by its place in the result."""
        stack = self._stack()
        if self._probed is None or stack is None:
            self._bench.tell_error(self._gone())
            return
        one = self._probed.result.instances[at]
        go_to_instance(
            self._bench.viewer,
            stack,
            self._labels(),
            z=slice_number(one.slice),
            centre=one.centre,
            number=one.instance,
            pixels=one.pixels,
        )

    def _stack(self) -> Any:
        """The stack's layer if it is still there."""
        return None if self._probed is None else self._still(self._probed.stack_layer)

    def _labels(self) -> Any:
        return None if self._probed is None else self._still(self._probed.labels_layer)

    def _still(self, layer: Any) -> Any:
        found = None if layer is None else layer()
        return found if found is not None and found in self._bench.viewer.layers else None

    def _gone(self) -> str:
        name = "" if self._probed is None else f" '{self._probed.stack.name}'"
        return f"The stack{name} that was probed is no longer open: open it and probe again."

    # ---- layers and tables ----------------------------------------------------------------

    def _show_layers(self) -> None:
        probed = self._probed
        if probed is None or self._why_no_layers():
            return
        z = self._bench.current_z()
        numbers = [slice_number(name) for name in probed.result.slices]
        at = numbers.index(z) if z in numbers else 0
        stack, z = probed.stack, numbers[at]
        for version in probed.result.rows:
            painted = version.version != "original"
            if painted:
                image = version.images[at]
                self._bench.add_image(
                    image if stack.flat else image[None],
                    f"{stack.name} {z}: {version.version}",
                    placed(stack.place, z),
                    rgb=True,
                )
            add_segmented(
                self._bench.add_labels,
                version_labels(probed, version, at),
                f"found {z}: {version.version}",
                stack.place,
                visible=painted,
            )

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the list", "probe.csv", _TABLES)
        if path:
            self._bench.attempt(lambda: self.save_to(path))

    def save_to(self, path: str) -> None:
        """Write all instances with their scores as CSV, the worst first.

        Raises
        ------
        OutputError
            When the file cannot be written there.
        """
        from napari_fossiledit import io
        from napari_fossiledit.pipeline.probe_instances import instance_table

        if self._probed is None:
            return
        result = self._probed.result
        target = Path(path) if Path(path).suffix else Path(path).with_suffix(".csv")
        io.write_table(target, *instance_table(result.worst(), [r.version for r in result.rows]))

    def _load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load textures", "", _TABLES)
        if path:
            self._bench.attempt(lambda: self.load_from(path))

    def load_from(self, path: str) -> None:
        """Put the textures of a table into the labels layer's features.

        Raises
        ------
        InputError
            When it is no such table.
        """
        from napari_fossiledit import io

        textures = without_slices(io.read_textures(path))
        layer = self._labels()
        if layer is None:
            return
        layer.features = with_textures(layer.features, textures)
        self._bench.tell(f"{len(textures)} textures are loaded: probe again to tell them apart.")
