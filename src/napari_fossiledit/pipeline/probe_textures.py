"""The probe by classes of texture, e.g. porous against mud-filled (arXiv 2210.03879, 5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import LabelledSlice
from napari_fossiledit.pipeline.probe_instances import ORIGINAL, ProbedInstance
from napari_fossiledit.progress import Progress, Task

if TYPE_CHECKING:
    from napari_fossiledit.metrics import InstanceScores, Interval

__all__ = ["TextureClass", "texture_classes_task", "textures_by_slice"]


@dataclass(frozen=True)
class TextureClass:
    """What the probe says of the fossils of one texture.

    Attributes
    ----------
    texture : str
    scores : dict of str to InstanceScores
        By version, of these fossils alone; the totals of slices in them are those of all.
    found : dict of str to int
        By version: how many of them are detected.
    change : dict of str to dict of Interval
        By painted version: what changes from the original, as `metrics.difference` names it.
    contrast : dict of Interval
        Means of these fossils minus those of all others with a known texture, in the original;
        empty where there are no others.
    change_contrast : dict of str to dict of Interval
        By painted version: the same of the change.
    """

    texture: str
    scores: Mapping[str, InstanceScores]
    found: Mapping[str, int]
    change: Mapping[str, Mapping[str, Interval]]
    contrast: Mapping[str, Interval]
    change_contrast: Mapping[str, Mapping[str, Interval]]

    @property
    def total(self) -> int:
        """How many labelled fossils have this texture."""
        return self.scores[ORIGINAL].total

    def to_dict(self) -> dict[str, Any]:
        """Figures as plain JSON values."""
        versions: dict[str, Any] = {}
        for version, run in self.scores.items():
            figures = run.to_dict(intervals=False)
            kept = {key: figures[key] for key in ("matched_mean", "all_mean", "matched", "total")}
            versions[version] = {**kept, "found": self.found[version]}
            if version in self.change:
                versions[version]["change"] = _plain(self.change[version])
                versions[version]["against_others"] = _plain(self.change_contrast.get(version, {}))
        return {"versions": versions, "against_others": _plain(self.contrast)}


def textures_by_slice(
    textures: Mapping[int, str] | Sequence[Mapping[int, str] | None] | None,
    slices: Sequence[LabelledSlice],
) -> list[Mapping[int, str]]:
    """One mapping of label values to textures for each slice.

    Parameters
    ----------
    textures : dict of int to str, sequence of them, or None
        For all slices, or one for each; None where nothing is known.
    slices : sequence of LabelledSlice

    Raises
    ------
    InputError
        When there are not as many as slices.
    """
    if textures is None:
        return [{}] * len(slices)
    if isinstance(textures, Mapping):
        return [textures] * len(slices)
    if len(textures) != len(slices):
        raise InputError(
            f"There are {len(slices)} labelled slices, but textures for {len(textures)}: give one "
            "mapping for each slice, or a single one for all."
        )
    return [one or {} for one in textures]


def texture_classes_task(
    instances: Sequence[ProbedInstance],
    scores: Mapping[str, InstanceScores],
    found: Mapping[str, NDArray[np.bool_]],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Task[tuple[TextureClass, ...]]:
    """Score every class of texture alone, and against the others; in order of their names.

    Parameters
    ----------
    instances : sequence of ProbedInstance
    scores : InstanceScores of every version
    found : (n,) bool of every version
    resamples, seed : int
        For the intervals.

    Returns
    -------
    tuple of TextureClass
        Empty where no texture is known.
    """
    from napari_fossiledit.metrics import class_contrasts, difference

    of = [one.texture for one in instances]
    names = sorted({name for name in of if name is not None})
    if not names:
        return ()
    original = scores[ORIGINAL]
    painted = [version for version in scores if version != ORIGINAL]
    how: dict[str, Any] = {"resamples": resamples, "seed": seed}
    total = 1 + len(painted) + len(names)
    yield Progress(0, total, "Comparing textures")
    contrasts = class_contrasts(original, of, **how)
    changes = {}
    for i, version in enumerate(painted, start=1):
        yield Progress(i, total, "Comparing textures")
        changes[version] = class_contrasts(original, of, after=scores[version], **how)
    made = []
    for i, name in enumerate(names, start=1 + len(painted)):
        yield Progress(i, total, f"Comparing textures: {name}")
        chosen = np.array([texture == name for texture in of], bool)
        own = {version: run.select(chosen) for version, run in scores.items()}
        made.append(
            TextureClass(
                name,
                own,
                {version: int(np.count_nonzero(found[version][chosen])) for version in scores},
                {version: difference(own[ORIGINAL], own[version], **how) for version in painted},
                contrasts.get(name, {}),
                {version: found_[name] for version, found_ in changes.items() if name in found_},
            )
        )
    return tuple(made)


def _plain(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    # The totals of slices are no figures of a class.
    return {key: value.to_dict() for key, value in intervals.items() if "_mean." in key}
