"""Shell fragments and calcite veins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_fossiledit.sample.textures import F32, F64, PIXEL_MM, SLICE_MM

SHELLS_PER_MM3 = 0.006
VEINS_PER_MM = 0.055  # along the longer side of a slice, for veins as long as the block


@dataclass(frozen=True)
class Debris:
    """Shells (pieces of hollow spheres) and veins (wavy sheets); lengths in mm.

    Attributes
    ----------
    shell_centre, shell_way : (N, 3) float64, centre of the sphere, middle of the piece (z, y, x)
    shell_shape : (N, 3) float64, radius, thickness, half angle (rad)
    vein_point, vein_normal : (V, 3) float64
    vein_shape : (V, 4) float64, thickness, half length, wave length, wave phase
    """

    shell_centre: F64
    shell_way: F64
    shell_shape: F64
    vein_point: F64
    vein_normal: F64
    vein_shape: F64


def place_debris(random: np.random.Generator, shape: tuple[int, int, int]) -> Debris:
    """Return the shells and veins of a block of rock."""
    extent = np.array(shape) * (SLICE_MM, PIXEL_MM, PIXEL_MM)
    n = int(SHELLS_PER_MM3 * np.prod(extent + 6.0))
    way = random.standard_normal((n, 3))
    # A vein is a sheet some 30 to 90 mm wide: their number goes with the area of the block.
    veins = max(int(VEINS_PER_MM * extent[1] * max(extent[2] / 60.0, 1.0)), 1) + 1
    turn = random.uniform(0.0, np.pi, veins)
    lean = random.normal(0.0, 0.35, veins)
    normal = np.stack([np.sin(lean), np.cos(lean) * np.sin(turn), np.cos(lean) * np.cos(turn)], 1)
    return Debris(
        shell_centre=random.random((n, 3)) * (extent + 6.0) - 3.0,
        shell_way=way / np.linalg.norm(way, axis=1, keepdims=True),
        shell_shape=np.stack(
            [
                random.uniform(1.2, 5.0, n),
                random.uniform(0.10, 0.22, n),
                random.uniform(0.35, 0.9, n),
            ],
            axis=1,
        ),
        vein_point=random.random((veins, 3)) * extent,
        vein_normal=normal,
        vein_shape=np.stack(
            [
                random.uniform(0.10, 0.38, veins),
                random.uniform(12.0, 45.0, veins),
                random.uniform(5.0, 14.0, veins),
                random.uniform(0.0, 2.0 * np.pi, veins),
            ],
            axis=1,
        ),
    )


def draw_shells(debris: Debris, z_mm: float, shift: tuple[float, float], pale: F32) -> None:
    """Draw the shells of a slice into `pale` (y, x) float32, the share of pale material."""
    radius = debris.shell_shape[:, 0]
    for i in np.flatnonzero(np.abs(debris.shell_centre[:, 0] - z_mm) < radius + 0.3):
        centre, (r, thick, half) = debris.shell_centre[i], debris.shell_shape[i]
        # The piece lies around the point where its middle direction leaves the sphere.
        tip = centre + r * debris.shell_way[i]
        reach = r * 2.0 * np.sin(half / 2.0) + 0.4
        if abs(tip[0] - z_mm) > reach:
            continue
        box = [
            slice(
                max(int((tip[a + 1] - reach) / PIXEL_MM - shift[a]), 0),
                max(int((tip[a + 1] + reach) / PIXEL_MM - shift[a]) + 1, 0),
            )
            for a in (0, 1)
        ]
        view = pale[box[0], box[1]]
        if not view.size:
            continue
        y = (np.arange(view.shape[0]) + box[0].start + shift[0])[:, None] * PIXEL_MM - centre[1]
        x = (np.arange(view.shape[1]) + box[1].start + shift[1])[None] * PIXEL_MM - centre[2]
        z = z_mm - centre[0]
        far = np.sqrt(y**2 + x**2 + z**2) + 1e-6
        way = debris.shell_way[i]
        angle = np.arccos(np.clip((y * way[1] + x * way[2] + z * way[0]) / far, -1.0, 1.0))
        # The valve thins towards its edge.
        width = thick * np.clip(1.15 - (angle / half) ** 2, 0.0, 1.0)
        cover = np.clip((width - np.abs(far - r)) / PIXEL_MM + 0.3, 0.0, 0.9) * (angle < half)
        np.maximum(view, cover.astype(np.float32), out=view)


def draw_veins(debris: Debris, z_mm: float, shift: tuple[float, float], white: F32) -> None:
    """Draw the veins of a slice into `white` (y, x) float32, the share of calcite."""
    for i in range(len(debris.vein_point)):
        normal = debris.vein_normal[i]
        # Walk along the image axis that the vein follows more closely.
        flip = abs(normal[1]) < abs(normal[2])
        across, along = (2, 1) if flip else (1, 2)
        target = white.T if flip else white
        _draw_vein(debris, i, (across, along), z_mm, shift, target)


def _draw_vein(
    debris: Debris,
    i: int,
    axes: tuple[int, int],
    z_mm: float,
    shift: tuple[float, float],
    target: F32,
) -> None:
    """Draw vein `i` into `target`, whose rows run across the vein."""
    across, along = axes
    point, normal = debris.vein_point[i], debris.vein_normal[i]
    thick, half, wave, phase = debris.vein_shape[i]
    u = (np.arange(target.shape[1]) + shift[along - 1]) * PIXEL_MM - point[along]
    bend = 0.35 * np.sin(2 * np.pi * u / wave + phase + 0.2 * z_mm)
    bend += 0.08 * np.sin(13.1 * u / wave + 2.0 * phase)
    v = (bend - normal[0] * (z_mm - point[0]) - normal[along] * u) / normal[across]
    row = (v + point[across]) / PIXEL_MM - shift[across - 1]
    # The sheet ends in a point, and swells and pinches on its way.
    left = 1.0 - ((u / half) ** 2 + ((z_mm - point[0]) / (1.5 * half)) ** 2)
    swell = 0.75 + 0.25 * np.sin(2.0 * u + phase) + 0.2 * np.sin(5.3 * u)
    width = thick * np.sqrt(np.clip(left, 0.0, None)) * swell / abs(normal[across]) / PIXEL_MM
    reach = int(np.ceil(width.max())) + 2
    first = np.floor(row).astype(int)
    columns = np.arange(target.shape[1])
    for step in range(-reach, reach + 1):
        rows = first + step
        ok = (rows >= 0) & (rows < target.shape[0]) & (width > 0.05)
        cover = np.clip(0.5 * width - np.abs(rows - row) + 0.5, 0.0, 1.0) * np.minimum(width, 1.0)
        at = (rows[ok], columns[ok])
        target[at] = np.maximum(target[at], cover[ok].astype(np.float32))
