"""A stack as an array that reads a slice when it is asked for one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_fossiledit.errors import InputError

__all__ = ["BrowsedSlices", "Slices"]

_KEPT = 256 << 20  # bytes of slices that a viewer's array holds
_AHEAD = 3  # slices that are read before the viewer gets there
_THREADS = 2

_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


class Slices:
    """An array (z, ...) whose slices come from a function, one at a time.

    It has what numpy, dask and napari ask of an array: shape, dtype, indexing.

    Parameters
    ----------
    read : callable
        Takes a slice's number and gives its array, of ``shape[1:]`` and ``dtype``.
    shape : tuple of int
    dtype : numpy dtype
    """

    def __init__(
        self, read: Callable[[int], NDArray[Any]], shape: tuple[int, ...], dtype: DTypeLike
    ) -> None:
        self._read = read
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes that all slices would take."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[z] for z in range(len(self)))

    def slice(self, z: int) -> NDArray[Any]:
        """One whole slice, as an array of the caller's own."""
        return self._read(z)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = key if isinstance(key, tuple) else (key,)
        if any(k is Ellipsis for k in keys):
            at = next(i for i, k in enumerate(keys) if k is Ellipsis)
            fill = (slice(None),) * (self.ndim - len(keys) + 1)
            keys = (*keys[:at], *fill, *keys[at + 1 :])
        first, rest = (keys[0], keys[1:]) if keys else (slice(None), ())
        if isinstance(first, int | np.integer):
            z = int(first)
            if not -len(self) <= z < len(self):
                raise IndexError(z)
            return np.asarray(self.slice(z % len(self))[rest])
        places = np.arange(len(self))[first]
        if len(places) == 1:
            return np.asarray(self.slice(int(places[0]))[rest])[None]
        if not len(places):
            return np.empty((0, *np.empty(self.shape[1:], [])[rest].shape), self.dtype)
        return np.stack([self.slice(int(z))[rest] for z in places])

    def __setitem__(self, key: Any, value: Any) -> None:
        """Refuse to be changed, e.g. painted on.

        Raises
        ------
        InputError
        """
        raise InputError(
            "What lies on disk is not painted on: duplicate the layer (right-click on it) and "
            "paint on the copy."
        )

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)


class BrowsedSlices(Slices):
    """Slices for a viewer: some are kept, and the next ones are read ahead.

    Decoding a compressed photograph of 2000 x 3000 pixels takes a few hundred milliseconds; who
    steps through a stack asks for the next slice before long, so it is read meanwhile.
    """

    def __init__(
        self, read: Callable[[int], NDArray[Any]], shape: tuple[int, ...], dtype: DTypeLike
    ) -> None:
        super().__init__(read, shape, dtype)
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Future[NDArray[Any]]] = OrderedDict()
        self._last = -1
        one = max(1, int(np.prod(shape[1:], dtype=np.int64)) * self.dtype.itemsize)
        self._most = max(2, _KEPT // one)

    def slice(self, z: int) -> NDArray[Any]:
        """One whole slice, a copy of what is kept."""
        with self._lock:
            future, mine = self._future(z)
            step = z - self._last
            self._last = z
        if mine:
            _fill(future, self._read, z)
        if abs(step) == 1:
            self._read_ahead(z, step)
        try:
            return future.result().copy()
        except BaseException:
            with self._lock:  # a file that is mended is to be read again
                self._kept.pop(z, None)
            raise

    def _future(self, z: int) -> tuple[Future[NDArray[Any]], bool]:
        """The slice that is kept or being read, or a new place for it."""
        found = self._kept.get(z)
        if found is not None:
            self._kept.move_to_end(z)
            return found, False
        future: Future[NDArray[Any]] = Future()
        self._kept[z] = future
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return future, True

    def _read_ahead(self, z: int, step: int) -> None:
        for k in range(1, min(_AHEAD, self._most - 1) + 1):
            following = z + k * step
            if not 0 <= following < len(self):
                return
            with self._lock:
                future, mine = self._future(following)
            if mine:
                _workers().submit(_fill, future, self._read, following)


def _fill(future: Future[NDArray[Any]], read: Callable[[int], NDArray[Any]], z: int) -> None:
    try:
        future.set_result(read(z))
    except BaseException as error:
        future.set_exception(error)


def _workers() -> ThreadPoolExecutor:
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="fossiledit-slices")
        return _pool
