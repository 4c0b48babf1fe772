"""Load your own detectron2 model, predict, mend it from one labelled slice, write it back.

Run: ``python examples/own_detectron2_model.py my_training/model_final.pth my_slices/ my_labels/
edited.pth`` (see ``--help``). The first labelled slice makes the edit, the others choose its
strength; with one labelled slice, give a ``--strength``.
"""

from __future__ import annotations

import argparse
import sys

from napari_fossiledit import editing, io, models, perturb
from napari_fossiledit.errors import FossilEditError


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", help="the model: model_final.pth, or a .pkl of the model zoo")
    parser.add_argument("images", help="a folder of slices, or a TIFF")
    parser.add_argument("labels", help="a folder of labels named like the slices, or a TIFF")
    parser.add_argument("out", help="the edited model: .pth or .pkl for detectron2")
    parser.add_argument("--config", help="the model's config.yaml, if it lies elsewhere")
    parser.add_argument("--class-names", nargs="+", help="one name a class")
    parser.add_argument("--fossil-classes", nargs="+", help="which of them are the fossil")
    parser.add_argument("--strength", type=float, help="of the edit; chosen for you if left out")
    return parser.parse_args()


def main() -> None:
    given = read_arguments()
    segmenter = models.load(
        given.weights,
        config=given.config,
        class_names=given.class_names,
        fossil_classes=given.fossil_classes,
    )
    for what, fact in segmenter.facts.items():
        print(f"{what}: {fact}")

    first, *others = io.open_labelled(given.images, given.labels)
    found = segmenter.predict(first.image, score_threshold=0.5)
    print(f"{len(found)} instances in the slice {first.name}")

    painted = perturb.apply(first.image, first.fossils, perturb.Median())
    edit = editing.rewrite(segmenter, first.image, painted, first.fossils)
    strength = given.strength
    if strength is None:
        choice = editing.choose_strength(segmenter, edit, others)
        print(choice.sentence)
        if not choice.worth_it:
            return
        strength = choice.strength

    edit.apply(segmenter, strength)
    written = models.export(segmenter, given.out)
    print(f"{written.path}, {written.form}; rewritten: {', '.join(written.changed)}")


if __name__ == "__main__":
    try:
        main()
    except FossilEditError as error:  # one plain sentence: what is wrong, and what to do
        sys.exit(str(error))
