"""The texture fills give known answers: noise, tile, quilt, inpaint."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_fossiledit.errors import Cancelled, InputError
from napari_fossiledit.perturb import Inpaint, Noise, Quilt, SlowFill, Tile, apply, apply_task
from napari_fossiledit.perturb.noise import measure, synthesise_task
from napari_fossiledit.perturb.quilting import cheapest_cut, quilt, quilt_task
from napari_fossiledit.perturb.tile import tiled
from napari_fossiledit.perturb.windows import calm_square
from napari_fossiledit.progress import CancelToken, driven, run

RNG = np.random.default_rng(0)
U8 = NDArray[np.uint8]


def mottled(shape: tuple[int, int] = (160, 200), seed: int = 1) -> U8:
    """Reddish mud: smooth noise with a known colour covariance."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    planes = [gaussian_filter(rng.standard_normal(shape), s, mode="wrap") for s in (3, 1.5, 0.6)]
    planes = [p / p.std() for p in planes]
    mixing = np.array([[14, 4, 1], [10, -3, 2], [8, 1, -3]])
    image = np.moveaxis(np.tensordot(mixing, np.stack(planes), 1), 0, -1)
    return np.clip(np.rint(image + np.array([135, 85, 70])), 0, 255).astype(np.uint8)


MUD = mottled()
FOSSILS = np.zeros(MUD.shape[:2], bool)
FOSSILS[40:70, 50:90] = True
FOSSILS[100:130, 120:170] = True


def autocorrelation(image: U8, lag: int, axis: int) -> NDArray[np.float64]:
    values = image.astype(float) - image.mean(axis=(0, 1))
    one = values.take(range(values.shape[axis] - lag), axis)
    other = values.take(range(lag, values.shape[axis]), axis)
    return np.asarray((one * other).mean(axis=(0, 1)) / values.var(axis=(0, 1)))


def noise_of(texture_of: U8, shape: tuple[int, int], seed: int = 0) -> U8:
    texture = measure(texture_of, np.ones(texture_of.shape[:2], bool))
    return np.stack(run(synthesise_task(texture, shape, seed=seed)), -1)


@pytest.mark.parametrize("shape", [(160, 200), (300, 401), (257, 300)])
def test_noise_has_the_muds_statistics(shape: tuple[int, int]) -> None:
    made = noise_of(MUD, shape)
    mud, noise = MUD.reshape(-1, 3).astype(float), made.reshape(-1, 3).astype(float)
    np.testing.assert_allclose(noise.mean(axis=0), mud.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(noise.T), np.cov(mud.T), rtol=0.05, atol=5)
    for lag, axis in itertools.product(range(1, 6), (0, 1)):
        np.testing.assert_allclose(
            autocorrelation(made, lag, axis), autocorrelation(MUD, lag, axis), atol=0.05
        )


def test_noise_of_white_noise_is_white() -> None:
    white = RNG.integers(90, 130, (120, 120, 3), np.uint8)
    made = noise_of(white, (200, 200))
    for lag, axis in itertools.product((1, 2, 5), (0, 1)):
        assert np.abs(autocorrelation(made, lag, axis)).max() < 0.05


def test_noise_of_striped_mud_is_striped() -> None:
    """Correlation runs along the stripes and not across them."""
    stripes = np.repeat(RNG.integers(80, 160, (128, 1, 1), np.uint8), 128, axis=1).repeat(3, axis=2)
    made = noise_of(stripes, (128, 128))
    assert autocorrelation(made, 3, 1).min() > 0.9
    assert np.abs(autocorrelation(made, 3, 0)).max() < 0.3


def test_noise_of_one_colour_is_that_colour() -> None:
    image = np.full((40, 50, 3), (120, 70, 58), np.uint8)
    assert (noise_of(image, (33, 47)) == (120, 70, 58)).all()


def test_noise_leaves_shells_and_fossils_out_of_the_mud() -> None:
    image = MUD.copy()
    image[FOSSILS] = 250
    image[5:8] = 250  # a vein
    mean = Noise().texture(image, FOSSILS).mean
    np.testing.assert_allclose(mean, MUD.reshape(-1, 3).mean(axis=0), atol=1)
    whole = Noise((0, 0, *MUD.shape[:2])).texture(image, FOSSILS).mean
    np.testing.assert_allclose(whole, image.reshape(-1, 3).mean(axis=0))


@pytest.mark.parametrize("window", [(3, 4, 4, 5), (0, 0, 1, 30), (0, 0, 30, 1), (0, 0, 2, 3)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (4, 6)])
def test_noise_from_tiny_windows_on_tiny_slices(
    window: tuple[int, int, int, int], shape: tuple[int, int]
) -> None:
    y0, x0, y1, x1 = window
    assert noise_of(MUD[y0:y1, x0:x1], shape).shape == (*shape, 3)


