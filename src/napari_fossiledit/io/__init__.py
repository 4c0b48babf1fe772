"""Files in and out: stacks, label images and volumes, results.

Reading converts everything to what the library works with (uint8 RGB, int32 labels), once, and
says so in notes. Writing is atomic: a file is either whole and in place, or as it was before.
"""

from __future__ import annotations

from napari_fossiledit.io.files import holds_images
from napari_fossiledit.io.folder import atomic_folder, check_writable, make_folder
from napari_fossiledit.io.frames import read_frame, write_frame
from napari_fossiledit.io.images import Converted, read_image, to_rgb8
from napari_fossiledit.io.kinds import holds_labels
from napari_fossiledit.io.label_store import LabelStore
from napari_fossiledit.io.label_volume import LabelVolume, open_labels
from napari_fossiledit.io.labelled import Labelled, open_labelled, read_labelled
from napari_fossiledit.io.labels import as_labels, read_labels
from napari_fossiledit.io.save import (
    atomic,
    write_bytes,
    write_image,
    write_json,
    write_label_slices,
    write_labels,
    write_stack,
)
from napari_fossiledit.io.stack import Stack, open_stack
from napari_fossiledit.io.tables import Textures, read_textures, write_table
from napari_fossiledit.io.voxels import checked_voxel_size, mm_per, write_voxel_file
from napari_fossiledit.io.zarr_files import is_zarr

__all__ = [
    "Converted",
    "LabelStore",
    "LabelVolume",
    "Labelled",
    "Stack",
    "Textures",
    "as_labels",
    "atomic",
    "atomic_folder",
    "check_writable",
    "checked_voxel_size",
    "holds_images",
    "holds_labels",
    "is_zarr",
    "make_folder",
    "mm_per",
    "open_labelled",
    "open_labels",
    "open_stack",
    "read_frame",
    "read_image",
    "read_labelled",
    "read_labels",
    "read_textures",
    "to_rgb8",
    "write_bytes",
    "write_frame",
    "write_image",
    "write_json",
    "write_label_slices",
    "write_labels",
    "write_stack",
    "write_table",
    "write_voxel_file",
]
