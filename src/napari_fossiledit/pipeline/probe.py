"""The probe: what the model says of a slice, and of the same slice painted over.

Painting everything but the fossils shows what the surroundings do to the model; painting the
fossils shows what it claims when none is there (Panigrahi et al. 2022, section 5). The tables by
instance and by texture, and all intervals, are this project's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.pipeline.evaluate import require_fossils
from napari_fossiledit.pipeline.probe_diagnosis import diagnose
from napari_fossiledit.pipeline.probe_instances import (
    ORIGINAL,
    ProbedInstance,
    detected,
    probed_instances,
    worst_first,
)
from napari_fossiledit.pipeline.probe_textures import (
    TextureClass,
    texture_classes_task,
    textures_by_slice,
)
from napari_fossiledit.progress import Progress, Task, mapped, run

if TYPE_CHECKING:
    from napari_fossiledit.metrics import InstanceScores, Interval
    from napari_fossiledit.models.segmenter import Segmenter
    from napari_fossiledit.perturb import Fill, Perturbation, Perturbed

__all__ = ["VERSIONS", "ProbeResult", "ProbeRow", "probe", "probe_task", "versions_of"]

VERSIONS = (ORIGINAL, "others painted", "fossils painted")
"""The versions of every slice, in the table's order, unless a recipe asks for others."""
_SLOW_STEPS = 100  # of the progress bar, for each version that takes long to paint


@dataclass(frozen=True)
class ProbeRow:
    """One version of the slices.

    Attributes
    ----------
    version : str
        "original", "others painted", "fossils painted" or "both painted".
    scores : InstanceScores
    images : list of (y, x, 3) uint8
        What the model was shown; empty where the probe was told not to keep them.
    predictions : list of Instances
        At confidence 0.
    detected : (n,) bool
        Which labelled fossils are detected at confidence 0.5, with an IoU of 0.1 or more.
    intervals : dict of Interval
        The figures of this version, named as by `metrics.intervals`.
    change : dict of Interval
        What changes from the original, named as by `metrics.difference`; empty for the original.
    """

    version: str
    scores: InstanceScores
    images: list[NDArray[np.uint8]]
    predictions: list[Instances]
    detected: NDArray[np.bool_]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    change: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def found(self) -> int:
        """Number of labelled fossils that are detected."""
        return int(np.count_nonzero(self.detected))

    def to_dict(self) -> dict[str, Any]:
        """All figures with their intervals, as plain JSON values."""
        return {
            **self.scores.to_dict(intervals=False),
            "found": self.found,
            "intervals": {key: value.to_dict() for key, value in self.intervals.items()},
            "change": {key: value.to_dict() for key, value in self.change.items()},
        }


@dataclass(frozen=True)
class ProbeResult:
    """The probe's tables and what they mean.

    Attributes
    ----------
    rows : tuple of ProbeRow
        The original first.
    findings : tuple of str
        What it means, for a geoscientist: a sentence or two each.
    painted : str
        The version that answers what the recipe asked; the original is compared with it.
    instances : tuple of ProbedInstance
        Every labelled fossil of every slice, in the order of the scores.
    textures : tuple of TextureClass
        By class of texture; empty where none is known.
    perturbation : Perturbation or None
        The recipe that painted.
    slices : tuple of str
        Names of the probed slices.
    notes : tuple of str
        What was noticed while painting, in plain words.
    resamples, seed : int
        Of the intervals.
    """

    rows: tuple[ProbeRow, ...]
    findings: tuple[str, ...]
    painted: str = VERSIONS[1]
    instances: tuple[ProbedInstance, ...] = ()
    textures: tuple[TextureClass, ...] = ()
    perturbation: Perturbation | None = None
    slices: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    resamples: int = 2000
    seed: int = 0

    @property
    def diagnosis(self) -> str:
        """All findings in one piece."""
        return " ".join(self.findings)

    def row(self, version: str) -> ProbeRow:
        """Return one version by its name."""
        return next(row for row in self.rows if row.version == version)

    def worst(self, count: int | None = None, *, by: str = "original") -> list[ProbedInstance]:
        """Return the worst ``count`` instances (all by default): see `worst_first`."""
        return worst_first(self.instances, self.painted, by=by)[:count]

    def to_dict(self) -> dict[str, Any]:
        """All that is needed to draw the tables and plots again, ready for JSON."""
        return {
            "versions": {row.version: row.to_dict() for row in self.rows},
            "painted": self.painted,
            "diagnosis": self.diagnosis,
            "findings": list(self.findings),
            "textures": {one.texture: one.to_dict() for one in self.textures},
            "instances": [one.to_dict() for one in self.worst()],
            "perturbation": None if self.perturbation is None else self.perturbation.to_dict(),
            "slices": list(self.slices),
            "notes": list(self.notes),
            "resamples": self.resamples,
            "seed": self.seed,
        }


