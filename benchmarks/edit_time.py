"""How long an edit takes to solve, against the two backbone passes that it needs.

Medians of repeats measured in turn in one run, so that the ratio holds on a busy machine too.
Usage: ``python benchmarks/edit_time.py [MODEL]``.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import perf_counter

from common import Row

from napari_fossiledit import editing, models, perturb
from napari_fossiledit.models.segmenter import Segmenter
from napari_fossiledit.sample.splits import labelled_slice, training_slices


def measure(model: str = "demo", repeat: int = 7) -> list[Row]:
    """The default edit of the demo model on a slice of 384 x 384 pixels of the sample reef."""
    found = times(models.load(model, device="cpu"), repeat)
    how = f"median of {repeat}, 384 x 384, two passes {found['passes']:.3f} s"
    return [
        Row("solving an edit", found["solve"], "s", None, how),
        Row("solving / the two backbone passes", found["ratio"], "ratio", 1.0, how),
        *(fitting(models.load(model, device="cpu"), zoom) for zoom in (1.0, 1.5)),
    ]


def fitting(segmenter: Segmenter, zoom: float, repeat: int = 3) -> Row:
    """Seconds of `labels` from one corrected slice, the training's six slices rehearsed."""
    piece, known = labelled_slice(2006, 24), training_slices()
    segmenter.input_zoom = zoom
    seconds = []
    for _ in range(repeat):
        begun = perf_counter()
        editing.correct(segmenter, [piece], rehearse=known)
        seconds.append(perf_counter() - begun)
    how = f"median of {repeat}, 384 x 384 ({min(seconds):.1f} to {max(seconds):.1f} s)"
    return Row(f"`labels`, one corrected slice, input zoom {zoom:g}", median(seconds), "s", 10, how)


def times(segmenter: Segmenter, repeat: int) -> dict[str, float]:
    """Median seconds of the passes and of solving, and their ratio."""
    piece = labelled_slice(2000, 24)
    image, fossils = piece.image, piece.fossils
    perturbed = perturb.apply(image, fossils, perturb.Median())
    passes, solving = [], []
    for turn in range(repeat + 1):
        edit = editing.rewrite(segmenter, image, perturbed, fossils)
        if turn:  # the first warms up
            passes.append(edit.provenance["seconds"]["features"])
            solving.append(edit.provenance["seconds"]["solve"])
    ratios = [s / p for s, p in zip(solving, passes, strict=True)]
    return {"passes": median(passes), "solve": median(solving), "ratio": median(ratios)}


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("model", nargs="?", default="demo")
    asked.add_argument("--repeat", type=int, default=7)
    print("\n".join(row.line() for row in measure(**vars(asked.parse_args()))))
