"""The probe: what the model says of a slice, and of the same slice painted over.

Painting everything but the fossils shows what the surroundings do to the model; painting the
fossils shows what it claims when none is there (Panigrahi et al. 2022, section 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.pipeline.evaluate import require_fossils
from napari_fossiledit.progress import Progress, Task, run

if TYPE_CHECKING:
    from napari_fossiledit.metrics import InstanceScores
    from napari_fossiledit.models.segmenter import Segmenter
    from napari_fossiledit.perturb import Fill

__all__ = ["VERSIONS", "ProbeResult", "ProbeRow", "probe", "probe_task"]

VERSIONS = ("original", "others painted", "fossils painted")
"""The three versions of every slice, in the table's order."""
_CONFUSED = 0.05  # share of the confusers' pixels from which on they are called confused


@dataclass(frozen=True)
class ProbeRow:
    """One version of the slices.

    Attributes
    ----------
    version : str
        One of `VERSIONS`.
    scores : InstanceScores
    images : list of (y, x, 3) uint8
        What the model was shown.
    predictions : list of Instances
        At confidence 0.
    """

    version: str
    scores: InstanceScores
    images: list[NDArray[np.uint8]]
    predictions: list[Instances]


@dataclass(frozen=True)
class ProbeResult:
    """The probe's table and what it means.

    Attributes
    ----------
    rows : tuple of ProbeRow
        In the order of `VERSIONS`.
    diagnosis : str
        One or two sentences for a geoscientist.
    """

    rows: tuple[ProbeRow, ...]
    diagnosis: str

    def to_dict(self) -> dict[str, Any]:
        """Figures and diagnosis, ready for JSON."""
        return {
            "versions": {row.version: row.scores.to_dict() for row in self.rows},
            "diagnosis": self.diagnosis,
        }


def probe_task(
    segmenter: Segmenter, slices: Sequence[LabelledSlice], *, fill: Fill | None = None
) -> Task[ProbeResult]:
    """Predict every slice as it is, with all else painted over, and with the fossils painted over.

    Parameters
    ----------
    segmenter : Segmenter
    slices : sequence of LabelledSlice
        Slices without a fossil are left out.
    fill : fill, optional
        What is painted; by default the median colour of everything but the fossils.

    Raises
    ------
    InputError
        When no slice has a fossil, or a slice is nothing but fossil.
    """
    from napari_fossiledit import perturb
    from napari_fossiledit.metrics import score_slices

    require_fossils(slices)
    slices = [piece for piece in slices if piece.fossils.any()]
    paint = perturb.Median() if fill is None else fill
    total = len(slices) * len(VERSIONS)
    images: dict[str, list[NDArray[np.uint8]]] = {version: [] for version in VERSIONS}
    predictions: dict[str, list[Instances]] = {version: [] for version in VERSIONS}
    done = 0
    for i, piece in enumerate(slices):
        shown = {
            "original": piece.image,
            "others painted": perturb.apply(piece.image, piece.fossils, paint).image,
            "fossils painted": perturb.apply(
                piece.image, piece.fossils, paint, target="fossils"
            ).image,
        }
        for version, image in shown.items():
            yield Progress(done, total, f"{piece.name or f'slice {i}'}: {version}")
            images[version].append(image)
            predictions[version].append(
                segmenter.predict(image, max_detections=segmenter.limits.most)
            )
            done += 1
    rows = tuple(
        ProbeRow(v, score_slices(slices, predictions[v]), images[v], predictions[v])
        for v in VERSIONS
    )
    yield Progress(total, total, "Probed")
    return ProbeResult(rows, diagnose(rows))


def probe(
    segmenter: Segmenter, slices: Sequence[LabelledSlice], *, fill: Fill | None = None
) -> ProbeResult:
    """Run `probe_task` to its end."""
    return run(probe_task(segmenter, slices, fill=fill))


def diagnose(rows: Sequence[ProbeRow]) -> str:
    """Say in plain words what the probe's table means."""
    original, others, fossils = (row.scores for row in rows)
    if not (original.matched and others.matched):
        return " ".join([_unfound(original, others), *_claimed(fossils, found=False)])
    gain = others.matched_mean.precision - original.matched_mean.precision
    parts = []
    if gain >= 0.02:
        parts.append(
            f"With everything but the fossils painted over, precision rises from "
            f"{original.matched_mean.precision:.2f} to {others.matched_mean.precision:.2f} and "
            f"false detections fall from {original.false_detections} to {others.false_detections}: "
            "what lies around the fossils misleads the model, and an edit can be tried."
        )
    elif gain <= -0.02:
        parts.append(
            f"With everything but the fossils painted over, precision falls from "
            f"{original.matched_mean.precision:.2f} to {others.matched_mean.precision:.2f}: the "
            "paint itself is foreign to the model; choose another fill before editing."
        )
    else:
        parts.append(
            "With everything but the fossils painted over, precision hardly changes "
            f"({original.matched_mean.precision:.2f} and {others.matched_mean.precision:.2f}): "
            "the surroundings are not what misleads the model, and an edit has little to mend."
        )
    return " ".join([*parts, *_claimed(fossils)])


def _unfound(original: InstanceScores, others: InstanceScores) -> str:
    """Say what it means that no fossil is found, where there is no precision to compare."""
    from napari_fossiledit.editing.strength import WHAT_TO_CHECK

    if original.matched:
        return (
            "With everything but the fossils painted over, the model finds no fossil any more "
            f"({original.matched} of {original.total} before): the paint itself is foreign to the "
            "model; choose another fill before editing."
        )
    if others.matched:
        return (
            "The model finds no fossil on these slices as they are, but "
            f"{others.matched} of {others.total} with everything else painted over: what lies "
            f"around the fossils misleads it; {WHAT_TO_CHECK}, then an edit can be tried."
        )
    return (
        "The model finds no fossil on these slices, neither as they are nor with everything else "
        f"painted over, so there is nothing to compare: {WHAT_TO_CHECK}."
    )


def _claimed(fossils: InstanceScores, *, found: bool = True) -> list[str]:
    """Say what the model still claims where the fossils are painted over, in a sentence or none."""
    claimed = fossils.confuser_share
    count = fossils.false_detections + fossils.true_detections
    if claimed is not None and (found or claimed >= _CONFUSED):
        means = (
            "the model confuses them with the fossil"
            if claimed >= _CONFUSED
            else "confusers alone are not what it takes for fossils"
        )
        return [
            f"With the fossils painted over, {claimed:.0%} of the confusers' pixels are still "
            f"claimed: {means}."
        ]
    if claimed is None and count:
        return [
            f"With the fossils painted over, {count} detections remain where no fossil is left."
        ]
    return []
