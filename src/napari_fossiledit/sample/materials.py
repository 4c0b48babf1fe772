"""Colours and textures of mud, cups and clots, and what grinding and the camera add.

Colours are read off photographs of polished Lower Cambrian reef rock: brick-red to maroon
mudstone, pale grey to cream skeletons and cement, medium to light grey calcimicrobes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_fossiledit.sample.clots import Clots, ClotSection
from napari_fossiledit.sample.cups import Cups, CupSection
from napari_fossiledit.sample.textures import (
    F32,
    SLICE_MM,
    U8,
    Bool,
    fine_noise,
    lattice_noise,
    rng,
    smooth_step,
)

BRICK = np.array([146.0, 84.0, 70.0], np.float32)
MAROON = np.array([121.0, 68.0, 62.0], np.float32)
SILT = np.array([163.0, 112.0, 96.0], np.float32)
COLOURS = {
    "skeleton": np.array([209.0, 196.0, 181.0], np.float32),
    "clot": np.array([200.0, 189.0, 177.0], np.float32),
    "shell": np.array([203.0, 186.0, 168.0], np.float32),
    "vein": np.array([236.0, 231.0, 224.0], np.float32),
}


@dataclass
class Surface:
    """The slice while it is drawn.

    Attributes
    ----------
    rgb : (y, x, 3) float32, as seen so far
    bare : (y, x, 3) float32, the mud alone
    grain : (y, x) float32, fine noise, standard deviation 1
    cloud, rough : (y, x) float32, coarse and middling noise, standard deviation 1
    """

    rgb: F32
    bare: F32
    grain: F32
    cloud: F32
    rough: F32

    def cover(self, share: F32, material: str) -> None:
        """Mix a material into the slice by its share (y, x) of each pixel, 0 to 1.3."""
        where = share > 0
        tone = COLOURS[material] * (1.0 + 0.02 * self.cloud[where])[:, None]
        part = share[where][:, None]
        self.rgb[where] += part * (tone - self.rgb[where])

    def clear(self, where: Bool) -> None:
        """Bring the bare mud back."""
        self.rgb[where] = self.bare[where]


def mud(seed: int, z: int, shape: tuple[int, int], shift: tuple[float, float]) -> Surface:
    """Return a slice of the red mud matrix: two tones, mottles, grains and specks."""
    z_mm = z * SLICE_MM
    cloud = lattice_noise(seed, 21, z_mm, shape, shift, 60.0, 8.0)
    mottle = lattice_noise(seed, 22, z_mm, shape, shift, 11.0, 1.6)
    burrow = lattice_noise(seed, 24, z_mm, shape, shift, 24.0, 2.5)
    rough = lattice_noise(seed, 25, z_mm, shape, shift, 7.0, 1.2)
    random = rng(seed, 23, z)
    grain = fine_noise(random, shape, 0.8)
    speck = fine_noise(random, shape, 1.2)
    red = smooth_step(0.7 * cloud + 0.6 * mottle, -1.7, 1.7)[..., None]
    rgb = MAROON + red * (BRICK - MAROON)
    silt = 0.38 * smooth_step(burrow + 0.35 * rough, 0.9, 1.5)
    silt += 0.5 * smooth_step(speck, 1.7, 2.8)
    rgb += silt[..., None] * (SILT - rgb)
    light = 1.0 + 0.035 * mottle + 0.02 * rough + 0.055 * grain
    light -= 0.2 * smooth_step(-speck, 1.8, 3.0)
    rgb *= light[..., None]
    return Surface(rgb, rgb.copy(), grain, cloud, rough)


def _band(distance: F32, width: float | F32) -> F32:
    """Return 1 where a distance (mm) is within half a width, with a soft edge of a pixel."""
    return np.asarray(np.clip((0.5 * width - distance) / 0.12 + 0.5, 0.0, 1.0), np.float32)


def cup_surface(cups: Cups, i: int, cut: CupSection, surface: Surface) -> F32:
    """Return the share of pale material (n,) float32 at the pixels of a cup."""
    n, p, q = int(cups.septa[i]), cups.phases[i], float(cups.inner[i])
    mud_filled = bool(cups.mud_filled[i])
    grain, cloud, rough = (f.flat[cut.at] for f in (surface.grain, surface.cloud, surface.rough))
    turn = (cut.angle + 0.06 * np.sin(1.3 * cut.along + p[3])) * (n / (2.0 * np.pi)) + 0.14 * rough
    off = np.abs((turn + p[3]) % 1.0 - 0.5)  # 0 on a septum
    spacing = 2.0 * np.pi * cut.rho * cut.radius / n
    thin = 0.8 if mud_filled else 1.0
    septum = _band(off * spacing, 0.19 * thin) * (cut.rho > q) * (cut.rho < 0.95)
    outer = _band((0.93 - cut.rho) * cut.radius, (0.34 + 0.05 * rough) * thin)
    inner = _band(np.abs(cut.rho + 0.025 * rough - q) * cut.radius, 0.27 * thin)
    skeleton = np.maximum(np.maximum(outer, inner), septum)
    # Pores pierce septa and walls in rows along the axis.
    pore = np.sin(10.1 * cut.along + p[0]) * np.sin(19.5 * cut.rho + p[1])
    pore = np.where(cut.rho > 0.86, np.cos(4.0 * np.pi * turn), pore)
    holes = smooth_step(pore.astype(np.float32), 0.45, 0.9)
    # One chamber between two septa in a dozen is filled unlike the others.
    odd = (np.sin(12.9898 * np.floor(turn + p[3] - 0.5) + 7.0 * p[1]) > 0.88) & (cut.rho > q)
    if mud_filled:
        fill = np.where(odd, 0.55 + 0.05 * grain, 0.0) * (cut.rho < 0.93)
        skeleton *= 0.88 - 0.45 * holes + 0.03 * grain + 0.05 * rough
        return np.asarray(np.maximum(skeleton, fill), np.float32)
    noise = grain + 0.8 * cloud + 0.8 * rough
    return _porous(cut, skeleton, np.where(odd, 1.0, holes), q, noise, float(p[2]))


def _porous(cut: CupSection, skeleton: F32, holes: F32, q: float, grain: F32, phase: float) -> F32:
    """Return the pale share of a porous cup: skeleton, pores, and spar in between."""
    spar = 0.66 + 0.05 * grain
    # The cavity holds spar, in some cups with a floor of mud to one side.
    floor = np.cos(cut.angle + phase) * cut.rho / max(q, 0.1)
    level = 0.2 + 0.9 * abs(np.sin(3.0 * phase))
    cavity = (0.78 + 0.05 * grain) * (1.0 - 0.75 * smooth_step(floor, level, level + 0.15))
    inside = np.where(cut.rho < q, cavity, spar)
    pale = inside + skeleton * (1.0 + 0.03 * grain - inside)
    return np.asarray(pale * (1.0 - 0.5 * holes * skeleton), np.float32)


def clot_surface(clots: Clots, i: int, cut: ClotSection, surface: Surface) -> F32:
    """Return the share of pale material (n,) float32 at the pixels of a clot."""
    grain = surface.grain.flat[cut.at]
    rough = surface.rough.flat[cut.at]
    lumps = 0.74 + 0.22 * smooth_step(1.0 - cut.rho, 0.05, 0.5)
    lumps -= 0.26 * (1.0 - smooth_step(cut.seam, 0.0, 0.16))
    if clots.hollow[i]:
        # Chambers with pale walls around darker insides: cells like a cup's septa and pores.
        lumps = 0.95 - 0.45 * smooth_step(1.0 - cut.rho, 0.35, 0.6)
        lumps -= 0.25 * (1.0 - smooth_step(cut.seam, 0.0, 0.15))
    lumps += 0.07 * cut.tone + 0.06 * rough + 0.05 * grain
    return np.asarray(np.clip(lumps * clots.tone[i], 0.1, 1.05), np.float32)


def finish(seed: int, z: int, rgb: F32) -> U8:
    """Return the photograph (y, x, 3) uint8 of a ground slice: light, scratches, blur, noise."""
    random = rng(seed, 31, z)
    h, w = rgb.shape[:2]
    y = np.linspace(-1.0, 1.0, h, dtype=np.float32)[:, None]
    x = np.linspace(-1.0, 1.0, w, dtype=np.float32)[None]
    a, b, c = (float(v) for v in random.normal(0.0, (0.02, 0.02, 0.01)))
    light = 1.0 + a * y + b * x - (0.02 + abs(c)) * (y**2 + x**2)
    gain = random.normal(1.0, 0.018) * random.normal(1.0, 0.007, 3)
    photo = rgb * light[..., None] * gain.astype(np.float32)
    photo += _scratches(random, h, w)[..., None]
    photo = ndimage.gaussian_filter(photo, (0.6, 0.6, 0.0), mode="nearest", truncate=3.0)
    photo += 1.6 * random.standard_normal((h, w, 1), dtype=np.float32)
    photo += 1.6 * random.standard_normal((h, w, 3), dtype=np.float32)
    return np.asarray(np.clip(np.rint(photo), 0, 255), np.uint8)


def _scratches(random: np.random.Generator, h: int, w: int) -> F32:
    """Return faint parallel grinding marks (y, x) float32, grey levels."""
    angle = random.uniform(0.0, np.pi)
    reach = h + w
    profile = ndimage.gaussian_filter1d(random.standard_normal(2 * reach), 0.7) * 1.4
    deep = random.random(2 * reach) < 0.006
    profile[deep] += random.normal(0.0, 4.0, int(deep.sum()))
    place = np.arange(h)[:, None] * np.cos(angle) + np.arange(w)[None] * np.sin(angle) + reach
    return np.asarray(profile[place.astype(np.int64)], np.float32)
