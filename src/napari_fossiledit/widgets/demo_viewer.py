"""Open napari on what the demo wrote: the specimens in 3D, before and after, and the Workbench.

Run as ``python -m napari_fossiledit.widgets.demo_viewer FOLDER``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import napari

from napari_fossiledit import io
from napari_fossiledit.errors import FossilEditError, InputError
from napari_fossiledit.widgets.layers import turn_to_3d

if TYPE_CHECKING:
    from napari import Viewer

__all__ = ["main", "show_demo"]

VOLUMES = ("as labelled", "before", "after")
_FILES = {"as labelled": "labels_truth.tif", "before": "labels_before.tif"}


def show_demo(folder: str | Path, viewer: Viewer | None = None) -> Viewer:
    """Show a demo's slices and its three label volumes in 3D.

    Parameters
    ----------
    folder : path
        What ``fossiledit demo --out`` wrote.
    viewer : napari.Viewer, optional
        By default a new one.

    Raises
    ------
    InputError
        If the folder does not hold a demo's files.
    """
    folder = Path(folder)
    names = {name: folder / _FILES.get(name, "labels_after.tif") for name in VOLUMES}
    missing = [path for path in (folder / "slices.tif", *names.values()) if not path.exists()]
    if missing:
        raise InputError(
            f"{folder} does not hold a demo ({missing[0].name} is missing): run 'fossiledit demo "
            f"--out {folder}' first."
        )
    stack = io.open_stack(folder / "slices.tif")
    viewer = viewer or napari.Viewer(title="napari-fossiledit: the demo")
    place = {
        "scale": stack.voxel_size or (1.0, 1.0, 1.0),
        "units": ("mm",) * 3 if stack.voxel_size else ("pixel",) * 3,
        "axis_labels": ("z", "y", "x"),
    }
    # Hidden in 3D, where it would only stand before the specimens.
    viewer.add_image(stack.images, rgb=True, name="sample reef", visible=False, **place)
    for name, path in names.items():
        labels = io.read_labels(path)
        viewer.add_labels(labels, name=f"specimens {name}", visible=name == "after", **place)
    turn_to_3d(viewer)
    return viewer


def main() -> None:
    """Open the window and wait until it is closed."""
    try:
        viewer = show_demo(sys.argv[1] if len(sys.argv) > 1 else "fossiledit-demo")
        viewer.window.resize(1400, 900)
        viewer.window.add_plugin_dock_widget("napari-fossiledit", "Workbench")
    except FossilEditError as error:
        sys.exit(str(error))
    napari.run()


if __name__ == "__main__":
    main()
