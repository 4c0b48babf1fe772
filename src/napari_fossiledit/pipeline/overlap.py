"""Reading ahead and writing behind, so that neither disk makes the other work wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, Self, TypeVar

from napari_fossiledit.progress import checkpoint

__all__ = ["Ahead", "Behind"]

T = TypeVar("T")
_LOOK = 0.05  # s between looks at the cancel flag
_LEAVE = 0.8  # s that a read may still take once nobody wants it


class Ahead(Generic[T]):
    """Reads slices in a thread, a few more than were asked for.

    Parameters
    ----------
    read : callable
        Takes a slice's number.
    numbers : iterable of int
        Slices, in the order in which they are wanted.
    most : int
        How many are held at once, read or being read.
    """

    def __init__(self, read: Callable[[int], T], numbers: Iterable[int], most: int = 3) -> None:
        self._read, self._numbers = read, iter(numbers)
        self._waiting: deque[tuple[int, Future[T]]] = deque()
        self.most = most
        self._pool = ThreadPoolExecutor(1, "fossiledit-read")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        wait([future for _, future in self._waiting if future.running()], timeout=_LEAVE)
        self._waiting.clear()

    def __iter__(self) -> Iterator[tuple[int, Callable[[], T]]]:
        """Numbers in order, each with a function that waits for the slice and returns it.

        That function raises what reading raised, and `Cancelled` once the task was cancelled.
        """
        self._fill()
        while self._waiting:
            z, future = self._waiting.popleft()
            yield z, lambda future=future: _result(future)  # type: ignore[misc]
            self._fill()

    def _fill(self) -> None:
        while len(self._waiting) < self.most:
            z = next(self._numbers, None)
            if z is None:
                return
            self._waiting.append((z, self._pool.submit(self._read, z)))


class Behind(Generic[T]):
    """Does jobs in a thread, one after another, at most a few behind.

    Leaving the context drops jobs that have not begun and waits for the one that has: nothing is
    half done.

    Parameters
    ----------
    most : int
        How many may wait; `finished` then waits for the first.
    """

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._jobs: deque[Future[T]] = deque()
        self._pool = ThreadPoolExecutor(1, "fossiledit-write")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._jobs.clear()

    def put(self, job: Callable[[], T]) -> None:
        """Hand over a job."""
        self._jobs.append(self._pool.submit(job))

    def finished(self, *, at_most: int | None = None) -> Iterator[T]:
        """Results of the jobs that are done, in order; what one raised is raised here.

        Waits until no more than ``at_most`` (default: as many as may wait) are left.
        """
        most = self._most if at_most is None else at_most
        while self._jobs and (len(self._jobs) > most or self._jobs[0].done()):
            result = _result(self._jobs[0])
            self._jobs.popleft()
            yield result


def _result(future: Future[T]) -> T:
    while True:
        checkpoint()
        done, _ = wait([future], timeout=_LOOK)
        if done:
            return future.result()
