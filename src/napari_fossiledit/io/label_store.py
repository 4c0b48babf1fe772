"""A label volume on disk that grows slice by slice, and survives being killed at any moment."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError, OutputError
from napari_fossiledit.io import store_files as files
from napari_fossiledit.io.folder import make_folder
from napari_fossiledit.io.save import sentence
from napari_fossiledit.io.slices import Slices

if TYPE_CHECKING:
    import dask.array as da
    import pandas as pd

__all__ = ["LabelStore", "is_store"]

_LARGEST = np.iinfo(np.int32).max
_KIND = "fossiledit"
VoxelSize = tuple[float, float, float]
Shape = tuple[int, int, int]


class LabelStore:
    """A label volume (z, y, x) int32 as OME-Zarr 0.4, with a table of its instances.

    Made by `create` or `resume`, opened by `open`. A slice is either done, on disk and whole, or
    reads as not done, whatever happened to the program that wrote it; the bytes of a finished
    volume depend neither on the order of writing nor on how often it was interrupted. Different
    slices may be written by several threads or processes at once. See `io.store_files` for the
    files.

    Attributes
    ----------
    path : Path
    shape : (z, y, x)
    voxel_size : (z, y, x) in mm, or None
    about : dict
        What made it, e.g. ``{"kind": "segmentation", "model": fingerprint}``.
    names : list of str
        The slices' names.
    complete : bool
        Whether `finish` was reached. One that was not is no whole volume: see `state`.
    """

    def __init__(self, path: Path, attributes: Mapping[str, Any]) -> None:
        self.path = path
        self.shape: Shape = cast("Shape", tuple(int(n) for n in attributes["shape"]))
        size = attributes["voxel_size_mm"]
        self.voxel_size: VoxelSize | None = None if size is None else (size[0], size[1], size[2])
        self.about: dict[str, Any] = attributes["about"]
        self.names: list[str] = list(attributes["names"])
        self.complete: bool = bool(attributes["complete"])

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        shape: Shape,
        voxel_size: VoxelSize | None = None,
        about: Mapping[str, Any],
        names: Sequence[str] | None = None,
    ) -> LabelStore:
        """Make an empty volume.

        Parameters
        ----------
        path : path
            A new folder, e.g. ``result.ome.zarr``.
        shape : (z, y, x)
        voxel_size : (z, y, x) in mm, optional
        about : mapping
            What makes it: plain values that JSON can hold. `resume` compares them.
        names : sequence of str, length z, optional
            By default the slices' numbers.

        Raises
        ------
        InputError
            Something is there already, or a size is not above 0.
        OutputError
            The folder cannot be made.
        """
        path = Path(path)
        attributes = _attributes(shape, voxel_size, about, names)
        if os.path.lexists(path) and not _only_begun(path):
            raise InputError(
                f"{path} is there already and is never written over: choose another name, or "
                "remove it yourself."
            )
        make_folder(path)
        store = cls(path, attributes)
        with _said(path):
            files.put(path, path / ".zgroup", files.json_bytes({"zarr_format": 2}))
            array = files.json_bytes(files.array_metadata(store.shape))
            files.put(path, path / files.ARRAY / ".zarray", array)
            (path / files.MARKS).mkdir(exist_ok=True)
            # Last: without it, the folder counts as not made yet.
            store._write_attributes()
        return store

    @classmethod
    def open(cls, path: str | Path, *, whole: bool = False) -> LabelStore:
        """Open a volume that `create` made.

        Parameters
        ----------
        path : path
        whole : bool
            Refuse one that is not complete.

        Raises
        ------
        InputError
            It is missing, something else or damaged; or not complete although it must be.
        """
        path = Path(path)
        if not path.exists():
            raise InputError(f"There is no label volume {path}: check the name.")
        attributes = _read_attributes(path)
        if attributes is None:
            raise InputError(
                f"{path} is no label volume of FossilEdit, or its description is damaged: choose "
                "the folder that a segmentation wrote (its name usually ends in .ome.zarr)."
            )
        store = cls(path, attributes)
        if whole and not store.complete:
            raise InputError(
                f"{path} is unfinished, {store.state}: run what made it once more with the same "
                "result folder; it goes on where it was."
            )
        return store

    @classmethod
    def resume(
        cls,
        path: str | Path,
        *,
        shape: Shape,
        voxel_size: VoxelSize | None = None,
        about: Mapping[str, Any],
        names: Sequence[str] | None = None,
    ) -> LabelStore:
        """Make a volume, or open the one that an interrupted run of the same kind left.

        Slices that failed are open again, so that a repaired file is taken up.

        Parameters
        ----------
        path, shape, voxel_size, about, names
            As in `create`.

        Raises
        ------
        InputError
            What is there belongs to another stack or model, or is no label volume.
        OutputError
            The folder cannot be made or written to.
        """
        path = Path(path)
        if not os.path.lexists(path) or _only_begun(path):
            return cls.create(path, shape=shape, voxel_size=voxel_size, about=about, names=names)
        store = cls.open(path)
        wanted = _attributes(shape, voxel_size, about, names)
        for key, what in (
            ("shape", "its size differs"),
            ("names", "its slices have other names"),
            ("about", "it was made from other pixels, by another model or with other settings"),
            ("voxel_size_mm", "its voxel size differs"),
        ):
            if wanted[key] != store._attributes()[key]:
                raise InputError(
                    f"{path} belongs to another stack or model ({what}) and is not written over: "
                    "choose another folder."
                )
        make_folder(path)
        with _said(path):
            files.sweep(path)
            store._retry()
        return store

    @property
    def state(self) -> str:
        """How far it is, in plain words: "1,700 of 3,000 slices are done"."""
        return f"{int(self.done().sum()):,} of {len(self):,} slices are done"

    def write(
        self,
        z: int,
        labels: NDArray[Any],
        rows: Mapping[str, Sequence[Any] | NDArray[Any]] | None = None,
    ) -> None:
        """Write one slice; when this returns, it is on disk and done.

        Parameters
        ----------
        z : int
        labels : (y, x) integer
            0 = background.
        rows : mapping of str to sequence, optional
            Columns of the slice's part of the table, of equal length, one row an instance:
            numbers, words or None.

        Raises
        ------
        InputError
            Labels of another size, negative, fractional or above 2,147,483,647; columns of
            unequal length; a volume that is finished.
        OutputError
            The disk is full or the folder cannot be written to. Slices that are done stay done.
        """
        z = self._place(z)
        labels = self._checked(labels, z)
        mark = files.json_bytes({"rows": _columns(rows or {})})
        with _said(self.path):
            self._open_slice(z)
            files.move_tiles(self.path, z, files.write_tiles(self.path, labels))
            files.put(self.path, files.mark_file(self.path, z), mark)

    def mark_failed(self, z: int, sentence: str) -> None:
        """Note that a slice could not be made, and why: it is done, and background.

        Raises
        ------
        InputError, OutputError
            See `write`.
        """
        z = self._place(z)
        with _said(self.path):
            self._open_slice(z)
            files.move_tiles(self.path, z, None)
            mark = files.json_bytes({"problem": sentence, "rows": {}})
            files.put(self.path, files.mark_file(self.path, z), mark)

    def is_done(self, z: int) -> bool:
        """Whether a slice is on disk and whole, or marked as failed."""
        return files.mark_file(self.path, self._place(z)).is_file()

    def done(self) -> NDArray[np.bool_]:
        """Which slices are done: (z,) bool."""
        out = np.zeros(len(self), bool)
        for name in _listed(self.path / files.MARKS):
            found = re.fullmatch(r"(\d+)\.json", name)
            if found and int(found[1]) < len(out):
                out[int(found[1])] = True
        return out

    def problem(self, z: int) -> str:
        """Why a slice failed, in a sentence; empty where it did not."""
        z = self._place(z)
        return str(self._mark(z).get("problem", "")) if self.is_done(z) else ""

    def problems(self) -> dict[int, str]:
        """All slices that failed, and why."""
        found = {int(z): self.problem(int(z)) for z in np.flatnonzero(self.done())}
        return {z: text for z, text in found.items() if text}

    def finish(self) -> None:
        """Write the whole table as ``instances.csv`` and call the volume complete.

        Raises
        ------
        InputError
            When slices are not done.
        OutputError
        """
        if not self.done().all():
            raise InputError(f"{self.path} cannot be finished: only {self.state}.")
        table = self.table()
        if len(table.columns):
            self.write_table("instances", table)
        with _said(self.path):
            files.sweep(self.path)
            self._set_complete(True)
            files.sweep(self.path)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, z: int) -> NDArray[np.int32]:
        """One slice, (y, x) int32.

        Raises
        ------
        InputError
            When it is not done, or its files are damaged.
        IndexError
        """
        z = self._place(z)
        if not self.is_done(z):
            raise InputError(
                f"Slice {self.names[z]} of {self.path.name} is not done yet: {self.state}."
            )
        return self._read(z)

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[z] for z in range(len(self)))

    def lazy(self) -> da.Array:
        """The volume as a dask array (z, y, x) int32, one chunk a slice, for viewers.

        Slices that are not done when they are looked at are background.
        """
        import dask.array as da

        chunks = (1, *self.shape[1:])
        empty = np.empty((0, 0, 0), np.int32)
        # A name of its own: caches must not answer with what was not done before.
        name = f"labels-{secrets.token_hex(8)}"
        return da.from_array(self.for_viewer(), chunks, name=name, asarray=False, meta=empty)

    def for_viewer(self) -> Slices:
        """The volume as an array (z, y, x) int32 for a viewer's layer, read slice by slice.

        Like `lazy`, but nothing is kept: napari's cache of dask arrays grows with every slice that
        is looked at, and does not see slices that are done later.
        """
        reader = LabelStore(self.path, self._attributes())

        def read(z: int) -> NDArray[np.int32]:
            return reader._read(z) if reader.is_done(z) else np.zeros(reader.shape[1:], np.int32)

        return Slices(read, self.shape, np.int32)

    def table(self) -> pd.DataFrame:
        """All rows of the slices that are done, in the slices' order.

        Returns
        -------
        pandas.DataFrame
            ``slice`` (number), ``name``, then the columns given to `write`.
        """
        import pandas as pd

        parts: dict[str, list[Any]] = {"slice": [], "name": []}
        rows = 0
        named = False
        for z in np.flatnonzero(self.done()):
            part: dict[str, list[Any]] = self._mark(int(z))["rows"]
            named = named or bool(part)
            count = len(next(iter(part.values()), []))
            part = {"slice": [int(z)] * count, "name": [self.names[z]] * count, **part}
            for column, values in part.items():
                parts.setdefault(column, [None] * rows).extend(values)
            for values in parts.values():
                values.extend([None] * (rows + count - len(values)))
            rows += count
        return pd.DataFrame(parts if named else {})

    def rows(self, z: int) -> dict[str, list[Any]]:
        """A slice's part of the table, columns by name; none where it is not done.

        Raises
        ------
        InputError
            Its file is damaged.
        """
        z = self._place(z)
        return cast("dict[str, list[Any]]", self._mark(z)["rows"]) if self.is_done(z) else {}

    def write_table(self, name: str, frame: pd.DataFrame) -> None:
        """Write a further table beside the labels, as CSV, atomically.

        Parameters
        ----------
        name : str
            Of the file, without ``.csv``: e.g. ``"events"``.
        frame : pandas.DataFrame

        Raises
        ------
        OutputError
        """
        text = frame.to_csv(index=False, lineterminator="\n")
        with _said(self.path):
            files.put(self.path, self._table_file(name), text.encode())

    def read_table(self, name: str) -> pd.DataFrame:
        """Read a table that `write_table` wrote.

        Raises
        ------
        InputError
            There is none of this name, or it is damaged.
        """
        import pandas as pd

        file = self._table_file(name)
        try:
            return pd.read_csv(file, dtype={"name": str})
        except pd.errors.EmptyDataError:
            return pd.DataFrame()
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path.name} has no table {name} that can be read: run what makes it again."
            ) from error

    def _table_file(self, name: str) -> Path:
        if not re.fullmatch(r"\w[\w -]*", name):
            raise InputError(f'A table cannot be named "{name}": use letters and numbers.')
        return self.path / f"{name}.csv"

    def _place(self, z: int) -> int:
        z = int(z)
        if not -len(self) <= z < len(self):
            raise IndexError(z)
        return z % len(self)

    def _checked(self, labels: NDArray[Any], z: int) -> NDArray[np.int32]:
        labels = np.asarray(labels)
        name = self.names[z]
        if labels.shape != self.shape[1:]:
            have, want = (" x ".join(map(str, s)) for s in (labels.shape, self.shape[1:]))
            raise InputError(f"The labels of slice {name} have {have} pixels, the volume {want}.")
        if labels.dtype.kind not in "bui":
            raise InputError(
                f"The labels of slice {name} must be whole numbers, not {labels.dtype}."
            )
        low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
        if low < 0 or high > _LARGEST:
            raise InputError(
                f"The labels of slice {name} hold the number {low if low < 0 else high}, but a "
                f"label volume takes 0 (background) to {_LARGEST}: number the instances anew."
            )
        return labels.astype(np.int32, copy=False)

    def _open_slice(self, z: int) -> None:
        """Take a slice's mark away before its tiles are changed."""
        if self.complete:
            raise InputError(f"{self.path} is finished, and is not written over.")
        files.mark_file(self.path, z).unlink(missing_ok=True)

    def _mark(self, z: int) -> dict[str, Any]:
        try:
            content = json.loads(files.mark_file(self.path, z).read_text(encoding="utf-8"))
            if isinstance(content["rows"], dict):
                return cast("dict[str, Any]", content)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise InputError(
            f"The file {files.mark_file(self.path, z)} is damaged: remove it, and run what made "
            "the volume once more."
        )

    def _read(self, z: int) -> NDArray[np.int32]:
        try:
            return files.read_tiles(self.path, z, self.shape)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"Slice {self.names[z]} of {self.path} cannot be read: its files are damaged; "
                f"remove {files.mark_file(self.path, z)} and run what made the volume once more."
            ) from error

    def _retry(self) -> None:
        failed = self.problems()
        if failed and self.complete:
            self._set_complete(False)
        for z in failed:
            files.mark_file(self.path, z).unlink(missing_ok=True)

    def _attributes(self) -> dict[str, Any]:
        return {
            "about": self.about,
            "complete": self.complete,
            "names": self.names,
            "shape": list(self.shape),
            "voxel_size_mm": None if self.voxel_size is None else list(self.voxel_size),
        }

    def _set_complete(self, complete: bool) -> None:
        before, self.complete = self.complete, complete
        try:
            self._write_attributes()
        except BaseException:
            self.complete = before
            raise

    def _write_attributes(self) -> None:
        content = files.group_attributes(self.voxel_size, self._attributes())
        files.put(self.path, self.path / ".zattrs", files.json_bytes(content))


