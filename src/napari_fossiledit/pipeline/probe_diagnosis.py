"""What the probe's figures mean, in sentences for a geoscientist."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_fossiledit.metrics import InstanceScores, Interval
    from napari_fossiledit.pipeline.probe import ProbeRow
    from napari_fossiledit.pipeline.probe_textures import TextureClass

__all__ = ["diagnose"]

_CONFUSED = 0.05  # share of the confusers' pixels from which on they are called confused
_GONE = 0.25  # share of the fossils that may still be detected where the others are called gone
_FORGIVEN = 0.05  # false detections for each fossil, where little of the confusers is claimed
_MATTERS = 0.02  # a change of mean precision below this is none
_LOST = 0.05  # a loss of mean recall, or a difference between textures, worth a sentence
_WORDS = {
    "others painted": "With everything but the fossils painted over",
    "fossils painted": "With the fossils painted over",
    "both painted": "With the fossils in another texture, among paint",
}


def diagnose(rows: Sequence[ProbeRow], classes: Sequence[TextureClass] = ()) -> list[str]:
    """Say in plain words what the probe's tables mean.

    Parameters
    ----------
    rows : sequence of ProbeRow
        The original first.
    classes : sequence of TextureClass

    Returns
    -------
    list of str
        Findings of a sentence or two, the weightiest first: what is claimed where no fossil is
        left, what the surroundings do, and which texture fares otherwise than the others. Only
        differences whose 95 % interval leaves out 0 are called differences.
    """
    by = {row.version: row for row in rows}
    original, others, fossils, both = (
        by.get(version)
        for version in ("original", "others painted", "fossils painted", "both painted")
    )
    assert original is not None
    if not original.scores.matched or (others is not None and not others.scores.matched):
        said = [_unfound(original.scores, others.scores if others else None)]
        return said + ([] if fossils is None else _claimed_still(fossils.scores))
    said = [] if fossils is None else [_painted_over(fossils)]
    if others is not None:
        said.append(_surroundings(original, others))
    if both is not None and others is not None:
        said.append(_retextured(others, both))
    return [*said, *_textures(classes)]


def _unfound(original: InstanceScores, others: InstanceScores | None) -> str:
    """Say what it means that no fossil is found, where there is no precision to compare."""
    from napari_fossiledit.editing.strength_words import WHAT_TO_CHECK

    if others is None:
        return (
            "The model finds no fossil on these slices as they are, so there is nothing to "
            f"compare: {WHAT_TO_CHECK}."
        )
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


def _claimed_still(fossils: InstanceScores) -> list[str]:
    """Say what a model that finds no fossil claims in their stead, in a sentence or none."""
    share, count = fossils.confuser_share, fossils.false_detections
    if share is not None and share >= _CONFUSED:
        return [
            f"With the fossils painted over, {_percent(share)} of the confusers' pixels are "
            "claimed: the model takes confusers for the fossil."
        ]
    if share is None and count:
        were = "detections remain" if count > 1 else "detection remains"
        return [f"With the fossils painted over, {count} {were} where no fossil is left."]
    return []


def _painted_over(fossils: ProbeRow) -> str:
    """Say whether the fossils are gone where they are painted over, and what is claimed still."""
    total, left = fossils.scores.total, fossils.found
    share = fossils.scores.confuser_share
    bad = (share is not None and share >= _CONFUSED) or _many(fossils)
    if left > _GONE * total:
        gone = (
            f"Painted over, {left} of {total} fossils are still detected: to the model their "
            "outline is enough, or the paint looks like them"
        )
        return f"{gone}. {'What is more, ' if bad else 'But '}{_rest(fossils)}"
    gone = "Painted over, the fossils are gone"
    if left:
        gone = f"Painted over, all but {left} of {total} fossils are gone"
    return f"{gone}, {'yet' if bad else 'and'} {_rest(fossils)}"


def _rest(fossils: ProbeRow) -> str:
    """Say what is claimed beside the painted fossils, as the end of a sentence."""
    share, count = fossils.scores.confuser_share, fossils.scores.false_detections
    were = "detections remain" if count > 1 else "detection remains"
    if share is None:
        if not count:
            return "nothing else is taken for one."
        return (
            f"{count} {were} where no fossil is left: the model confuses something else with "
            "fossils."
        )
    span = _span(fossils.intervals.get("confuser_share"), percent=True)
    if share >= _CONFUSED:
        return (
            f"{_percent(share)} of the confusers' pixels are still claimed{span}: the model "
            "confuses confusers with fossils."
        )
    few = f"only {_percent(share)}" if share else "none"
    if _many(fossils):
        return (
            f"{count} {were} where no fossil is left, with {few} of the confusers' pixels"
            f"{span if share else ''}: the model confuses something else with fossils."
        )
    return (
        f"{few} of the confusers' pixels are claimed{span if share else ''}: confusers alone are "
        "not what it takes for fossils."
    )


def _many(fossils: ProbeRow) -> bool:
    """Whether false detections remain where the fossils are painted: any, where it is not known.

    With confusers labelled, some are forgiven.
    """
    count = fossils.scores.false_detections
    if fossils.scores.confuser_share is None:
        return count > 0
    return count > max(2, _FORGIVEN * fossils.scores.total)


def _surroundings(original: ProbeRow, others: ProbeRow) -> str:
    """Say what painting all but the fossils does to the precision, and to the recall."""
    before, after = original.scores, others.scores
    old, new = before.matched_mean.precision, after.matched_mean.precision
    change = others.change.get("matched_mean.precision")
    start = "With everything but the fossils painted over, precision"
    if abs(new - old) < _MATTERS:
        said = (
            f"{start} hardly changes ({old:.2f} and {new:.2f}): the surroundings are not what "
            "misleads the model, and an edit has little to mend."
        )
    elif change is not None and math.isfinite(change.low) and not change.clear:
        said = (
            f"{start} goes from {old:.2f} to {new:.2f}{_span(change)}, which may be chance on so "
            "few fossils: probe more slices."
        )
    elif new < old:
        said = (
            f"{start} falls from {old:.2f} to {new:.2f}{_span(change)}: the paint itself is "
            "foreign to the model; choose another fill before editing."
        )
    else:
        false = _count_change(before.false_detections, after.false_detections)
        said = (
            f"{start} rises from {old:.2f} to {new:.2f}{_span(change)}{false}: what lies around "
            "the fossils misleads the model, and an edit can be tried."
        )
    lost = others.change.get("all_mean.recall")
    if new >= old and lost is not None and lost.high < 0 and lost.value <= -_LOST:
        said += (
            f" But recall falls from {before.all_mean.recall:.2f} to {after.all_mean.recall:.2f}"
            f"{_span(lost)}: to part of the fossils the paint does harm; try another fill as well."
        )
    return said


def _retextured(others: ProbeRow, both: ProbeRow) -> str:
    """Say whether fossils in another texture are still detected, among the same paint."""
    total = others.scores.total
    said = (
        f"In another texture, among the same paint, {both.found} of {total} fossils are detected, "
        f"against {others.found} in their own: "
    )
    if both.found <= 0.5 * others.found:
        return said + "the model goes by texture more than by shape."
    if both.found >= 0.8 * others.found:
        return said + "the model goes by shape more than by texture."
    return said + "the model goes by both texture and shape."


def _textures(classes: Sequence[TextureClass]) -> list[str]:
    """Sentences on the texture that fares most otherwise than the others, none if none does."""
    said = []
    worst = min(classes, key=lambda c: _value(c.contrast), default=None)
    if worst is not None and _clearly(worst.contrast):
        own, rest = _ious(worst, "original"), _ious_of_others(worst, classes, "original")
        span = _span(worst.contrast["all_mean.iou"], bare=True)
        name = worst.texture[:1].upper() + worst.texture[1:]
        said.append(
            f"{name} fossils are outlined worse than {_others(worst, classes)} "
            f"(IoU {own:.2f} against {rest:.2f}{span})."
        )
    for version, start in _WORDS.items():
        told = [c for c in classes if version in c.change_contrast]
        one = min(told, key=lambda c: _value(c.change_contrast[version]), default=None)
        if version == "fossils painted" or one is None:
            continue
        if not _clearly(one.change_contrast[version]):
            continue
        own, rest = _ious(one, version), _ious_of_others(one, classes, version)
        was, were = _ious(one, "original"), _ious_of_others(one, classes, "original")
        interval = one.change_contrast[version]["all_mean.iou"]
        means = (
            ": among this paint the model loses them; try another fill."
            if own < was - _LOST
            else "."
        )
        said.append(
            f"{start}, {one.texture} fossils fare worse than {_others(one, classes)} (IoU from "
            f"{was:.2f} to {own:.2f} against {were:.2f} to {rest:.2f}{_span(interval, bare=True)})"
            f"{means}"
        )
    return said


def _clearly(contrast: Mapping[str, Interval]) -> bool:
    """Whether the texture's mean IoU is lower than that of the others, beyond chance."""
    found = contrast.get("all_mean.iou")
    return found is not None and found.high < 0 and found.value <= -_LOST


