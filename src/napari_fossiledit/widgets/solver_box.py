"""Which layers an edit rewrites, and how it is solved."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHeaderView,
    QSpinBox,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_fossiledit.widgets.edit_jobs import SolverChoice
from napari_fossiledit.widgets.page import CLEAR_BOXES, quiet_combo
from napari_fossiledit.widgets.session import ModelInfo

__all__ = ["LayerChecklist", "SolverBox"]

_SOLVERS = {"Ridge: one solve (default)": "ridge", "Adam: step by step": "adam"}
_MOST_ROWS = 7


class LayerChecklist(QTreeWidget):
    """The model's editable layers with a box each."""

    def __init__(self) -> None:
        super().__init__()
        self._info: ModelInfo | None = None
        self.setHeaderLabels(["Layer", "Channels", "Kernel", "One cell is"])
        self.setRootIsDecorated(False)
        self.setStyleSheet(CLEAR_BOXES)
        header = self.header()
        header.setStretchLastSection(True)
        for column in range(3):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.hide()

    def show_model(self, info: ModelInfo | None) -> None:
        """List the layers of a model; the default ones are ticked."""
        if info is self._info:
            return
        self._info = info
        self.clear()
        layers = () if info is None else info.layers
        for layer in layers:
            out, into, height, width = layer.shape
            cell = "1 pixel" if layer.stride == 1 else f"{layer.stride} × {layer.stride} pixels"
            item = QTreeWidgetItem([layer.level, f"{into} → {out}", f"{height} × {width}", cell])
            ticked = info is not None and layer.name in info.default_layers
            item.setCheckState(0, Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
            item.setData(0, Qt.ItemDataRole.UserRole, layer.name)
            for column in range(4):
                item.setToolTip(column, layer.name)
            self.addTopLevelItem(item)
        rows = min(len(layers), _MOST_ROWS)
        line = self.sizeHintForRow(0) if layers else 0
        self.setFixedHeight(self.header().sizeHint().height() + rows * line + 8)
        self.setVisible(bool(layers))

    def chosen(self) -> tuple[str, ...]:
        """Names of the ticked layers."""
        items = [self.topLevelItem(i) for i in range(self.topLevelItemCount())]
        return tuple(
            str(item.data(0, Qt.ItemDataRole.UserRole))
            for item in items
            if item.checkState(0) == Qt.CheckState.Checked
        )


class SolverBox(QWidget):
    """The solver with its few settings."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = quiet_combo(QComboBox())
        self.kind.addItems(list(_SOLVERS))
        self.damping = _number(0.0001, 10.0, 0.1, 4, 0.05)
        self.damping.setToolTip("More damping gives a milder edit.")
        self.keep = _number(0.0, 100.0, 0.0, 2, 0.5)
        self.keep.setToolTip("Above 0, the features inside the fossils are held where they are.")
        self.steps = QSpinBox()
        self.steps.setRange(1, 20_000)
        self.steps.setValue(70)
        self.rate = _number(0.1, 1000.0, 5.0, 1, 1.0)
        self.rate.setSuffix(" × 10⁻⁵")
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Solver", self.kind)
        self._form.addRow("Damping", self.damping)
        self._form.addRow("Keep weight", self.keep)
        self._form.addRow("Steps", self.steps)
        self._form.addRow("Rate", self.rate)
        for spin in (self.damping, self.keep, self.steps, self.rate):
            spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.kind.currentTextChanged.connect(self._show)
        self._show()

    def _show(self) -> None:
        ridge = _SOLVERS[self.kind.currentText()] == "ridge"
        for widget in (self.damping, self.keep):
            self._form.setRowVisible(widget, ridge)
        for widget in (self.steps, self.rate):
            self._form.setRowVisible(widget, not ridge)

    def choice(self) -> SolverChoice:
        """The solver as chosen."""
        return SolverChoice(
            kind=_SOLVERS[self.kind.currentText()],
            damping=self.damping.value(),
            keep_weight=self.keep.value(),
            steps=self.steps.value(),
            rate=self.rate.value() * 1e-5,
        )


def _number(low: float, high: float, value: float, digits: int, step: float) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setDecimals(digits)
    spin.setRange(low, high)
    spin.setSingleStep(step)
    spin.setValue(value)
    return spin
