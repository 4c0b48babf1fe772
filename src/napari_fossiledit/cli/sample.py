"""``fossiledit sample``: the synthetic reef as files, and the demo model's training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import drive, report
from napari_fossiledit.cli.outputs import check_outputs
from napari_fossiledit.cli.plain_command import PlainCommand

if TYPE_CHECKING:
    from napari_fossiledit.progress import Task

__all__ = ["app"]


class _WriteByDefault(TyperGroup):
    """``fossiledit sample OUT`` is ``fossiledit sample write OUT``."""

    def parse_args(self, ctx, args):  # type: ignore[no-untyped-def]
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            args = ["write", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="Write the sample reef to a folder (sample OUT), or train the demo model again.",
    cls=_WriteByDefault,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("write", cls=PlainCommand)
def write(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder; made if it is missing.")],
    device: options.NoDevice = options.DeviceName.auto,
    seed: options.Seed = 0,
    shape: Annotated[str, typer.Option("--shape", help="Slices, rows and columns.")] = "48,384,384",
    json: options.Json = None,
) -> None:
    """Write a reef: images/ (PNG), labels.tif, confusers.tif, textures.csv, voxel size."""
    from napari_fossiledit import io

    size = _shape(shape)
    if json is not None:
        io.check_writable(json)
    with io.atomic_folder(out) as folder:
        figures = drive(_write_task(folder, seed, size))
    report(json, figures)
    typer.echo(f"{size[0]} slices with labels and confusers written to {out}.")


@app.command("train-demo", cls=PlainCommand)
def train_demo(
    out: Annotated[Path, typer.Option("--out", help="Where the weights go (.safetensors).")] = Path(
        "demo_model.safetensors"
    ),
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Fewer than usual, for a trial.")
    ] = None,
    device: options.NoDevice = options.DeviceName.auto,
    seed: options.Seed = 0,
    json: options.Json = None,
) -> None:
    """Train the demo model again, as the shipped one was: under 20 minutes on two cores."""
    from napari_fossiledit import io
    from napari_fossiledit.sample.train_demo import STEPS, train_demo_task

    check_outputs([], [out, json])
    io.check_writable(out)
    if json is not None:
        io.check_writable(json)
    trained = drive(train_demo_task(out, steps=steps or STEPS, seed=seed))
    report(json, {"losses": trained.losses, "seconds": trained.seconds, "seed": seed})
    typer.echo(f"The demo model was trained and written to {out}.")


def _shape(text: str) -> tuple[int, int, int]:
    from napari_fossiledit.errors import InputError

    try:
        z, y, x = (int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        z = y = x = 0
    if min(z, y, x) < 1:
        raise InputError(f"The shape {text} is not three whole numbers above 0, as 48,384,384.")
    return z, y, x


def _write_task(folder: Path, seed: int, shape: tuple[int, int, int]) -> Task[dict[str, object]]:
    """Write a reef slice by slice; returns its figures."""
    import numpy as np

    from napari_fossiledit import io
    from napari_fossiledit.io.voxels import VOXEL_FILE
    from napari_fossiledit.progress import Progress
    from napari_fossiledit.sample.reef import VOXEL_SIZE, ReefModel

    yield Progress(0, shape[0], "Laying out the reef")
    reef = ReefModel(seed, shape)
    labels = np.zeros(shape, np.int32)
    confusers = np.zeros(shape, np.int32)
    (folder / "images").mkdir()
    for z in range(shape[0]):
        piece = reef.slice(z)
        io.write_image(folder / "images" / f"{z:04d}.png", piece.image)
        labels[z], confusers[z] = piece.labels, piece.confusers
        yield Progress(z + 1, shape[0], "Drawing slices")
    io.write_labels(folder / "labels.tif", labels, voxel_size=VOXEL_SIZE)
    io.write_labels(folder / "confusers.tif", confusers, voxel_size=VOXEL_SIZE)
    io.write_json(folder / "images" / VOXEL_FILE, {"voxel_size_mm": VOXEL_SIZE})
    seen = [int(i) for i in np.unique(labels) if i]
    textures = reef.textures
    io.write_json(folder / "textures.json", {i: textures[i] for i in seen})
    io.write_table(folder / "textures.csv", ["id", "texture"], [(i, textures[i]) for i in seen])
    return {"seed": seed, "shape": shape, "voxel_size_mm": VOXEL_SIZE, "individuals": len(seen)}
