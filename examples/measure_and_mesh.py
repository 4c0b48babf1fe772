"""Measure the fossils of the sample reef, and write them as meshes and as a label volume.

Run: ``python examples/measure_and_mesh.py FOLDER``; the folder is made.
"""

from __future__ import annotations

import sys
from pathlib import Path

from napari_fossiledit import sample, volume


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Your own: labels = io.open_labels("specimens.ome.zarr"), with labels.voxel_size.
    reef = sample.reef(seed=3, shape=(16, 128, 128))
    table = volume.measure(reef.labels, reef.voxel_size)
    table.to_csv(folder / "specimens.csv", index=False)
    columns = ["id", "volume_mm3", "surface_mm2", "length_mm", "plunge_deg", "azimuth_deg"]
    print(table[columns].round(2).to_string(index=False))

    largest = table.nlargest(3, "voxels")["id"].tolist()
    meshes = volume.meshes(reef.labels, reef.voxel_size, ids=largest)
    volume.write_mesh(folder / "largest.obj", meshes)
    volume.write_volume(folder / "specimens.nrrd", reef.labels, reef.voxel_size)
    for number, mesh in meshes.items():
        print(f"specimen {number}: {len(mesh.faces)} triangles, {mesh.volume:.2f} mm³")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