def test_tile_of_a_constant_crop_is_constant() -> None:
    image = MUD.copy()
    image[10:20, 10:25] = (1, 2, 3)
    for fill in (Tile((10, 10, 20, 25)), Tile((10, 10, 20, 25), mirrored=True)):
        assert (apply(image, FOSSILS, fill).image[~FOSSILS] == (1, 2, 3)).all()


def test_tile_carries_the_crop_on_from_its_place() -> None:
    made = apply(MUD, FOSSILS, "tile:10,20,30,50").image
    assert (made[10:30, 20:50] == MUD[10:30, 20:50]).all()
    assert (made[0:10, 20:50] == MUD[20:30, 20:50]).all()
    assert (made[10:30, 110:115] == MUD[10:30, 20:25]).all()


def test_mirrored_tiles_meet_their_likes() -> None:
    crop = MUD[:20, :30]
    texture = tiled(crop, (70, 100), origin=(5, 8), mirrored=True).astype(int)
    for seam in (5, 25, 45, 65):
        assert (texture[seam - 1] == texture[seam]).all()
    for seam in (8, 38, 68, 98):
        assert (texture[:, seam - 1] == texture[:, seam]).all()
    assert (texture[5:25, 8:38] == crop).all()
    assert (texture[25:45, 8:38] == crop[::-1]).all()
    # No step is larger than within the crop itself.
    assert np.abs(np.diff(texture, axis=0)).max() <= np.abs(np.diff(crop.astype(int), axis=0)).max()


def paths(length: int, width: int) -> list[tuple[int, ...]]:
    every = itertools.product(range(width), repeat=length)
    return [p for p in every if all(abs(a - b) <= 1 for a, b in itertools.pairwise(p))]


def test_cuts_are_the_cheapest_of_all() -> None:
    cost = RNG.integers(0, 50, (40, 6, 4)).astype(np.float32)
    every = paths(6, 4)
    rows = np.arange(6)
    for strip, path in zip(cost, cheapest_cut(cost), strict=True):
        assert np.abs(np.diff(path)).max() <= 1
        assert strip[rows, path].sum() == min(strip[rows, list(p)].sum() for p in every)


def test_a_quilt_keeps_the_stripes_period() -> None:
    period = 8
    bright = (100 + 60 * (np.arange(64) % period < 3)).astype(np.uint8)
    crop = np.broadcast_to(bright[None, :, None], (64, 64, 3))
    made = quilt(np.ascontiguousarray(crop), (150, 170), patch=24, overlap=8, seed=3)
    assert (made[:, period:] == made[:, :-period]).all()
    assert set(np.unique(made)) == {100, 160}
    assert (made == made[:1]).all()


def test_every_pixel_of_a_quilt_comes_from_the_crop() -> None:
    crop = MUD[:50, :60]
    made = quilt(crop, (130, 141), patch=16, seed=1)
    known = {tuple(p) for p in crop.reshape(-1, 3).tolist()}
    assert {tuple(p) for p in made.reshape(-1, 3).tolist()} <= known


def test_a_quilt_has_calmer_seams_than_tiles() -> None:
    crop = MUD[:64, :64]
    made = quilt(crop, (200, 200), patch=24, overlap=6, seed=0).astype(float)
    within = np.abs(np.diff(crop.astype(float), axis=1)).mean()
    seams = np.abs(np.diff(made, axis=1))[:, [k + d for k in range(18, 180, 18) for d in range(6)]]
    abrupt = np.abs(crop[:, 0].astype(float) - crop[:, -1]).mean()
    assert seams.mean() < 0.5 * (within + abrupt)


def test_a_quilt_does_not_copy_the_crop_whole() -> None:
    crop = RNG.integers(0, 256, (40, 40, 3), np.uint8)
    made = quilt(crop, (40, 40), patch=16, seed=0)
    assert not (made == crop).all()


@pytest.mark.parametrize(("shape", "patch"), [((1, 1), 4), ((5, 90), 8), ((30, 3), 8)])
def test_quilts_of_odd_shapes(shape: tuple[int, int], patch: int) -> None:
    assert quilt(MUD[:8, :8], shape, patch=patch).shape == (*shape, 3)


def test_a_quilt_can_be_cancelled() -> None:
    token = CancelToken()
    task = driven(quilt_task(MUD[:64, :64], (400, 400), patch=24), token)
    first, second = next(task), next(task)
    assert (first.done, first.total) == (0, second.total)
    assert second.done > first.done
    token.cancel()
    with pytest.raises(Cancelled):
        next(task)


def test_a_closed_task_leaves_the_image_as_it_was() -> None:
    before = MUD.copy()
    task = apply_task(MUD, FOSSILS, "quilt", target="fossils")
    for _ in range(4):
        next(task)
    task.close()
    assert (before == MUD).all()


def ramp() -> U8:
    y, x = np.mgrid[:60, :80]
    return np.stack([2 * y + x, 200 - y, 30 + 2 * x], axis=-1).astype(np.uint8)


