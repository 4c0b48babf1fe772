"""Prepare the next slices in threads while the one before is worked on."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from napari_fossiledit.progress import checkpoint

__all__ = ["in_order"]

A = TypeVar("A")
T = TypeVar("T")
_THREADS = min(2, os.cpu_count() or 1)


def in_order(
    function: Callable[[A], T], items: Iterable[A], threads: int = _THREADS
) -> Iterator[T]:
    """Yield ``function(item)`` for all items in order, computing ``threads`` of them ahead.

    At most ``threads`` items and results are held beside the one that was yielded. Ends all
    threads before it returns or is closed.
    """
    running: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            checkpoint()
            running.append(pool.submit(function, item))
            del item  # the threads hold it, and no longer than they need it
            if len(running) >= threads:
                yield running.popleft().result()
        while running:
            checkpoint()
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()
        pool.shutdown(wait=True)
