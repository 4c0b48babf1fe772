"""The demo: the whole loop on the sample reef, with a report.

A demo model trained on six slices takes calcimicrobe clots for archaeocyathids; the probe shows
it; one edit from one training slice, its strength chosen on the other five, is measured on reefs
that chose nothing, beside the mask threshold and the score threshold.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.pipeline.curves import compare_task
from napari_fossiledit.pipeline.demo_result import DemoResult
from napari_fossiledit.pipeline.probe import probe_task
from napari_fossiledit.pipeline.segment import segment_task
from napari_fossiledit.progress import Progress, Task, mapped, part_of, run

if TYPE_CHECKING:
    from napari_fossiledit.editing import Edit
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["DemoResult", "DemoSize", "demo", "demo_task"]

T = TypeVar("T")


@dataclass(frozen=True)
class DemoSize:
    """How much the demo measures.

    Attributes
    ----------
    seeds : tuple of int
        Reefs that are reported on.
    zs : tuple of int
        Their slices.
    strengths : tuple of float
        Points of the strength curve.
    volume : (int, int, int)
        Slices, rows and columns of the block that is shown in 3D.
    """

    seeds: tuple[int, ...] = (3000, 3001, 3002, 3003)
    zs: tuple[int, ...] = (8, 24, 40)
    strengths: tuple[float, ...] = (0.1, 0.2, 0.3)
    volume: tuple[int, int, int] = (20, 224, 224)


def demo_task(
    out: str | Path, *, segmenter: Segmenter | None = None, size: DemoSize | None = None
) -> Task[DemoResult]:
    """Run the whole loop and write its report.

    Parameters
    ----------
    out : path
        Folder for ``report.html``, ``metrics.json``, ``figures/``, ``edit.safetensors``,
        ``slices.tif`` and the label volumes; made when it is missing.
    segmenter : Segmenter, optional
        By default the demo model.
    size : DemoSize, optional

    Raises
    ------
    OutputError
        When the folder cannot be written.
    """
    from napari_fossiledit import editing, models, perturb
    from napari_fossiledit.editing import EditStack
    from napari_fossiledit.io import make_folder
    from napari_fossiledit.pipeline.report import write_report
    from napari_fossiledit.sample import splits

    size = size or DemoSize()
    folder = make_folder(out)
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    yield Progress(0, 0, "Loading the demo model")
    segmenter = segmenter or models.load("demo")
    yield Progress(0, 0, "Making the sample reef")
    labelled = splits.training_slices()
    unseen = splits.unseen_slices(size.seeds, size.zs)
    seconds["sample reef"] = time.perf_counter() - started

    with EditStack.of(segmenter).kept():
        probed = unseen[: min(3, len(unseen))]
        probe = yield from _timed(seconds, "probe", "Probe", probe_task(segmenter, probed))

        first, others = labelled[0], labelled[1:]
        perturbed = perturb.apply(first.image, first.fossils, perturb.Median())
        edit = yield from _timed(
            seconds,
            "edit",
            "Edit",
            editing.rewrite_task(segmenter, first.image, perturbed, first.fossils),
        )
        choice = yield from _timed(
            seconds, "strength", "Strength", editing.choose_strength_task(segmenter, edit, others)
        )
        # The file that is written carries the strength, and which slices chose it.
        edit = edit.with_choice(choice, [piece.image for piece in others])
        comparison = yield from _timed(
            seconds,
            "comparison",
            "Unseen reefs",
            compare_task(segmenter, edit, choice.strength, unseen, strengths=size.strengths),
        )
        volumes = yield from _timed(
            seconds,
            "3D",
            "3D",
            _volumes_task(segmenter, edit, choice.strength, size),
        )
    seconds["total"] = time.perf_counter() - started
    result = DemoResult(
        probe=probe,
        probed=probed,
        edit=edit,
        edit_slice=first.name,
        choice=choice,
        comparison=comparison,
        slices=unseen,
        block=volumes.image,
        volume_before=volumes.before,
        volume_after=volumes.after,
        volume_truth=volumes.truth,
        voxel_size=(0.5, 0.145, 0.145),
        model={"name": segmenter.name, "fingerprint": segmenter.fingerprint()},
        seconds=seconds,
    )
    yield Progress(0, 0, "Writing the report")
    write_report(folder, result)
    return result


def demo(
    out: str | Path, *, segmenter: Segmenter | None = None, size: DemoSize | None = None
) -> DemoResult:
    """Run `demo_task` to its end."""
    return run(demo_task(out, segmenter=segmenter, size=size))


@dataclass(frozen=True)
class _Block:
    """Neighbouring slices for the 3D picture, and their specimens."""

    image: NDArray[np.uint8]
    before: NDArray[np.int32]
    after: NDArray[np.int32]
    truth: NDArray[np.int32]


def _volumes_task(
    segmenter: Segmenter, edit: Edit, strength: float, size: DemoSize
) -> Task[_Block]:
    """A block of neighbouring slices, linked: without the edit, with it, and as labelled."""
    from napari_fossiledit import volume
    from napari_fossiledit.editing import EditStack
    from napari_fossiledit.sample import splits
    from napari_fossiledit.sample.reef import ReefModel

    depth, height, width = size.volume
    reef = ReefModel(size.seeds[0], splits.SHAPE)
    pieces = [reef.slice(z) for z in range(depth)]
    images = [piece.image[:height, :width] for piece in pieces]
    truth = np.stack([piece.labels[:height, :width] for piece in pieces]).astype(np.int32)
    linked = []
    with EditStack.of(segmenter).trial(edit) as set_strength:
        for i, step in enumerate((0.0, strength)):
            set_strength(step)
            found = yield from part_of(segment_task(segmenter, images), i, 2)
            linked.append(volume.link(item.to_labels() for item in found))
    return _Block(np.stack(images), linked[0], linked[1], truth)


def _timed(
    seconds: dict[str, float], key: str, title: str, task: Task[T]
) -> Generator[Progress, None, T]:
    """Drive a task, name it in its messages and note how long it took."""
    started = time.perf_counter()
    result = yield from mapped(task, lambda step: replace(step, message=f"{title}: {step.message}"))
    seconds[key] = time.perf_counter() - started
    return result
