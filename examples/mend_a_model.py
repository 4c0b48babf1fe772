"""Probe a model, mend it from one labelled slice, and measure what that was worth.

Run: ``python examples/mend_a_model.py`` (about half a minute on two cores).
"""

from __future__ import annotations

from napari_fossiledit import editing, models, perturb, pipeline
from napari_fossiledit.sample.splits import training_slices, unseen_slices


def main() -> None:
    segmenter = models.load("demo")
    labelled = training_slices()
    unseen = unseen_slices(seeds=[2000], zs=[8, 24])

    print(pipeline.probe(segmenter, unseen).diagnosis)

    first, others = labelled[0], labelled[1:]
    painted = perturb.apply(first.image, first.fossils, perturb.Median())
    edit = editing.rewrite(segmenter, first.image, painted, first.fossils)
    choice = editing.choose_strength(segmenter, edit, others)
    print(choice.sentence)

    print(pipeline.compare(segmenter, edit, choice.strength, unseen).sentence)


if __name__ == "__main__":
    main()
