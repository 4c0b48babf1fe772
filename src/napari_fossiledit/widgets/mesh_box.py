"""Meshes of the selected specimens, as a layer and as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QVBoxLayout, QWidget

from napari_fossiledit.widgets.bench import Bench
from napari_fossiledit.widgets.layers import as_role, free_name, spatial
from napari_fossiledit.widgets.mesh_jobs import SUFFIXES, Scene, mesh_scene_task, save_meshes_task
from napari_fossiledit.widgets.page import note, quiet_combo, row, say, set_ready
from napari_fossiledit.widgets.specimen_places import MESH_IDS
from napari_fossiledit.widgets.specimens import Specimens

__all__ = ["MeshBox"]

SELECTED, ALL = "The selected specimens", "All specimens"
SCENE, EACH = "in one file", "in a file for each"
_FILES = (
    "STL (*.stl);;PLY, in colours (*.ply);;OBJ, an object a specimen (*.obj);;"
    "GLB, for Blender (*.glb)"
)


class MeshBox(QWidget):
    """Buttons that mesh specimens for the viewer, or into files."""

    def __init__(self, bench: Bench, specimens: Specimens, button: Any) -> None:
        super().__init__()
        self._bench, self._specimens = bench, specimens
        self.which = quiet_combo(QComboBox())
        self.which.addItems([SELECTED, ALL])
        self.smooth = QCheckBox("Smooth the steps of pixels and slices")
        self.smooth.setChecked(True)
        self.smooth.setToolTip("Every specimen keeps its volume.")
        self.show_button = button("Show the meshes", self._show)
        self.save_button = button("Save the meshes…", self._ask)
        self.said = note()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.files = quiet_combo(QComboBox())
        self.files.addItems([SCENE, EACH])
        self.files.setToolTip(
            "One scene for Blender or MeshLab, or a folder with an STL file for each specimen."
        )
        layout.addLayout(row(self.which, self.files, stretch=0))
        layout.addWidget(self.smooth)
        layout.addLayout(row(self.show_button, self.save_button, stretch=0))
        layout.addWidget(self.said)
        self.which.activated.connect(lambda _: self.refresh())
        specimens.changed.connect(self.refresh)
        specimens.selected_changed.connect(self.refresh)

    @property
    def ids(self) -> tuple[int, ...] | None:
        """The specimens that are meshed; None for all."""
        return self._specimens.selected if self.which.currentText() == SELECTED else None

    def refresh(self) -> None:
        """Tell what would be meshed, or why nothing can be."""
        specimens = self._specimens
        count = len(specimens.selected)
        why = self._bench.why_not(stack=False)
        if not why and specimens.layer is None:
            why = "Choose specimens first: link labels above."
        if not why and not specimens.unit_now:
            why = "The layer's axes have different units: set them to one, e.g. mm."
        if not why and self.ids == ():
            why = "Select specimens first: click them in the viewer, or in the table."
        what = "all specimens" if self.ids is None else f"{count} specimen{'s' * (count != 1)}"
        set_ready(self.show_button, why, f"Add the meshes of {what} as a Surface layer, in 3D.")
        set_ready(self.save_button, why, f"Write the meshes of {what}.")

    def _source(self) -> tuple[Any, ...] | None:
        layer, size = self._specimens.layer, self._specimens.voxel_size
        if layer is None or size is None or self.ids == () or self._bench.why_not(stack=False):
            return None
        data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
        return layer, data, size

    def _show(self) -> None:
        source = self._source()
        if source is None:
            return
        layer, data, size = source
        ids, smooth, place = self.ids, self.smooth.isChecked(), spatial(layer)
        self._bench.start(
            lambda: mesh_scene_task(data, size, ids, smooth=smooth),  # type: ignore[arg-type]
            title="Mesh specimens",
            on_done=lambda scene: self._add(layer, scene, place),
            needs=[layer.name],
        )

    def _add(self, layer: Any, scene: Scene, place: dict[str, Any]) -> None:
        viewer = self._bench.viewer
        numbers = np.unique(scene.face_ids)
        shown = [n for n in numbers.tolist()][:3]
        words = ", ".join(map(str, shown)) + (" …" if len(numbers) > len(shown) else "")
        colours = np.array([_colour(layer, self._specimens.preview, n) for n in numbers.tolist()])
        shaded = colours[np.searchsorted(numbers, scene.vertex_ids)]
        shaded[:, :3] *= scene.light[:, None]
        step = viewer.dims.current_step
        surface = viewer.add_surface(
            (scene.vertices, scene.faces),
            name=free_name(f"{layer.name}: mesh {words}", [x.name for x in viewer.layers]),
            vertex_colors=shaded,
            # napari's own light comes from behind once the first axis points into the screen.
            shading="none",
            metadata={**as_role("result"), MESH_IDS: scene.face_ids},
            **place,
        )
        viewer.dims.current_step = step
        self._specimens.add_companion(surface)
        if viewer.dims.ndisplay == 3:
            if self._specimens.preview is not None:
                self._specimens.preview.visible = False  # they would lie in one another
            hint = "The 3D preview is hidden: its eye in the list of layers shows it again."
        else:
            hint = "Press 'Show in 3D' to turn them."
            surface.visible = False
        count = len(numbers)
        say(self.said, f"{count} mesh{'es' * (count != 1)}, {len(scene.faces)} triangles. {hint}")

    def _ask(self) -> None:
        layer = self._specimens.layer
        if layer is None:
            return
        name = layer.name.replace(":", "").replace("/", "-")
        if self.files.currentText() == EACH:
            folder = QFileDialog.getExistingDirectory(self, "A folder for the meshes")
            if folder:
                self.save_to(Path(folder))
            return
        path, picked = QFileDialog.getSaveFileName(self, "Save the meshes", f"{name}.stl", _FILES)
        if path:
            suffix = next((s for s in SUFFIXES if f"*{s}" in picked), SUFFIXES[0])
            target = Path(path)
            if target.suffix.lower() not in SUFFIXES:
                target = target.with_name(target.name + suffix)
            self.save_to(target)

    def save_to(self, path: Path) -> None:
        """Mesh and write in the background: a scene, or a file each into a folder."""
        source = self._source()
        if source is None:
            return
        layer, data, size = source
        ids, smooth, unit = self.ids, self.smooth.isChecked(), self._specimens.unit_now
        self._bench.start(
            lambda: save_meshes_task(data, size, ids, path, smooth=smooth, unit=unit),
            title="Save meshes",
            on_done=lambda written: say(self.said, _saved(written, path, unit)),
            needs=[layer.name],
        )


def _saved(written: list[Path], path: Path, unit: str) -> str:
    count = len(written)
    what = "The meshes were" if count == 1 else f"{count} meshes were"
    lengths = "voxels" if unit == "pixel" else "metres" if path.suffix == ".glb" else "mm"
    return f"{what} saved to {path}, in {lengths}."


def _colour(layer: Any, preview: Any, number: int) -> Any:
    """A specimen's colour now, or a plain one where the layer hides it."""
    for each in (preview, layer):
        if each is not None:
            colour = np.asarray(each.colormap.map(number), float).reshape(-1)
            if colour[-1] > 0:
                return colour
    return np.array([0.7, 0.7, 0.7, 1.0])
