"""The probe's table of instances: every labelled fossil, as it is and painted over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice

if TYPE_CHECKING:
    from napari_fossiledit.metrics import InstanceScores

__all__ = [
    "InstanceScore",
    "ProbedInstance",
    "detected",
    "instance_table",
    "probed_instances",
    "worst_first",
]

ORIGINAL = "original"
SCORES = ("precision", "recall", "iou")


@dataclass(frozen=True)
class InstanceScore:
    """How well one version of a slice shows one fossil to the model.

    Attributes
    ----------
    precision, recall, iou : float
        With the prediction of highest IoU at any confidence; 0 when none overlaps.
    detected : bool
        Whether a prediction of confidence 0.5 or more has an IoU of 0.1 or more with it.
    """

    precision: float
    recall: float
    iou: float
    detected: bool


@dataclass(frozen=True)
class ProbedInstance:
    """One labelled fossil in one slice.

    Attributes
    ----------
    slice : str
        The slice's name.
    slice_index : int
        Its place among the probed slices.
    instance : int
        The label value.
    texture : str or None
        Its class of texture, where that is known.
    centre : (float, float)
        Row and column of its centre of mass, in pixels.
    pixels : int
    scores : dict of str to InstanceScore
        By version.
    """

    slice: str
    slice_index: int
    instance: int
    texture: str | None
    centre: tuple[float, float]
    pixels: int
    scores: Mapping[str, InstanceScore]

    def score(self, version: str, score: str = "iou") -> float:
        """Return one score in one version."""
        return float(getattr(self.scores[version], score))

    def change(self, version: str, score: str = "iou") -> float:
        """How much a score changes from the original to ``version``."""
        return self.score(version, score) - self.score(ORIGINAL, score)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return asdict(self)


def probed_instances(
    slices: Sequence[LabelledSlice],
    scores: Mapping[str, InstanceScores],
    found: Mapping[str, NDArray[np.bool_]],
    textures: Sequence[Mapping[int, str]],
) -> tuple[ProbedInstance, ...]:
    """Put together what is known of every labelled fossil, in the scores' order.

    Parameters
    ----------
    slices : sequence of LabelledSlice
    scores : InstanceScores of every version
    found : (n,) bool of every version, see `detected`
    textures : sequence of dict of int to str
        By label value, one for each slice.

    Returns
    -------
    tuple of ProbedInstance
    """
    rows: list[ProbedInstance] = []
    for s, (piece, texture_of) in enumerate(zip(slices, textures, strict=True)):
        truth = Instances.from_labels(piece.labels)
        for number, crop in zip(truth.ids.tolist(), truth.crops, strict=True):
            at = len(rows)
            y, x = (float(axis.mean()) for axis in np.nonzero(crop.mask))
            rows.append(
                ProbedInstance(
                    slice=piece.name,
                    slice_index=s,
                    instance=number,
                    texture=texture_of.get(number),
                    centre=(crop.y + y, crop.x + x),
                    pixels=crop.area,
                    scores={
                        version: InstanceScore(
                            float(run.precision[at]),
                            float(run.recall[at]),
                            float(run.iou[at]),
                            bool(found[version][at]),
                        )
                        for version, run in scores.items()
                    },
                )
            )
    return tuple(rows)


def detected(slices: Sequence[LabelledSlice], predictions: Sequence[Instances]) -> NDArray[Any]:
    """Tell which labelled fossils are detected at confidence 0.5, with an IoU of 0.1 or more.

    Parameters
    ----------
    slices : sequence of LabelledSlice
    predictions : sequence of Instances
        One for each slice.

    Returns
    -------
    (n,) bool
        In the order of `InstanceScores`.
    """
    from napari_fossiledit.metrics import overlaps
    from napari_fossiledit.metrics.slice_totals import FALSE_BELOW

    parts: list[NDArray[Any]] = [np.zeros(0, bool)]
    for piece, found in zip(slices, predictions, strict=True):
        table = overlaps(piece.labels, found.above(0.5))
        parts.append(np.asarray((table.iou >= FALSE_BELOW).any(axis=1)))
    return np.concatenate(parts)


def worst_first(
    instances: Iterable[ProbedInstance], painted: str, *, by: str = "original"
) -> list[ProbedInstance]:
    """Sort instances, the worst first.

    Parameters
    ----------
    instances : iterable of ProbedInstance
    painted : str
        The version that the original is compared with.
    by : "original" or "change"
        Lowest IoU in the original first; or first those that gain most where they are painted:
        the ones that the surroundings harm most.

    Raises
    ------
    InputError
        When ``by`` is neither.
    """
    if by not in {"original", "change"}:
        raise InputError(f'Instances are sorted by "original" or by "change", not by "{by}".')

    def key(one: ProbedInstance) -> tuple[float, ...]:
        first = (one.score(ORIGINAL), -one.change(painted))
        return first if by == "original" else first[::-1]

    return sorted(instances, key=key)


def instance_table(
    instances: Sequence[ProbedInstance], versions: Sequence[str]
) -> tuple[list[str], list[list[Any]]]:
    """Lay the instances out as a table for a spreadsheet, in the order given.

    Parameters
    ----------
    instances : sequence of ProbedInstance
    versions : sequence of str
        The original first.

    Returns
    -------
    (head, rows)
        Names of the columns, and a list of values for each instance.
    """
    head = ["slice", "id", "texture", "row", "column", "pixels"]
    for version in versions:
        tail = version.replace(" ", "_")
        head += [f"{score}_{tail}" for score in SCORES] + [f"detected_{tail}"]
        if version != ORIGINAL:
            head += [f"{score}_change_{tail}" for score in SCORES]
    rows = []
    for one in instances:
        y, x = (round(value, 1) for value in one.centre)
        row: list[Any] = [one.slice, one.instance, one.texture, y, x, one.pixels]
        for version in versions:
            row += [one.score(version, score) for score in SCORES]
            row.append(one.scores[version].detected)
            if version != ORIGINAL:
                row += [one.change(version, score) for score in SCORES]
        rows.append(row)
    return head, rows
