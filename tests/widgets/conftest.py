from __future__ import annotations

import pytest
from qtpy.QtWidgets import QApplication

from napari_fossiledit.widgets.tasks import TaskRunner


@pytest.fixture
def runner(qtbot) -> TaskRunner:
    assert QApplication.instance() is not None
    made = TaskRunner()
    made.said = []
    made.ended.connect(made.said.append)
    yield made
    made.close()
