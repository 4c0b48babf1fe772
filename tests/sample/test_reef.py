"""The synthetic reef: the same bytes, slices alone, and the statistics of a ground reef."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import ndimage

from napari_fossiledit.sample import Reef, ReefModel, lazy_reef, reef

SMALL = (6, 160, 200)


@pytest.fixture(scope="module")
def rock() -> Reef:
    return reef(0)


def areas(labels: np.ndarray) -> list[dict[int, int]]:
    """Pixels of every id, slice by slice."""
    found = []
    for one in labels:
        ids, counts = np.unique(one, return_counts=True)
        found.append({int(i): int(n) for i, n in zip(ids, counts, strict=True) if i})
    return found


def neighbours(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU of each individual in neighbouring slices, and whether another overlaps it more."""
    size = areas(labels)
    ious, other = [], []
    for z in range(len(labels) - 1):
        for i in size[z].keys() & size[z + 1].keys():
            under, counts = np.unique(labels[z + 1][labels[z] == i], return_counts=True)
            shared = {int(j): int(n) for j, n in zip(under, counts, strict=True) if j}
            mine = shared.get(i, 0)
            ious.append(mine / (size[z][i] + size[z + 1][i] - mine))
            other.append(max(shared.values(), default=1) > mine)
    return np.array(ious), np.array(other)


def test_the_face_is_as_promised(rock: Reef) -> None:
    assert rock.image.shape == (48, 384, 384, 3)
    assert rock.image.dtype == np.uint8
    for ids in (rock.labels, rock.confusers):
        assert ids.shape == (48, 384, 384)
        assert ids.dtype == np.int32
        assert ids.min() == 0
    assert rock.voxel_size == (0.5, 0.145, 0.145)
    assert set(rock.textures) == set(np.unique(rock.labels).tolist()) - {0}
    names = list(rock.textures.values())
    assert 0.25 < names.count("mud-filled") / len(names) < 0.6
    assert names.count("porous") + names.count("mud-filled") == len(names)


def test_the_same_seed_gives_the_same_bytes() -> None:
    def digest(seed: int) -> str:
        made = reef(seed, SMALL)
        parts = (made.image, made.labels, made.confusers)
        return hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest()

    assert digest(3) == digest(3)
    assert digest(3) != digest(4)


def test_a_slice_alone_is_the_slice_of_the_stack() -> None:
    whole = reef(5, SMALL)
    model = ReefModel(5, SMALL)
    for z in (4, 0, 4):
        one = model.slice(z)
        np.testing.assert_array_equal(one.image, whole.image[z])
        np.testing.assert_array_equal(one.labels, whole.labels[z])
        np.testing.assert_array_equal(one.confusers, whole.confusers[z])


def test_lazy_reef_draws_one_slice_at_a_time() -> None:
    whole = reef(5, SMALL)
    lazy = lazy_reef(5, SMALL)
    assert lazy.image.shape == (*SMALL, 3)
    assert lazy.image.chunks[0] == (1,) * SMALL[0]
    assert lazy.labels.dtype == np.int32
    np.testing.assert_array_equal(lazy.image[3].compute(scheduler="sync"), whole.image[3])
    np.testing.assert_array_equal(lazy.labels[3].compute(scheduler="sync"), whole.labels[3])
    np.testing.assert_array_equal(lazy.confusers[3].compute(scheduler="sync"), whole.confusers[3])
    assert whole.textures.items() <= lazy.textures.items()
    assert lazy.image.name == lazy_reef(5, SMALL).image.name
    assert lazy.image.name != lazy_reef(6, SMALL).image.name


def test_a_large_reef_starts_quickly() -> None:
    started = time.process_time()
    ReefModel(0, (100, 1000, 1000)).slice(50)
    assert time.process_time() - started < 10.0


def test_sizes_and_numbers_are_those_of_the_reef(rock: Reef) -> None:
    size = areas(rock.labels)
    assert 24 <= np.mean([len(one) for one in size]) <= 34
    # A cup cut by the border shows a part of its size.
    inner = rock.labels.copy()
    for z, one in enumerate(rock.labels):
        border = np.unique(np.concatenate([one[0], one[-1], one[:, 0], one[:, -1]]))
        inner[z][np.isin(one, border)] = 0
    area = np.array([n for one in areas(inner) for n in one.values()])
    diameter = 2.0 * np.sqrt(area / np.pi) * 0.145
    assert 4.5 < np.median(diameter) < 6.8
    assert np.mean((diameter > 4.0) & (diameter < 8.0)) > 0.6


def test_neighbouring_slices_differ_as_real_ones_do(rock: Reef) -> None:
    ious, other = neighbours(rock.labels)
    assert 0.78 <= np.median(ious) <= 0.86
    assert 0.0005 <= other.mean() <= 0.008