def test_inpainting_a_ramp_gives_the_ramp() -> None:
    image, holes = ramp(), np.zeros((60, 80), bool)
    holes[20:40, 30:50] = True
    holes[5:9, 60:70] = True
    holes[10, 66] = True  # near enough to the last to be solved with it
    spoiled = image.copy()
    spoiled[holes] = 7
    made = apply(spoiled, holes, "inpaint", target="fossils").image
    assert (made == image).all()


def test_inpainting_at_the_border_stays_close_to_the_ramp() -> None:
    image, holes = ramp(), np.zeros((60, 80), bool)
    holes[:6, 10:18] = True
    made = apply(image, holes, "inpaint", target="fossils").image
    assert np.abs(made.astype(int) - image)[holes].max() <= 6


def test_large_holes_are_refused() -> None:
    with pytest.raises(InputError, match=r"29,300 pixels, but only holes of up to 2,000"):
        apply(MUD, FOSSILS, "inpaint")
    image = np.zeros((900, 900, 3), np.uint8)
    many = np.zeros((900, 900), bool)
    many[::6, ::6] = True
    many[1::6, 1::6] = many[2::6, ::6] = True
    apply(image[:60, :60], many[:60, :60], "inpaint", target="fossils")
    blocks = np.kron(np.ones((18, 18), bool), np.pad(np.ones((40, 40), bool), 5))
    with pytest.raises(InputError, match=r"518,400 pixels together"):
        apply(np.zeros((900, 900, 3), np.uint8), blocks, "inpaint", target="fossils")


def test_the_calm_square_avoids_fossils_and_shells() -> None:
    image = MUD.copy()
    image[:, 100:] = RNG.integers(0, 256, image[:, 100:].shape, np.uint8)
    y0, x0, y1, x1 = calm_square(image, FOSSILS, "tile")
    assert not FOSSILS[y0:y1, x0:x1].any()
    assert x1 <= 100
    assert y1 - y0 == x1 - x0 >= 24


def test_the_calm_square_on_a_large_slice() -> None:
    image = np.full((1300, 1700, 3), 90, np.uint8)
    fossils = np.ones((1300, 1700), bool)
    fossils[600:650, 1000:1050] = False
    y0, x0, y1, x1 = calm_square(image, fossils, "tile")
    assert 600 <= y0 < y1 <= 650
    assert 1000 <= x0 < x1 <= 1050


@pytest.mark.parametrize("fill", ["tile", "tile-mirrored", "quilt"])
def test_a_slice_without_room_for_a_square_of_mud(fill: str) -> None:
    fossils = np.ones((30, 40), bool)
    fossils[::5] = False
    with pytest.raises(InputError, match="no square of 8 x 8 pixels outside the fossils"):
        apply(MUD[:30, :40], fossils, fill)


def test_a_slice_without_mud() -> None:
    everything = np.ones(MUD.shape[:2], bool)
    for fill in (Noise(), Tile(), Quilt()):
        with pytest.raises(InputError, match="mud"):
            fill.paint(MUD.copy(), everything, MUD, everything)


BAD_CROPS = [
    ("0,0,161,20", "161 x 20 pixels, larger than the image of 160 x 200"),
    ("150,0,170,20", "reaches outside the image of 160 x 200"),
    ("-5,0,10,20", "reaches outside"),
    ("9,9,9,30", "no area"),
    ("30,0,10,20", "no area"),
    ("1,2,3", "four whole numbers"),
    ("a,b,c,d", "numbers"),
]


@pytest.mark.parametrize("kind", ["noise", "tile", "tile-mirrored", "quilt"])
@pytest.mark.parametrize(("window", "message"), BAD_CROPS)
def test_crops_that_cannot_be_used(kind: str, window: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        apply(MUD, FOSSILS, f"{kind}:{window}")


BAD_QUILTS = [
    (lambda: Quilt(patch=2), "too small"),
    (lambda: Quilt(patch=2.5), "whole number"),  # type: ignore[arg-type]
    (lambda: apply(MUD, FOSSILS, "quilt:0,0,20,20@32"), "larger than its crop"),
    (lambda: apply(MUD, FOSSILS, "quilt:0,0,5,20"), "too small to cut patches"),
    (lambda: apply(MUD, FOSSILS, "tile@3"), "Only a quilt"),
    (lambda: apply(MUD, FOSSILS, "quilt@"), "numbers"),
    (lambda: apply(MUD, FOSSILS, "inpaint:1,2,3,4"), "takes no numbers"),
    (lambda: Tile(mirrored="yes"), "True or False"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "message"), BAD_QUILTS)
def test_settings_of_fills_that_cannot_be_used(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]


def test_slow_fills_are_known_as_such() -> None:
    assert [isinstance(f, SlowFill) for f in (Noise(), Quilt(), Inpaint(), Tile())] == [
        True,
        True,
        True,
        False,
    ]
