from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_stack_parts import Discs, disc_image

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances
from napari_fossiledit.pipeline.seams import shared
from napari_fossiledit.pipeline.tiles import margin_of, tiles_of
from napari_fossiledit.pipeline.tiling import choose_tile, predict_tiled


@given(
    shape=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    tile=st.integers(256, 1500),
    scale=st.sampled_from([1.0, 0.4, 0.333, 1.7, 0.05]),
)
@settings(deadline=None, max_examples=60)
def test_cores_cover_the_slice_once_and_windows_keep_their_size_and_margin(
    shape, tile, scale
) -> None:
    tiles = tiles_of(shape, tile, (scale, scale))
    rows = sorted({(t.core[0], t.core[2]) for t in tiles})
    columns = sorted({(t.core[1], t.core[3]) for t in tiles})
    assert len(tiles) == len(rows) * len(columns)
    for spans, length in ((rows, shape[0]), (columns, shape[1])):
        assert [a for a, _ in spans] == [0, *(b for _, b in spans[:-1])]
        assert spans[-1][1] == length
    for t in tiles:
        assert t.window[2] - t.window[0] <= tile
        assert t.window[3] - t.window[1] <= tile
        for side in (0, 1):
            low, high = t.core[side] - t.window[side], t.window[side + 2] - t.core[side + 2]
            assert low == (0 if t.core[side] == 0 else margin_of(tile, scale))
            at_end = t.window[side + 2] == shape[side]
            assert high == margin_of(tile, scale) or (at_end and high >= 0)


def test_a_small_slice_is_one_tile_and_a_small_tile_is_refused() -> None:
    assert [t.window for t in tiles_of((300, 512), 512)] == [(0, 0, 300, 512)]
    with pytest.raises(InputError, match="Tiles of 100 pixels are too small"):
        tiles_of((300, 512), 100)


def test_windows_begin_on_the_networks_grid() -> None:
    assert {t.window[0] % 32 for t in tiles_of((2000, 3000), 700)} == {0}
    assert {t.window[1] % 80 for t in tiles_of((2000, 3000), 1000, (0.4, 0.4))} == {0}


def same(a: Instances, b: Instances) -> bool:
    key = [(float(s), c.y, c.x, c.mask.tobytes()) for s, c in zip(a.scores, a.crops, strict=True)]
    other = [(float(s), c.y, c.x, c.mask.tobytes()) for s, c in zip(b.scores, b.crops, strict=True)]
    return a.shape == b.shape and sorted(key) == sorted(other)


small_discs = st.lists(
    st.tuples(st.floats(0, 600), st.floats(0, 500), st.floats(2, 30), st.integers(130, 250)),
    max_size=25,
)


@given(discs=small_discs)
@settings(deadline=None, max_examples=25)
def test_tiled_equals_untiled_for_whatever_is_smaller_than_the_margin(discs) -> None:
    apart: list[tuple[float, float, float, int]] = []
    for disc in discs:  # touching discs would be one instance, perhaps larger than the margin
        if all(np.hypot(disc[0] - o[0], disc[1] - o[1]) > disc[2] + o[2] + 3 for o in apart):
            apart.append(disc)
    image = disc_image((600, 500), apart)
    whole = predict_tiled(Discs(), image, tile=None)
    tiled = predict_tiled(Discs(), image, tile=256)
    assert same(whole, tiled)
    assert list(tiled.scores) == sorted(tiled.scores, reverse=True)


@pytest.mark.parametrize("centre", [(300, 250), (128, 128), (160, 400)])
@pytest.mark.parametrize("radius", [50, 90, 140])
def test_one_larger_than_the_overlap_is_joined(centre, radius) -> None:
    image = disc_image((600, 500), [(*centre, radius, 200), (20, 20, 6, 180)])
    whole = predict_tiled(Discs(), image, tile=None)
    tiled = predict_tiled(Discs(), image, tile=256)
    assert len(tiled) == len(whole) == 2
    for i in range(2):
        np.testing.assert_array_equal(tiled.mask(i), whole.mask(i))
        np.testing.assert_array_equal(tiled.boxes[i], whole.boxes[i])


def test_the_models_limit_holds_for_the_slice() -> None:
    image = disc_image((600, 500), [(40.0 * i + 20, 250, 8, 140 + i) for i in range(14)])
    tiled = predict_tiled(Discs(), image, tile=256, max_detections=5)
    whole = predict_tiled(Discs(), image, tile=None, max_detections=5)
    assert len(tiled) == 5
    assert same(whole, tiled)


