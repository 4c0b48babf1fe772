"""Several edits as one, and one edit twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from napari_fossiledit.editing.edit import Edit, check_strength
from napari_fossiledit.errors import EditError, InputError

if TYPE_CHECKING:
    import torch

__all__ = ["copy_edit", "merge_edits"]

Part = tuple[Edit, float]


def copy_edit(edit: Edit, number: int, *, name: str | None = None) -> Edit:
    """The same deltas as an edit of their own, so that both can lie on one stack.

    Parameters
    ----------
    edit : Edit
    number : int
        Which copy it is, from 1; its `Edit.identity` depends on it.
    name : str, optional
    """
    provenance = {**edit.provenance, "copy": int(number)}
    return replace(edit, name=edit.name if name is None else name, provenance=provenance)


def merge_edits(parts: Sequence[Part], *, name: str | None = None) -> Edit:
    """One edit that does at strength 1 what several do together.

    Parameters
    ----------
    parts : sequence of (Edit, float)
        Each with the strength that it has in the sum; at least two.
    name : str, optional
        By default the parts' names.

    Returns
    -------
    Edit
        Its deltas are the sum of strength * delta, in float32. Its provenance lists the parts
        under ``merged``; it has seen every slice that one of them has seen.

    Raises
    ------
    InputError
        With fewer than two parts, or a strength that is not between 0 and 1.5.
    EditError
        If the parts were made for different models, or have different shapes at a layer.
    """
    if len(parts) < 2:
        raise InputError("Merging needs at least two edits: give another one.")
    parts = [(edit, check_strength(strength)) for edit, strength in parts]
    first = parts[0][0]
    for edit, _ in parts[1:]:
        if edit.base_fingerprint != first.base_fingerprint:
            raise EditError(
                f"The edits '{first.name}' and '{edit.name}' were made for different models: "
                "only edits of one model can be merged."
            )
    deltas = _summed(parts)
    return Edit(
        name=name or " + ".join(edit.name for edit, _ in parts),
        deltas=deltas,
        provenance=_provenance(parts, deltas),
    )


def _summed(parts: Sequence[Part]) -> dict[str, torch.Tensor]:
    sums: dict[str, torch.Tensor] = {}
    for edit, strength in parts:
        for layer, delta in edit.deltas.items():
            weighed = strength * delta.detach().cpu().double()
            if layer in sums and sums[layer].shape != weighed.shape:
                raise EditError(
                    f"The edit '{edit.name}' has another shape at layer {layer} than the edits "
                    "before it: only edits of one model can be merged."
                )
            sums[layer] = sums[layer] + weighed if layer in sums else weighed
    return {layer: total.float() for layer, total in sums.items()}


def _provenance(parts: Sequence[Part], deltas: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    first = parts[0][0].provenance
    facts = {
        fact["name"]: dict(fact)
        for edit, _ in parts
        for fact in _listed(edit, "layers")
        if isinstance(fact, Mapping) and "name" in fact
    }
    chosen_on = [digest for edit, _ in parts for digest in _listed(edit, "strength_chosen_on")]
    made_from = sorted({digest for edit, _ in parts for digest in edit.made_from})
    return {
        "base_fingerprint": parts[0][0].base_fingerprint,
        "model": first.get("model"),
        "layers": list(facts.values()) or [{"name": name} for name in deltas],
        "tensors": sorted(deltas),
        "solver": {"name": "merged"},
        "merged": [
            {
                "name": edit.name,
                "strength": strength,
                "identity": edit.identity,
                "provenance": dict(edit.provenance),
            }
            for edit, strength in parts
        ],
        "other_slices": [{"image_sha256": digest} for digest in made_from],
        "strength_chosen_on": list(dict.fromkeys(map(str, chosen_on))),
        "versions": first.get("versions", {}),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _listed(edit: Edit, name: str) -> Sequence[Any]:
    known = edit.provenance.get(name)
    return known if isinstance(known, list | tuple) else ()  # a file may say anything
