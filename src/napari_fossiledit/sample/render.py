"""Drawing one slice of the scene: who owns which pixel, and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_fossiledit.progress import checkpoint
from napari_fossiledit.sample.clots import Clots, ClotSection, cut_clot
from napari_fossiledit.sample.cups import Cups, CupSection, cut_cup
from napari_fossiledit.sample.debris import Debris, draw_shells, draw_veins
from napari_fossiledit.sample.materials import Surface, clot_surface, cup_surface, finish, mud
from napari_fossiledit.sample.textures import F32, I32, SLICE_MM, U8, Bool, rng

SMALLEST_CUP = 90  # pixels; less than 1.5 mm across is no longer told from a shell
SMALLEST_CLOT = 20
WOBBLE_PX = 0.8  # standard deviation of a slice's misregistration, pixels
SLIPPED = 0.04  # share of the slices that slipped on the stage by SLIP_PX
SLIP_PX = 5.0
WOBBLE_MAX = 11.0


@dataclass(frozen=True)
class Scene:
    """Everything in the block of rock, and its seed."""

    seed: int
    shape: tuple[int, int, int]
    cups: Cups
    clots: Clots
    debris: Debris


@dataclass(frozen=True)
class Owners:
    """Who owns the pixels of a slice: ids (y, x) int32 and the sections that were cut."""

    labels: I32
    confusers: I32
    cups: list[tuple[int, CupSection]]
    clots: list[tuple[int, ClotSection]]


def wobble(seed: int, z: int) -> tuple[float, float]:
    """Return the misregistration (y, x) of slice `z`, pixels."""
    random = rng(seed, 11, z)
    spread = SLIP_PX if random.random() < SLIPPED else WOBBLE_PX
    step = np.clip(random.normal(0.0, spread, 2), -WOBBLE_MAX, WOBBLE_MAX)
    return float(step[0]), float(step[1])


def _keep_largest(labels: I32, index: int, section: CupSection) -> None:
    """Leave the cup one piece that is large enough to be a fossil, or nothing."""
    own = section.at[labels.flat[section.at] == index]
    if own.size:
        rows, columns = np.divmod(own, labels.shape[1])
        box = np.zeros((np.ptp(rows) + 1, np.ptp(columns) + 1), np.uint8)
        box[rows - rows.min(), columns - columns.min()] = 1
        parts, n = ndimage.label(box)
        which = parts[rows - rows.min(), columns - columns.min()]
        sizes = np.bincount(which, minlength=n + 1)
        best = int(sizes.argmax())
        lost = own[which != best] if sizes[best] >= SMALLEST_CUP else own
        labels.flat[lost] = 0


def _own_cups(
    scene: Scene, z: int, shift: tuple[float, float], rough: F32
) -> tuple[I32, Bool, list[tuple[int, CupSection]]]:
    """Return the labels, the mud pockets where a cup is missing, and the cups' sections."""
    cups, shape, z_mm = scene.cups, scene.shape[1:], z * SLICE_MM
    labels, pocket = np.zeros(shape, np.int32), np.zeros(shape, bool)
    nearest = np.full(shape, np.inf, np.float32)
    sections = []
    for i in np.flatnonzero((cups.z_range[:, 0] < z_mm) & (cups.z_range[:, 1] > z_mm)).tolist():
        checkpoint()
        section = cut_cup(cups, i, z_mm, shift, rough)
        if section is None:
            continue
        if cups.missed[i] == z:
            pocket.flat[section.at] = True
            continue
        closer = section.rho < nearest.flat[section.at]
        at = section.at[closer]
        nearest.flat[at] = section.rho[closer]
        labels.flat[at] = i + 1
        sections.append((i, section))
    for i, section in sections:
        _keep_largest(labels, i + 1, section)
    pocket &= labels == 0
    return labels, pocket, sections


def own(scene: Scene, z: int, shift: tuple[float, float], rough: F32) -> Owners:
    """Decide for every pixel of slice `z` whether a cup, a clot or the mud owns it."""
    labels, pocket, cups = _own_cups(scene, z, shift, rough)
    taken = pocket | (labels > 0)
    shape, z_mm, clots = scene.shape[1:], z * SLICE_MM, scene.clots
    confusers = np.zeros(shape, np.int32)
    nearest = np.where(taken, np.float32(-1.0), np.float32(np.inf))
    sections = []
    for i in np.flatnonzero((clots.z_range[:, 0] < z_mm) & (clots.z_range[:, 1] > z_mm)).tolist():
        checkpoint()
        section = cut_clot(clots, i, z_mm, shift, rough)
        if section is None:
            continue
        closer = section.rho < nearest.flat[section.at]
        at = section.at[closer]
        nearest.flat[at] = section.rho[closer]
        confusers.flat[at] = i + 1
        sections.append((i, section))
    sizes = np.bincount(confusers.ravel())
    confusers[sizes[confusers] < SMALLEST_CLOT] = 0
    return Owners(labels, confusers, cups, sections)


def draw(scene: Scene, z: int) -> tuple[U8, I32, I32]:
    """Return image (y, x, 3) uint8, labels and confusers (y, x) int32 of slice `z`."""
    checkpoint()
    shift = wobble(scene.seed, z)
    surface = mud(scene.seed, z, scene.shape[1:], shift)
    owners = own(scene, z, shift, surface.rough)
    checkpoint()
    z_mm = z * SLICE_MM
    shells = np.zeros(scene.shape[1:], np.float32)
    draw_shells(scene.debris, z_mm, shift, shells)
    surface.cover(shells, "shell")
    _paint(surface, owners, scene)
    checkpoint()
    veins = np.zeros(scene.shape[1:], np.float32)
    draw_veins(scene.debris, z_mm, shift, veins)
    surface.cover(veins * (0.9 + 0.1 * surface.grain), "vein")
    return finish(scene.seed, z, surface.rgb), owners.labels, owners.confusers


def _paint(surface: Surface, owners: Owners, scene: Scene) -> None:
    """Paint clots and cups over the mud, each only where it owns the pixels."""
    clots, cups = scene.clots, scene.cups
    pale: F32 = np.zeros(owners.labels.shape, np.float32)
    for i, clot in owners.clots:
        mine = owners.confusers.flat[clot.at] == i + 1
        pale.flat[clot.at[mine]] = clot_surface(clots, i, clot, surface)[mine]
    surface.cover(pale, "clot")
    pale = np.zeros(owners.labels.shape, np.float32)
    for i, cup in owners.cups:
        mine = owners.labels.flat[cup.at] == i + 1
        pale.flat[cup.at[mine]] = cup_surface(cups, i, cup, surface)[mine]
    surface.clear(owners.labels > 0)
    surface.cover(pale, "skeleton")
