"""Solvers: each finds the change of one layer's weight that brings its values to the target.

All have one face, ``solver(key, target, weight, bias=None, *, mask=None, ...) -> Solution``, and
a ``solver_task`` that shows its progress.
"""

from __future__ import annotations

from napari_fossiledit.editing.solvers.adam import adam, adam_task
from napari_fossiledit.editing.solvers.context import context_directions, second_moment
from napari_fossiledit.editing.solvers.l1 import l1, l1_task
from napari_fossiledit.editing.solvers.low_rank import low_rank, low_rank_task
from napari_fossiledit.editing.solvers.problem import KeepKeys
from napari_fossiledit.editing.solvers.ridge import ridge, ridge_task
from napari_fossiledit.editing.solvers.solution import Solution

__all__ = [
    "KeepKeys",
    "Solution",
    "adam",
    "adam_task",
    "context_directions",
    "l1",
    "l1_task",
    "low_rank",
    "low_rank_task",
    "ridge",
    "ridge_task",
    "second_moment",
]
