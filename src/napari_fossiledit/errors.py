"""Errors that a user can act on.

Each carries one plain sentence: what is wrong, with which input, and what to do. The command
line prints that sentence and exits with 2; the viewer shows it as a notification.
"""

from __future__ import annotations

__all__ = [
    "Cancelled",
    "EditError",
    "FossilEditError",
    "InputError",
    "ModelError",
    "OutOfMemoryError",
    "OutputError",
]


class FossilEditError(Exception):
    """Base of all errors that the user can mend."""


class InputError(FossilEditError, ValueError):
    """An image, label volume, mask or setting that cannot be used as it is."""


class ModelError(FossilEditError):
    """A model file that cannot be loaded, or a model that lacks what is asked of it."""


class EditError(FossilEditError):
    """An edit that does not fit the model, is damaged, or is not an edit at all."""


class OutputError(FossilEditError, OSError):
    """A result that cannot be written where the user wants it."""


class OutOfMemoryError(FossilEditError):
    """The device has too little memory for the task."""


class Cancelled(Exception):  # noqa: N818 - not an error: the user asked for it
    """The user cancelled a running task; everything is as it was before."""