@pytest.fixture(scope="module")
def demo():
    from napari_fossiledit import models

    return models.load("demo", device="cpu")


def test_the_demo_model_finds_the_same_in_tiles(demo) -> None:
    from napari_fossiledit import sample

    image = sample.reef(seed=2000, shape=(4, 512, 512)).image[2]
    whole = predict_tiled(demo, image, tile=None, score_threshold=0.5)
    tiled = predict_tiled(demo, image, tile=384, score_threshold=0.5)
    assert len(whole) > 30
    found = 0
    for i, crop in enumerate(whole.crops):
        overlap = [shared(crop, other) for other in tiled.crops]
        j = int(np.argmax(overlap))
        union = crop.area + tiled.crops[j].area - overlap[j]
        found += overlap[j] >= 0.9 * union and abs(whole.scores[i] - tiled.scores[j]) <= 0.05
    assert found >= 0.95 * len(whole)
    assert abs(len(tiled) - len(whole)) <= 0.03 * len(whole)


def test_tiles_are_chosen_by_memory(demo) -> None:
    from napari_fossiledit.models.memory import bytes_per_pixel, prediction_bytes

    per_pixel = bytes_per_pixel(demo)
    assert prediction_bytes(demo, (1024, 1000)) == 1024 * 1024 * per_pixel  # padded to 32
    assert choose_tile(demo, (2000, 3000), free=16 << 30) is None
    tile = choose_tile(demo, (8000, 9000), free=2 << 30)
    assert tile is not None
    assert prediction_bytes(demo, (tile, tile)) <= 0.6 * (2 << 30)
    assert prediction_bytes(demo, (2 * tile, 2 * tile)) > 0.6 * (2 << 30)
    assert choose_tile(demo, (8000, 9000), free=1) == 256
    assert choose_tile(Discs(), (8000, 9000), free=1) is None  # nobody knows what it takes


def test_a_model_that_shrinks_its_slices_sees_a_tile_at_the_slices_scale() -> None:
    from napari_fossiledit.models.parts import PartPreprocess
    from napari_fossiledit.models.preprocess import Preprocess

    for pillow in (False, True):
        shrinks = Preprocess((0.5,) * 3, (0.5,) * 3, shortest=800, longest=1333, pillow=pillow)
        assert shrinks.resized((2000, 3000)) == (800, 1200)
        part = PartPreprocess.of(shrinks, (2000, 3000))
        assert part.resized((500, 1000)) == (200, 400)
        assert part.resized((2000, 3000)) == (800, 1200)


def test_a_detectron2_config_gives_a_part_the_slices_scale() -> None:
    from dataclasses import dataclass

    from napari_fossiledit.models.parts import network_size, seeing_part

    @dataclass(frozen=True)
    class Config:
        shortest: int = 800
        longest: int = 1333

    class Native:
        config = Config()
        lock = threading.RLock()

    native = Native()
    assert network_size(native, (2000, 3000)) == (800, 1200)
    with seeing_part(native, (500, 1000), (2000, 3000)):
        assert network_size(native, (500, 1000)) == (200, 400)
    assert native.config == Config()
    native.config = Config(shortest=0)
    with seeing_part(native, (500, 1000), (2000, 3000)):
        assert network_size(native, (500, 1000)) == (500, 1000)


def test_a_packed_model_predicts_the_same_and_has_its_own_lock(demo) -> None:
    from napari_fossiledit.models.packing import pack, unpack

    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    other = unpack(pack(demo))
    assert other.lock is not demo.lock
    assert other.fingerprint() == demo.fingerprint()
    assert same(demo.predict(image), other.predict(image))


def test_tiles_are_seen_at_the_models_input_zoom(demo) -> None:
    from napari_fossiledit.models.memory import network_pixels
    from napari_fossiledit.models.parts import seeing_part

    demo.input_zoom = 1.5
    try:
        assert network_pixels(demo, (512, 512)) == 768 * 768
        with seeing_part(demo, (256, 256), (512, 512)):
            seen = demo.preprocess(np.zeros((256, 256, 3), np.uint8), demo.device, 1.5)
            assert seen.content == (384, 384)
    finally:
        demo.input_zoom = 1.0
