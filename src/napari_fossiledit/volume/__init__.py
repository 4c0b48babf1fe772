"""Label volumes: link slices to specimens, measure and mesh them, make them small for 3D."""

from __future__ import annotations

from napari_fossiledit.volume.link import iter_linked, link, link_task, links_task
from napari_fossiledit.volume.link_store import LinkSource, link_store_task, link_to_store_task
from napari_fossiledit.volume.links import Event, Links
from napari_fossiledit.volume.measure import (
    measure,
    measure_task,
    section_areas,
    section_areas_task,
)
from napari_fossiledit.volume.mesh import Mesh, mesh, meshes, meshes_task
from napari_fossiledit.volume.mesh_files import write_mesh, write_meshes
from napari_fossiledit.volume.preview import preview, preview_task
from napari_fossiledit.volume.volume_files import write_volume, write_volume_task

__all__ = [
    "Event",
    "LinkSource",
    "Links",
    "Mesh",
    "iter_linked",
    "link",
    "link_store_task",
    "link_task",
    "link_to_store_task",
    "links_task",
    "measure",
    "measure_task",
    "mesh",
    "meshes",
    "meshes_task",
    "preview",
    "preview_task",
    "section_areas",
    "section_areas_task",
    "write_mesh",
    "write_meshes",
    "write_volume",
    "write_volume_task",
]
