"""How the cups of a reef grow: their forms, their places, budding, crowding and overgrowth.

The statistics aimed at (sizes, overlap of neighbouring slices) are those of a serially ground
archaeocyathid reef; the growth model itself is this project's.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from napari_fossiledit.progress import checkpoint
from napari_fossiledit.sample.cups import SAMPLES, Cups
from napari_fossiledit.sample.textures import F64, I64, PIXEL_MM, SLICE_MM, Bool

MARGIN_MM = 14.0  # cups this far outside the block may still reach into it
PER_MM2 = 27.5 / (384 * PIXEL_MM) ** 2  # sections of cups wanted per mm2 of a slice
BRANCHING = 0.22  # share of cups that bud a daughter
SKIPPING = 0.045  # share of cups that one section misses
SQUEEZE = 0.93  # neighbours may press into each other by this factor of their radii
CROWDING = 0.5  # share of the neighbours that may press by CRUSH instead
CRUSH = 0.35


def _unit(vector: F64) -> F64:
    return np.asarray(vector / np.linalg.norm(vector, axis=-1, keepdims=True))


def _grow(random: np.random.Generator, start: F64, first: F64, last: F64) -> Cups:
    """Grow one cup from each start point, its direction turning from `first` to `last`."""
    n = len(start)
    length = random.uniform(9.0, 24.0, n)
    kind = random.random(n)
    wide = random.uniform(2.5, 3.6, n)
    wide = np.where(kind < 0.08, random.uniform(1.5, 2.2, n), wide)
    wide = np.where(kind > 0.92, random.uniform(3.4, 4.1, n), wide)
    length *= 0.5 + 0.5 * wide / 2.8
    along = np.linspace(0.0, 1.0, SAMPLES)
    turn = (along**0.8)[None, :, None]
    tangent = _unit(first[:, None] * (1.0 - turn) + last[:, None] * turn)
    step = length / (SAMPLES - 1)
    moves = tangent[:, :-1] * step[:, None, None]
    axis = start[:, None] + np.concatenate([np.zeros((n, 1, 3)), moves.cumsum(1)], axis=1)
    # The axis is a plane curve: the normal of its plane is at right angles to it everywhere.
    normal = _unit(np.cross(first, last) + 1e-6)
    side = np.broadcast_to(normal[:, None], axis.shape).copy()
    rise = random.uniform(1.2, 2.6, n)[:, None]
    s = along[None] * length[:, None]
    radius = wide[:, None] * (0.34 + 0.56 * (1.0 - np.exp(-s / rise)) + 0.10 * along[None])
    reach = radius * np.sqrt(1.0 - tangent[..., 0] ** 2) * 1.12 + 0.1
    return Cups(
        axis=axis,
        tangent=tangent,
        side=side,
        front=np.cross(tangent, side),
        radius=radius,
        step=step,
        septa=np.round(2.0 * np.pi * 0.7 * wide / random.uniform(0.75, 1.05, n)).astype(np.int32),
        inner=random.uniform(0.36, 0.52, n),
        phases=random.uniform(0.0, 2.0 * np.pi, (n, 4)),
        mud_filled=random.random(n) < 0.42,
        missed=np.full(n, -1, np.int32),
        z_range=np.stack([(axis[..., 0] - reach).min(1), (axis[..., 0] + reach).max(1)], axis=1),
        ends=np.stack([np.zeros(n), length], axis=1),
    )


def _directions(random: np.random.Generator, tilt: F64, turn: F64) -> F64:
    """Return unit vectors (n, 3) of given tilt from the vertical and compass direction, rad."""
    across = np.sin(tilt)
    return np.stack([np.cos(tilt), across * np.sin(turn), across * np.cos(turn)], axis=1)


def _solitary(random: np.random.Generator, n: int, extent: F64) -> Cups:
    """Return n cups with their middle anywhere in the block and its margin."""
    tilt = np.radians(np.clip(random.normal(42.0, 20.0, n), 2.0, 88.0))
    turn = random.uniform(0.0, 2.0 * np.pi, n)
    first = _directions(random, tilt, turn)
    # Growth bends back towards the light, and a little sideways.
    back = tilt * random.uniform(0.55, 1.05, n)
    last = _directions(random, back, turn + random.normal(0.0, 0.35, n))
    cups = _grow(random, np.zeros((n, 3)), first, last)
    middle = random.random((n, 3)) * (extent + 2.0 * MARGIN_MM) - MARGIN_MM
    shift = middle - cups.axis[:, SAMPLES // 2]
    cups.axis[...] += shift[:, None]
    cups.z_range[...] += shift[:, :1]
    return cups


def _daughters(random: np.random.Generator, parents: Cups) -> Cups:
    """Return one bud of each parent; it leaves the wall sideways and then grows alongside."""
    n = len(parents)
    rows, at = np.arange(n), random.integers(SAMPLES // 4, SAMPLES * 3 // 5, n)
    turn = random.uniform(0.0, 2.0 * np.pi, n)[:, None]
    out = np.cos(turn) * parents.side[rows, at] + np.sin(turn) * parents.front[rows, at]
    ahead = parents.tangent[rows, at]
    start = parents.axis[rows, at] + out * parents.radius[rows, at, None] * 0.95
    bud = _grow(random, start, _unit(0.45 * ahead + out), _unit(ahead + 0.25 * out))
    bud.mud_filled[...] = parents.mud_filled
    return bud


def _conflicts(random: np.random.Generator, cups: Cups, family: I64) -> list[list[int]]:
    """Return for each cup the earlier ones that it would run into; a family may touch."""
    points = cups.axis[:, ::5].reshape(-1, 3)
    radii = cups.radius[:, ::5].ravel()
    owner = np.repeat(np.arange(len(cups)), cups.axis[:, ::5].shape[1])
    pairs = cKDTree(points).query_pairs(7.0, output_type="ndarray")
    a, b = pairs[:, 0], pairs[:, 1]
    apart = np.linalg.norm(points[a] - points[b], axis=1)
    press = np.where(random.random(len(cups)) < CROWDING, CRUSH, SQUEEZE)
    press = np.minimum(press[owner[a]], press[owner[b]])
    clash = apart < press * (radii[a] + radii[b])
    clash &= family[owner[a]] != family[owner[b]]
    found = np.sort(np.stack([owner[a][clash], owner[b][clash]], axis=1), axis=1)
    result: list[list[int]] = [[] for _ in range(len(cups))]
    for early, late in np.unique(found, axis=0).tolist():
        result[late].append(early)
    return result


def _thin(random: np.random.Generator, cups: Cups, family: I64, wanted: float) -> I64:
    """Accept cups in order where there is room, until their summed height is as wanted."""
    height = np.diff(cups.z_range, axis=1)[:, 0] * 0.93  # the ends are too small to be seen
    taken, total = np.zeros(len(cups), bool), 0.0
    for i, others in enumerate(_conflicts(random, cups, family)):
        checkpoint()
        if total >= wanted:
            break
        if not any(taken[j] for j in others):
            taken[i] = True
            total += float(height[i])
    return np.flatnonzero(taken)


def place_cups(random: np.random.Generator, shape: tuple[int, int, int]) -> Cups:
    """Return the cups of a block of rock.

    Parameters
    ----------
    random : numpy.random.Generator
    shape : (int, int, int)
        Slices, rows and columns of the block.
    """
    extent = np.array(shape) * (SLICE_MM, PIXEL_MM, PIXEL_MM)
    box = extent + 2.0 * MARGIN_MM
    wanted = PER_MM2 * float(np.prod(box))
    tries = _solitary(random, int(wanted / 11.0 * 2.6) + 8, extent)
    mothers = random.random(len(tries)) < BRANCHING
    cups = tries.join(_daughters(random, tries.take(mothers)))
    checkpoint()
    family = np.concatenate([np.arange(len(tries)), np.flatnonzero(mothers)])
    # A daughter follows its mother at once, so that both have the same chance of a place.
    order = np.lexsort((np.arange(len(cups)), family))
    cups = cups.take(order)
    chosen = cups.take(_thin(random, cups, family[order], wanted))
    checkpoint()
    inside = _touches(chosen, extent)
    return _miss_slices(random, _overgrow(chosen.take(inside)), shape[0])


def _touches(cups: Cups, extent: F64) -> Bool:
    """Return which cups show well in the block.

    Cups of which the border cuts but a sliver are left out: they would come and go.
    """
    reach = cups.radius[..., None] * (1.2, 0.3, 0.3)
    inside = (cups.axis + reach > 0.0) & (cups.axis - reach < extent)
    return np.asarray(np.any(inside.all(axis=2), axis=1))


def _overgrow(cups: Cups) -> Cups:
    """End the later of two cups where their axes meet: the other one overgrew it.

    Without this a crushed cup would vanish behind its neighbour and come out again.
    """
    thick = cups.radius[:, ::2]
    points, radii = cups.axis[:, ::2].reshape(-1, 3), thick.ravel()
    pairs = cKDTree(points).query_pairs(0.75 * float(radii.max(initial=0.1)), output_type="ndarray")
    early, late = np.sort(pairs, axis=1).T
    width = thick.shape[1]
    apart = np.linalg.norm(points[early] - points[late], axis=1)
    meets = (early // width != late // width) & (
        apart < 0.75 * np.maximum(radii[early], radii[late])
    )
    cup, at = np.divmod(late[meets], width)
    place = 2 * at * cups.step[cup]
    upper = at >= width // 2
    np.minimum.at(cups.ends[:, 1], cup[upper], place[upper])
    np.maximum.at(cups.ends[:, 0], cup[~upper], place[~upper])
    return cups


def _miss_slices(random: np.random.Generator, cups: Cups, slices: int) -> Cups:
    """Choose for a few cups the one section where they are broken or lost in mud."""
    low = np.ceil(np.clip(cups.z_range[:, 0] / SLICE_MM, 0, None)) + 3
    high = np.floor(np.clip(cups.z_range[:, 1] / SLICE_MM, None, slices - 1)) - 3
    where = np.floor(low + random.random(len(cups)) * np.clip(high - low, 0, None))
    hit = (random.random(len(cups)) < SKIPPING) & (high > low)
    cups.missed[hit] = where[hit].astype(np.int32)
    return cups
