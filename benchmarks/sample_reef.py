"""Making the sample reef."""

from __future__ import annotations

import time

from common import Row


def measure() -> list[Row]:
    """The whole small reef, then one slice of a large one made alone."""
    from napari_fossiledit import sample

    started = time.perf_counter()
    sample.reef(seed=0, shape=(48, 384, 384))
    small = time.perf_counter() - started
    started = time.perf_counter()
    large = sample.lazy_reef(seed=0, shape=(300, 1500, 1500))
    scene = time.perf_counter() - started
    started = time.perf_counter()
    large.image[150].compute()
    one = time.perf_counter() - started
    return [
        Row("sample reef, 48 x 384 x 384", small, "s", 20),
        Row("large reef 300 x 1500 x 1500: the scene", scene, "s"),
        Row("large reef: one slice made alone", one, "s"),
    ]


if __name__ == "__main__":
    print("\n".join(row.line() for row in measure()))
