"""The remedies that the advisor tries, each fitted on one labelled slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.pipeline.evaluate import MASK_THRESHOLDS
from napari_fossiledit.progress import Progress, Task, mapped

if TYPE_CHECKING:
    from napari_fossiledit.editing import Edit
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = [
    "AS_IT_IS",
    "EditRemedy",
    "FineTuning",
    "Fitted",
    "InputZoom",
    "MaskThreshold",
    "Remedy",
    "ScoreThreshold",
    "Work",
    "default_remedies",
]

AS_IT_IS = 0.0
"""The setting of an edit or a training that leaves the model as it is."""

_SCORES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass
class Work:
    """What all remedies share.

    Attributes
    ----------
    segmenter : Segmenter
    slices : list of LabelledSlice
    cuts : dict of float to list of Instances
        The unedited model's predictions at each of `MASK_THRESHOLDS`, by slice.
    trained_on : list of LabelledSlice
        Slices that the model was trained on.
    seed : int
    longest : float
        Seconds of the longest fit so far: fine-tuning takes as long.
    zooms : dict of float to list of Instances
        The unedited model's predictions at other input zooms, by slice.
    """

    segmenter: Segmenter
    slices: list[LabelledSlice]
    cuts: dict[float, list[Instances]]
    trained_on: list[LabelledSlice]
    seed: int = 0
    longest: float = 0.0
    zooms: dict[float, list[Instances]] = field(default_factory=dict)


@dataclass
class Fitted:
    """A remedy made from one slice.

    Attributes
    ----------
    found : dict of float to dict of int to Instances
        By setting and slice.
    seconds : float
        What the fit took; 0 for thresholds.
    detail : str
        What was done, for the table, or empty.
    """

    found: dict[float, dict[int, Instances]]
    seconds: float = 0.0
    detail: str = ""


@runtime_checkable
class Remedy(Protocol):
    """One way to make a model better."""

    @property
    def key(self) -> str:
        """A short name, e.g. ``ridge``."""

    @property
    def title(self) -> str:
        """For people."""

    @property
    def setting(self) -> str:
        """What its settings are, e.g. ``strength``."""

    @property
    def neutral(self) -> float:
        """The setting that leaves the model as it is."""

    @property
    def usual(self) -> float:
        """The setting that is taken where nothing is there to choose it on."""

    @property
    def settings(self) -> tuple[float, ...]:
        """The settings tried, in rising order, `neutral` among them."""

    def try_task(self, work: Work, made_from: int, held_out: Sequence[int]) -> Task[Fitted]:
        """Fit on the slice ``made_from``, and predict the held-out ones at every setting."""


@dataclass(frozen=True)
class MaskThreshold:
    """Ask for surer pixels."""

    key: str = "mask threshold"
    title: str = "Mask threshold"
    setting: str = "mask threshold"
    neutral: float = 0.5
    usual: float = 0.5

    @property
    def settings(self) -> tuple[float, ...]:
        """As the mask threshold's curve is drawn."""
        return MASK_THRESHOLDS

    def try_task(self, work: Work, made_from: int, held_out: Sequence[int]) -> Task[Fitted]:
        """Nothing to fit, nothing to predict anew."""
        yield Progress(1, 1, self.title)
        return Fitted({cut: {j: found[j] for j in held_out} for cut, found in work.cuts.items()})


@dataclass(frozen=True)
class ScoreThreshold:
    """Ask for surer detections."""

    key: str = "score threshold"
    title: str = "Score threshold"
    setting: str = "score threshold"
    neutral: float = 0.0
    usual: float = 0.0
    settings: tuple[float, ...] = _SCORES

    def try_task(self, work: Work, made_from: int, held_out: Sequence[int]) -> Task[Fitted]:
        """Nothing to fit, nothing to predict anew."""
        yield Progress(1, 1, self.title)
        plain = work.cuts[0.5]
        return Fitted(
            {score: {j: plain[j].above(score) for j in held_out} for score in self.settings}
        )