def probe_task(
    segmenter: Segmenter,
    slices: Sequence[LabelledSlice],
    *,
    fill: Fill | None = None,
    perturbation: Perturbation | None = None,
    textures: Mapping[int, str] | Sequence[Mapping[int, str] | None] | None = None,
    keep_images: bool = True,
    resamples: int = 2000,
    seed: int = 0,
) -> Task[ProbeResult]:
    """Predict every slice as it is and painted over, and compare.

    Parameters
    ----------
    segmenter : Segmenter
        Its weights are not touched.
    slices : sequence of LabelledSlice
        Slices without a fossil are left out.
    fill : fill, optional
        What is painted; by default the median colour of everything but the fossils.
    perturbation : Perturbation, optional
        A whole recipe in place of ``fill``; `versions_of` tells what is painted then.
    textures : dict of int to str, or a sequence of them, optional
        Texture of the fossils by label value: in all slices, or one mapping for each slice.
    keep_images : bool
        Whether the rows keep what the model was shown (the painted images take memory).
    resamples, seed : int
        Of the bootstrap intervals.

    Returns
    -------
    ProbeResult

    Raises
    ------
    InputError
        When no slice has a fossil, a slice is nothing but fossil or cannot be painted as asked,
        when fill and perturbation are both given, or textures not for every slice.
    """
    require_fossils(slices)
    texture_of = textures_by_slice(textures, slices)
    recipe = _recipe(fill, perturbation)
    recipes = versions_of(recipe)
    kept = [i for i, piece in enumerate(slices) if piece.fossils.any()]
    named = [replace(slices[i], name=slices[i].name or f"slice {i}") for i in kept]
    shown = yield from _predict_task(segmenter, named, recipes, keep_images)
    rows: list[ProbeRow] = []
    for i, (version, (images, predictions)) in enumerate(shown.found.items()):
        yield Progress(i, len(recipes), f"Comparing: {version}")
        before = rows[0].scores if rows else None
        rows.append(_row(version, named, images, predictions, before, resamples, seed))
    scores = {row.version: row.scores for row in rows}
    found = {row.version: row.detected for row in rows}
    own = [texture_of[i] for i in kept]
    instances = probed_instances(named, scores, found, own)
    how = {"resamples": resamples, "seed": seed}
    classes = yield from texture_classes_task(instances, scores, found, **how)
    yield Progress(1, 1, "Probed")
    return ProbeResult(
        rows=tuple(rows),
        findings=tuple(diagnose(rows, classes)),
        painted=_MAIN[recipe.target],
        instances=instances,
        textures=classes,
        perturbation=recipe,
        slices=tuple(piece.name for piece in named),
        notes=tuple(shown.notes),
        resamples=resamples,
        seed=seed,
    )


def probe(
    segmenter: Segmenter,
    slices: Sequence[LabelledSlice],
    *,
    fill: Fill | None = None,
    perturbation: Perturbation | None = None,
    textures: Mapping[int, str] | Sequence[Mapping[int, str] | None] | None = None,
    keep_images: bool = True,
    resamples: int = 2000,
    seed: int = 0,
) -> ProbeResult:
    """Run `probe_task` to its end."""
    return run(
        probe_task(
            segmenter,
            slices,
            fill=fill,
            perturbation=perturbation,
            textures=textures,
            keep_images=keep_images,
            resamples=resamples,
            seed=seed,
        )
    )


