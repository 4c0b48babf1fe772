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
    print(table[["id", "volume_mm3", "surface_mm2", "slices"]].to_string(index=False))


if __name__ == "__main__":
    main()
