"""What the choice of a strength found, in sentences for geoscientists."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_fossiledit.metrics import InstanceScores, Interval

__all__ = ["WHAT_TO_CHECK", "advice_for", "beside_sentence", "choice_sentence"]

WHAT_TO_CHECK = (
    "check which of its classes count as the fossil and, for a detectron2 model, that the config "
    "is its own and SCORE_THRESH_TEST in it is not too high"
)
"""What to do where a model finds no fossil, as the end of a sentence."""


def advice_for(solver: str) -> str:
    """What to try in place of an edit that is not worth it, as the end of a sentence."""
    if solver in {"labels", "agreement"}:
        return "try another slice, best one that the model was not trained on"
    return "try another slice or fill"


def choice_sentence(
    before: InstanceScores,
    after: InstanceScores,
    strength: float,
    where: str,
    *,
    rule: str,
    limit: str,
    budget: bool,
    kept: bool,
    worth_it: bool,
    advice: str,
) -> str:
    """Say which strength was chosen and what it does, or why the edit is not worth applying.

    Parameters
    ----------
    before, after : InstanceScores
        Without the edit, and at the strength.
    strength : float
    where : str
        On what it was chosen, e.g. "5 labelled slices".
    rule, limit : str
        Which strength is taken, and the limit of recall in words.
    budget : bool
        Whether the limit is a loss; else it is a floor.
    kept, worth_it : bool
        Whether a strength keeps to the limit, and whether it gains enough.
    advice : str
        What to do where it is not worth it, as the end of a sentence.
    """
    old, new = before.matched_mean, after.matched_mean
    figures = (
        f"precision {old.precision:.3f} -> {new.precision:.3f}, recall {old.recall:.3f} "
        f"-> {new.recall:.3f}, IoU {old.iou:.3f} -> {new.iou:.3f}"
    )
    if not before.matched:
        return (
            f"The model finds no fossil on {where} even without the edit, so no strength can be "
            f"chosen and the edit is not worth applying: {WHAT_TO_CHECK}."
        )
    if worth_it:
        taken = "the most precise" if rule == "most precise" else "the highest"
        verb = "costs" if budget else "keeps"
        return f"Strength {strength:g} is {taken} that {verb} {limit} on {where}: {figures}."
    if kept:
        return (
            f"This edit is not worth applying: on {where}, strength {strength:g} gives "
            f"{figures}; {advice}, or correct labels and train."
        )
    if not after.matched:
        return (
            f"This edit is not worth applying: even at strength {strength:g} the model finds no "
            f"fossil any more on {where}; {advice}."
        )
    cost = (
        f"costs more than {limit.removeprefix('at most ')}" if budget else f"does not keep {limit}"
    )
    return (
        f"This edit is not worth applying: even at strength {strength:g} it {cost} on {where} "
        f"({figures}); {advice}."
    )


def beside_sentence(excess: Interval | None, where: str) -> str:
    """Say how the edit compares with a raised mask threshold; empty where that is not known.

    Parameters
    ----------
    excess : Interval, optional
        Mean precision beyond the mask threshold's curve at equal recall.
    where : str
    """
    if excess is None or not isfinite(excess.value):
        return ""
    value = f"{excess.value:+.3f}"
    if not isfinite(excess.low):
        side = "above" if excess.value > 0 else "below" if excess.value < 0 else "on"
        return (
            f"At the same recall this is {value} of precision from what a raised mask threshold "
            f"gives without the edit, {side} its curve; {where} cannot tell how sure that is."
        )
    band = f"({value}, 95 % interval {excess.low:+.3f} to {excess.high:+.3f}, on {where})"
    if excess.high < 0:
        return (
            "The edit lies below the mask threshold's curve: at the same recall, raising the mask "
            f"threshold without any edit is more precise {band}. Raise the threshold instead."
        )
    if excess.low > 0:
        return (
            "The edit lies above the mask threshold's curve: at the same recall it is more "
            f"precise than a raised mask threshold {band}."
        )
    if excess.value < 0:
        return (
            "The edit lies slightly below the mask threshold's curve, though not for certain: a "
            f"raised mask threshold may do as well without it {band}."
        )
    return (
        "The edit lies on the mask threshold's curve as far as can be told: a raised mask "
        f"threshold may do as well without it {band}."
    )
