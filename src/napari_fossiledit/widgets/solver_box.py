"""Which layers an edit rewrites, and how it is solved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHeaderView,
    QSpinBox,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_fossiledit.widgets.page import CLEAR_BOXES, note, quiet_combo, say
from napari_fossiledit.widgets.session import ModelInfo
from napari_fossiledit.widgets.solver_specs import Setting, SolverChoice, SolverSpec, offered

__all__ = ["LayerChecklist", "SolverBox"]

_MOST_ROWS = 7


class LayerChecklist(QTreeWidget):
    """The model's editable layers with a box each."""

    def __init__(self) -> None:
        super().__init__()
        self._info: ModelInfo | None = None
        self._usual: frozenset[str] = frozenset()
        self.setHeaderLabels(["Layer", "Channels", "Kernel", "One cell is"])
        self.setRootIsDecorated(False)
        self.setStyleSheet(CLEAR_BOXES)
        header = self.header()
        header.setStretchLastSection(True)
        for column in range(3):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.hide()

    def show_model(self, info: ModelInfo | None, usual: str = "finest") -> None:
        """List the layers of a model; the usual ones are ticked.

        Parameters
        ----------
        info : ModelInfo, optional
        usual : {"finest", "pyramid", "none"}
            The solver's usual layers; ticks that the user has changed stay.
        """
        if info is not self._info:
            self._list(info)
        names = frozenset() if info is None else _usual(info, usual)
        if names != self._usual:
            if frozenset(self.chosen()) == self._usual:
                self._tick(names)
            self._usual = names

    def _list(self, info: ModelInfo | None) -> None:
        self._info, self._usual = info, frozenset()
        self.clear()
        layers = () if info is None else info.layers
        for layer in layers:
            out, into, height, width = layer.shape
            cell = "1 pixel" if layer.stride == 1 else f"{layer.stride} × {layer.stride} pixels"
            item = QTreeWidgetItem([layer.level, f"{into} → {out}", f"{height} × {width}", cell])
            item.setCheckState(0, Qt.CheckState.Unchecked)
            item.setData(0, Qt.ItemDataRole.UserRole, layer.name)
            for column in range(4):
                item.setToolTip(column, layer.name)
            self.addTopLevelItem(item)
        rows = min(len(layers), _MOST_ROWS)
        line = self.sizeHintForRow(0) if layers else 0
        self.setFixedHeight(self.header().sizeHint().height() + rows * line + 8)
        self.setVisible(bool(layers))

    def _tick(self, names: Iterable[str]) -> None:
        ticked = set(names)
        with QSignalBlocker(self):
            for item in self._items():
                on = item.data(0, Qt.ItemDataRole.UserRole) in ticked
                item.setCheckState(0, Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
        self.viewport().update()

    def _items(self) -> list[QTreeWidgetItem]:
        return [self.topLevelItem(i) for i in range(self.topLevelItemCount())]

    def chosen(self) -> tuple[str, ...]:
        """Names of the ticked layers."""
        return tuple(
            str(item.data(0, Qt.ItemDataRole.UserRole))
            for item in self._items()
            if item.checkState(0) == Qt.CheckState.Checked
        )


def _usual(info: ModelInfo, which: str) -> frozenset[str]:
    if which == "none":
        return frozenset()
    levels = {layer.name for layer in info.layers if layer.level.startswith("P")}
    return frozenset(levels if which == "pyramid" and levels else info.default_layers)


class SolverBox(QWidget):
    """The solver, a line that explains it, and its few settings."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = quiet_combo(QComboBox())
        self.words = note()
        self.fields: dict[tuple[str, str], QWidget] = {}
        self._specs = {spec.title: spec for spec in offered()}
        self._settings: dict[tuple[str, str], Setting] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Solver", self.kind)
        self._form.addRow(self.words)
        column.addLayout(self._form)
        for spec in self._specs.values():
            self._add_fields(spec)
        self.kind.addItems(list(self._specs))
        self.kind.currentTextChanged.connect(self._show)
        self._show()

    def _add_fields(self, spec: SolverSpec) -> None:
        defaults = spec.defaults()
        for setting in spec.settings:
            if setting.name in defaults:
                key = (spec.kind, setting.name)
                self._settings[key] = setting
                self.fields[key] = _field(setting, defaults[setting.name])
                self._form.addRow(setting.title, self.fields[key])

    @property
    def spec(self) -> SolverSpec:
        """The chosen solver."""
        return self._specs[self.kind.currentText()]

    def choose(self, kind: str) -> None:
        """Choose a solver by the library's name."""
        titles = {spec.kind: title for title, spec in self._specs.items()}
        self.kind.setCurrentText(titles[kind])

    def _show(self) -> None:
        for (kind, _), widget in self.fields.items():
            self._form.setRowVisible(widget, kind == self.spec.kind)
        say(self.words, self.spec.words)

    def choice(self) -> SolverChoice:
        """The solver as chosen."""
        kind = self.spec.kind
        return SolverChoice(
            kind,
            {
                name: _value(self._settings[owner, name], widget)
                for (owner, name), widget in self.fields.items()
                if owner == kind
            },
        )


def _field(setting: Setting, value: Any) -> QWidget:
    if setting.digits < 0:
        box = QCheckBox()
        box.setChecked(value is None or bool(value))
        box.setProperty("automatic", value is None)
        box.setToolTip(setting.tip)
        return box
    spin: QSpinBox | QDoubleSpinBox
    shown = setting.low if value is None else value / setting.unit
    if setting.digits:
        spin = QDoubleSpinBox()
        spin.setDecimals(setting.digits)
        spin.setRange(setting.low, setting.high)
        spin.setSingleStep(setting.step)
        spin.setValue(shown)
    else:
        spin = QSpinBox()
        spin.setRange(int(setting.low), int(setting.high))
        spin.setSingleStep(int(setting.step))
        spin.setValue(int(shown))
    spin.setSuffix(setting.suffix)
    spin.setSpecialValueText(setting.none)
    spin.setToolTip(setting.tip)
    spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return spin


def _value(setting: Setting, widget: Any) -> Any:
    if setting.digits < 0:
        # Ticked, an automatic setting stays automatic: it does what the model allows.
        return None if widget.isChecked() and widget.property("automatic") else widget.isChecked()
    value = widget.value()
    if setting.none and value == setting.low:
        return None
    return float(f"{value * setting.unit:.6g}") if setting.digits else int(value)