@dataclass(frozen=True)
class InputZoom:
    """Show the network the slices larger or smaller."""

    key: str = "input zoom"
    title: str = "Input zoom"
    setting: str = "input zoom"
    neutral: float = 1.0
    usual: float = 1.25
    settings: tuple[float, ...] = (0.8, 1.0, 1.25, 1.5, 2.0)

    def try_task(self, work: Work, made_from: int, held_out: Sequence[int]) -> Task[Fitted]:
        """Predict all slices once at every zoom, times the one that the model has now."""
        from napari_fossiledit.models.segmenter import zoomed

        segmenter = work.segmenter
        work.zooms.setdefault(self.neutral, work.cuts[0.5])
        missing = [zoom for zoom in self.settings if zoom not in work.zooms]
        total = max(len(missing), 1) * len(work.slices)
        for number, zoom in enumerate(missing):
            found = []
            for j, piece in enumerate(work.slices):
                done = number * len(work.slices) + j
                yield Progress(done, total, f"zoom {zoom:g}, {piece.name or f'slice {j}'}")
                with zoomed(segmenter, segmenter.input_zoom * zoom):
                    found.append(
                        segmenter.predict(piece.image, max_detections=segmenter.limits.most)
                    )
            work.zooms[zoom] = found
        yield Progress(total, total, self.title)
        return Fitted({z: {j: work.zooms[z][j] for j in held_out} for z in self.settings})


@dataclass(frozen=True)
class EditRemedy:
    """An edit by one solver, at several strengths.

    Parameters
    ----------
    key, title : str
    solver : Ridge, Adam, Distil, Agreement or Labels
    strengths : tuple of float
        Above 0.
    usual : float
        One of them.
    zoom : float
        Input zoom at which it is made and used, times the one that the model has now.
    """

    key: str
    title: str
    solver: Any
    strengths: tuple[float, ...]
    usual: float
    zoom: float = 1.0
    setting: str = "strength"
    neutral: float = AS_IT_IS

    @property
    def settings(self) -> tuple[float, ...]:
        """The strengths, after 0."""
        return (AS_IT_IS, *self.strengths)

    def try_task(self, work: Work, made_from: int, held_out: Sequence[int]) -> Task[Fitted]:
        """Make the edit, and predict with it; the segmenter is left as it was."""
        segmenter = work.segmenter
        before = segmenter.input_zoom
        segmenter.input_zoom = before * self.zoom
        try:
            return (yield from self._try_task(work, made_from, held_out))
        finally:
            segmenter.input_zoom = before

    def _try_task(self, work: Work, made_from: int, held_out: Sequence[int]) -> Task[Fitted]:
        from napari_fossiledit.editing import EditStack

        total = 1 + len(held_out) * len(self.strengths)
        begun = perf_counter()
        edit = yield from mapped(
            self.edit_task(work, work.slices[made_from]), lambda p: Progress(0, total, p.message)
        )
        fitted = Fitted(
            {AS_IT_IS: {j: work.cuts[0.5][j] for j in held_out}}, perf_counter() - begun
        )
        work.longest = max(work.longest, fitted.seconds)
        with EditStack.of(work.segmenter).trial(edit) as set_strength:
            for strength in self.strengths:
                set_strength(strength)
                fitted.found[strength] = yield from _predictions_task(
                    work, work.segmenter, held_out, len(fitted.found), total
                )
        return fitted

    def edit_task(self, work: Work, piece: LabelledSlice) -> Task[Edit]:
        """The edit from a slice: corrected by hand, without labels, or painted over."""
        from napari_fossiledit import perturb
        from napari_fossiledit.editing import (
            Agreement,
            Labels,
            correct_task,
            rewrite_task,
            teach_itself_task,
        )

        if isinstance(self.solver, Agreement):
            return (
                yield from teach_itself_task(
                    work.segmenter,
                    [piece.image],
                    solver=replace(self.solver, seed=work.seed),
                    rehearse=work.trained_on,
                )
            )
        if isinstance(self.solver, Labels):
            return (
                yield from correct_task(
                    work.segmenter,
                    [piece],
                    solver=replace(self.solver, seed=work.seed),
                    rehearse=work.trained_on,
                )
            )
        painted = perturb.apply(piece.image, piece.fossils, perturb.Median())
        return (
            yield from rewrite_task(
                work.segmenter, piece.image, painted, piece.labels, solver=self.solver
            )
        )


