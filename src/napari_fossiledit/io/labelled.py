"""Labelled slices: images and labels brought together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.io.files import base_stem, image_files, label_files, natural_key
from napari_fossiledit.io.images import IMAGE_SUFFIXES, read_image
from napari_fossiledit.io.labels import read_label_file, read_labels
from napari_fossiledit.io.stack import Stack, open_stack
from napari_fossiledit.io.zarr_files import is_zarr

__all__ = ["Labelled", "open_labelled", "read_labelled"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled slices, and what was noticed while they were read.

    Attributes
    ----------
    slices : list of LabelledSlice
    indices : list of int
        Place of each in the stack, counted from 0.
    notes : tuple of str
        Conversions, slices left out: in plain words.
    """

    slices: list[LabelledSlice]
    indices: list[int]
    notes: tuple[str, ...] = ()

    def index(self, name: str) -> int:
        """Place in ``slices`` of a slice given by its name, or its number in the stack.

        Raises
        ------
        InputError
            When there is no such slice, or it carries no labels.
        """
        names = [piece.name for piece in self.slices]
        for wanted in (name, Path(name).stem):
            if wanted in names:
                return names.index(wanted)
        if name.isdecimal() and int(name) in self.indices:
            return self.indices.index(int(name))
        some = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
        raise InputError(f"There is no labelled slice {name}: choose one of {some}.")


def open_labelled(
    images_path: str | Path,
    labels_path: str | Path,
    confusers_path: str | Path | None = None,
    *,
    leave_out_empty: bool = False,
) -> list[LabelledSlice]:
    """Bring images and their labels together; see `read_labelled`, which also gives notes."""
    return read_labelled(
        images_path, labels_path, confusers_path, leave_out_empty=leave_out_empty
    ).slices


def read_labelled(
    images_path: str | Path,
    labels_path: str | Path,
    confusers_path: str | Path | None = None,
    *,
    leave_out_empty: bool = False,
) -> Labelled:
    """Bring images and their labels together.

    Parameters
    ----------
    images_path : path
        A folder, a TIFF, or a single image: see `open_stack`.
    labels_path : path
        A folder of label images, paired with the images by stem (``a.jpg`` with ``a.png``,
        ``a_mask.png``, ``a_labels.tif`` or ``a_label.tif``; both may lie in one folder); or a
        TIFF or PNG with a label image for every slice. Images without a label file are left out.
    confusers_path : path, optional
        Where fossils of other kinds lie, in the same ways; in the folder of the labels, files
        that end in ``_confusers``.
    leave_out_empty : bool
        Leave out slices of a label *volume* that carry no label at all: most often they are not
        annotated yet. A label file of its own is kept even if it is empty.

    Raises
    ------
    InputError
        Nothing to pair, labels of another shape than their image, and all that the readers raise.
    """
    images_path, labels_path = Path(images_path), Path(labels_path)
    confusers = None if confusers_path is None else Path(confusers_path)
    folders = labels_path.is_dir() and images_path.is_dir()
    if folders and not is_zarr(labels_path) and not is_zarr(images_path):
        return _pair_folders(images_path, labels_path, confusers)
    return _pair_volume(images_path, labels_path, confusers, leave_out_empty)


def _pair_folders(images: Path, labels: Path, confusers: Path | None) -> Labelled:
    labels_of = _by_stem(labels, other_than="confuser")
    files, _ = image_files(images)
    indices = [i for i, f in enumerate(files) if labels_of.get(f.stem, f) != f]
    pairs = [(files[i], labels_of[files[i].stem]) for i in indices]
    if not pairs:
        return _paired_by_order(images, labels, confusers)
    confusers_of = _confusers_by_stem(confusers, labels)
    notes: list[str] = []
    slices = []
    for file, label_file in pairs:
        converted = read_image(file)
        notes += [f"{file.name} is {note}" for note in converted.notes]
        confuser_file = confusers_of.get(file.stem)
        slices.append(
            LabelledSlice(
                converted.image,
                _flat(read_label_file(label_file), label_file.name),
                None
                if confuser_file is None
                else _flat(read_label_file(confuser_file), confuser_file.name),
                name=file.stem,
                group=images.name,
            )
        )
    if len(pairs) < len(files):
        notes.append(f"{len(files) - len(pairs)} images without a label file are left out")
    return Labelled(slices, indices, tuple(notes))


