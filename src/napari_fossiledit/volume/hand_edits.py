"""Corrections by hand of linked specimens: merge, split, delete, fill a missing slice.

Nothing is written here: every function returns a `HandEdit`, the voxels that would change and
their new values, so that the viewer can apply it undoably.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import checkpoint

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["HandEdit", "delete", "fill_slice", "merge", "slices_of", "split_at"]

_LARGEST = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, eq=False)
class HandEdit:
    """Voxels to change.

    Attributes
    ----------
    indices : tuple of three (n,) int arrays
        z, y and x of the voxels, each once, as numpy's and napari's indexing takes them.
    values : (n,) int32
        What the voxels become.
    words : str
        What was done, e.g. "Merged specimens 3 and 5 into 3".
    ids : tuple of int
        The specimens that exist afterwards and were touched.
    """

    indices: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
    values: NDArray[np.int32]
    words: str
    ids: tuple[int, ...]

    def apply(self, labels: NDArray[np.integer]) -> None:
        """Write the new values into ``labels``, in place."""
        labels[self.indices] = self.values


def merge(labels: NDArray[np.integer] | da.Array, ids: Iterable[int]) -> HandEdit:
    """Give several specimens one id, the smallest of theirs.

    Parameters
    ----------
    labels : (z, y, x) integer, 0 = background
        Read slice by slice.
    ids : iterable of int
        Two or more specimens.

    Returns
    -------
    HandEdit

    Raises
    ------
    InputError
        Fewer than two different ids, or one that the labels do not have.
    """
    _check(labels)
    wanted = sorted({int(i) for i in ids})
    if len(wanted) < 2:
        raise InputError("Merging needs two or more specimens: select them first.")
    _, *others = wanted
    places = _places(labels, wanted)
    gone = [places[i] for i in others]
    indices = _joined(gone)
    values = np.full(len(indices[0]), wanted[0], np.int32)
    return HandEdit(
        indices, values, f"Merged specimens {_listed(wanted)} into {wanted[0]}", (wanted[0],)
    )


def split_at(labels: NDArray[np.integer] | da.Array, id: int, z: int) -> HandEdit:
    """Give what a specimen has in slice ``z`` and after it an id of its own.

    Parameters
    ----------
    labels : (z, y, x) integer, 0 = background
    id : int
    z : int
        First slice of the new specimen, counted from 0.

    Returns
    -------
    HandEdit
        The new id is one above the largest in ``labels``.

    Raises
    ------
    InputError
        The specimen does not exist, or lies wholly on one side of the cut.
    """
    _check(labels)
    place = _places(labels, [id])[id]
    first, last = int(place[0].min()), int(place[0].max())
    if not first < z <= last:
        words = f"slice {first} only" if first == last else f"slices {first} to {last}"
        after = "" if first == last else f": split it at slice {first + 1} to {last}"
        raise InputError(f"Specimen {id} lies in {words}, and cannot be split at {z}{after}.")
    new = _largest(labels) + 1
    if new > _LARGEST:
        raise InputError(f"The labels have no number left above {_LARGEST}: link them again.")
    behind = place[0] >= z
    indices = (place[0][behind], place[1][behind], place[2][behind])
    values = np.full(len(indices[0]), new, np.int32)
    words = f"Split specimen {id} at slice {z}: from there on it is specimen {new}"
    return HandEdit(indices, values, words, (id, new))


def delete(labels: NDArray[np.integer] | da.Array, id: int | Iterable[int]) -> HandEdit:
    """Turn one specimen, or several, into background.

    Parameters
    ----------
    labels : (z, y, x) integer, 0 = background
    id : int or iterable of int

    Returns
    -------
    HandEdit

    Raises
    ------
    InputError
        No id, or one that the labels do not have.
    """
    _check(labels)
    wanted = [int(id)] if isinstance(id, int | np.integer) else sorted({int(i) for i in id})
    if not wanted:
        raise InputError("Select the specimens to delete first.")
    indices = _joined(list(_places(labels, wanted).values()))
    many = "specimens" if len(wanted) > 1 else "specimen"
    values = np.zeros(len(indices[0]), np.int32)
    return HandEdit(indices, values, f"Deleted {many} {_listed(wanted)}", ())


def fill_slice(
    labels: NDArray[np.integer] | da.Array,
    id: int,
    z: int,
    *,
    pixel_size: Sequence[float] = (1.0, 1.0),
) -> HandEdit:
    """Draw a specimen into a slice that misses it, from its outlines before and after.

    Parameters
    ----------
    labels : (z, y, x) integer, 0 = background
    id : int
    z : int
        The slice to fill, counted from 0.
    pixel_size : (y, x)
        Size of a pixel, in any unit.

    Returns
    -------
    HandEdit
        Only background is changed: no other specimen loses a voxel.

    Raises
    ------
    InputError
        The slice has the specimen already, or does not lie between two slices that have it, or
        there is no background to fill where it would lie.

    Notes
    -----
    Shape-based interpolation (Raya and Udupa 1990, IEEE Transactions on Medical Imaging 9:
    32-42): the signed distances to the outlines in the nearest slices that have the specimen are
    averaged, weighted by nearness, after both were moved to the centroid in between (as Herman,
    Zheng and Bucholtz 1992 propose), without which the outlines of an oblique branch, which
    overlap little, would leave next to nothing.
    """
    _check(labels)
    depth = int(labels.shape[0])
    if not 0 <= z < depth:
        raise InputError(f"There is no slice {z}: the labels have slices 0 to {depth - 1}.")
    if (np.asarray(labels[z]) == id).any():
        raise InputError(f"Slice {z} has specimen {id} already: there is nothing to fill.")
    before = next((n for n in range(z - 1, -1, -1) if _has(labels, id, n)), None)
    after = next((n for n in range(z + 1, depth) if _has(labels, id, n)), None)
    if before is None or after is None:
        raise InputError(_outside(id, z, before, after))
    share = (z - before) / (after - before)
    lower, upper = (np.asarray(labels[n]) == id for n in (before, after))
    filled = _between(lower, upper, share, pixel_size)
    free = filled & (np.asarray(labels[z]) == 0)
    rows, columns = np.nonzero(free)
    if not rows.size:
        raise InputError(
            f"Where specimen {id} would lie in slice {z}, the slice is full of other specimens."
        )
    words = f"Filled specimen {id} in slice {z}, from slices {before} and {after}"
    indices = (np.full(rows.size, z, np.intp), rows, columns)
    return HandEdit(indices, np.full(rows.size, id, np.int32), words, (id,))


def slices_of(labels: NDArray[np.integer] | da.Array, id: int) -> list[int]:
    """Numbers of the slices that have a specimen."""
    _check(labels)
    return [z for z in range(int(labels.shape[0])) if _has(labels, id, z)]


def _check(labels: NDArray[np.integer] | da.Array) -> None:
    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        raise InputError("Specimens are edited in labels with three axes (z, y, x).")


def _has(labels: NDArray[np.integer] | da.Array, number: int, z: int) -> bool:
    checkpoint()
    return bool((np.asarray(labels[z]) == number).any())


def _largest(labels: NDArray[np.integer] | da.Array) -> int:
    return max(int(np.asarray(labels[z]).max(initial=0)) for z in range(int(labels.shape[0])))


def _places(
    labels: NDArray[np.integer] | da.Array, ids: Sequence[int]
) -> dict[int, tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]]:
    """Voxels of some specimens, in one pass through the slices."""
    found: dict[int, list[tuple[NDArray[np.intp], ...]]] = {i: [] for i in ids}
    if any(i <= 0 for i in ids):
        raise InputError("0 is the background: select a specimen.")
    for z in range(int(labels.shape[0])):
        checkpoint()
        piece = np.asarray(labels[z])
        for i in ids:
            rows, columns = np.nonzero(piece == i)
            if rows.size:
                found[i].append((np.full(rows.size, z, np.intp), rows, columns))
    missing = [i for i in ids if not found[i]]
    if missing:
        raise InputError(f"The labels have no specimen {_listed(missing)}: select another.")
    return {i: _joined(parts) for i, parts in found.items()}


def _joined(
    parts: Sequence[tuple[NDArray[np.intp], ...]],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    z, y, x = (np.concatenate([part[axis] for part in parts]) for axis in range(3))
    return z, y, x


def _between(
    lower: NDArray[np.bool_], upper: NDArray[np.bool_], share: float, pixel_size: Sequence[float]
) -> NDArray[np.bool_]:
    """The shape at ``share`` of the way from one mask to another, (y, x) bool."""
    from scipy import ndimage

    both = lower | upper
    rows, columns = np.nonzero(both.any(1))[0], np.nonzero(both.any(0))[0]
    # A rim, so that distances outside are right where the shapes touch the box.
    box = tuple(slice(max(0, int(n[0]) - 2), int(n[-1]) + 3) for n in (rows, columns))
    low, up = lower[box], upper[box]
    centres = [np.array(ndimage.center_of_mass(mask)) for mask in (low, up)]
    middle = (1 - share) * centres[0] + share * centres[1]
    total = np.zeros(low.shape)
    for mask, centre, weight in ((low, centres[0], 1 - share), (up, centres[1], share)):
        total += weight * _moved(mask, middle - centre, pixel_size)
    filled = np.zeros(lower.shape, bool)
    filled[box] = total > 0
    return filled


def _moved(
    mask: NDArray[np.bool_], by: NDArray[np.float64], pixel_size: Sequence[float]
) -> NDArray[np.float64]:
    """Signed distance to a mask's outline, above 0 inside, moved by part of a pixel or more."""
    from scipy import ndimage

    room = np.ceil(np.abs(by)).astype(int) + 1
    wide = np.pad(mask, [(int(n), int(n)) for n in room])
    inside = ndimage.distance_transform_edt(wide, sampling=pixel_size)
    outside = ndimage.distance_transform_edt(~wide, sampling=pixel_size)
    # Distances run between pixels' centres: the outline lies half a pixel before the next one.
    half = 0.5 * float(min(pixel_size))
    signed = np.where(wide, inside - half, half - outside)
    moved = ndimage.shift(signed, by, order=1, mode="nearest")
    inner = tuple(slice(int(n), -int(n)) for n in room)
    result: NDArray[np.float64] = moved[inner]
    return result


def _outside(number: int, z: int, before: int | None, after: int | None) -> str:
    if before is None and after is None:
        return f"The labels have no specimen {number}: select another."
    side, slice_ = ("ends", before) if after is None else ("begins", after)
    return (
        f"Specimen {number} {side} in slice {slice_}: slice {z} does not lie between two slices "
        "that have it."
    )


def _listed(ids: Sequence[int]) -> str:
    """Several ids in words, the first few of many."""
    words = [str(i) for i in ids[:6]]
    if len(ids) > 6:
        return f"{', '.join(words)} and {len(ids) - 6} more"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
