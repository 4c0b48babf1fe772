"""What the advisor found, and the sentence that it says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from napari_fossiledit.errors import InputError

if TYPE_CHECKING:
    from napari_fossiledit.metrics import Interval

__all__ = ["Advice", "AdvicePoint", "Judged", "recommend"]


@dataclass(frozen=True)
class AdvicePoint:
    """One setting of a remedy, on all judged slices (means over the slices it was made from).

    Attributes
    ----------
    setting : float
    ap50, precision, recall, iou : float
        AP50, and mean precision, recall and IoU of matched instances.
    true_detections, false_detections : float
        At confidence 0.5.
    """

    setting: float
    ap50: float
    precision: float
    recall: float
    iou: float
    true_detections: float
    false_detections: float


@dataclass(frozen=True)
class Judged:
    """One remedy's result.

    Attributes
    ----------
    key, title, setting : str
        Short name, name for people, and what its settings are.
    neutral, best : float
        The setting that changes nothing, and the one that was chosen most often.
    gain : Interval, optional
        Of AP50 on held-out slices, the setting chosen on others; None where it failed.
    precision, recall, false_detections : Interval, optional
        What changed beside it (matched means; number of false detections).
    points : tuple of AdvicePoint
        One a setting, for the curves.
    seconds : float
        Mean time of a fit.
    detail : str
        E.g. the number of training steps.
    problem : str
        Why it could not be tried, or empty.
    """

    key: str
    title: str
    setting: str
    neutral: float = 0.0
    best: float = 0.0
    gain: Interval | None = None
    precision: Interval | None = None
    recall: Interval | None = None
    false_detections: Interval | None = None
    points: tuple[AdvicePoint, ...] = ()
    seconds: float = 0.0
    detail: str = ""
    problem: str = ""

    @classmethod
    def failed(cls, key: str, title: str, setting: str, problem: str) -> Judged:
        """A remedy that could not be tried."""
        return cls(key, title, setting, problem=problem)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {
            name: getattr(self, name)
            for name in ("key", "title", "setting", "neutral", "best", "seconds", "detail")
        }
        for name in _INTERVALS:
            interval = getattr(self, name)
            plain[name] = None if interval is None else interval.to_dict()
        points = [_plain(asdict(point)) for point in self.points]
        return {**plain, "problem": self.problem, "points": points}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Judged:
        """The inverse of `to_dict`."""
        known = dict(data)
        for name in _INTERVALS:
            known[name] = _interval(known[name])
        known["points"] = tuple(AdvicePoint(**_numbers(p)) for p in known["points"])
        return cls(**known)


_INTERVALS = ("gain", "precision", "recall", "false_detections")


@dataclass(frozen=True)
class Advice:
    """What was tried, on what, and what to do.

    Attributes
    ----------
    model : str
    slices, made_from : tuple of str
        Names of all labelled slices, and of those that remedies were made from in turn.
    trained_on : int
        How many slices of the model's training were rehearsed.
    remedies : tuple of Judged
    recommended : str, optional
        Key of a remedy; None for none.
    sentence : str
        The advice in plain words.
    seed : int
    """

    model: str
    slices: tuple[str, ...]
    made_from: tuple[str, ...]
    trained_on: int
    remedies: tuple[Judged, ...]
    recommended: str | None
    sentence: str
    seed: int = 0

    def remedy(self, key: str) -> Judged:
        """One remedy's result by its key."""
        for judged in self.remedies:
            if judged.key == key:
                return judged
        raise InputError(f"The advisor did not try {key!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; every picture is drawn from them."""
        return {
            "model": self.model,
            "slices": list(self.slices),
            "made_from": list(self.made_from),
            "trained_on": self.trained_on,
            "recommended": self.recommended,
            "sentence": self.sentence,
            "seed": self.seed,
            "remedies": [judged.to_dict() for judged in self.remedies],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Advice:
        """The inverse of `to_dict`.

        Raises
        ------
        InputError
            If the data are none of the advisor's.
        """
        try:
            return cls(
                data["model"],
                tuple(data["slices"]),
                tuple(data["made_from"]),
                int(data["trained_on"]),
                tuple(Judged.from_dict(each) for each in data["remedies"]),
                data["recommended"],
                data["sentence"],
                int(data["seed"]),
            )
        except (KeyError, TypeError, ValueError):
            raise InputError(
                "These figures were not written by the advisor: run it again and keep its JSON."
            ) from None


def recommend(judged: Sequence[Judged]) -> tuple[str | None, str]:
    """Key of the remedy to take, or None, and why, in a sentence or two.

    The one of the largest gain in AP50 is taken if its 95 % interval lies above 0.
    """
    known = [each for each in judged if each.gain is not None and math.isfinite(each.gain.value)]
    changing = [each for each in known if each.best != each.neutral]
    ranked = sorted(changing or known, key=lambda each: -_value(each))
    if not ranked:
        return None, "No remedy could be tried on these slices."
    first = ranked[0]
    gain = first.gain
    assert gain is not None  # for the type checker: all ranked ones have one
    if _value(first) <= 0 or not changing:
        return None, ("Keep the model as it is: on slices held out in turn, no remedy raised AP50.")
    if not gain.low > 0:
        return None, (
            f"Keep the model as it is, or label more slices: the best remedy, "
            f"{_lower(first.title)}, changed AP50 by {gain} on slices held out in turn, which may "
            "be chance."
        )
    sentence = f"{_what_to_do(first)}: on slices held out in turn it changed AP50 by {gain}"
    if len(ranked) > 1:
        second = ranked[1]
        close = _value(first) - _value(second) < _CLOSE
        word = "hardly more than" if close else "against"
        sentence += f", {word} {_value(second):+.3f} by {_lower(second.title)}"
    return first.key, sentence + "."


_CLOSE = 0.005


def _what_to_do(judged: Judged) -> str:
    doing = {
        "mask threshold": f"Use mask threshold {judged.best:g}",
        "score threshold": f"Ask for a confidence of {judged.best:g}",
        "input zoom": f"Show the model the slices at input zoom {judged.best:g}",
        "agreement": "Let the model learn from a slice that nobody labelled (solver agreement), "
        f"strength {judged.best:g}",
        "labels": f"Correct one slice and fit to its labels, strength {judged.best:g}",
        "zoomed labels": "Set the input zoom to 1.5, correct one slice and fit to its labels, "
        f"strength {judged.best:g}",
        "fine-tuning": f"Fine-tune the model on a corrected slice ({judged.detail})",
    }
    plain = f"Edit the model with the solver {judged.key}, strength {judged.best:g}"
    return doing.get(judged.key, plain)


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]


def _value(judged: Judged) -> float:
    return -math.inf if judged.gain is None else judged.gain.value


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {key: math.nan if value is None else value for key, value in values.items()}


def _interval(data: Mapping[str, Any] | None) -> Interval | None:
    from napari_fossiledit.metrics import Interval

    if data is None:
        return None
    bounds = _numbers({key: data[key] for key in ("value", "low", "high")})
    return Interval(**bounds, relative=bool(data["relative"]), resampled=str(data["resampled"]))
