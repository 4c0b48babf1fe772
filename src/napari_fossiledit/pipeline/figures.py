"""Pictures of the report: slices with outlines, curves, specimens in 3D. No pyplot, no display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.instances import Instances, LabelledSlice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_fossiledit.pipeline.curves import Comparison

__all__ = [
    "FALSE_COLOUR",
    "TRUE_COLOUR",
    "TRUTH_COLOUR",
    "as_labelled",
    "curves_figure",
    "outlines",
    "png_bytes",
    "slices_figure",
    "specimens_figure",
]

# Told apart by colour-blind readers, and all three stand out from red mud.
TRUE_COLOUR = (0, 220, 255)
FALSE_COLOUR = (255, 230, 0)
TRUTH_COLOUR = (255, 255, 255)


def png_bytes(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as a PNG file's bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def outlines(
    piece: LabelledSlice, found: Instances, *, score: float = 0.5, scale: int = 2
) -> NDArray[np.uint8]:
    """The slice enlarged, with every detection outlined.

    Parameters
    ----------
    piece : LabelledSlice
    found : Instances
    score : float
        Only detections of at least this confidence are drawn.
    scale : int
        Enlargement, so that outlines stay thin.

    Returns
    -------
    (scale * y, scale * x, 3) uint8
        True detections (IoU of 0.1 or more with a labelled fossil) in `TRUE_COLOUR`, false ones in
        `FALSE_COLOUR`, labelled fossils that no drawn detection touches in `TRUTH_COLOUR`.
    """
    from skimage.segmentation import find_boundaries

    from napari_fossiledit.metrics import overlaps

    shown = np.kron(piece.image, np.ones((scale, scale, 1), np.uint8))
    kept = found.above(score)
    iou = overlaps(piece.labels, kept).iou
    best = iou.max(axis=0) if iou.shape[0] else np.zeros(len(kept))
    colours = [TRUE_COLOUR if value >= 0.1 else FALSE_COLOUR for value in best]
    masks = [kept.mask(i) for i in range(len(kept))]
    truth = Instances.from_labels(piece.labels)
    for i in range(len(truth)):
        if not iou.shape[1] or iou[i].max() < 0.1:
            masks.append(truth.mask(i))
            colours.append(TRUTH_COLOUR)
    for mask, colour in zip(masks, colours, strict=True):
        large = np.kron(mask, np.ones((scale, scale), bool))
        shown[find_boundaries(large, mode="thick")] = colour
    return shown


def slices_figure(
    panels: Sequence[tuple[str, NDArray[np.uint8]]], *, columns: int = 3, width: float = 4.2
) -> Figure:
    """Titled pictures side by side."""
    from matplotlib.figure import Figure

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(width * columns, (width + 0.35) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (title, image) in zip(axes, panels, strict=False):
        axis.imshow(image, interpolation="nearest")
        axis.set_title(title, fontsize=10)
    return figure


def curves_figure(comparison: Comparison) -> Figure:
    """Precision against recall: the edit over its strength beside the mask threshold's curve.

    A second panel has false against true detections over the score threshold, before and after.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for curve, colour, marker in (
        (comparison.threshold_curve, "0.45", "s"),
        (comparison.strength_curve, "#0072B2", "o"),
    ):
        recall, precision = curve.recall, curve.precision
        left.plot(recall, precision, color=colour, marker=marker, markersize=4, label=curve.label)
        for point, x, y in zip(curve.points, recall, precision, strict=True):
            left.annotate(
                f"{point.x:g}",
                (x, y),
                xytext=(4, 4),
                textcoords="offset points",
                fontsize=7,
                color=colour,
            )
    _mark(left, comparison.before, "0.1", "before")
    _mark(left, comparison.after, "#D55E00", "after, at the chosen strength")
    left.set(xlabel="mean recall", ylabel="mean precision", title="Over all matched fossils")
    left.legend(fontsize=8, loc="lower left")
    for detections, colour in (
        (comparison.detections_before, "0.45"),
        (comparison.detections_after, "#D55E00"),
    ):
        right.plot(detections.true, detections.false, color=colour, label=detections.label)
    right.set(
        xlabel="true detections",
        ylabel="false detections",
        title="Over the confidence asked for",
    )
    right.legend(fontsize=8, loc="upper left")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _mark(axis: Any, evaluation: Any, colour: str, label: str) -> None:
    means = evaluation.scores.matched_mean
    axis.plot(
        means.recall, means.precision, "*", color=colour, markersize=13, label=label, zorder=5
    )