def test_an_id_is_one_individual(rock: Reef) -> None:
    skipped = 0
    ids = list(rock.textures)
    where = {i: [z for z, one in enumerate(areas(rock.labels)) if i in one] for i in ids}
    for slices in where.values():
        skipped += len(slices) < slices[-1] - slices[0] + 1
        assert np.diff(slices).max(initial=1) <= 4
    assert 0.01 <= skipped / len(ids) <= 0.12
    for one in rock.labels[::6]:
        boxes = ndimage.find_objects(one)
        for i in np.unique(one[one > 0]):
            assert ndimage.label(one[boxes[i - 1]] == i)[1] == 1


def test_a_missed_cup_is_missing_in_the_image_too(rock: Reef) -> None:
    present = areas(rock.labels)
    gaps = [
        (z, i)
        for z in range(1, 47)
        for i in present[z - 1].keys() & present[z + 1].keys() - present[z].keys()
        if min(present[z - 1][i], present[z + 1][i]) > 500
    ]
    assert gaps
    for z, i in gaps:
        # Only the part that is fossil in both neighbours and nothing in this slice.
        hole = (rock.labels[z - 1] == i) & (rock.labels[z + 1] == i) & (rock.labels[z] == 0)
        mud = (rock.labels[z] == 0) & (rock.confusers[z] == 0)
        apart = rock.image[z][hole].mean(0) - np.median(rock.image[z][mud], axis=0)
        assert np.abs(apart).max() < 25


def test_labels_and_confusers_share_no_pixel(rock: Reef) -> None:
    assert not ((rock.labels > 0) & (rock.confusers > 0)).any()


def test_clots_have_the_tone_of_pale_cups_and_not_of_mud(rock: Reef) -> None:
    chosen = [i for i, name in rock.textures.items() if name == "porous"]
    mud_filled = [i for i, name in rock.textures.items() if name == "mud-filled"]
    few = slice(12, 48, 6)
    image, labels, clots = rock.image[few], rock.labels[few], rock.confusers[few]
    mud = image[(labels == 0) & (clots == 0)].astype(float)
    porous = image[np.isin(labels, chosen)].astype(float)
    filled = image[np.isin(labels, mud_filled)].astype(float)
    clot = image[clots > 0].astype(float)
    np.testing.assert_allclose(np.median(mud, axis=0), (135, 78, 67), atol=14)
    spread = np.hypot(porous.std(0), clot.std(0)) / np.sqrt(2)
    assert (np.abs(porous.mean(0) - clot.mean(0)) < 0.6 * spread).all()
    assert (clot.mean(0) - mud.mean(0) > 40).all()
    # The fill of a mud-filled cup is the mud's own: most of its pixels are nearer to mud.
    nearer_mud = np.abs(filled - mud.mean(0)).sum(1) < np.abs(filled - porous.mean(0)).sum(1)
    assert nearer_mud.mean() > 0.5


def test_clots_follow_the_stage(rock: Reef) -> None:
    def share(stage: str | None, zs: range) -> float:
        model = ReefModel(0, stage=stage)
        return float(np.mean([(model.slice(z).confusers > 0).mean() for z in zs]))

    assert 0.004 < share("poor", range(4, 48, 8)) < 0.018
    assert 0.10 < share("rich", range(4, 48, 8)) < 0.14
    ordinary = (rock.confusers > 0).mean((1, 2))
    assert 0.095 < ordinary.mean() < 0.13
    assert ordinary[:3].mean() < 0.06
    assert ordinary[12:].mean() > 0.10


def test_the_stage_changes_the_clots_only() -> None:
    poor, rich = ReefModel(1, SMALL, stage="poor"), ReefModel(1, SMALL, stage="rich")
    a, b = poor.slice(3), rich.slice(3)
    np.testing.assert_array_equal(a.labels, b.labels)
    alike = (a.confusers == 0) & (b.confusers == 0)
    # Blur carries a clot's edge a little outwards.
    alike = ndimage.binary_erosion(alike, iterations=3)
    np.testing.assert_array_equal(a.image[alike], b.image[alike])


def test_many_clots_touch_a_cup(rock: Reef) -> None:
    near = ndimage.binary_dilation(rock.labels[30] > 0, iterations=3)
    ids = np.unique(rock.confusers[30])[1:]
    touching = np.unique(rock.confusers[30][near & (rock.confusers[30] > 0)])
    assert 0.3 < len(touching) / len(ids) < 0.95


@pytest.mark.parametrize("shape", [(1, 20, 300), (2, 300, 20), (1, 1, 1)])
def test_odd_shapes_work(shape: tuple[int, int, int]) -> None:
    made = reef(0, shape)
    assert made.labels.shape == shape
    assert made.image.shape == (*shape, 3)


def test_nonsense_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="stage"):
        ReefModel(0, SMALL, stage="middling")
    with pytest.raises(ValueError, match="shape"):
        ReefModel(0, (0, 10, 10))
    with pytest.raises(IndexError, match="outside"):
        ReefModel(0, SMALL).slice(6)


def test_the_import_is_lazy() -> None:
    code = (
        "import sys, napari_fossiledit.sample as s; "
        "assert 'scipy' not in sys.modules and 'numpy' not in sys.modules; "
        "import napari_fossiledit.sample.reef; assert callable(s.reef), s.reef; "
        "from napari_fossiledit.sample import ReefModel, reef; assert callable(reef)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
