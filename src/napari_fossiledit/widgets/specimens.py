"""`Specimens`: the linked labels of page 7, what is selected, and their table. No Qt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_fossiledit.widgets.layers import role
from napari_fossiledit.widgets.measurement_names import unit_name

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Specimens", "edit_problem", "is_large"]

_LARGE = 1 << 27  # voxels; above, a layer is never shown in 3D: 512 MB on the graphics card
_QUICK = 1 << 26  # voxels of which a preview is made in a blink
_LONGEST = 2048  # voxels along an axis that a graphics card takes in 3D


def is_large(layer: Any) -> bool:
    """Whether a layer of pixels is too large to be shown in 3D."""
    if getattr(layer, "multiscale", False) or not hasattr(layer.data, "shape"):
        return False  # napari shows the coarsest level, or it is no layer of pixels
    shape = tuple(int(n) for n in layer.data.shape[: layer.ndim])
    return bool(np.prod(shape, dtype=float) > _LARGE or (len(shape) > 2 and max(shape) > _LONGEST))


def edit_problem(layer: Any) -> str:
    """Why a layer's specimens cannot be edited by hand, or ''."""
    if layer is None:
        return "Choose specimens first: link labels above."
    if role(layer) != "result":
        return (
            f"'{layer.name}' are labels of your own, which are never written over: press "
            "'Copy to edit' and edit the copy."
        )
    if getattr(layer, "multiscale", False) or not isinstance(layer.data, np.ndarray):
        return (
            f"'{layer.name}' is read from disk slice by slice and cannot be changed there: press "
            "'Copy to edit' and edit the copy."
        )
    return ""


class Specimens:
    """Choices and results of page 7.

    Signals
    -------
    changed
        Another layer, preview or table, or the table went out of date.
    selected_changed
        Other specimens are selected.
    """

    changed = Signal()
    selected_changed = Signal()

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None
        self._preview: Any = None
        self._companions: list[Any] = []
        self.table: DataFrame | None = None
        self.unit = ""
        self.stale = False
        self.edits = 0  # how often the layer was changed
        self.selected: tuple[int, ...] = ()

    def _still(self, layer: Any) -> Any:
        return layer if layer is not None and layer in self._viewer.layers else None

    @property
    def layer(self) -> Any:
        """The Labels layer with one number a specimen, or None."""
        return self._still(self._layer)

    @property
    def preview(self) -> Any:
        """The small Labels layer that is turned in 3D, or None."""
        return self._still(self._preview)

    @property
    def companions(self) -> list[Any]:
        """Further layers that are shown in 3D only: meshes, the section."""
        return [layer for layer in self._companions if layer in self._viewer.layers]

    @property
    def voxel_size(self) -> tuple[float, float, float] | None:
        """Size of a voxel of `layer` (z, y, x), in `unit_now`."""
        if self.layer is None:
            return None
        z, y, x = (float(s) for s in self.layer.scale)
        return z, y, x

    @property
    def unit_now(self) -> str:
        """The layer's unit of length, '' where its axes have different ones."""
        return "" if self.layer is None else unit_name(self.layer.units)

    def choose(self, layer: Any, preview: Any = None) -> None:
        """Work with another layer; what was measured of the one before is forgotten."""
        if layer is self._layer and preview is None:
            return
        if self._layer is not None:
            self._layer.events.paint.disconnect(self._painted)
        if layer is not None:
            layer.events.paint.connect(self._painted)
        self._layer, self._preview = layer, preview
        self._companions = []
        self.table, self.stale = None, False
        self.selected = ()
        self.changed.emit()
        self.selected_changed.emit()

    def set_preview(self, preview: Any) -> None:
        """Keep the small layer that belongs to `layer`."""
        self._preview = preview
        self.changed.emit()

    def add_companion(self, layer: Any) -> None:
        """Remember a layer that is shown in 3D only."""
        self._companions = [*self.companions, layer]

    def set_table(self, table: DataFrame | None, unit: str, *, stale: bool = False) -> None:
        """Keep measurements of the layer; ``stale`` if it was changed meanwhile."""
        self.table, self.unit, self.stale = table, unit, stale
        self.changed.emit()

    def select(self, ids: Iterable[int]) -> None:
        """Select other specimens, the most important last."""
        chosen = tuple(dict.fromkeys(int(i) for i in ids if int(i) > 0))
        if chosen != self.selected:
            self.selected = chosen
            self.selected_changed.emit()

    def toggle(self, number: int) -> None:
        """Add a specimen to the selection, or take it out."""
        others = [i for i in self.selected if i != number]
        self.select(others if number in self.selected else [*others, number])

    def _painted(self, event: Any = None) -> None:
        self.mark_edited()

    def mark_edited(self) -> None:
        """Tell that voxels were changed: the table is out of date, the preview behind."""
        self.stale = self.table is not None
        self.edits += 1
        self.refresh_preview()
        self.changed.emit()

    def refresh_preview(self) -> None:
        """Bring the preview up to the layer, for layers in memory."""
        layer, preview = self.layer, self.preview
        if layer is None or preview is None or not isinstance(layer.data, np.ndarray):
            return
        small = None
        if layer.data.size <= _QUICK:
            from napari_fossiledit import volume

            longest = max(preview.data.shape)
            small, _ = volume.preview(layer.data, tuple(layer.scale), max_axis=longest)
        if small is None or small.shape != preview.data.shape:
            # The smallest specimens may be missed, but nobody waits.
            steps = [round(a / b) for a, b in zip(preview.scale, layer.scale, strict=True)]
            z, y, x = (slice(None, None, max(1, step)) for step in steps)
            small = layer.data[z, y, x]
        if small.shape == preview.data.shape:
            preview.data[...] = small
            preview.refresh()

    def row_of(self, number: int) -> Any:
        """A specimen's measurements, or None."""
        if self.table is None:
            return None
        found = self.table[self.table["id"] == number]
        return None if found.empty else found.iloc[0]
