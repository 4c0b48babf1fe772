"""`Edit`: a named, reversible set of weight deltas, and where it came from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError

if TYPE_CHECKING:
    import torch

    from napari_fossiledit.editing.edit_stack import EditEntry
    from napari_fossiledit.editing.strength import StrengthChoice
    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["STRENGTHS", "Edit", "check_strength", "image_sha256"]

STRENGTHS = (0.0, 1.5)
"""Least and largest strength of an edit."""


def check_strength(strength: float) -> float:
    """``strength`` as a float, or `InputError` if it is not within `STRENGTHS`."""
    try:
        number = float(strength)
    except (TypeError, ValueError):
        number = math.nan
    if not STRENGTHS[0] <= number <= STRENGTHS[1]:
        raise InputError(
            f"An edit's strength must lie between {STRENGTHS[0]:g} and {STRENGTHS[1]:g}, "
            f"not {strength}."
        )
    return number


def image_sha256(image: NDArray[np.uint8]) -> str:
    """Sha256 of an image's shape, dtype and bytes."""
    digest = hashlib.sha256(f"{image.dtype} {image.shape}".encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


def _listed(provenance: Mapping[str, Any], name: str) -> Sequence[Any]:
    known = provenance.get(name)
    return known if isinstance(known, list | tuple) else ()  # a file may say anything


@dataclass(frozen=True, eq=False)
class Edit:
    """Weight deltas by layer, with their provenance.

    Attributes
    ----------
    name : str
        For people.
    deltas : mapping of str to (out, in, kh, kw) float32 tensor on the CPU
    provenance : dict
        Plain values: ``base_fingerprint`` (sha256 of the unedited model), ``model``,
        ``image_sha256``, ``perturbation``, ``layers``, ``solver``, ``loss`` (before and after, by
        layer), ``seconds``, ``versions``, ``date``, ``made_on_top_of`` (edits that were active);
        ``strength_chosen_on`` (sha256 of those slices), ``strength_choice`` (the rule and what it
        found) and ``worth_it`` once a strength was chosen; ``merged`` (the parts) in a merged edit.
    losses : mapping of str to sequence of float
        The solver's loss curve of every layer.
    strength : float
        The strength that was found best for it; 1 as long as none was chosen.
    """

    name: str
    deltas: Mapping[str, torch.Tensor]
    provenance: dict[str, Any] = field(default_factory=dict)
    losses: Mapping[str, Sequence[float]] = field(default_factory=dict)
    strength: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", check_strength(self.strength))
        if not self.deltas:
            raise InputError("An edit must change at least one layer.")

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that it changes."""
        return tuple(self.deltas)

    @property
    def base_fingerprint(self) -> str:
        """Sha256 of the model that it was made for."""
        return str(self.provenance.get("base_fingerprint", ""))

    @cached_property
    def identity(self) -> str:
        """Sha256 of base model and deltas: equal for an edit and the same edit from a file.

        A duplicate (`copy_edit`) has one of its own.
        """
        digest = hashlib.sha256(self.base_fingerprint.encode())
        if copy := self.provenance.get("copy"):
            digest.update(f"copy {copy}".encode())
        for name, delta in sorted(self.deltas.items()):
            digest.update(f"{name}{tuple(delta.shape)}".encode())
            digest.update(delta.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def with_name(self, name: str) -> Edit:
        """The same edit under another name."""
        return replace(self, name=name)

    def with_strength(self, strength: float) -> Edit:
        """The same edit with another strength found best."""
        return replace(self, strength=strength)

    def with_choice(
        self,
        choice: StrengthChoice,
        images: Iterable[NDArray[np.uint8]],
        *,
        names: Iterable[str] = (),
    ) -> Edit:
        """The same edit with the strength chosen for it, and on which slices, in its provenance.

        Parameters
        ----------
        choice : StrengthChoice
        images : iterable of (y, x, 3) uint8
            The slices that chose it: no result should be reported on them (see `has_seen`).
        names : iterable of str
            Their names, for people.
        """
        known = {
            **self.provenance,
            "strength_chosen_on": [image_sha256(image) for image in images],
            "strength_chosen_on_names": list(names),
            "strength_choice": choice.record(),
            "worth_it": choice.worth_it,
        }
        return replace(self, strength=choice.strength, provenance=known)

    @property
    def worth_it(self) -> bool:
        """False where the choice of its strength found it not worth applying."""
        return bool(self.provenance.get("worth_it", True))

    def has_seen(self, image: NDArray[np.uint8]) -> bool:
        """Whether the edit was made from this slice, or its strength chosen on it."""
        chosen_on = _listed(self.provenance, "strength_chosen_on")
        return image_sha256(image) in [*self.made_from, *chosen_on]

    @property
    def made_from(self) -> frozenset[str]:
        """Sha256 of the slices that it was made from."""
        others = _listed(self.provenance, "other_slices")
        known = [self.provenance, *(o for o in others if isinstance(o, Mapping))]
        found = (source.get("image_sha256") for source in known)
        return frozenset(digest for digest in found if isinstance(digest, str))

    def apply(self, segmenter: Segmenter, strength: float = 1.0) -> EditEntry:
        """Put the edit on the segmenter's `EditStack`, switched on, at this strength.

        The default 1 is the whole solution, mostly far too much: pass the strength that was
        chosen for it, ``edit.strength``.

        Raises
        ------
        EditError
            If it was made for another model.
        InputError
            If the strength is not between 0 and 1.5.
        """
        from napari_fossiledit.editing.edit_stack import EditStack

        return EditStack.of(segmenter).add(self, strength)

    def remove(self, segmenter: Segmenter) -> None:
        """Take the edit off the segmenter's `EditStack`; nothing happens if it is not there."""
        from napari_fossiledit.editing.edit_stack import EditStack

        stack = EditStack.of(segmenter)
        if any(entry.edit.identity == self.identity for entry in stack.entries):
            stack.remove(self)

    def save(self, path: str | Path) -> Path:
        """Write the edit to one safetensors file; see `load_edit`.

        Raises
        ------
        OutputError
            If the file cannot be written; an existing file is then as it was.
        """
        from napari_fossiledit.editing.edit_file import save_edit

        return save_edit(self, path)
