"""``fossiledit segment STACK --out RESULT.ome.zarr``: resumable, tiled, on one or many machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_fossiledit.cli.console import drive, note
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task, mapped

if TYPE_CHECKING:
    from napari_fossiledit.io import LabelStore, Stack
    from napari_fossiledit.models import Segmenter

__all__ = ["check_whole", "is_whole", "whole"]


def is_whole(out: Path) -> bool:
    """Whether a result of that name is kept slice by slice."""
    return out.suffix.lower() == ".zarr"


def check_whole(out: Path, *, link: bool, tile: int | None, scheduler: str | None) -> None:
    """Refuse options that do not go with the kind of result, before any work.

    Raises
    ------
    InputError
    """
    if is_whole(out):
        if link:
            raise InputError(
                f"--link is for a .tif: leave it out, and link {out} afterwards with "
                "`fossiledit link`."
            )
        if not out.absolute().parent.is_dir():
            raise InputError(
                f"{out.name} cannot be written: there is no folder {out.absolute().parent}; make "
                "it first, or choose another."
            )
    elif tile is not None or scheduler is not None:
        option = "--tile" if tile is not None else "--scheduler"
        raise InputError(
            f"{option} needs a result that is kept slice by slice: give --out a name that ends in "
            ".ome.zarr."
        )


def whole(
    segmenter: Segmenter,
    stack: Stack,
    out: Path,
    *,
    score: float,
    tile: int | None,
    scheduler: str | None,
) -> dict[str, Any]:
    """Segment a stack into a result folder, say how it went, and return the figures."""
    from napari_fossiledit.pipeline import segment_stack_task
    from napari_fossiledit.pipeline.limits import limit_sentence

    begun: dict[str, Any] = {}
    task = segment_stack_task(
        segmenter, stack, out, score_threshold=score, tile=tile, scheduler=scheduler
    )
    store = drive(_saying_where(task, begun))
    problems = store.problems()
    note(sentence.rstrip(".") for sentence in problems.values())
    counts = _counts(store)
    limit = limit_sentence(segmenter, [range(count) for count in counts])
    note([limit.rstrip(".")] if limit else [])
    read = len(stack) - len(problems)
    typer.echo(
        f"{sum(counts):,} instances in {read:,} slice{'' if read == 1 else 's'}, written to {out}."
    )
    if problems:
        typer.echo(
            f"{len(problems):,} of {len(stack):,} slices could not be read: mend their files and "
            "run the same command again.",
            err=True,
        )
    return {
        "slices": [
            {"name": name, "instances": count, "problem": problems.get(z, "")}
            for z, (name, count) in enumerate(zip(stack.names, counts, strict=True))
        ],
        "instances": sum(counts),
        "failed": len(problems),
        "tile": store.about["settings"]["tile"],
        **begun,
    }


def _saying_where(task: Task[LabelStore], begun: dict[str, Any]) -> Task[LabelStore]:
    """Say where an earlier run is taken up, and keep the number of its slices."""
    from napari_fossiledit.pipeline.whole_stack import Begun

    def say(step: Progress) -> Progress:
        if isinstance(step.data, Begun):
            begun["done_before"] = step.data.done
            if step.data.sentence:
                typer.echo(f"{step.data.sentence}.")
            if step.data.tile is not None:
                note([f"Slices are predicted in tiles of {step.data.tile} pixels"])
        return step

    return mapped(task, say)


def _counts(store: LabelStore) -> list[int]:
    """Instances of every slice."""
    table = store.table()
    if "slice" not in table:
        return [0] * len(store)
    found = table["slice"].value_counts()
    return [int(found.get(z, 0)) for z in range(len(store))]
