"""Predict slices on the workers of a Dask cluster that exists already.

The model goes to each worker once, as a plugin, also to workers that join later. This process
reads the slices, keeps two a worker on their way, and writes the results: the workers need no
common disk. What a lost worker had is given to another one by the scheduler.
"""

from __future__ import annotations

import queue
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import FossilEditError, InputError, ModelError
from napari_fossiledit.instances import Instances
from napari_fossiledit.pipeline.overlap import Ahead
from napari_fossiledit.pipeline.tiling import choose_tile
from napari_fossiledit.progress import Progress, Task, checkpoint

if TYPE_CHECKING:
    from napari_fossiledit.models.segmenter import Segmenter
    from napari_fossiledit.pipeline.whole_stack import Predicted, Settings

__all__ = ["Cluster"]

_PER_WORKER = 2  # one is predicted while the next one travels
_LOOK = 0.2  # s
_ANSWER = 10  # s that a scheduler may take to answer
_SAFETY = 0.9  # of a worker's limit


class Cluster:
    """Predicts on a cluster.

    Parameters
    ----------
    segmenter : Segmenter
        Pickled for the workers.
    address : str
        Of the scheduler, e.g. ``tcp://192.168.0.5:8786``.

    Raises
    ------
    InputError
        dask.distributed is missing, or no scheduler answers.
    """

    def __init__(self, segmenter: Segmenter, address: str) -> None:
        _require_distributed()
        from napari_fossiledit.pipeline.cluster_worker import ModelOnWorker

        self._segmenter = segmenter
        self._plugin = ModelOnWorker(segmenter, segmenter.fingerprint()[:16])
        self._client = _connect(address)
        self._sent = False

    def choose_tile(self, shape: tuple[int, int]) -> Task[int | None]:
        """Side of the tiles that fit into the smallest worker's memory; waits for a worker."""
        while not (workers := self._workers()):
            checkpoint()
            yield Progress(0, 0, _WAITING)
        limits = [int(w["memory_limit"] or 0) for w in workers.values()]
        free = min((n for n in limits if n), default=None)
        return (
            None if free is None else choose_tile(self._segmenter, shape, free=int(_SAFETY * free))
        )

    def predict(
        self, slices: Ahead[NDArray[np.uint8]], settings: Settings
    ) -> Generator[Predicted | str]:
        """Slices in the order in which they come back."""
        from napari_fossiledit.pipeline.whole_stack import Predicted

        self._send_model()
        back: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        away: dict[int, Any] = {}
        unread = iter(slices)
        more = True
        with _large_slices():
            while more or away:
                while more and len(away) < max(_PER_WORKER * len(self._workers()), 1):
                    given = next(unread, None)
                    if given is None:
                        more = False
                        break
                    z, read = given
                    try:
                        image = read()
                    except InputError as error:
                        yield Predicted(z, problem=str(error))
                        continue
                    away[z] = self._submit(image, settings)
                    away[z].add_done_callback(lambda future, z=z: back.put((z, future)))
                if not away:
                    continue
                try:
                    z, future = back.get(timeout=_LOOK)
                except queue.Empty:
                    checkpoint()
                    yield "Waiting for the cluster" if self._workers() else _WAITING
                    continue
                del away[z]
                yield Predicted(z, _result(future, z))

    def close(self) -> None:
        """Take back what is on its way; the cluster itself goes on."""
        try:
            if self._sent:
                self._client.unregister_worker_plugin(self._plugin.name)
        except Exception:  # the cluster may be gone: nothing is left to clean then
            pass
        finally:
            self._client.close(timeout=1)

    def _workers(self) -> dict[str, Any]:
        found: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return found

    def _send_model(self) -> None:
        if not self._sent:
            self._client.register_plugin(self._plugin)
            self._sent = True

    def _submit(self, image: NDArray[np.uint8], settings: Settings) -> Any:
        # Within the task, not scattered: the scheduler can then send it again when a worker is
        # lost.
        from napari_fossiledit.pipeline.cluster_worker import predict

        return self._client.submit(predict, self._plugin.name, image, settings, pure=False)


_WAITING = "Waiting for a worker of the cluster"


def _result(future: Any, z: int) -> Instances:
    try:
        found: Instances = future.result()
    except FossilEditError:
        raise
    except Exception as error:
        if type(error).__name__ == "KilledWorker":
            raise ModelError(
                f"Slice {z} ended several workers of the cluster one after another: they may have "
                "too little memory; give --tile 1024, or workers with more memory."
            ) from error
        raise
    return found


def _require_distributed() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise InputError(
            "To segment on a cluster, dask.distributed is needed: install it with pip install "
            "'napari-fossiledit[cluster]'."
        ) from error


def _connect(address: str) -> Any:
    from distributed import Client

    try:
        return Client(address, timeout=_ANSWER, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"No Dask scheduler answers at {address}: give the address that it printed when it "
            "was started, for example tcp://192.168.0.5:8786."
        ) from error


@contextmanager
def _large_slices() -> Generator[None]:
    """Let Dask send slices of any size without a warning."""
    import dask

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
        yield
