"""Take the picture of meshes for the docs: `make screenshots`; it needs no screen.

Two cups of the sample reef, as their bare voxels and smoothed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

OUT = Path(__file__).with_name("images") / "meshes.png"
LIGHT = np.array([-0.5, 0.6, -0.62])  # from above and in front: z runs downward, y forward
ROCK = np.array([0.87, 0.78, 0.64])


def draw(axes: Any, mesh: Any) -> None:
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    vertices = mesh.vertices[:, ::-1]
    corners = vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    shade = 0.25 + 0.75 * np.clip(normals @ LIGHT, 0, 1)
    axes.add_collection3d(
        Poly3DCollection(corners, facecolors=shade[:, None] * ROCK, edgecolor="none")
    )
    low, high = vertices.min(0), vertices.max(0)
    # Two axes are turned round, which is a rotation: one alone would mirror the fossil.
    axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), zlim=(high[2], low[2]))
    axes.set_box_aspect(high - low)
    axes.view_init(30, -60)
    axes.set(xlabel="x (mm)", ylabel="y (mm)", zlabel="z (mm)")


def main() -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from napari_fossiledit import sample, volume

    reef = sample.reef(seed=3, shape=(24, 256, 256))
    table = volume.measure(reef.labels, reef.voxel_size, surface=False)
    tall = table[(table["z_first"] > 0) | (table["slices"] > 20)].nlargest(2, "length_mm")
    figure = plt.figure(figsize=(12, 4), layout="constrained")
    for column, number in enumerate(tall["id"]):
        for smooth in (False, True):
            mesh = volume.mesh(reef.labels, int(number), reef.voxel_size, smooth=smooth)
            axes = figure.add_subplot(1, 4, 2 * column + smooth + 1, projection="3d")
            draw(axes, mesh)
            how = "smoothed" if smooth else "bare voxels"
            axes.set_title(f"{how}\n{mesh.volume:.1f} mm³, {mesh.area:.0f} mm²", fontsize=10)
    figure.savefig(OUT, dpi=80, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