def _value(contrast: Mapping[str, Interval]) -> float:
    return contrast["all_mean.iou"].value if contrast else math.inf


def _ious(one: TextureClass, version: str) -> float:
    return one.scores[version].all_mean.iou


def _ious_of_others(one: TextureClass, classes: Sequence[TextureClass], version: str) -> float:
    rest = [c for c in classes if c is not one]
    return sum(_ious(c, version) * c.total for c in rest) / sum(c.total for c in rest)


def _others(one: TextureClass, classes: Sequence[TextureClass]) -> str:
    rest = [c.texture for c in classes if c is not one]
    return f"{rest[0]} ones" if len(rest) == 1 else "the others"


def _count_change(old: int, new: int) -> str:
    if old == new:
        return ""
    return f" and false detections {'fall' if new < old else 'rise'} from {old} to {new}"


def _span(interval: Interval | None, *, percent: bool = False, bare: bool = False) -> str:
    """Put an interval in brackets; nothing where it is not known."""
    if interval is None or not math.isfinite(interval.low):
        return ""
    if percent:
        text = f"95 % interval {100 * interval.low:.0f} to {_percent(interval.high)}"
    else:
        text = f"{interval.value:+.2f}, 95 % interval {interval.low:+.2f} to {interval.high:+.2f}"
        if bare:
            return f"; difference {text}"
    return f" ({text})"


def _percent(value: float) -> str:
    return "less than 1 %" if 0 < value < 0.005 else f"{100 * value:.0f} %"
