"""Perturbations: paint over part of a slice, to see what a model relies on."""

from __future__ import annotations

from napari_fossiledit.perturb.fills import (
    Colour,
    Fill,
    Inpaint,
    Median,
    Noise,
    Quilt,
    SlowFill,
    Tile,
    fill_from_dict,
    parse_fill,
)
from napari_fossiledit.perturb.perturbation import Perturbation, Perturbed, apply, apply_task
from napari_fossiledit.perturb.select import choose

__all__ = [
    "Colour",
    "Fill",
    "Inpaint",
    "Median",
    "Noise",
    "Perturbation",
    "Perturbed",
    "Quilt",
    "SlowFill",
    "Tile",
    "apply",
    "apply_task",
    "choose",
    "fill_from_dict",
    "parse_fill",
]
