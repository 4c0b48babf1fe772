"""Solvers: each finds the change of one layer's weight that brings its values to the target."""

from __future__ import annotations

from napari_fossiledit.editing.solvers.adam import adam, adam_task
from napari_fossiledit.editing.solvers.ridge import KeepKeys, ridge, ridge_task
from napari_fossiledit.editing.solvers.solution import Solution

__all__ = ["KeepKeys", "Solution", "adam", "adam_task", "ridge", "ridge_task"]
