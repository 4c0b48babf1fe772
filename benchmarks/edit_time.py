"""How long an edit takes to solve, against the two backbone passes that it needs.

Prints both times and their ratio, medians of some repeats measured in turn in one run, so that
the ratio holds on a busy machine too. Usage: ``python benchmarks/edit_time.py [MODEL]``.
"""

from __future__ import annotations

import argparse
from statistics import median

import numpy as np

from napari_fossiledit import editing, models, perturb
from napari_fossiledit.models.segmenter import Segmenter


def scene(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A grainy slice with a ring of discs as fossils, about a third of it."""
    rng = np.random.default_rng(0)
    image = rng.integers(60, 140, (size, size, 3), dtype=np.uint8)
    y, x = np.mgrid[:size, :size]
    step, radius = size / 6, size / 18
    fossils = (y % step - step / 2) ** 2 + (x % step - step / 2) ** 2 < radius**2
    image[fossils] = image[fossils] // 2 + 110
    return image, fossils


def measure(segmenter: Segmenter, size: int = 384, repeat: int = 5) -> dict[str, float]:
    """Median seconds of the passes and of solving, and their ratio."""
    image, fossils = scene(size)
    perturbed = perturb.apply(image, fossils, perturb.Median())
    passes, solving = [], []
    for turn in range(repeat + 1):
        edit = editing.rewrite(segmenter, image, perturbed, fossils)
        if turn:  # the first warms up
            passes.append(edit.provenance["seconds"]["features"])
            solving.append(edit.provenance["seconds"]["solve"])
    ratios = [s / p for s, p in zip(solving, passes, strict=True)]
    return {"passes": median(passes), "solve": median(solving), "ratio": median(ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="demo")
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    found = measure(models.load(asked.model), asked.size, asked.repeat)
    print(
        f"two backbone passes {found['passes']:.3f} s, solving {found['solve']:.3f} s, "
        f"ratio {found['ratio']:.2f} (must be below 1)"
    )


if __name__ == "__main__":
    main()
