"""Arguments and options that commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Backend",
    "BackendName",
    "ClassNames",
    "Config",
    "Confusers",
    "Device",
    "DeviceName",
    "Fill",
    "FossilClasses",
    "Images",
    "Json",
    "Labels",
    "Model",
    "NoDevice",
    "NoSeed",
    "Seed",
    "Target",
    "TargetName",
    "Zoom",
]


class DeviceName(StrEnum):
    """Where a model computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class BackendName(StrEnum):
    """What runs a detectron2 model."""

    auto = "auto"
    torchvision = "torchvision"
    detectron2 = "detectron2"


class TargetName(StrEnum):
    """What a perturbation paints."""

    others = "others"
    fossils = "fossils"


Images = Annotated[
    Path,
    typer.Argument(
        metavar="IMAGES", help="A folder of PNG, JPEG or TIFF slices, a TIFF, or one image."
    ),
]
Labels = Annotated[
    Path,
    typer.Argument(
        metavar="LABELS",
        help="Labels: a TIFF or PNG, or a folder of them named like the images "
        "(_mask or _labels may follow the name). 0 is background.",
    ),
]
Confusers = Annotated[
    Path | None,
    typer.Option(
        "--confusers", help="Where fossils of other kinds lie: a file or folder as LABELS."
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        help="'demo', a model file (.safetensors, .pth, .pkl), or the folder of a training.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="A detectron2 model's config.yaml; found beside the weights if left out.",
    ),
]
Backend = Annotated[
    BackendName,
    typer.Option(
        "--backend",
        help="What runs a detectron2 model; auto takes detectron2 itself where it is installed.",
    ),
]
ClassNames = Annotated[
    str | None,
    typer.Option("--class-names", metavar="A,B", help="The model's classes, one name each."),
]
FossilClasses = Annotated[
    str | None,
    typer.Option(
        "--fossil-classes",
        metavar="A,B",
        help="Which classes are the fossil: names, or numbers from 0 as in `model info`; "
        "default: all.",
    ),
]
Zoom = Annotated[
    float,
    typer.Option(
        "--zoom",
        help="Show the network every slice so many times larger; 1 is the model's own size. Small "
        "fossils may be found then; `advise` tells what it is worth.",
    ),
]
Device = Annotated[
    DeviceName, typer.Option("--device", help="Where to compute; auto takes the fastest there is.")
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, help="The same seed gives the same result, to the byte.")
]
NoDevice = Annotated[
    DeviceName,
    typer.Option("--device", help="Taken as by every command; it has no effect here."),
]
NoSeed = Annotated[
    int, typer.Option("--seed", min=0, help="Taken as by every command; it has no effect here.")
]
Json = Annotated[Path | None, typer.Option("--json", help="Also write all figures to this file.")]
Fill = Annotated[
    str,
    typer.Option(
        "--fill",
        help="What is painted: 'colour:r,g,b', 'median' (of all but the fossils), 'noise' (like "
        "all but the fossils), 'tile', 'tile-mirrored' or 'quilt' (of the calmest patch of rock), "
        "or 'inpaint' (small holes). A window may follow all but colour and inpaint: "
        "'tile:y0,x0,y1,x1'.",
    ),
]
Target = Annotated[
    TargetName, typer.Option("--target", help="Paint all but the fossils, or the fossils.")
]
