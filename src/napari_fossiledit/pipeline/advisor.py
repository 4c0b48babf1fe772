"""The advisor: every remedy on labelled slices held out in turn, and which one to take.

An edit is one way among several to make a model better, and often not the best: a raised threshold
costs nothing, a corrected slice teaches more than any paint. So all are tried on the user's own
slices. Each remedy is made from ONE slice and judged on the others; its setting (strength or
threshold) is chosen, for every judged slice, on the remaining ones.

The measure is AP50: it counts false detections, missed fossils and bad outlines in one figure, and
moving along the mask threshold's curve gains nothing in it. Beside it stand mean precision and
recall (Panigrahi et al. 2022), so that a user who needs pure masks sees what each costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_fossiledit.errors import FossilEditError, InputError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.pipeline.advice import Advice, AdvicePoint, Judged, recommend
from napari_fossiledit.pipeline.evaluate import MASK_THRESHOLDS, require_fossils
from napari_fossiledit.pipeline.remedies import Fitted, Remedy, Work, default_remedies
from napari_fossiledit.progress import Progress, Task, mapped, run

if TYPE_CHECKING:
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["advise", "advise_task"]

_PARTS = 100  # steps of the progress bar a remedy and slice


def advise(
    segmenter: Segmenter,
    slices: Sequence[LabelledSlice],
    *,
    trained_on: Sequence[LabelledSlice] = (),
    remedies: Sequence[Remedy] | None = None,
    most_made_from: int = 3,
    seed: int = 0,
) -> Advice:
    """Try every remedy on labelled slices held out in turn, and recommend one, or none (*ours*).

    Parameters
    ----------
    segmenter : Segmenter
        Left as it was found; edits that are active stay at work.
    slices : sequence of LabelledSlice
        At least two with fossils, best such that the model was NOT trained on: on its training
        slices there is little left to mend, and every figure flatters it.
    trained_on : sequence of LabelledSlice
        Slices that the model was trained on; corrected labels and fine-tuning rehearse them.
    remedies : sequence of Remedy, optional
        Default: `default_remedies`.
    most_made_from : int
        From how many of the slices, spread evenly, a remedy is made in turn.
    seed : int
        Of fits, trainings and the bootstrap. Fine-tuning takes as many steps as fit into the time
        of the slowest edit; for the same figures again, fix them by `FineTuning`.

    Returns
    -------
    Advice

    Raises
    ------
    InputError
        With fewer than two slices that have a fossil.
    """
    return run(
        advise_task(
            segmenter,
            slices,
            trained_on=trained_on,
            remedies=remedies,
            most_made_from=most_made_from,
            seed=seed,
        )
    )


def advise_task(
    segmenter: Segmenter,
    slices: Sequence[LabelledSlice],
    *,
    trained_on: Sequence[LabelledSlice] = (),
    remedies: Sequence[Remedy] | None = None,
    most_made_from: int = 3,
    seed: int = 0,
) -> Task[Advice]:
    """`advise` as a task."""
    usable, makers = _checked(slices, most_made_from)
    tried = tuple(remedies) if remedies is not None else default_remedies()
    total = _PARTS * (1 + len(tried) * len(makers))
    cuts: dict[float, list[Instances]] = {cut: [] for cut in MASK_THRESHOLDS}
    for index, piece in enumerate(usable):
        done = _PARTS * index // len(usable)
        yield Progress(done, total, f"The model as it is: {piece.name or f'slice {index}'}")
        each = segmenter.predict_mask_thresholds(
            piece.image, MASK_THRESHOLDS, max_detections=segmenter.limits.most
        )
        for cut, found in zip(MASK_THRESHOLDS, each, strict=True):
            cuts[cut].append(found)
    work = Work(segmenter, usable, cuts, list(trained_on), seed)
    judged = []
    for number, remedy in enumerate(tried):
        start = _PARTS * (1 + number * len(makers))
        judged.append((yield from _judged_task(work, remedy, makers, start, total)))
    yield Progress(total, total, "Compared")
    names = tuple(piece.name or f"slice {i}" for i, piece in enumerate(usable))
    chosen, sentence = recommend(judged)
    return Advice(
        segmenter.name,
        names,
        tuple(names[i] for i in makers),
        len(trained_on),
        tuple(judged),
        chosen,
        sentence,
        seed,
    )


def _checked(
    slices: Sequence[LabelledSlice], most_made_from: int
) -> tuple[list[LabelledSlice], list[int]]:
    """The slices with fossils, and those that remedies are made from, spread evenly."""
    require_fossils(slices)
    usable = [piece for piece in slices if piece.fossils.any()]
    if len(usable) < 2:
        raise InputError(
            "The advisor needs at least two labelled slices with fossils, one to make an edit "
            "from and one to judge it on: label another slice."
        )
    if most_made_from < 1:
        raise InputError(f"Remedies are made from at least one slice, not {most_made_from}.")
    open_ones = [i for i, piece in enumerate(usable) if not piece.fossils.all()]
    if not open_ones:
        raise InputError(
            "The labels cover the slices whole, so nothing lies around the fossils: "
            "choose slices where the rock is seen."
        )
    count = min(most_made_from, len(open_ones))
    return usable, [open_ones[(2 * i + 1) * len(open_ones) // (2 * count)] for i in range(count)]


def _judged_task(
    work: Work, remedy: Remedy, makers: Sequence[int], start: int, total: int
) -> Task[Judged]:
    runs: dict[int, Fitted] = {}
    for count, maker in enumerate(makers):
        begin = start + _PARTS * count
        held_out = [j for j in range(len(work.slices)) if j != maker]

        def change(step: Progress, begin: int = begin) -> Progress:
            part = _PARTS * step.done // step.total if step.total else 0
            return Progress(begin + part, total, f"{remedy.title}: {step.message}", step.data)

        try:
            task = remedy.try_task(work, maker, held_out)
            runs[maker] = yield from mapped(task, change)
        except FossilEditError as error:
            # One remedy that a model does not allow must not cost the user all the others.
            return Judged.failed(remedy.key, remedy.title, remedy.setting, str(error))
    return _judge(work, remedy, runs)


def _judge(work: Work, remedy: Remedy, runs: Mapping[int, Fitted]) -> Judged:
    from napari_fossiledit import metrics

    base = work.cuts[0.5]
    by_setting = {x: _apart(work, runs, x) for x in remedy.settings}
    quality = {x: _per_slice(work, runs, found) for x, found in by_setting.items()}
    before, after, old, new, slices = [], [], [], [], []
    choices: list[float] = []
    for maker, run_ in runs.items():
        held_out = sorted(run_.found[remedy.neutral])
        chosen = {j: _best(remedy, quality, maker, j) for j in held_out}
        choices += chosen.values()
        picked = [run_.found[chosen[j]][j] if j != maker else base[j] for j in _all(work)]
        before.append(metrics.match_detections(work.slices, base, without=[maker]))
        after.append(metrics.match_detections(work.slices, picked, without=[maker]))
        slices += [work.slices[j] for j in held_out]
        old += [base[j] for j in held_out]
        new += [picked[j] for j in held_out]
    was, now = metrics.score_slices(slices, old), metrics.score_slices(slices, new)
    changes = metrics.difference(was, now, seed=work.seed)
    points = tuple(_point(work, x, found) for x, found in by_setting.items())
    # What the interval stands for: the setting that was taken most often.
    best = max(remedy.settings, key=lambda x: (choices.count(x), -abs(x - remedy.neutral)))
    return Judged(
        key=remedy.key,
        title=remedy.title,
        setting=remedy.setting,
        neutral=remedy.neutral,
        best=best,
        gain=metrics.ap50_difference(before, after, seed=work.seed),
        precision=changes["matched_mean.precision"],
        recall=changes["matched_mean.recall"],
        false_detections=changes["false_detections_difference"],
        points=points,
        seconds=float(np.mean([run_.seconds for run_ in runs.values()])),
        detail=next(iter(runs.values())).detail,
    )


def _all(work: Work) -> range:
    return range(len(work.slices))


def _apart(work: Work, runs: Mapping[int, Fitted], x: float) -> dict[int, dict[int, Instances]]:
    """Predictions at one setting, by the slice that the remedy was made from."""
    return {maker: run_.found[x] for maker, run_ in runs.items()}


def _per_slice(
    work: Work, runs: Mapping[int, Fitted], found: Mapping[int, Mapping[int, Instances]]
) -> dict[tuple[int, int], float]:
    """AP50 of each run without each of its judged slices: what may choose a setting for it."""
    from napari_fossiledit import metrics

    quality = {}
    for maker, predictions in found.items():
        filled = [predictions.get(j, work.cuts[0.5][j]) for j in _all(work)]
        for j in predictions:
            kept = metrics.match_detections(work.slices, filled, without=[maker, j])
            quality[maker, j] = metrics.ap50(kept)
    return quality


def _best(
    remedy: Remedy, quality: Mapping[float, Mapping[tuple[int, int], float]], maker: int, j: int
) -> float:
    """The setting of the highest AP50 on the other judged slices; the mildest of equal ones."""
    known = {x: quality[x][maker, j] for x in remedy.settings}
    if any(math.isnan(value) for value in known.values()):
        return remedy.usual  # the only slice judged on has none to choose its setting
    return max(known, key=lambda x: (known[x], -abs(x - remedy.neutral)))


def _point(work: Work, x: float, found: Mapping[int, Mapping[int, Instances]]) -> AdvicePoint:
    """All judged slices of all runs at one setting."""
    from napari_fossiledit import metrics

    pairs = [(work.slices[j], p) for each in found.values() for j, p in each.items()]
    scores = metrics.score_slices([s for s, _ in pairs], [p for _, p in pairs])
    mean, runs = scores.matched_mean, max(len(found), 1)
    matches = [
        metrics.match_detections(
            work.slices,
            [each.get(j, work.cuts[0.5][j]) for j in _all(work)],
            without=[maker],
        )
        for maker, each in found.items()
    ]
    return AdvicePoint(
        setting=x,
        ap50=float(np.mean([metrics.ap50(m) for m in matches])),
        precision=mean.precision,
        recall=mean.recall,
        iou=mean.iou,
        true_detections=scores.true_detections / runs,
        false_detections=scores.false_detections / runs,
    )
