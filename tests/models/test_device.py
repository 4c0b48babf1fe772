from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models import choose_device, memory_summary
from napari_fossiledit.models.device import available_devices


def test_auto_takes_what_there_is() -> None:
    assert choose_device().type == available_devices()[0]
    assert choose_device("cpu") == torch.device("cpu")
    assert available_devices()[-1] == "cpu"


@pytest.mark.parametrize("name", ["abacus", "", "meta", "cpu:x"])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(ModelError, match="is unknown"):
        choose_device(name)


def test_missing_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ModelError, match="has only cpu"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto") == torch.device("cuda")
    with pytest.raises(ModelError, match="only 1 graphics card"):
        choose_device("cuda:3")


def test_memory_is_told() -> None:
    assert "GB" in memory_summary("cpu")


def test_the_room_opens_without_torch() -> None:
    code = "import napari_fossiledit.models, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
