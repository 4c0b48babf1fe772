"""The pages' long tasks: the library's tasks on the slices of layers. No Qt; run in a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.progress import Progress, Task
from napari_fossiledit.widgets.session import ModelInfo
from napari_fossiledit.widgets.torch_loading import prepare_torch

if TYPE_CHECKING:
    from napari_fossiledit.widgets.layers import LabelSource, StackSource

__all__ = [
    "Loaded",
    "ModelRequest",
    "Segmented",
    "apart",
    "labelled_task",
    "load_model_task",
    "paint_instances",
    "segment_task",
]


@dataclass(frozen=True)
class ModelRequest:
    """A model as the Model page asks for it.

    Attributes
    ----------
    source : str
        ``demo``, or the file of the weights.
    config : str, optional
        None where it lies beside the weights, or none is needed.
    device, backend : str
    class_names : tuple of str, optional
    """

    source: str = "demo"
    config: str | None = None
    device: str = "auto"
    backend: str = "auto"
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Loaded:
    """A model that was just loaded."""

    segmenter: Any
    edits: Any
    info: ModelInfo


@dataclass(frozen=True, eq=False)
class Segmented:
    """Predictions of some slices as one label array.

    Attributes
    ----------
    labels : (z, y, x) or (y, x) int32
        Every instance of every slice has a number of its own.
    first : int
        The stack's slice at which ``labels`` begins.
    features : pandas.DataFrame
        For napari: one row a label, the first the background.
    count : int
        Number of instances.
    caution : str
        Set where the model stopped at its own limit.
    """

    labels: NDArray[np.int32]
    first: int
    features: Any
    count: int
    caution: str = ""


class _Slices:
    """Some slices of a stack, read when asked for."""

    def __init__(self, source: StackSource, numbers: Sequence[int]) -> None:
        self._source, self._numbers = source, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        return self._source.read(self._numbers[i])


def load_model_task(asked: ModelRequest) -> Task[Loaded]:
    """Load a model; torch is imported here, off the main thread."""
    yield Progress(0, 0, "loading torch (the first time takes some seconds)")
    prepare_torch()
    from napari_fossiledit import editing, models

    yield Progress(0, 0, "reading the weights")
    segmenter: Any = models.load(
        asked.source,
        config=asked.config,
        device=asked.device,
        backend=asked.backend,
        class_names=asked.class_names,
    )
    yield Progress(0, 0, "looking for editable layers")
    edits = editing.EditStack.of(segmenter)
    weights, size = _weights(segmenter)
    info = ModelInfo(
        source=asked.source,
        name=segmenter.name,
        classes=tuple(segmenter.class_names),
        device=str(segmenter.device),
        weights=weights,
        weight_bytes=size,
        layers=tuple(segmenter.editable_layers()),
        default_layers=frozenset(layer.name for layer in editing.default_layers(segmenter)),
        facts=tuple(segmenter.facts.items()),
        fossil_classes=tuple(segmenter.fossil_classes),
    )
    return Loaded(segmenter, edits, info)


def _weights(segmenter: Any) -> tuple[int | None, int | None]:
    parameters = getattr(getattr(segmenter, "model", None), "parameters", None)
    if parameters is None:
        return None, None
    tensors = list(parameters())
    return sum(t.numel() for t in tensors), sum(t.numel() * t.element_size() for t in tensors)


def segment_task(
    segmenter: Any, source: StackSource, numbers: Sequence[int], *, score: float
) -> Task[Segmented]:
    """Predict slices of a stack and paint the instances into one label array."""
    from napari_fossiledit.editing import EditStack
    from napari_fossiledit.pipeline.limits import limit_sentence
    from napari_fossiledit.pipeline.segment import segment_task as predict_task

    EditStack.of(segmenter).sync()  # a strength just moved may still wait
    task = predict_task(
        segmenter,
        _Slices(source, numbers),  # type: ignore[arg-type]
        [source.slice_name(z) for z in numbers],
        score_threshold=score,
    )
    found = yield from task
    made = paint_instances(source, dict(zip(numbers, found, strict=True)), segmenter.class_names)
    return replace(made, caution=limit_sentence(segmenter, found))


def paint_instances(
    source: StackSource, found: dict[int, Instances], classes: Sequence[str] = ()
) -> Segmented:
    """Paint instances of slices into one label array, numbered through all slices."""
    labels, first = source.blank(min(found), max(found))
    rows: list[tuple[int, int | None, float | None, str | None, int | None]]
    rows = [(0, None, None, None, None)]
    for z, instances in sorted(found.items()):
        painted = instances.to_labels()
        start = len(rows) - 1
        labels[z - first] = np.where(painted > 0, painted + start, 0)
        for i, area in enumerate(instances.areas().tolist()):
            kind = int(instances.classes[i])
            name = classes[kind] if kind < len(classes) else f"class {kind + 1}"
            rows.append((start + i + 1, z, round(float(instances.scores[i]), 3), name, area))
    count = len(rows) - 1
    return Segmented(labels[0] if source.flat else labels, first, feature_table(rows), count)


def feature_table(rows: Sequence[tuple[Any, ...]]) -> Any:
    """The table that napari shows for the label under the mouse; None is shown as nothing."""
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]

    index, *columns = zip(*rows, strict=True)
    names = ("slice", "confidence", "class", "pixels")
    table = pd.DataFrame({"index": np.array(index, np.int64)})
    for name, values in zip(names, columns, strict=True):
        table[name] = pd.Series(list(values), dtype=object)
    return table


def labelled_task(
    stack: StackSource,
    labels: LabelSource,
    confusers: LabelSource | None,
    *,
    at_most: int,
    without: Iterable[int] = (),
    seen: Callable[[NDArray[np.uint8]], bool] | None = None,
    only: int | None = None,
) -> Task[list[LabelledSlice]]:
    """Read labelled slices: the one asked for, or up to ``at_most`` spread over the stack.

    Parameters
    ----------
    stack, labels, confusers
        Where to read.
    at_most : int
    without : iterable of int
        Slices left out by number.
    seen : callable, optional
        Slices for whose image it is true are left out, too.
    only : int, optional
        The one slice asked for.

    Raises
    ------
    InputError
        When none is left.
    """
    yield Progress(0, 0, "looking for labelled slices")
    excluded = set(without)
    labelled = labels.labelled() if only is None else [only]
    read: dict[int, LabelledSlice] = {}
    while numbers := [z for z in labelled if z not in excluded]:
        chosen = apart(numbers, at_most)
        for z in chosen:
            if z not in read:
                yield Progress(0, 0, f"reading slice {z}")
                read[z] = read_slice(stack, labels, confusers, z)
                if seen is not None and seen(read[z].image):
                    excluded.add(z)
        if excluded.isdisjoint(chosen):
            return [read[z] for z in chosen]
    raise InputError(
        f"The labels '{labels.name}' have no other labelled slice: label one or two more "
        "slices, on which nothing was chosen yet."
        if excluded
        else f"The labels '{labels.name}' are empty: paint the fossils of at least one slice."
    )


def read_slice(
    stack: StackSource, labels: LabelSource, confusers: LabelSource | None, z: int
) -> LabelledSlice:
    """One slice of layers as the library's `LabelledSlice`."""
    return LabelledSlice(
        stack.read(z),
        labels.read(z),
        None if confusers is None else confusers.read(z),
        name=f"slice {z}",
        group=stack.name,
    )


def apart(numbers: Sequence[int], at_most: int) -> list[int]:
    """At most so many of the numbers, evenly spread."""
    if len(numbers) <= at_most:
        return list(numbers)
    index = np.linspace(0, len(numbers) - 1, at_most).round().astype(int)
    return [numbers[i] for i in dict.fromkeys(index.tolist())]
