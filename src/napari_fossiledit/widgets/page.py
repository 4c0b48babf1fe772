"""What all pages are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.task_bar import TaskBar

__all__ = [
    "CLEAR_BOXES",
    "LayerCombo",
    "Page",
    "Section",
    "note",
    "quiet_combo",
    "row",
    "say",
    "set_ready",
    "warn",
]

NONE = "(none)"
# napari draws the unticked boxes of lists nearly in the colour of the ground.
CLEAR_BOXES = (
    "QTreeView::indicator:unchecked { border: 1px solid #9aa0a8; border-radius: 2px;"
    " width: 11px; height: 11px; }"
)


class Page(QWidget):
    """A page of the workbench, or a dock of its own.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    embedded : bool
        True inside the workbench, which has the task bar below all pages.
    """

    title: ClassVar[str] = ""

    def __init__(self, napari_viewer: Any, *, embedded: bool = False) -> None:
        super().__init__()
        self.bench = Bench.of(napari_viewer)
        self.session = self.bench.session
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(6, 4, 6, 8)
        self.body.setSpacing(6)
        self.build()
        if not embedded:
            self.body.addStretch(1)
            self.body.addWidget(TaskBar(self.bench.runner))
        self.bench.changed.connect(self.refresh)
        self.refresh()

    def build(self) -> None:
        """Make the page's widgets."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Show what the session holds; called often, so it must be quick."""

    def button(self, text: str, press: Callable[[], Any], *, main: bool = False) -> QPushButton:
        """A push button that calls ``press``; ``main`` makes it bold."""
        made = QPushButton(text)
        made.clicked.connect(lambda: press())
        if main:
            made.setStyleSheet("QPushButton { font-weight: bold; padding: 6px; }")
        return made

    def form(self) -> QFormLayout:
        """A form whose fields share the page's width."""
        layout = QFormLayout()
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.body.addLayout(layout)
        return layout


class Section(QWidget):
    """A titled part that opens and closes at a click."""

    def __init__(self, title: str, content: QWidget, *, opened: bool = False) -> None:
        super().__init__()
        self._title = title
        self.head = QPushButton(title)
        self.head.setCheckable(True)
        self.head.setStyleSheet(
            "QPushButton, QPushButton:checked { font-weight: bold; text-align: left; padding: 5px;"
            " border: none; background: transparent; }"
            "QPushButton:hover { background: rgba(128, 128, 128, 60); }"
        )
        self.content = content
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.head)
        layout.addWidget(content)
        self.head.toggled.connect(self._toggle)
        self.head.setChecked(opened)
        self._toggle(opened)

    def open(self) -> None:
        """Open the section."""
        self.head.setChecked(True)

    def set_title(self, title: str) -> None:
        """Name the section anew."""
        self._title = title
        self._toggle(self.head.isChecked())

    def _toggle(self, opened: bool) -> None:
        self.head.setText(f"{'▾' if opened else '▸'}  {self._title}")
        self.content.setVisible(opened)


class LayerCombo(QComboBox):
    """A choice among the viewer's layers that ``accept`` lets pass.

    Parameters
    ----------
    bench : Bench
    accept : callable
        Takes a layer, returns whether it is offered.
    read, write : callable
        Get and set the chosen name in the session.
    optional : bool
        Offer "(none)".
    """

    def __init__(
        self,
        bench: Bench,
        accept: Callable[[Any], bool],
        read: Callable[[], str],
        write: Callable[[str], None],
        *,
        optional: bool = False,
    ) -> None:
        super().__init__()
        self._bench, self._accept, self._read, self._write = bench, accept, read, write
        self._optional = optional
        quiet_combo(self)
        self.activated.connect(self._chosen)

    def refresh(self) -> None:
        """Offer the layers that exist now, without telling the session."""
        names = [layer.name for layer in self._bench.viewer.layers if self._accept(layer)]
        chosen = self._read()
        if not names:
            items = [NONE]
        else:
            items = [NONE, *names] if self._optional or chosen not in names else names
        if items != [self.itemText(i) for i in range(self.count())]:
            self.clear()
            self.addItems(items)
        self.setCurrentText(chosen if chosen in names else NONE)

    def _chosen(self) -> None:
        name = self.currentText()
        self._write("" if name == NONE else name)


def quiet_combo(combo: QComboBox) -> QComboBox:
    """Keep a combo from widening the dock, and from changing when the mouse wheel scrolls past."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    combo.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    combo.wheelEvent = lambda event: event.ignore()
    return combo


def note(text: str = "") -> QLabel:
    """A wrapped label whose text can be copied."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setVisible(bool(text))
    return label


def say(label: QLabel, text: str) -> None:
    """Set a note's text; an empty note takes no room."""
    label.setText(text)
    label.setVisible(bool(text))


def warn(label: QLabel, problem: str) -> None:
    """Set a note that says what is wrong, in a colour readable on light and dark themes."""
    label.setStyleSheet("QLabel { color: #e08a1e; }")
    say(label, problem)


def row(*widgets: QWidget, stretch: int | None = None) -> QHBoxLayout:
    """Widgets side by side; ``stretch`` is the index of the one that grows."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for i, widget in enumerate(widgets):
        layout.addWidget(widget, 1 if i == stretch else 0)
    return layout


def set_ready(button: QWidget, why_not: str, tip: str) -> None:
    """Enable a button, or disable it with the reason as its tooltip."""
    button.setEnabled(not why_not)
    button.setToolTip(why_not or tip)
