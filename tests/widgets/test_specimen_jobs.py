from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_fossiledit import io
from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import run
from napari_fossiledit.widgets import specimen_jobs
from napari_fossiledit.widgets.specimen_jobs import (
    LinkJob,
    copy_task,
    link_and_preview_task,
    preview_task,
)

PLACE = {"scale": np.array([0.5, 0.1, 0.1]), "translate": np.zeros(3), "units": ("mm",) * 3}


def pillars(slices: int = 5) -> np.ndarray:
    """Two pillars, numbered anew in every slice, and a third in one slice only."""
    labels = np.zeros((slices, 30, 30), np.int32)
    for z in range(slices):
        labels[z, 3:12, 3:12] = 2 * z + 1
        labels[z, 15:27, 15:27] = 2 * z + 2
    labels[2, 3:8, 18:24] = 99
    return labels


def job(data: np.ndarray, **options) -> LinkJob:
    base = LinkJob(
        data=data,
        name="found",
        place=PLACE,
        gap=1,
        minimum_slices=1,
        minimum_iou=0.2,
        longest=16,
    )
    return replace(base, **options)


def test_linking_numbers_previews_and_counts() -> None:
    data = pillars()
    linked = run(link_and_preview_task(job(data)))
    assert linked.links.count == 3
    assert len(np.unique(linked.labels[:, 5, 5])) == 1
    np.testing.assert_array_equal(linked.labels > 0, data > 0)
    assert linked.features["index"] == [0, 1, 2, 3]
    assert sorted(linked.features["slices"]) == [0, 1, 5, 5]
    assert max(linked.preview.labels.shape) <= 16
    assert set(np.unique(linked.preview.labels)) <= {0, 1, 2, 3}
    assert linked.preview.place["scale"][1] == pytest.approx(0.3)  # its sides at most 1 : 2
    assert "3 specimens; 2 of them in two or more slices, the longest in 5" in linked.words


def test_short_specimens_are_left_out_and_said() -> None:
    linked = run(link_and_preview_task(job(pillars(), minimum_slices=2)))
    assert linked.links.count == 2
    assert "1 shorter one was left out" in linked.words
    with pytest.raises(InputError, match="fewer than 9 slices"):
        run(link_and_preview_task(job(pillars(), minimum_slices=9)))


def test_nothing_to_link() -> None:
    with pytest.raises(InputError, match="'found' are empty"):
        run(link_and_preview_task(job(np.zeros((3, 8, 8), np.int32))))


def test_what_is_too_large_goes_to_disk(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(specimen_jobs, "MOST_IN_MEMORY", 100)
    data = pillars()
    with pytest.raises(InputError, match="choose a folder"):
        run(link_and_preview_task(job(data)))
    out = tmp_path / "my specimens é.ome.zarr"
    linked = run(link_and_preview_task(job(data, out=out)))
    monkeypatch.undo()
    in_memory = run(link_and_preview_task(job(data)))
    np.testing.assert_array_equal(np.asarray(linked.labels), in_memory.labels)
    store = io.LabelStore.open(out, whole=True)
    assert store.voxel_size == pytest.approx((0.5, 0.1, 0.1))
    with pytest.raises(InputError, match=r"something at .* already"):
        run(link_and_preview_task(job(data, out=out)))


def test_preview_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to show in 3D"):
        run(preview_task(np.zeros((2, 4, 4), np.int32), "mine", PLACE, 8))


def test_a_copy_is_one_and_not_too_large(monkeypatch) -> None:
    data = pillars()
    copy = run(copy_task(data))
    assert copy is not data
    np.testing.assert_array_equal(copy, data)
    monkeypatch.setattr(specimen_jobs, "MOST_IN_MEMORY", 100)
    with pytest.raises(InputError, match="too many for a copy"):
        run(copy_task(data))