@dataclass(frozen=True)
class FineTuning:
    """All weights trained on, for as long as the slowest edit took.

    Parameters
    ----------
    rate : float
        Highest learning rate.
    steps : int, optional
        A fixed number of steps instead: the same seed then gives the same figures.
    """

    rate: float = 1e-4
    steps: int | None = None
    key: str = "fine-tuning"
    title: str = "Fine-tuning everything"
    setting: str = "trained"
    neutral: float = AS_IT_IS
    usual: float = 1.0
    settings: tuple[float, ...] = (AS_IT_IS, 1.0)

    def try_task(self, work: Work, made_from: int, held_out: Sequence[int]) -> Task[Fitted]:
        """Train a copy of the model, and predict with that."""
        from napari_fossiledit.errors import ModelError
        from napari_fossiledit.models import TorchvisionRCNN

        if not isinstance(work.segmenter, TorchvisionRCNN):
            raise ModelError("Fine-tuning needs the backend torchvision: load the model with it.")
        twin = work.segmenter.twin()
        slices = [work.slices[made_from], *work.trained_on]
        total = 1 + len(held_out)
        begun = perf_counter()
        steps = yield from self._train_task(twin, slices, work, total)
        fitted = Fitted(
            {AS_IT_IS: {j: work.cuts[0.5][j] for j in held_out}},
            perf_counter() - begun,
            f"{steps} steps",
        )
        fitted.found[1.0] = yield from _predictions_task(work, twin, held_out, 1, total)
        return fitted

    def _train_task(
        self, twin: Any, slices: Sequence[LabelledSlice], work: Work, total: int
    ) -> Task[int]:
        from napari_fossiledit.models import TrainSettings, train_task

        steps = self.steps
        if steps is None:
            timed = TrainSettings(steps=2, rate=self.rate, warm_up=1, seed=work.seed)
            begun = perf_counter()
            yield from mapped(
                train_task(twin.twin(), slices, timed),
                lambda p: Progress(0, total, f"Timing: {p.message}"),
            )
            each = (perf_counter() - begun) / timed.steps
            steps = max(round(work.longest / each), 1)
        regime = TrainSettings(steps=steps, rate=self.rate, warm_up=min(5, steps), seed=work.seed)
        yield from mapped(train_task(twin, slices, regime), lambda p: Progress(0, total, p.message))
        return steps


def default_remedies() -> tuple[Remedy, ...]:
    """All that the advisor tries, thresholds first, fine-tuning last."""
    from napari_fossiledit.editing import Adam, Agreement, Distil, Labels, Ridge

    return (
        MaskThreshold(),
        ScoreThreshold(),
        InputZoom(),
        EditRemedy("ridge", "Edit: ridge", Ridge(), (0.1, 0.2, 0.3), 0.2),
        EditRemedy("adam", "Edit: adam", Adam(), (0.5, 1.0), 1.0),
        EditRemedy("distil", "Edit: distil", Distil(), (0.5, 1.0), 1.0),
        EditRemedy("agreement", "Edit: the model's own agreement", Agreement(), (0.5, 1.0), 1.0),
        EditRemedy("labels", "Edit: corrected labels", Labels(), (0.7, 1.0), 1.0),
        EditRemedy(
            "zoomed labels", "Edit: corrected labels, input zoom 1.5", Labels(), (1.0,), 1.0, 1.5
        ),
        FineTuning(),
    )


def _predictions_task(
    work: Work, segmenter: Segmenter, held_out: Sequence[int], block: int, total: int
) -> Task[dict[int, Instances]]:
    found = {}
    most = work.segmenter.limits.most
    for count, j in enumerate(held_out):
        done = 1 + (block - 1) * len(held_out) + count
        yield Progress(done, total, f"predicting {work.slices[j].name or f'slice {j}'}")
        found[j] = segmenter.predict(work.slices[j].image, max_detections=most)
    return found
