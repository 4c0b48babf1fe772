"""``fossiledit model export``: an edited model as a file for other programs."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_fossiledit.cli import options
from napari_fossiledit.cli.console import report
from napari_fossiledit.cli.model_choice import DEMO, ModelChoice
from napari_fossiledit.cli.outputs import check_outputs
from napari_fossiledit.cli.plain_command import PlainCommand

if TYPE_CHECKING:
    from napari_fossiledit.editing import Edit
    from napari_fossiledit.models import Exported, Segmenter

__all__ = ["EditsInARow", "FormName", "export"]


class FormName(StrEnum):
    """How the weights are written."""

    auto = "auto"
    detectron2 = "detectron2"
    torchvision = "torchvision"
    safetensors = "safetensors"


class EditsInARow(PlainCommand):
    """``--edits a b`` is ``--edits a --edits b``."""

    def parse_args(self, ctx, args):  # type: ignore[no-untyped-def]
        """Repeat the option's name before each further file."""
        spread: list[str] = []
        several = ""
        for word in args:
            if word.startswith("-"):
                name = word.split("=")[0]
                several = name if name in {"--edits", "--edit"} else ""
            elif several and spread[-1] != several:
                spread.append(several)
            spread.append(word)
        return super().parse_args(ctx, spread)


def export(
    out: Annotated[
        Path, typer.Option("--to", help="The file to write (.pth, .pkl or .safetensors).")
    ],
    source: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="The same as --model.")
    ] = None,
    model: ModelChoice = DEMO,
    edits: Annotated[
        list[Path] | None,
        typer.Option("--edits", "--edit", help="Edit files to apply first; one or more."),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option("--strength", help="The strength of each edit; default: its own."),
    ] = None,
    form: Annotated[
        FormName,
        typer.Option("--form", help="auto goes by the file's name and the kind of the model."),
    ] = FormName.auto,
    seed: options.NoSeed = 0,
    json: options.Json = None,
) -> None:
    """Write the model, with edits applied, for detectron2, for torchvision, or as safetensors.

    Only the tensors that the edits rewrite differ from the original's.
    """
    from napari_fossiledit import io, models
    from napari_fossiledit.cli.edits import apply_edit
    from napari_fossiledit.errors import InputError

    model = model.named(source)
    files = edits or []
    if strength is not None and not files:
        raise InputError(
            "--strength is the strength of edits, but none is given: name edit files with --edits, "
            "or leave --strength out."
        )
    check_outputs([*model.files, *files], [out, json])
    io.check_writable(out)
    if json is not None:
        io.check_writable(json)
    # All are read before the model: one of them may be the model's file, named behind --edits.
    loaded = _load_edits(files)
    segmenter = model.load()
    fingerprint = segmenter.fingerprint()
    applied = [
        apply_edit(segmenter, path, strength, edit)
        for path, edit in zip(files, loaded, strict=True)
    ]
    written = models.export(segmenter, out, form=form.value)
    figures: dict[str, Any] = {
        "model": segmenter.name,
        "written": str(out),
        "form": written.form,
        "edits": applied,
        "tensors": written.tensors,
        "tensors_changed": list(written.changed),
        "fingerprint_before": fingerprint,
        "fingerprint": segmenter.fingerprint(),
    }
    report(json, figures)
    typer.echo(f"The model {segmenter.name} was written to {out} {_FORMS[written.form]}.")
    typer.echo(_difference(written))
    if use := _use(segmenter, written):
        typer.echo(use)


def _load_edits(files: list[Path]) -> list[Edit]:
    from napari_fossiledit.editing import load_edit

    return [load_edit(path) for path in files]


_FORMS = {
    "detectron2": "as a detectron2 checkpoint",
    "torchvision": "as a torchvision state dict",
    "safetensors": "as safetensors",
}


def _use(segmenter: Segmenter, written: Exported) -> str:
    """How a file made of a detectron2 model is used; the other files need no more."""
    config = getattr(segmenter, "config", None)
    if config is None:
        return ""
    if written.form == "torchvision":
        return (
            "To predict the same, torchvision's model needs the settings kept beside the weights "
            "(image_mean, image_std, config); fossiledit does not read this file back."
        )
    if written.form == "safetensors":
        return "It holds its config itself: use it without --config."
    # A model that was loaded from safetensors brought its config in that file.
    given = config.path if config.path.suffix.lower() in {".yaml", ".yml"} else "PATH"
    return f"Use it with the original's config (--config {shlex.quote(str(given))})."


def _difference(written: Exported) -> str:
    names = written.changed
    if not names:
        return f"None of its {written.tensors} tensors differs from the original's."
    verb = "differs" if len(names) == 1 else "differ"
    some = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    return f"{len(names)} of its {written.tensors} tensors {verb} from the original's: {some}."
