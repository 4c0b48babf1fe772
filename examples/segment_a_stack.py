"""Segment a few slices, link the instances, and list the specimens.

Run: ``python examples/segment_a_stack.py``.
"""

from __future__ import annotations

from napari_fossiledit import models, pipeline, sample, volume


def main() -> None:
    reef = sample.reef(seed=0, shape=(8, 256, 256))
    segmenter = models.load("demo")
    found = pipeline.segment(segmenter, reef.image)
    specimens = volume.link(instances.to_labels() for instances in found)
    table = volume.measure(specimens, reef.voxel_size)
    print("  ".join(table))
    for row in zip(*table.values(), strict=True):
        print("  ".join(str(value) for value in row))


if __name__ == "__main__":
    main()
