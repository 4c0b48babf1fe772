"""What runs on a Dask cluster's workers. Needs dask.distributed; imported by `cluster` only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from distributed import WorkerPlugin, get_worker
from numpy.typing import NDArray

from napari_fossiledit.instances import Instances
from napari_fossiledit.models.packing import pack, unpack

if TYPE_CHECKING:
    from napari_fossiledit.models.segmenter import Segmenter
    from napari_fossiledit.pipeline.whole_stack import Settings

__all__ = ["ModelOnWorker", "predict"]


class ModelOnWorker(WorkerPlugin):  # type: ignore[misc, unused-ignore]
    """Holds the model: packed once by the client, unpacked once by each worker.

    Parameters
    ----------
    segmenter : Segmenter
    key : str
        Tells the model from others on the same cluster.
    """

    idempotent = True

    def __init__(self, segmenter: Segmenter, key: str) -> None:
        self.name = f"fossiledit-{key}"
        self._packed: bytes | None = pack(segmenter)
        self.segmenter: Any = None

    def setup(self, worker: Any) -> None:
        """Unpack the model, onto the worker's graphics card where it has one."""
        if self._packed is None:
            return
        self.segmenter, self._packed = unpack(self._packed), None

    def teardown(self, worker: Any) -> None:
        """Let go of the model."""
        self.segmenter = None


def predict(name: str, image: NDArray[np.uint8], settings: Settings) -> Instances:
    """Predict a slice with the model that this worker holds."""
    plugin: ModelOnWorker = get_worker().plugins[name]
    return settings.predict(plugin.segmenter, image)
