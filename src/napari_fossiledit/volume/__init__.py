"""Label volumes: link slices to specimens, measure them, make them small for a 3D preview."""

from __future__ import annotations

from napari_fossiledit.volume.link import iter_linked, link, link_task
from napari_fossiledit.volume.measure import measure
from napari_fossiledit.volume.preview import preview

__all__ = ["iter_linked", "link", "link_task", "measure", "preview"]
