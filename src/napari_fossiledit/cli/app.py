"""The typer application, and what becomes of errors.

Exit codes: 0 success; 2 bad usage or bad input, with one plain sentence on stderr; 1 a fault of
ours; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from napari_fossiledit import __version__
from napari_fossiledit.cli import (
    advise,
    demo,
    edit,
    edit_files,
    evaluate,
    experiment,
    link,
    measure,
    mesh,
    model,
    perturb,
    probe,
    sample,
    segment,
)
from napari_fossiledit.cli.plain_command import PlainCommand
from napari_fossiledit.errors import Cancelled, FossilEditError

__all__ = ["app", "execute", "main"]

OK, OUR_FAULT, BAD_INPUT, STOPPED = 0, 1, 2, 130
# Plain text, no boxes: errors are one sentence, and help reads the same in every terminal.
app = typer.Typer(
    name="fossiledit",
    help="Find out how a Mask R-CNN errs on serial sections of fossils, and mend it by editing.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo", cls=PlainCommand)(demo.demo)
app.command("segment", cls=PlainCommand)(segment.segment)
app.command("link", cls=PlainCommand)(link.link)
app.command("measure", cls=PlainCommand)(measure.measure)
app.command("mesh", cls=PlainCommand)(mesh.mesh)
app.command("perturb", cls=PlainCommand)(perturb.perturb)
app.command("probe", cls=PlainCommand)(probe.probe)
app.command("edit", cls=PlainCommand)(edit.edit)
app.command("evaluate", cls=PlainCommand)(evaluate.evaluate)
app.command("advise", cls=PlainCommand)(advise.advise)
app.command("experiment", cls=PlainCommand)(experiment.experiment)
app.add_typer(edit_files.app, name="edits")
app.add_typer(model.app, name="model")
app.add_typer(sample.app, name="sample")

# Usage errors; typer shows this class only through its subclass.
_UsageError = typer.BadParameter.__mro__[1]
_ClickError = typer.BadParameter.__mro__[2]


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a full traceback of any error.")
    ] = False,
) -> None:
    # --debug is taken out of the arguments before they come here; it is named for --help.
    if version:
        typer.echo(f"fossiledit {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line and exit: the entry point ``fossiledit``."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str
        What follows ``fossiledit``.

    Returns
    -------
    int
        The exit code.
    """
    debug = "--debug" in arguments or bool(os.environ.get("FOSSILEDIT_DEBUG"))
    words = [word for word in arguments if word != "--debug"]
    try:
        code = app(args=words, prog_name="fossiledit", standalone_mode=False)
        # Without this, a full disk under a redirected output would show as a traceback at exit.
        sys.stdout.flush()
        # Some versions of typer turn Ctrl-C into this code without a word.
        return _stopped() if code == STOPPED else code if isinstance(code, int) else OK
    except BaseException as error:
        if debug and not isinstance(error, SystemExit):
            import traceback

            traceback.print_exception(error)
        return _said(error)


def _said(error: BaseException) -> int:
    """Say an error in one sentence and give its exit code."""
    if isinstance(error, FossilEditError):
        return _tell(str(error), BAD_INPUT)
    if isinstance(error, KeyboardInterrupt | Cancelled | typer.Abort):
        return _stopped()
    if isinstance(error, _ClickError):
        return _tell(_usage(error), BAD_INPUT)
    if isinstance(error, MemoryError):
        return _tell("This machine has too little memory for that: try fewer slices.", BAD_INPUT)
    if isinstance(error, BrokenPipeError):
        # The reader of a pipe (`| head`) has gone; stdout must not be flushed again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else OUR_FAULT
    return _tell(
        f"fossiledit failed ({type(error).__name__}: {_one_line(str(error))}): this is our fault, "
        f"not yours; please run it again with --debug and send the developers what it prints.",
        OUR_FAULT,
    )


def _stopped() -> int:
    return _tell("Stopped: nothing was left half-written.", STOPPED)


def _usage(error: BaseException) -> str:
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    text = text.replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "fossiledit"
    return f"{_one_line(text).rstrip('.')}: see {command} --help."


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _tell(sentence: str, code: int) -> int:
    typer.echo(_one_line(sentence), err=True)
    return code
