"""What commands share: progress on a terminal, notes, models, labelled slices."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from napari_fossiledit.progress import Progress, Task, run

if TYPE_CHECKING:
    from napari_fossiledit.cli.model_choice import ModelChoice
    from napari_fossiledit.instances import Instances
    from napari_fossiledit.io import Labelled
    from napari_fossiledit.models import Segmenter

__all__ = [
    "drive",
    "labelled",
    "load_model",
    "note",
    "note_limit",
    "report",
    "scores_lines",
    "table",
]

T = TypeVar("T")


def drive(task: Task[T]) -> T:
    """Run a task, with a progress bar where stderr is a terminal; Ctrl-C closes it."""
    try:
        if not sys.stderr.isatty():
            return run(task)
        from tqdm import tqdm

        with tqdm(
            total=0,
            leave=False,
            desc="Starting",
            bar_format="{desc}: {percentage:3.0f} % {bar} {n}/{total} "
            "[{elapsed}, {remaining} left]",
        ) as bar:

            def show(progress: Progress) -> None:
                if progress.total and not bar.total:
                    bar.initial = progress.done  # an earlier run's: it took none of this time
                bar.total = progress.total
                bar.n = progress.done
                bar.set_description_str(progress.message, refresh=True)

            return run(task, show)
    finally:
        task.close()


def note(lines: Iterable[str]) -> None:
    """Say what was noticed or converted, on stderr; many alike are counted."""
    lines = list(lines)
    for line in lines[:5]:
        typer.echo(f"Note: {line}.", err=True)
    if len(lines) > 5:
        typer.echo(f"Note: {len(lines) - 5} more of this kind.", err=True)


def labelled(images: Path, labels: Path, confusers: Path | None = None) -> Labelled:
    """Read labelled slices and say what was noticed."""
    from napari_fossiledit import io

    found = io.read_labelled(images, labels, confusers, leave_out_empty=True)
    note(found.notes)
    return found


def load_model(choice: ModelChoice) -> Segmenter:
    """Load a model, and say so where all of its several classes count as the fossil."""
    segmenter = choice.load()
    names = segmenter.class_names
    if choice.fossil_classes is None and len(names) > 1:
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        note([f"All {len(names)} classes count as the fossil ({some}): see --fossil-classes"])
    return segmenter


def note_limit(segmenter: Segmenter, found: Iterable[Instances]) -> None:
    """Say on how many slices the model itself stopped at so many instances."""
    from napari_fossiledit.pipeline.limits import limit_sentence

    sentence = limit_sentence(segmenter, found)
    note([sentence.rstrip(".")] if sentence else [])


def report(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write the figures as JSON, if a file is asked for."""
    if path is not None:
        from napari_fossiledit import io

        io.write_json(path, figures)


def scores_lines(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """A table of scores (as `InstanceScores.to_dict` gives them), one column a version."""
    rows: list[list[str]] = [["", *columns]]
    for title, *path in (
        ("precision (matched)", "matched_mean", "precision"),
        ("recall (matched)", "matched_mean", "recall"),
        ("IoU (matched)", "matched_mean", "iou"),
        ("precision (all)", "all_mean", "precision"),
        ("recall (all)", "all_mean", "recall"),
        ("IoU (all)", "all_mean", "iou"),
        ("fossils found", "matched"),
        ("fossils labelled", "total"),
        ("spurious fraction", "spurious_fraction"),
        ("false detections", "false_detections"),
        ("confusers claimed", "confuser_share"),
    ):
        values = [_value(scores, path) for scores in columns.values()]
        if any(value is not None for value in values):
            rows.append([title, *(_shown(value) for value in values)])
    return table(rows)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first one left-aligned and the others right-aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *others = (cell for cell in row)
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _value(scores: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = scores
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
