"""What a remedy gains on reefs that chose nothing, over several models and corrected slices.

Every remedy is made from ONE slice (ordinary rock, of a reef that the model was not trained on)
and judged on slices of other reefs: AP50, AP50 above the mask threshold's curve at equal recall,
and mean precision at equal recall. Runs (models times slices) are averaged; the intervals resample
individuals and slices, all runs together, and the wider is given. Nothing may be chosen on the
reporting reefs (3000 and above): run it on the development reefs (2000 to 2009) for that.

``labels@1.5`` is made and judged at input zoom 1.5, and compared with the unedited model at its own
size; ``zoom@1.5`` is the unedited model at that zoom: the rival.

Usage: ``python benchmarks/gain.py OUT.json --models demo second.safetensors --reefs 2000 2001
--made-from 2006,24 2007,24 --remedies labels agreement distil ridge fine-tuning``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

CUTS = (0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
ZS = (8, 24, 40)
STRENGTHS = {
    "labels": (1.0,),
    "neighbours": (1.0,),
    "agreement": (0.25, 0.5, 0.75, 1.0, 1.25, 1.5),
    "distil": (0.5, 1.0),
    "adam": (0.5, 1.0),
    "ridge": (0.1, 0.2, 0.3),
}
RESAMPLES = 1000


@dataclass
class Run:
    """One remedy made from one slice for one model, at one strength."""

    model: str
    made_from: str
    remedy: str
    strength: float
    seconds: float
    scores: Any
    matches: Any
    base: Any
    curve: list[tuple[Any, Any]] = field(repr=False, default_factory=list)


def judged(segmenter: Any, slices: Sequence[Any]) -> tuple[Any, Any]:
    """Scores and matches of a model on the slices."""
    from napari_fossiledit import metrics

    most = segmenter.limits.most
    found = [segmenter.predict(piece.image, max_detections=most) for piece in slices]
    return metrics.score_slices(slices, found), metrics.match_detections(slices, found)


def thresholds(segmenter: Any, slices: Sequence[Any]) -> dict[float, tuple[Any, Any]]:
    """The same of the unedited model, at every mask threshold."""
    from napari_fossiledit import metrics

    most = segmenter.limits.most
    each = [segmenter.predict_mask_thresholds(p.image, CUTS, max_detections=most) for p in slices]
    found = dict(zip(CUTS, zip(*each, strict=True), strict=True))
    return {
        cut: (metrics.score_slices(slices, preds), metrics.match_detections(slices, preds))
        for cut, preds in found.items()
    }


def edits(segmenter: Any, piece: Any, remedy: str, trained_on: Sequence[Any]) -> Any:
    """The edit of a remedy; ``neighbours`` is ``labels`` with two unlabelled slices beside it."""
    from napari_fossiledit import editing, perturb
    from napari_fossiledit.sample.splits import labelled_slice

    if remedy == "labels":
        return editing.correct(segmenter, [piece], rehearse=trained_on)
    if remedy == "neighbours":
        seed, z = (int(word) for word in piece.name.removeprefix("reef ").split(", z "))
        beside = [labelled_slice(seed, z + step).image for step in (-8, 8)]
        return editing.correct(segmenter, [piece], rehearse=trained_on, unlabelled=beside)
    if remedy == "agreement":
        return editing.teach_itself(segmenter, [piece.image], rehearse=trained_on)
    solver = {"distil": editing.Distil(), "ridge": editing.Ridge(), "adam": editing.Adam()}[remedy]
    source = trained_on[0]  # no new label: the painted slice is one of the training
    painted = perturb.apply(source.image, source.fossils, perturb.Median())
    return editing.rewrite(segmenter, source.image, painted, source.labels, solver=solver)


def runs_of(
    path: str, makers: Sequence[Any], slices: Sequence[Any], remedies: Sequence[str]
) -> Iterator[Run]:
    """All runs of one model."""
    from napari_fossiledit import editing, models
    from napari_fossiledit.sample.splits import training_slices

    segmenter = models.load(path)
    trained_on = training_slices()
    curve = thresholds(segmenter, slices)
    base = curve[0.5]
    for piece in makers:
        longest = 0.0
        for whole in remedies:
            remedy, _, zoom = whole.partition("@")
            segmenter.input_zoom = float(zoom or 1)
            made = (path, piece.name, whole)
            known = (base, [*curve.values()])
            if remedy == "zoom":
                yield Run(*made, 1.0, 0.0, *judged(segmenter, slices), *known)
                continue
            if remedy == "fine-tuning":
                twin, seconds = fine_tuned(segmenter, [piece, *trained_on], longest)
                yield Run(*made, 1.0, seconds, *judged(twin, slices), *known)
                continue
            begun = time.perf_counter()
            edit = edits(segmenter, piece, remedy, trained_on)
            seconds = time.perf_counter() - begun
            longest = max(longest, seconds if remedy == "labels" else 0.0)
            with editing.EditStack.of(segmenter).trial(edit) as set_strength:
                for strength in STRENGTHS[remedy]:
                    set_strength(strength)
                    yield Run(*made, strength, seconds, *judged(segmenter, slices), *known)
        segmenter.input_zoom = 1.0


def fine_tuned(segmenter: Any, slices: Sequence[Any], seconds: float) -> tuple[Any, float]:
    """A copy with all weights trained on for about so many seconds, at the model's input zoom."""
    from napari_fossiledit import models
    from napari_fossiledit.models.augment import Augment

    zoom = segmenter.input_zoom
    views = Augment(scale=(0.8 * zoom, 1.3 * zoom))
    begun = time.perf_counter()
    regime = models.TrainSettings(steps=3, rate=1e-4, warm_up=1, augment=views)
    models.train(segmenter.twin(), slices, regime)
    steps = max(round(3 * seconds / (time.perf_counter() - begun)), 1)
    twin = segmenter.twin()
    begun = time.perf_counter()
    regime = replace(regime, steps=steps, warm_up=min(5, steps))
    models.train(twin, slices, regime)
    return twin, time.perf_counter() - begun


