"""Perturbations: paint over part of a slice, to see what a model relies on."""

from __future__ import annotations

from napari_fossiledit.perturb.fills import Colour, Fill, Median, fill_from_dict, parse_fill
from napari_fossiledit.perturb.perturbation import Perturbation, Perturbed, apply
from napari_fossiledit.perturb.select import choose

__all__ = [
    "Colour",
    "Fill",
    "Median",
    "Perturbation",
    "Perturbed",
    "apply",
    "choose",
    "fill_from_dict",
    "parse_fill",
]
