"""Slices predicted on a real small cluster, with a worker that is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from whole_stack_parts import Discs, contents, damaged, disc_stack

from napari_fossiledit.errors import InputError
from napari_fossiledit.pipeline.whole_stack import SliceDone, segment_stack, segment_stack_task

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options, silence_logs=50) as made:
        yield made


def test_a_lost_workers_slices_are_done_again_and_the_model_goes_to_each_once(
    cluster, tmp_path
) -> None:
    stack, log = disc_stack(16), tmp_path / "log"
    segment_stack(Discs(), stack, tmp_path / "here.zarr")
    segmenter = Discs(seconds=0.15, log=str(log))
    task = segment_stack_task(
        segmenter, stack, tmp_path / "there.zarr", scheduler=cluster.scheduler_address
    )
    killed = 0
    while True:
        try:
            step = next(task)
        except StopIteration as stop:
            store = stop.value
            break
        if isinstance(step.data, SliceDone) and step.done == 4:
            killed = int(log.read_text().splitlines()[-1].split()[0])
            assert killed != os.getpid()
            os.kill(killed, signal.SIGKILL)
    assert store.complete
    assert contents(tmp_path / "there.zarr") == contents(tmp_path / "here.zarr")
    lines = [line.split() for line in log.read_text().splitlines()]
    copies = Counter(pid for pid, what in lines if what == "unpacked")
    assert set(copies.values()) == {1}
    assert str(killed) in copies
    assert len(copies) in {2, 3}  # the third is the killed one's successor
    predicted = [pid for pid, what in lines if what == "predicts"]
    assert len(predicted) > len(stack)  # what the killed worker had was begun again


def test_the_demo_model_says_the_same_there_as_here(cluster, tmp_path) -> None:
    from napari_fossiledit import models, sample
    from napari_fossiledit.io import Stack

    reef = sample.reef(seed=2001, shape=(2, 96, 128))
    stack = Stack(reef.image, ["a", "b"], reef.voxel_size)
    segmenter = models.load("demo", device="cpu")
    here = segment_stack(segmenter, stack, tmp_path / "here.zarr")
    there = segment_stack(
        segmenter, stack, tmp_path / "there.zarr", scheduler=cluster.scheduler_address
    )
    assert len(here.table()) > 0
    ours, theirs = here.table(), there.table()
    assert list(ours["slice"]) == list(theirs["slice"])
    assert abs(ours["score"] - theirs["score"]).max() < 1e-3
    assert all((here[z] != there[z]).mean() < 1e-3 for z in range(2))


def test_closing_ends_within_a_second_and_spares_the_cluster(cluster, tmp_path) -> None:
    task = segment_stack_task(
        Discs(weight=2, seconds=0.1),
        disc_stack(40),
        tmp_path / "out.zarr",
        scheduler=cluster.scheduler_address,
    )
    while not isinstance(next(task).data, SliceDone):
        pass
    started = time.monotonic()
    task.close()
    assert time.monotonic() - started < 1
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        assert client.submit(int, "7").result(timeout=10) == 7
    store = segment_stack(Discs(weight=2), disc_stack(40), tmp_path / "out.zarr")  # goes on here
    segment_stack(Discs(weight=2), disc_stack(40), tmp_path / "whole.zarr")
    assert store.complete
    assert contents(tmp_path / "out.zarr") == contents(tmp_path / "whole.zarr")


def test_a_slice_that_cannot_be_read_is_named_there_too(cluster, tmp_path) -> None:
    stack = damaged(disc_stack(6), {2})
    store = segment_stack(
        Discs(weight=3), stack, tmp_path / "out.zarr", scheduler=cluster.scheduler_address
    )
    assert list(store.problems()) == [2]
    assert "reef_0002" in store.problem(2)


def test_no_scheduler_is_said(monkeypatch, tmp_path) -> None:
    from napari_fossiledit.pipeline import cluster as module

    monkeypatch.setattr(module, "_ANSWER", 0.3)
    with pytest.raises(InputError, match="No Dask scheduler answers at tcp"):
        segment_stack(Discs(), disc_stack(2), tmp_path / "o.zarr", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(InputError, match="No Dask scheduler answers at nonsense"):
        segment_stack(Discs(), disc_stack(2), tmp_path / "o.zarr", scheduler="nonsense")
    assert not (tmp_path / "o.zarr").exists()


def test_a_missing_distributed_is_said(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"napari-fossiledit\[cluster\]"):
        segment_stack(Discs(), disc_stack(2), tmp_path / "o.zarr", scheduler="tcp://127.0.0.1:9")