_MAIN = {"others": "others painted", "fossils": "fossils painted", "both": "both painted"}


def versions_of(recipe: Perturbation) -> dict[str, Perturbation | None]:
    """Tell which versions of a slice a recipe's probe shows the model, and how each is painted.

    Parameters
    ----------
    recipe : Perturbation
        Target ``others``: all but the fossils are painted and, in a version of their own, the
        fossils with the same fill. Target ``fossils``: the same where the fill is a colour, a
        median or noise; a texture is put on the fossils only. Target ``both``: all but the fossils
        are painted, then the fossils with their texture too.

    Returns
    -------
    dict of str to Perturbation or None
        None = as it is.
    """
    from napari_fossiledit.perturb import Colour, Median, Noise

    others = replace(recipe, target="others", texture=None)
    versions: dict[str, Perturbation | None] = {ORIGINAL: None}
    if recipe.target != "fossils" or isinstance(recipe.fill, (Colour, Median, Noise)):
        versions["others painted"] = others
    if recipe.target == "both":
        versions["both painted"] = recipe
    else:
        versions["fossils painted"] = replace(others, target="fossils")
    return versions


@dataclass
class _Shown:
    """Images and predictions by version, and what was noticed."""

    found: dict[str, tuple[list[NDArray[np.uint8]], list[Instances]]]
    notes: list[str] = field(default_factory=list)


def _recipe(fill: Fill | None, perturbation: Perturbation | None) -> Perturbation:
    from napari_fossiledit.perturb import Median, Perturbation

    if perturbation is None:
        return Perturbation(Median() if fill is None else fill)
    if fill is not None:
        raise InputError(
            "The probe was given both a fill and a perturbation, which has a fill of its own: "
            "give one of them."
        )
    return perturbation


def _predict_task(
    segmenter: Segmenter,
    slices: Sequence[LabelledSlice],
    recipes: Mapping[str, Perturbation | None],
    keep_images: bool,
) -> Task[_Shown]:
    """Paint and predict every version of every slice."""
    from napari_fossiledit.perturb import SlowFill

    fills = [fill for how in recipes.values() if how for fill in (how.fill, how.texture)]
    unit = _SLOW_STEPS if any(isinstance(fill, SlowFill) for fill in fills) else 1
    total, done = len(slices) * len(recipes) * unit, 0
    shown = _Shown({version: ([], []) for version in recipes})
    for piece in slices:
        for version, how in recipes.items():
            words = f"{piece.name}: {version}"
            yield Progress(done, total, words)
            image = piece.image
            if how is not None:
                painted = yield from _paint_task(piece, how, words, (done, unit, total))
                shown.notes += [f"{words}: {line}" for line in painted.notes]
                image = painted.image
            images, predictions = shown.found[version]
            if keep_images:
                images.append(image)
            predictions.append(segmenter.predict(image, max_detections=segmenter.limits.most))
            done += unit
    yield Progress(total, total, "Predicted")
    return shown


def _paint_task(
    piece: LabelledSlice, how: Perturbation, words: str, part: tuple[int, int, int]
) -> Task[Perturbed]:
    """Paint one slice; its steps become a part of the whole task's."""
    done, unit, total = part

    def change(step: Progress) -> Progress:
        share = step.done / step.total if step.total else 0.0
        return Progress(done + int(share * (unit - 1)), total, f"{words}, {step.message}")

    try:
        return (yield from mapped(how.apply_task(piece.image, piece.labels), change))
    except InputError as error:
        raise InputError(f"{piece.name}: {error}") from error


def _row(
    version: str,
    slices: Sequence[LabelledSlice],
    images: list[NDArray[np.uint8]],
    predictions: list[Instances],
    before: InstanceScores | None,
    resamples: int,
    seed: int,
) -> ProbeRow:
    from napari_fossiledit.metrics import difference, intervals, score_slices

    scores = score_slices(slices, predictions)
    how = {"resamples": resamples, "seed": seed}
    return ProbeRow(
        version,
        scores,
        images,
        predictions,
        detected(slices, predictions),
        intervals(scores, **how),
        {} if before is None else difference(before, scores, **how),
    )
