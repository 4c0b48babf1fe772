"""The Workbench: all pages, numbered, in one dock."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.compare_page import ComparePage
from napari_fossiledit.widgets.model_page import ModelPage
from napari_fossiledit.widgets.page import Page, Section
from napari_fossiledit.widgets.probe_page import ProbePage
from napari_fossiledit.widgets.rewrite_page import RewritePage
from napari_fossiledit.widgets.segment_page import SegmentPage
from napari_fossiledit.widgets.specimens_page import SpecimensPage
from napari_fossiledit.widgets.stack_page import StackPage
from napari_fossiledit.widgets.task_bar import TaskBar

__all__ = ["PAGES", "Workbench"]

PAGES: tuple[type[Page], ...] = (
    StackPage,
    ModelPage,
    SegmentPage,
    ProbePage,
    RewritePage,
    ComparePage,
    SpecimensPage,
)
_OPEN_AT_FIRST = 2
_WIDTH = 410


class Workbench(QWidget):
    """Numbered pages that lead from a stack to specimens; the task bar stays below them."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.bench = Bench.of(napari_viewer)
        self.pages: dict[str, Page] = {}
        self.sections: dict[str, Section] = {}
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for number, kind in enumerate(PAGES, start=1):
            page = kind(napari_viewer, embedded=True)
            section = Section(f"{number}  {kind.title}", page, opened=number <= _OPEN_AT_FIRST)
            self.pages[kind.title], self.sections[kind.title] = page, section
            column.addWidget(section)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(inner)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll = scroll
        self.setMinimumWidth(_WIDTH)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll, 1)
        layout.addWidget(TaskBar(self.bench.runner))