def table(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Mean over runs, by remedy and strength."""
    rows = []
    for key in dict.fromkeys((run.remedy, run.strength) for run in runs):
        mine = [run for run in runs if (run.remedy, run.strength) == key]
        means = [run.scores.matched_mean for run in mine]
        befores = [run.base[0].matched_mean for run in mine]
        rows.append(
            {
                "remedy": key[0],
                "strength": key[1],
                "runs": len(mine),
                "seconds": float(np.mean([run.seconds for run in mine])),
                **{name: interval.to_dict() for name, interval in changes(mine).items()},
                "ap50_against": against(mine, runs),
                "precision": float(np.mean([m.precision for m in means])),
                "recall": float(np.mean([m.recall for m in means])),
                "precision_before": float(np.mean([m.precision for m in befores])),
                "recall_before": float(np.mean([m.recall for m in befores])),
                "false": float(np.mean([run.scores.false_detections for run in mine])),
                "false_before": float(np.mean([run.base[0].false_detections for run in mine])),
                "true": float(np.mean([run.scores.true_detections for run in mine])),
                "true_before": float(np.mean([run.base[0].true_detections for run in mine])),
            }
        )
    return rows


def changes(runs: Sequence[Run]) -> dict[str, Any]:
    """AP50, AP50 above the curve, and precision above the curve: means over runs."""
    from napari_fossiledit.metrics.ap_intervals import resampled
    from napari_fossiledit.metrics.equal_recall import interpolated
    from napari_fossiledit.metrics.intervals import resampling_ways, weighted_mean, widest

    first = runs[0]
    found: dict[str, list[Any]] = {"ap50": [], "ap50_above_curve": [], "precision_above_curve": []}
    for way in resampling_ways(first.scores, resamples=RESAMPLES):
        # Individuals and slices are numbered alike in scores and matches.
        parts: dict[str, list[Any]] = {name: [] for name in found}
        known: dict[int, Any] = {}
        for run in runs:
            if id(run.base) not in known:
                known[id(run.base)] = (
                    np.stack([resampled(m, way) for _, m in run.curve]),
                    np.stack([weighted_mean(s, "recall", True, way) for s, _ in run.curve]),
                    np.stack([weighted_mean(s, "precision", True, way) for s, _ in run.curve]),
                    resampled(run.base[1], way),
                )
            aps, recalls, precisions, before = known[id(run.base)]
            mine = resampled(run.matches, way)
            at = weighted_mean(run.scores, "recall", True, way)
            precise = weighted_mean(run.scores, "precision", True, way)
            parts["ap50"].append(mine - before)
            parts["ap50_above_curve"].append(mine - interpolated(at, recalls, aps))
            parts["precision_above_curve"].append(precise - interpolated(at, recalls, precisions))
        for name, arrays in parts.items():
            found[name].append(way.interval(np.mean(arrays, axis=0)))
    return {name: widest(candidates) for name, candidates in found.items()}


def against(mine: Sequence[Run], runs: Sequence[Run]) -> dict[str, Any]:
    """AP50 less that of the rivals at the same zoom, run by run: the zoom alone, fine-tuning."""
    from napari_fossiledit.metrics.ap_intervals import resampled
    from napari_fossiledit.metrics.intervals import resampling_ways, widest

    zoom = mine[0].remedy.partition("@")[2]
    found = {}
    for rival in ("zoom", "fine-tuning"):
        name = f"{rival}@{zoom}" if zoom else rival
        others = {(run.model, run.made_from): run for run in runs if run.remedy == name}
        pairs = [(run, others.get((run.model, run.made_from))) for run in mine]
        if mine[0].remedy == name or any(other is None for _, other in pairs):
            continue
        intervals = []
        for way in resampling_ways(mine[0].scores, resamples=RESAMPLES):
            each = [
                resampled(run.matches, way) - resampled(other.matches, way)
                for run, other in pairs
                if other is not None
            ]
            intervals.append(way.interval(np.mean(each, axis=0)))
        found[name] = widest(intervals).to_dict()
    return found


def main() -> None:
    """Measure, print and write."""
    from napari_fossiledit.sample.splits import labelled_slice, unseen_slices

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", nargs="+", default=["demo"])
    parser.add_argument("--reefs", nargs="+", type=int, default=list(range(2000, 2004)))
    parser.add_argument("--made-from", nargs="+", default=["2006,24", "2007,24"])
    parser.add_argument("--remedies", nargs="+", default=["labels", "agreement", "fine-tuning"])
    asked = parser.parse_args()
    makers = [labelled_slice(*map(int, text.split(","))) for text in asked.made_from]
    slices = unseen_slices(asked.reefs, ZS)
    runs = []
    for path in asked.models:
        for run in runs_of(path, makers, slices, asked.remedies):
            print(
                run.model,
                run.made_from,
                run.remedy,
                run.strength,
                f"{run.seconds:.1f} s",
                flush=True,
            )
            runs.append(run)
    fossils = runs[0].scores.total
    groups = {name: [r for r in runs if r.model == name] for name in asked.models}
    figures = {
        "reefs": asked.reefs,
        "fossils": fossils,
        "made_from": asked.made_from,
        "all": table(runs),
        "by_model": {name: table(mine) for name, mine in groups.items()},
    }
    asked.out.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    for row in figures["all"]:
        print(line(row))


def line(row: dict[str, Any]) -> str:
    """One row as text."""

    def shown(name: str) -> str:
        change = row[name]
        return f"{name} {change['value']:+.3f} ({change['low']:+.3f}, {change['high']:+.3f})"

    three = "  ".join(shown(n) for n in ("ap50", "ap50_above_curve", "precision_above_curve"))
    numbers = "  ".join(
        f"{name} {row[f'{name}_before']:.{digits}f} -> {row[name]:.{digits}f}"
        for name, digits in (("precision", 3), ("recall", 3), ("false", 0), ("true", 0))
    )
    name = f"{row['remedy']} at {row['strength']:g}"
    for rival, change in row["ap50_against"].items():
        low, high = change["low"], change["high"]
        three += f"  against {rival} {change['value']:+.3f} ({low:+.3f}, {high:+.3f})"
    return f"{name}, {row['runs']} runs, {row['seconds']:.1f} s: {three}  {numbers}"


if __name__ == "__main__":
    main()