def _paired_by_order(images: Path, labels: Path, confusers: Path | None) -> Labelled:
    """Folders whose stems don't match, but that hold equally many files of one size."""
    stack = open_stack(images)
    files = label_files(labels)
    if images.resolve() == labels.resolve() or len(files) != len(stack):
        raise InputError(
            f"No label file in {labels} has the name of an image in {images}: name them alike, "
            f"e.g. {stack.names[0]}.tif or {stack.names[0]}_mask.png for the image "
            f"{stack.names[0]}."
        )
    paired = _from_volume(stack, images.name, read_labels(labels), _volume(confusers))
    said = "The names of images and labels differ: they are paired in natural order"
    return Labelled(paired.slices, paired.indices, (said, *paired.notes))


def _pair_volume(images: Path, labels: Path, confusers: Path | None, skip: bool) -> Labelled:
    stack = open_stack(images)
    volume = read_labels(labels)
    extra = _volume(confusers)
    return _from_volume(stack, images.stem, volume, extra, skip=skip, name=labels.name)


def _from_volume(
    stack: Stack,
    group: str,
    labels: NDArray[np.int32],
    confusers: NDArray[np.int32] | None,
    *,
    skip: bool = False,
    name: str = "labels",
) -> Labelled:
    volume = _fitting(labels, stack, f"labels {name}")
    others = None if confusers is None else _fitting(confusers, stack, "confusers")
    slices, indices = [], []
    for i, slice_name in enumerate(stack.names):
        confuser = None if others is None else others[i]
        empty = not volume[i].any() and (confuser is None or not confuser.any())
        if skip and empty:
            continue
        indices.append(i)
        slices.append(LabelledSlice(stack[i], volume[i], confuser, name=slice_name, group=group))
    notes = stack.notes
    if not slices:
        raise InputError(f"The labels {name} are empty: label the fossils of at least one slice.")
    if len(slices) < len(stack):
        left = len(stack) - len(slices)
        notes += (f"{left} slices of {name} carry no label and are left out as not annotated",)
    return Labelled(slices, indices, notes)


def _fitting(labels: NDArray[np.int32], stack: Stack, what: str) -> NDArray[np.int32]:
    volume = labels[None] if labels.ndim == 2 else labels
    if volume.shape != stack.images.shape[:3]:
        have = " x ".join(map(str, volume.shape))
        want = " x ".join(map(str, stack.images.shape[:3]))
        raise InputError(
            f"The {what} have {have} (slices, rows, columns), the images {want}: choose labels "
            "made on these very images."
        )
    return volume


def _volume(path: Path | None) -> NDArray[np.int32] | None:
    return None if path is None else read_labels(path)


def _flat(labels: NDArray[np.int32], name: str) -> NDArray[np.int32]:
    if labels.ndim != 2:
        raise InputError(
            f"The labels {name} have {len(labels)} pages, but belong to one image: save the page "
            "of this image alone."
        )
    return labels


def _confusers_by_stem(confusers: Path | None, labels: Path) -> dict[str, Path]:
    if confusers is None:
        files = [f for f in label_files(labels) if _is_confuser(f)]
        return {base_stem(f.stem): f for f in files}
    if not confusers.is_dir():
        raise InputError(
            f"The confusers {confusers.name} are one file, but images and labels are folders: "
            "give a folder of confuser images with the same names."
        )
    return _by_stem(confusers, other_than="")


def _by_stem(folder: Path, other_than: str) -> dict[str, Path]:
    """Label files by the stem of the image that they belong to; suffixed files come first."""
    found: dict[str, Path] = {}
    files = sorted(
        (f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES),
        key=lambda f: (base_stem(f.stem) == f.stem, natural_key(f.name)),
    )
    for file in files:
        if file.name.startswith(".") or (other_than and _is_confuser(file)):
            continue
        found.setdefault(base_stem(file.stem), file)
        found.setdefault(file.stem, file)
    return found


def _is_confuser(file: Path) -> bool:
    return file.stem.lower().endswith(("_confuser", "_confusers"))
