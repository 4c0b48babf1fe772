from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision  # noqa: F401 - before napari draws: see widgets/torch_loading.py

from napari_fossiledit.models.backbone_lite import LiteConfig
from napari_fossiledit.models.lite import new_lite, save
from napari_fossiledit.progress import checkpoint
from napari_fossiledit.widgets.workbench import Workbench

PLACE = {
    "scale": (0.5, 0.145, 0.145),
    "translate": (2.0, 0.0, 1.0),
    "units": ("mm", "mm", "mm"),
    "axis_labels": ("z", "y", "x"),
}


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch):
    monkeypatch.setenv("NAPARI_CONFIG", "")


@pytest.fixture(scope="session")
def tiny_config():
    return LiteConfig(width=0.25, channels=16, box_width=24, mask_convolutions=1, proposals=40)


@pytest.fixture(scope="session")
def model_file(tiny_config, tmp_path_factory):
    """A tiny model with random weights: what it says means nothing, all else is real."""
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save(new_lite(tiny_config, name="tiny", class_names=("cup",), seed=0), path)
    return path


def discs(slices: int = 4, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A stack of pale discs on dark ground, and its labels."""
    rng = np.random.default_rng(0)
    image = rng.integers(40, 70, (slices, size, size, 3), dtype=np.uint8)
    labels = np.zeros((slices, size, size), np.int32)
    y, x = np.mgrid[:size, :size]
    for i, (cy, cx, r) in enumerate([(25, 30, 12), (65, 60, 16), (20, 75, 9)], start=1):
        inside = (y - cy) ** 2 + (x - cx) ** 2 < r * r
        labels[:, inside] = i
        image[:, inside] += 120
    return image, labels


class Hands:
    """A user: opens things, presses buttons, waits."""

    def __init__(self, viewer, qtbot, model_file) -> None:
        self.viewer, self.qtbot, self.model_file = viewer, qtbot, model_file
        self.workbench = Workbench(viewer)
        viewer.window.add_dock_widget(self.workbench, name="Workbench")
        self.bench = self.workbench.bench
        self.session, self.runner = self.bench.session, self.bench.runner
        self.outcomes = []
        self.runner.ended.connect(self.outcomes.append)

    def page(self, title):
        return self.workbench.pages[title]

    def settle(self) -> None:
        """Let the coalesced refresh happen."""
        self.qtbot.wait(60)

    def wait(self, timeout: int = 60_000) -> None:
        self.qtbot.waitUntil(
            lambda: not self.runner.busy and not self.bench.latest.waiting, timeout=timeout
        )
        self.settle()

    def press(self, button) -> None:
        self.settle()
        assert button.isEnabled(), button.toolTip()
        button.click()

    def do(self, button) -> None:
        """Press a button, wait, and expect that it went well."""
        self.press(button)
        self.wait()
        assert self.outcomes[-1].state == "done", self.outcomes[-1].message

    def open_discs(self, **options) -> None:
        image, labels = discs(**options)
        self.viewer.add_image(image, rgb=True, name="reef", **PLACE)
        self.viewer.add_labels(labels, name="fossils", **PLACE)
        self.viewer.dims.set_point(0, 2.5)  # slice 1
        self.settle()

    def load_model(self) -> None:
        page = self.page("Model")
        page.source.setCurrentIndex(1)
        page.weights.path = self.model_file
        self.do(page.load)

    def slow_model(self):
        """Make every forward pass endless but for its look at the cancel flag."""

        def never(*_, **__):
            while True:
                checkpoint()
                torch.zeros(1)

        self.session.segmenter.predict = never
        self.session.segmenter.features = never
        self.session.segmenter.predict_mask_thresholds = never

    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]


@pytest.fixture
def hands(make_napari_viewer, qtbot, model_file):
    return Hands(make_napari_viewer(), qtbot, model_file)


@pytest.fixture
def ready(hands):
    """A viewer with a labelled stack and a loaded model."""
    hands.open_discs()
    hands.load_model()
    return hands


@pytest.fixture
def shown_hands(make_napari_viewer, qtbot, model_file):
    """Hands with a window on the screen, for a real mouse."""
    return Hands(make_napari_viewer(show=True), qtbot, model_file)