def is_store(path: Path) -> bool:
    """Whether a folder is a label volume that `LabelStore.create` made."""
    return _read_attributes(path) is not None


def _attributes(
    shape: Sequence[int],
    voxel_size: Sequence[float] | None,
    about: Mapping[str, Any],
    names: Sequence[str] | None,
) -> dict[str, Any]:
    """What is kept of a new volume, checked and as plain JSON values."""
    size = [int(n) for n in shape]
    if len(size) != 3 or min(size) < 1:
        raise InputError(f"A label volume has slices, rows and columns, not the shape {size}.")
    digits = len(str(size[0] - 1))
    chosen = [f"{z:0{digits}d}" for z in range(size[0])] if names is None else list(names)
    if len(chosen) != size[0]:
        raise InputError(f"{len(chosen)} names were given for {size[0]} slices: give one each.")
    voxel = None if voxel_size is None else [float(v) for v in voxel_size]
    if voxel is not None and (len(voxel) != 3 or not all(0 < v < float("inf") for v in voxel)):
        raise InputError(f"The voxel size {voxel} is not three lengths above 0 (z, y, x in mm).")
    # Sorted: what is equal is written with the same bytes.
    plain: dict[str, Any] = json.loads(
        json.dumps(
            {
                "about": dict(about),
                "complete": False,
                "names": chosen,
                "shape": size,
                "voxel_size_mm": voxel,
            },
            sort_keys=True,
        )
    )
    return plain


def _read_attributes(path: Path) -> dict[str, Any] | None:
    """Our own attributes of a volume; None where there are none."""
    try:
        content = json.loads((path / ".zattrs").read_text(encoding="utf-8"))
        own: dict[str, Any] = content[_KIND]
        again = _attributes(own["shape"], own["voxel_size_mm"], own["about"], own["names"])
        return {**again, "complete": bool(own["complete"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _only_begun(path: Path) -> bool:
    """Whether a folder is empty or holds no more than a `create` that was killed leaves."""
    if not path.is_dir():
        return False
    begun = {".zgroup", files.ARRAY, files.MARKS, files.PART}
    return (
        set(_listed(path)) <= begun
        and set(_listed(path / files.ARRAY)) <= {".zarray"}
        and not _listed(path / files.MARKS)
    )


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _columns(rows: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Columns as plain JSON values."""
    columns = {str(k): [_plain(v) for v in np.asarray(c).tolist()] for k, c in rows.items()}
    if len({len(values) for values in columns.values()}) > 1:
        raise InputError("The columns of a slice's table differ in length: give one value a row.")
    return columns


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Turn the system's refusals into one sentence."""
    try:
        yield
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(sentence(error, path)) from error
