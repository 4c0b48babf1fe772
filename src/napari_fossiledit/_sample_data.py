"""Sample data for napari: File > Open Sample > FossilEdit.

Drawing the reef takes some seconds, so the layers open at once, empty, and fill slice by slice
while napari stays usable.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from napari_fossiledit.progress import Progress, Task, run

__all__ = ["reef_with_labels", "reef_without_labels"]

SHAPE = (48, 384, 384)
SEED = 0
# Imported one by one, so that a cancelled drawing ends between them: together they take a second.
_HEAVY = ("scipy.sparse", "scipy.linalg", "scipy.spatial", "scipy.special", "scipy.ndimage")
LayerData = tuple[Any, dict[str, Any], str]


def reef_with_labels() -> list[LayerData]:
    """The sample reef, the labels of its fossils, and the confusers."""
    return _reef(labels=True)


def reef_without_labels() -> list[LayerData]:
    """The sample reef alone, as a stack that nobody has labelled."""
    return _reef(labels=False)


def draw_task(
    image: Any, labels: Any = None, confusers: Any = None, *, first: int = 0, seed: int = SEED
) -> Task[dict[int, str]]:
    """Draw the reef into given arrays, slice ``first`` first.

    Parameters
    ----------
    image : (z, y, x, 3) uint8
    labels, confusers : (z, y, x) int32, optional

    Returns
    -------
    dict of int to str
        Texture of every label value that may occur.
    """
    total = len(image)
    yield Progress(0, total, "growing the reef")
    for name in _HEAVY:
        import_module(name)
        yield Progress(0, total, "growing the reef")
    from napari_fossiledit.sample import ReefModel

    model = ReefModel(seed, image.shape[:3])
    order = [*range(first, total), *range(first)]
    for done, z in enumerate(order, start=1):
        piece = model.slice(z)
        image[z] = piece.image
        if labels is not None:
            labels[z] = piece.labels
        if confusers is not None:
            confusers[z] = piece.confusers
        yield Progress(done, total, f"slice {z}", z)
    return model.textures


def _reef(*, labels: bool) -> list[LayerData]:
    from napari_fossiledit.sample import VOXEL_SIZE

    place = {
        "scale": VOXEL_SIZE,
        "units": ("mm", "mm", "mm"),
        "axis_labels": ("z", "y", "x"),
    }
    image = np.zeros((*SHAPE, 3), np.uint8)
    layers: list[LayerData] = [(image, {"name": "sample reef", "rgb": True, **place}, "image")]
    arrays: list[Any] = [image]
    if labels:
        for name, role in (("fossils", "labels"), ("confusers", "confusers")):
            array = np.zeros(SHAPE, np.int32)
            arrays.append(array)
            options = {"name": name, "metadata": {"fossiledit": role}, "opacity": 0.5, **place}
            options["visible"] = role == "labels"
            layers.append((array, options, "labels"))
    textures = _fill(arrays)
    if textures and labels:
        layers[1][1]["features"] = _features(textures)
    return layers


def _features(textures: dict[int, str]) -> Any:
    """What napari shows for the label under the mouse, and the probe reads."""
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]

    from napari_fossiledit.widgets.textures import with_textures

    return with_textures(pd.DataFrame(), textures)


def _fill(arrays: Sequence[Any]) -> dict[int, str]:
    """Fill the arrays in the background of the current viewer, or now where there is none.

    Gives the fossils' textures where they are known already.

    Raises
    ------
    InputError
        When another task runs; napari shows the sentence and opens nothing.
    """
    from napari import current_viewer

    from napari_fossiledit.errors import InputError

    viewer = current_viewer()
    if viewer is None:
        return run(draw_task(*arrays))
    from napari_fossiledit.widgets.bench import Bench

    bench = Bench.of(viewer)

    def mine() -> list[Any]:
        return [x for x in bench.viewer.layers if any(x.data is array for array in arrays)]

    def show(progress: Progress) -> None:
        if progress.data is not None and progress.data == bench.current_z():
            for layer in mine():
                layer.refresh()

    def ended(outcome: Any) -> None:
        """Show the drawn layers; a half-drawn reef is closed again."""
        bench.runner.ended.disconnect(ended)
        for layer in mine():
            if outcome.state == "done":
                if layer.metadata.get("fossiledit") == "labels":
                    layer.features = _features(outcome.value)
                layer.refresh()
            else:
                bench.viewer.layers.remove(layer)

    middle = (len(arrays[0]) - 1) // 2  # the slice that napari shows first
    if not bench.runner.start(
        lambda: draw_task(*arrays, first=middle), title="Draw the sample reef", on_progress=show
    ):
        raise InputError(
            f"Wait until '{bench.runner.title}' has ended, then open the sample again."
        )
    bench.runner.ended.connect(ended)
    return {}
