"""Segmenting a whole stack into a result on disk, as page 3 does it. No Qt; run in a worker."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import FossilEditError
from napari_fossiledit.io.slices import Slices
from napari_fossiledit.progress import Progress, Task, mapped

if TYPE_CHECKING:
    from napari_fossiledit.io import LabelStore, Stack
    from napari_fossiledit.widgets.layers import StackSource

__all__ = [
    "Live",
    "Whole",
    "as_stack",
    "default_result",
    "live_labels",
    "state_of",
    "voxel_size",
    "whole_task",
]

_SUFFIX = ".segmented.ome.zarr"


@dataclass(frozen=True, eq=False)
class Whole:
    """A stack that was segmented.

    Attributes
    ----------
    store : LabelStore
    count : int
        Number of instances.
    problems : dict of int to str
        Slices that could not be read, and why.
    caution : str
        Set where the model stopped at its own limit.
    """

    store: LabelStore
    count: int
    problems: dict[int, str]
    caution: str


def default_result(name: str, source: str | None) -> tuple[Path, bool]:
    """Where a stack's result goes unless the user says otherwise.

    Parameters
    ----------
    name : str
        The layer's.
    source : str or None
        The file or folder that it was opened from.

    Returns
    -------
    path : Path
        Beside the stack where that can be written to, else in the temporary folder.
    lasts : bool
        False in the temporary folder.
    """
    if source:
        beside = Path(source).absolute()
        if beside.parent.is_dir() and os.access(beside.parent, os.W_OK):
            stem = beside.name.split(".")[0] or beside.name
            return beside.with_name(stem + _SUFFIX), True
    safe = re.sub(r"[^\w -]+", "_", name).strip() or "stack"
    return Path(tempfile.gettempdir()) / "fossiledit" / (safe + _SUFFIX), False


def state_of(path: Path) -> str:
    """What lies at a result's place already, in a sentence; '' for nothing."""
    from napari_fossiledit.io import LabelStore

    if not os.path.lexists(path):
        return ""
    try:
        store = LabelStore.open(path)
    except FossilEditError:
        return "Something else is there and is not written over: choose another name."
    if store.complete:
        return "A finished result is there."
    return f"An unfinished result is there: {store.state}."


def voxel_size(place: dict[str, Any]) -> tuple[float, float, float] | None:
    """A layer's voxel size in mm, from its scale and units; None where they are no lengths."""
    from napari_fossiledit.io.voxels import mm_per

    factors = [mm_per(unit) for unit in place.get("units", ())]
    scale = [float(abs(s)) for s in place.get("scale", ())]
    if len(scale) != 3 or len(factors) != 3:
        return None
    sizes = [s * f for s, f in zip(scale, factors, strict=True) if f is not None and s * f > 0]
    return (sizes[0], sizes[1], sizes[2]) if len(sizes) == 3 else None


class _Images:
    """A layer's slices as a `Stack` takes them."""

    def __init__(self, source: StackSource) -> None:
        self._source = source
        self.shape = (*source.shape, 3)

    def __getitem__(self, z: int) -> NDArray[np.uint8]:
        return self._source.read(int(z))


def as_stack(source: StackSource, known: Sequence[str] | None = None) -> Stack:
    """A layer's slices as the library's `Stack`, under their ``known`` names or their numbers."""
    from napari_fossiledit.io import Stack

    names = list(known or ())
    if len(names) != source.shape[0]:
        names = [f"slice {z}" for z in range(source.shape[0])]
    return Stack(_Images(source), names, voxel_size(source.place))


@dataclass
class Live:
    """What a running task tells at once: its `Progress` comes late where a slice takes long.

    Attributes
    ----------
    begun : pipeline.whole_stack.Begun, optional
        Set by the worker once the result is there.
    """

    begun: Any = None

    def note(self, step: Progress) -> Progress:
        """Take what a step tells."""
        from napari_fossiledit.pipeline.whole_stack import Begun

        if isinstance(step.data, Begun):
            self.begun = step.data
        return step


def whole_task(
    segmenter: Any, stack: Stack, out: Path, *, score: float, numbered: bool, live: Live
) -> Task[Whole]:
    """Predict all slices of a layer into the result ``out``.

    Parameters
    ----------
    segmenter : Segmenter
    stack : Stack
        See `as_stack`.
    out : Path
        Its folder is made where there is none.
    score : float
    numbered : bool
        Take a number more where ``out`` belongs to another model or other settings.
    live : Live
        Filled meanwhile.
    """
    import pandas  # noqa: F401 - napari needs it for the layer, and the window should not wait

    from napari_fossiledit.editing import EditStack
    from napari_fossiledit.pipeline.limits import limit_sentence
    from napari_fossiledit.pipeline.whole_stack import segment_stack_task

    EditStack.of(segmenter).sync()  # a strength just moved may still wait
    task = segment_stack_task(segmenter, stack, out, score_threshold=score, numbered=numbered)
    store = yield from mapped(task, live.note)
    table = store.table()
    per_slice = table["slice"].value_counts() if "slice" in table else []
    caution = limit_sentence(segmenter, [range(int(n)) for n in per_slice])
    return Whole(store, len(table), store.problems(), caution)


def live_labels(store: LabelStore) -> Slices:
    """A result for a viewer's layer: slices that are not done yet are background, never kept."""
    from napari_fossiledit.io import LabelStore

    reader = LabelStore.open(store.path)  # its own: `store` is written to in a worker

    def read(z: int) -> NDArray[np.int32]:
        return reader[z] if reader.is_done(z) else np.zeros(reader.shape[1:], np.int32)

    return Slices(read, store.shape, np.int32)
