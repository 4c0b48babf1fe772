"""Commands whose usage line reads ``fossiledit segment [OPTIONS] IMAGES``."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

__all__ = ["PlainCommand"]


class PlainCommand(TyperCommand):
    """Takes off the braces that newer versions of typer put around required arguments.

    Optional ones get square brackets from typer, so their ``metavar`` must have none.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let every error of usage know its command; the parser leaves some without."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "ctx", ctx) is None:
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def collect_usage_pieces(self, ctx):  # type: ignore[no-untyped-def]
        """Name the command's arguments for the usage line."""
        pieces = super().collect_usage_pieces(ctx)
        return [re.sub(r"^\{(.+)\}(?=(\.\.\.)?$)", r"\1", piece) for piece in pieces]