def as_labelled(
    specimens: NDArray[np.integer], truth: NDArray[np.integer], *, share: float = 0.1
) -> NDArray[np.int64]:
    """Give every specimen the id of the labelled one that it covers most, so that colours agree.

    Specimens with less than ``share`` of their voxels on any labelled one get ids below 0: they
    are false, and drawn in one colour.
    """
    named = np.zeros(specimens.shape, np.int64)
    for rank, value in enumerate(np.unique(specimens[specimens > 0]), start=1):
        here = specimens == value
        counts = np.bincount(truth[here])
        counts[0] = 0
        best = int(counts.argmax())
        named[here] = best if counts[best] >= share * here.sum() else -rank
    return named


def specimens_figure(
    volumes: Sequence[tuple[str, NDArray[np.integer]]],
    voxel_size: tuple[float, float, float],
    *,
    min_voxels: int = 150,
) -> Figure:
    """Linked specimens of label volumes as shaded surfaces, side by side.

    Parameters
    ----------
    volumes : sequence of (title, (z, y, x) labels)
    voxel_size : (z, y, x)
        In mm.
    min_voxels : int
        Smaller specimens are not drawn.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6 * len(volumes), 4.6))
    figure.subplots_adjust(0, 0.02, 1, 0.98, wspace=0)
    for i, (title, labels) in enumerate(volumes, start=1):
        axis = figure.add_subplot(1, len(volumes), i, projection="3d")
        _draw_specimens(axis, labels, voxel_size, min_voxels)
        axis.set_title(title, fontsize=11, y=0.97)
    return figure


def _draw_specimens(
    axis: Any,
    labels: NDArray[np.integer],
    voxel_size: tuple[float, float, float],
    min_voxels: int,
) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import LightSource
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection
    from skimage.measure import marching_cubes, regionprops

    palette = [colormaps["tab20"](i) for i in range(20)]
    light = LightSource(azdeg=300, altdeg=40)
    # regionprops skips ids below 0: the false specimens are drawn beside the others.
    true = [(region, palette[region.label % 20]) for region in regionprops(labels.clip(min=0))]
    yellow = tuple(channel / 255 for channel in FALSE_COLOUR)
    false = [(region, yellow) for region in regionprops((-labels).clip(min=0))]
    for region, colour in true + false:
        if region.area < min_voxels:
            continue
        block = np.pad(region.image, 1).astype(np.float32)
        corner = np.array(region.bbox[:3]) - 1
        vertices, faces, *_ = marching_cubes(block, 0.5, spacing=voxel_size, step_size=1)
        points = (vertices + corner * np.array(voxel_size))[:, [2, 1, 0]]
        mesh = Poly3DCollection(
            points[faces],
            facecolors=[colour],
            shade=True,
            lightsource=light,
        )
        axis.add_collection3d(mesh)
    depth, height, width = (n * s for n, s in zip(labels.shape, voxel_size, strict=True))
    # y points down in a slice: turned over here, so that the picture is not mirrored.
    axis.set(xlim=(0, width), ylim=(height, 0), zlim=(0, depth))
    axis.set(xlabel="x (mm)", ylabel="y (mm)", zlabel="z (mm)")
    axis.set_box_aspect((width, height, depth), zoom=1.15)
    axis.view_init(elev=28, azim=-60)
