"""Small models and a small reef as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained model as a file."""
    return _model(tmp_path_factory.mktemp("models") / "tiny.safetensors", seed=1)


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network with other weights."""
    return _model(tmp_path_factory.mktemp("models") / "other.safetensors", seed=2)


def _model(path: Path, seed: int) -> Path:
    from napari_fossiledit import models
    from napari_fossiledit.models.backbone_lite import LiteConfig
    from napari_fossiledit.models.lite import new_lite

    config = LiteConfig(width=0.25, channels=16, box_width=32, mask_convolutions=1, proposals=40)
    models.save(new_lite(config, name="tiny", seed=seed), path)
    return path


@pytest.fixture(scope="session")
def reef(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small slices of the sample reef, written by the command itself."""
    from napari_fossiledit.cli import execute

    folder = tmp_path_factory.mktemp("sample") / "reef"
    assert execute(["sample", str(folder), "--seed", "3", "--shape", "3,64,96"]) == 0
    return folder


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny slices are quicker on one thread, above all where other work runs beside."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
