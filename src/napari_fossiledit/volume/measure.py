"""A table of specimens: sizes, shapes, places, orientations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.progress import Progress, Task, run
from napari_fossiledit.volume.axes import principal_axes
from napari_fossiledit.volume.sections import SectionSums
from napari_fossiledit.volume.slices import check_size, check_volume, iter_slices
from napari_fossiledit.volume.specimen_sums import SpecimenSums

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["measure", "measure_task", "section_areas", "section_areas_task"]

_AXES = ("z", "y", "x")


def measure(
    labels: Any,
    voxel_size: Sequence[float],
    *,
    unit: str = "mm",
    surface: bool = True,
    scores: DataFrame | None = None,
) -> DataFrame:
    """Measure every specimen of a label volume.

    Parameters
    ----------
    labels : (z, y, x) integer: numpy, dask, zarr, or `io.LabelStore`; 0 = background
        Read slice by slice, twice where ``surface`` is wanted.
    voxel_size : (z, y, x)
        In ``unit``.
    unit : str
        Name of the unit of length, as it stands in the columns' names.
    surface : bool
        Also mesh every specimen for its surface area, which takes most of the time.
    scores : DataFrame, optional
        The table of instances that the specimens were linked from, for their mean score.

    Returns
    -------
    DataFrame, one row a specimen in order of ``id``
        Where ``mm`` stands for ``unit``: ``id``; ``voxels``; ``volume_mm3``; ``surface_mm2``;
        ``equivalent_diameter_mm``; ``z_first``, ``z_last`` (slices from 0) and ``slices``;
        ``bbox_(z|y|x)_(min|max)_mm``; ``centroid_(z|y|x)_mm``; ``length_mm``, ``width_mm``,
        ``height_mm``; ``elongation``; ``flatness``; ``axis_(z|y|x)``; ``plunge_deg``;
        ``azimuth_deg``; ``mean_section_mm2``; ``max_section_mm2``; ``mean_score``. Places are
        those of a layer with this scale: the centre of the first voxel is 0. What is not known
        is NaN.

    Raises
    ------
    InputError
        Other axes, values that are no labels, slices that are not done, a voxel size that is not
        above 0, or scores that do not belong to the labels.

    Notes
    -----
    ``docs/reference/measurements.md`` defines every column. ``elongation`` is length over width
    and ``flatness`` width over height, 1 or more each (Lehmann 2007; MorphoLibJ: Legland et al.
    2016, Bioinformatics 32); Zingg's (1935) ratios b/a and c/b are their inverses.
    """
    return run(measure_task(labels, voxel_size, unit=unit, surface=surface, scores=scores))


def measure_task(
    labels: Any,
    voxel_size: Sequence[float],
    *,
    unit: str = "mm",
    surface: bool = True,
    scores: DataFrame | None = None,
) -> Task[DataFrame]:
    """`measure` as a task: one `Progress` a slice, then one a specimen."""
    size = check_size(voxel_size)
    sections = yield from _sections_task(labels)
    sums = SpecimenSums.of(sections)
    table = _table(sums, size, unit)
    if surface:
        table[f"surface_{unit}2"] = yield from _surfaces_task(labels, size, sums)
    if scores is not None:
        from napari_fossiledit.volume.scores import mean_scores

        table["mean_score"] = mean_scores(sections, scores, table["id"].to_numpy())
    return table


def section_areas(labels: Any, voxel_size: Sequence[float], *, unit: str = "mm") -> DataFrame:
    """Area of every specimen's section in every slice.

    Parameters
    ----------
    labels, voxel_size, unit
        As for `measure`.

    Returns
    -------
    DataFrame, one row for each specimen and slice in which it lies
        ``id``, ``slice`` (from 0), ``area_mm2`` (named after ``unit``); in order of both.
    """
    return run(section_areas_task(labels, voxel_size, unit=unit))


def section_areas_task(
    labels: Any, voxel_size: Sequence[float], *, unit: str = "mm"
) -> Task[DataFrame]:
    """`section_areas` as a task: one `Progress` a slice."""
    from pandas import DataFrame

    _, height, width = check_size(voxel_size)
    sections = yield from _sections_task(labels)
    order = np.lexsort((sections.slice, sections.id))
    return DataFrame(
        {
            "id": sections.id[order],
            "slice": sections.slice[order],
            f"area_{unit}2": sections.area[order] * (height * width),
        }
    )


def _sections_task(labels: Any) -> Task[SectionSums]:
    count = check_volume(labels)[0]
    found: list[SectionSums] = []
    for z, plane in iter_slices(labels):
        found.append(SectionSums.of(plane, z))
        yield Progress(z + 1, count, f"Measuring slice {z + 1}")
    return SectionSums.joined(found)


def _surfaces_task(
    labels: Any, size: tuple[float, float, float], sums: SpecimenSums
) -> Task[NDArray[np.float64]]:
    from napari_fossiledit.volume.mesh import iter_meshes

    corners = np.stack([sums.first, sums.last], axis=1)
    boxes = dict(zip(sums.id.tolist(), corners, strict=True))
    areas: dict[int, float] = {}
    for i, mesh in iter_meshes(labels, size, boxes):
        areas[i] = np.nan if mesh is None else mesh.area
        yield Progress(len(areas), len(boxes), f"Surface of specimen {i}")
    return np.array([areas[i] for i in boxes])


def _table(sums: SpecimenSums, size: tuple[float, float, float], unit: str) -> DataFrame:
    from pandas import DataFrame

    sides = np.asarray(size)
    pixel = sides[1] * sides[2]
    volume = sums.voxels * float(np.prod(sides))
    axes = principal_axes(sums.covariance, size)
    length, width, height = axes.lengths.T
    unknown = np.full(len(sums.id), np.nan)
    columns: dict[str, NDArray[Any]] = {
        "id": sums.id,
        "voxels": sums.voxels,
        f"volume_{unit}3": volume,
        f"surface_{unit}2": unknown,
        f"equivalent_diameter_{unit}": np.cbrt(6 * volume / np.pi),
        "z_first": sums.first[:, 0],
        "z_last": sums.last[:, 0],
        "slices": sums.slices,
    }
    for a, axis in enumerate(_AXES):
        columns[f"bbox_{axis}_min_{unit}"] = (sums.first[:, a] - 0.5) * sides[a]
        columns[f"bbox_{axis}_max_{unit}"] = (sums.last[:, a] + 0.5) * sides[a]
    for a, axis in enumerate(_AXES):
        columns[f"centroid_{axis}_{unit}"] = sums.mean[:, a] * sides[a]
    columns |= {
        f"length_{unit}": length,
        f"width_{unit}": width,
        f"height_{unit}": height,
        "elongation": length / width,
        "flatness": width / height,
        **{f"axis_{axis}": axes.longest[:, a] for a, axis in enumerate(_AXES)},
        "plunge_deg": axes.plunge,
        "azimuth_deg": axes.azimuth,
        f"mean_section_{unit}2": sums.voxels * pixel / np.maximum(sums.slices, 1),
        f"max_section_{unit}2": sums.largest * pixel,
        "mean_score": unknown,
    }
    return DataFrame(columns)
