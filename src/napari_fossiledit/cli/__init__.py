"""The command line, ``fossiledit``: every command a thin call into the library."""

from __future__ import annotations

from napari_fossiledit.cli.app import app, execute, main

__all__ = ["app", "execute", "main"]
