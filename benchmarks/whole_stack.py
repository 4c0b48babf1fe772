"""Whole stacks: opening 3000 slices, and stepping through them in a real, shown viewer.

The folders hold 3000 names for a few files (hard links), so that they fit on any disk.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import Row, peak_gb

os.environ.setdefault("NAPARI_CONFIG", "")

SLICES = 3000
REAL = 12  # different slices among them
SIZE = (2000, 3000)
STEPS = 40
OPENING_LIMIT = 2.0  # s
STEP_LIMIT = 100.0  # ms
MEMORY_LIMIT = 2.0  # GB


def measure() -> list[Row]:
    """All figures on whole stacks."""
    return [*opening(), *browsing()]


def opening() -> list[Row]:
    """Open 3000 small slices of every kind; what counts is the number of files."""
    from napari_fossiledit import io

    image = np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)
    rows = []
    with _folder() as folder:
        io.open_stack(_written(folder / "first", image, "png", 1))  # imports
        for suffix in ("tif", "png", "jpg"):
            path = _written(folder / suffix, image, suffix, SLICES)
            rows.append(_opened(f"a folder of {SLICES} {suffix.upper()} files", path))
        rows.append(_opened(f"a TIFF of {SLICES} compressed pages", _pages(folder, image)))
        rows.append(_opened(f"OME-Zarr of {SLICES} slices", _zarr(folder / "z.zarr", [image])))
    return rows


def browsing() -> list[Row]:
    """Step through 3000 slices of 2000 x 3000 in a shown viewer, labels upon them."""
    rows = []
    images = [_photograph(seed) for seed in range(REAL)]
    with _folder() as folder:
        labels = _labels(folder / "labels.ome.zarr")
        stacks: dict[str, Callable[[], Path]] = {
            "OME-Zarr": lambda: _zarr(folder / "s.zarr", images),
            "TIFF": lambda: _several(folder / "tif", images, "tif"),
            "JPEG": lambda: _several(folder / "jpg", images, "jpg"),
            "PNG": lambda: _several(folder / "png", images, "png"),
        }
        for name, make in stacks.items():
            rows += _stepped(name, make(), labels)
    return rows


def _stepped(name: str, path: Path, labels: Path) -> list[Row]:
    """In a process of its own, so that its memory is that of this stack alone."""
    import json
    import subprocess
    import sys

    command = [sys.executable, __file__, "--step", str(path), str(labels)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    size = f"{SLICES} slices of {SIZE[0]} x {SIZE[1]}"
    how = f"median of {STEPS} steps without a pause; slowest {max(found['steps']):.0f} ms"
    calm = f"median of {STEPS} steps, half a second apart; slowest {max(found['calm']):.0f} ms"
    return [
        Row(f"stepping through {size}, {name}", median(found["calm"]), "ms", STEP_LIMIT, calm),
        Row(f"the same, key held down, {name}", median(found["steps"]), "ms", None, how),
        Row(f"the same with labels, {name}", median(found["labels"]), "ms", None, "half a second"),
        Row(f"memory while browsing, {name}", found["gb"], "GB", MEMORY_LIMIT, "most resident"),
    ]


def _step(path: str, labels: str) -> None:
    import json

    from napari import Viewer
    from qtpy.QtWidgets import QApplication

    viewer = Viewer()
    QApplication.processEvents()

    def steps(first: int, pause: float) -> list[float]:
        times = []
        for z in range(first, first + STEPS):
            started = time.perf_counter()
            viewer.dims.set_current_step(0, z)
            QApplication.processEvents()
            times.append(1000 * (time.perf_counter() - started))
            time.sleep(pause)
        return times

    viewer.open(path, plugin="napari-fossiledit")
    steps(10, 0)  # the first ones compile shaders
    found: dict[str, Any] = {"steps": steps(100, 0), "calm": steps(600, 0.5)}
    viewer.open(labels, plugin="napari-fossiledit")
    steps(10, 0)
    found["labels"] = steps(1200, 0.5)
    found["gb"] = peak_gb()
    viewer.close()
    print(json.dumps(found))


def _opened(what: str, path: Path) -> Row:
    from napari_fossiledit import io

    started = time.perf_counter()
    stack = io.open_stack(path)
    taken = time.perf_counter() - started
    if len(stack) != SLICES:
        raise RuntimeError(f"{what}: {len(stack)} slices")
    return Row(f"opening {what}", taken, "s", OPENING_LIMIT, "`io.open_stack`, files in cache")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _written(folder: Path, image: Any, suffix: str, count: int) -> Path:
    """A folder of ``count`` files of their own."""
    from napari_fossiledit import io

    folder.mkdir()
    for z in range(count):
        io.write_image(folder / f"slice_{z:04d}.{suffix}", image)
    return folder


def _several(folder: Path, images: list[Any], suffix: str) -> Path:
    """A folder of 3000 names for a few files."""
    import tifffile

    from napari_fossiledit import io

    folder.mkdir()
    for z in range(SLICES):
        file = folder / f"slice_{z:04d}.{suffix}"
        if z >= len(images):
            os.link(folder / f"slice_{z % len(images):04d}.{suffix}", file)
        elif suffix == "tif":
            tifffile.imwrite(file, images[z])
        else:
            io.write_image(file, images[z])
    return folder


def _pages(folder: Path, image: Any) -> Path:
    import tifffile

    path = folder / "pages.tif"
    whole = np.broadcast_to(image, (SLICES, *image.shape))
    tifffile.imwrite(path, whole, photometric="rgb", compression="zlib")
    return path


def _zarr(path: Path, images: list[Any]) -> Path:
    """OME-Zarr (0.4) of 3000 slices, chunks of 1 x 1000 x 1000 x 3."""
    import zarr

    size = images[0].shape
    group = zarr.open_group(path, mode="w", zarr_format=2)
    chunks = (1, min(1000, size[0]), min(1000, size[1]), 3)
    array = group.create_array("0", shape=(SLICES, *size), chunks=chunks, dtype=np.uint8)
    for z, image in enumerate(images):
        array[z] = image
    for z in range(len(images), SLICES):
        for file in (path / "0").glob(f"{z % len(images)}.*"):
            os.link(file, file.with_name(f"{z}.{file.name.split('.', 1)[1]}"))
    axes = [{"name": a, "type": "space", "unit": "millimeter"} for a in "zyx"]
    axes.append({"name": "c", "type": "channel"})
    step = {"type": "scale", "scale": [0.5, 0.145, 0.145, 1.0]}
    level = {"path": "0", "coordinateTransformations": [step]}
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [level]}]
    return path


def _labels(path: Path) -> Path:
    """A result of 3000 slices, of which those that are looked at hold labels."""
    from napari_fossiledit import io

    store = io.LabelStore.create(path, shape=(SLICES, *SIZE), about={})
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    labels = ((y // 100 * 30 + x // 100 + 1) * ((y % 100 < 70) & (x % 100 < 70))).astype(np.int32)
    for z in [*range(10, 10 + STEPS), *range(1200, 1200 + STEPS)]:
        store.write(z, labels)
    return path


def _photograph(seed: int) -> Any:
    """Grain and blotches, which compress as little as a photograph's do."""
    rng = np.random.default_rng(seed)
    blotches = np.kron(rng.normal(size=(SIZE[0] // 8, SIZE[1] // 8, 3)), np.ones((8, 8, 1)))
    grain = rng.normal(size=(*SIZE, 3))
    return np.clip(128 + 30 * blotches + 8 * grain, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    import sys

    if sys.argv[1:2] == ["--step"]:
        _step(*sys.argv[2:])
    else:
        print("\n".join(row.line() for row in measure()))
