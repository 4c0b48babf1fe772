"""`EditStack`: the edits that lie on a segmenter, in order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from psygnal import Signal

from napari_fossiledit.editing.edit import Edit, check_strength
from napari_fossiledit.editing.merging import copy_edit, merge_edits
from napari_fossiledit.errors import EditError, InputError

if TYPE_CHECKING:
    import torch

    from napari_fossiledit.models.segmenter import Segmenter

__all__ = ["EditEntry", "EditStack"]

_ATTRIBUTE = "_fossiledit_edit_stack"  # where a segmenter keeps its stack: both live equally long


@dataclass(frozen=True, eq=False)
class EditEntry:
    """One edit on a stack.

    Attributes
    ----------
    edit : Edit
    strength : float
        Factor on its deltas, 0 to 1.5.
    active : bool
        Whether it is switched on.
    name : str
    """

    edit: Edit
    strength: float = 1.0
    active: bool = True
    name: str = ""


Which: TypeAlias = int | Edit | EditEntry
"""An entry: its place on the stack, its edit, or the entry itself (also an outdated one)."""

_Recipe: TypeAlias = tuple[tuple[Edit, float], ...]


class EditStack:
    """The edits on one segmenter; its weights are base + sum of strength * delta.

    Get it by `EditStack.of`. Base weights are copied when an edit first changes them. Where no
    edit is at work, the weights are the base weights bit for bit.

    Every change writes the weights under the segmenter's lock, so it waits for a prediction that
    runs. A viewer that must not wait passes ``wait=False``: the entry then changes at once, the
    weights at the next `sync` (see `pending`).

    Attributes
    ----------
    changed : psygnal signal, no arguments
        Emitted after any change of the entries.
    """

    changed = Signal()

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._entries: tuple[EditEntry, ...] = ()
        self._trials: dict[object, tuple[Edit, float]] = {}
        with segmenter.lock:
            self._base_fingerprint = segmenter.fingerprint()
            self._shapes = segmenter.editable_tensors()
            self._base: dict[str, torch.Tensor] = {}
            self._written: dict[str, _Recipe] = dict.fromkeys(self._shapes, ())

    @classmethod
    def of(cls, segmenter: Segmenter) -> EditStack:
        """The segmenter's stack; made when first asked for, while the model is unedited."""
        with segmenter.lock:
            stack = getattr(segmenter, _ATTRIBUTE, None)
            # A copied segmenter still carries the stack of the one it was copied from.
            if not isinstance(stack, cls) or stack._segmenter is not segmenter:
                stack = cls(segmenter)
                setattr(segmenter, _ATTRIBUTE, stack)
            return stack

    @classmethod
    def rebase(cls, segmenter: Segmenter) -> EditStack:
        """A new, empty stack: the weights as they are now (e.g. fine-tuned) become the base."""
        with segmenter.lock:
            if hasattr(segmenter, _ATTRIBUTE):
                delattr(segmenter, _ATTRIBUTE)
            return cls.of(segmenter)

    @property
    def entries(self) -> tuple[EditEntry, ...]:
        """The entries, first added first."""
        return self._entries

    @property
    def base_fingerprint(self) -> str:
        """Sha256 of the unedited model's weights."""
        return self._base_fingerprint

    @property
    def pending(self) -> bool:
        """Whether entries changed with ``wait=False`` have yet to reach the weights."""
        return any(self._recipe(name) != done for name, done in self._written.items())

    def __len__(self) -> int:
        return len(self._entries)

    def add(
        self, edit: Edit, strength: float = 1.0, *, name: str | None = None, wait: bool = True
    ) -> EditEntry:
        """Put an edit on top, switched on; one that lies there gets the strength and is on again.

        Raises
        ------
        EditError
            If the edit was made for another model.
        InputError
            If the strength is not between 0 and 1.5.
        """
        strength = check_strength(strength)
        self.check(edit)
        at = self._find(edit)
        if at is not None:
            known = replace(self._entries[at], strength=strength, active=True)
            return self._replace(at, known if name is None else replace(known, name=name), wait)
        entry = EditEntry(edit, strength, True, self._free_name(name or edit.name))
        self._set((*self._entries, entry), wait)
        return entry

    def remove(self, which: Which, *, wait: bool = True) -> None:
        """Take an edit off the stack."""
        at = self._index(which)
        self._set(self._entries[:at] + self._entries[at + 1 :], wait)

    def clear(self, *, wait: bool = True) -> None:
        """Take all edits off: the model is the base again, bit for bit."""
        self._set((), wait)

    def set_strength(self, which: Which, strength: float, *, wait: bool = True) -> EditEntry:
        """Give an edit another strength, 0 to 1.5."""
        at = self._index(which)
        changed = replace(self._entries[at], strength=check_strength(strength))
        return self._replace(at, changed, wait)

    def set_active(self, which: Which, active: bool, *, wait: bool = True) -> EditEntry:
        """Switch an edit on or off."""
        at = self._index(which)
        return self._replace(at, replace(self._entries[at], active=bool(active)), wait)

    def rename(self, which: Which, name: str) -> EditEntry:
        """Give an edit another name."""
        if not name.strip():
            raise InputError("An edit's name must not be empty.")
        at = self._index(which)
        # No weight changes, so there is nothing to wait for.
        return self._replace(at, replace(self._entries[at], name=name), wait=False)

    def replace_edit(self, edit: Edit, *, wait: bool = True) -> EditEntry:
        """Put a copy of an edit (same deltas, e.g. more provenance) in the place of the edit.

        Raises
        ------
        EditError
            If no edit with these deltas lies on the stack.
        """
        at = self._index(edit)
        return self._replace(at, replace(self._entries[at], edit=edit), wait)

    def move(self, which: Which, place: int, *, wait: bool = True) -> EditEntry:
        """Give an edit another place in the list; only rounding depends on the order.

        Parameters
        ----------
        which : int, Edit or EditEntry
        place : int
            From 0; beyond the list's ends, its end.
        """
        at = self._index(which)
        entries = list(self._entries)
        moved = entries.pop(at)
        entries.insert(min(max(place, 0), len(entries)), moved)
        self._set(tuple(entries), wait)
        return moved

    def duplicate(self, which: Which, *, name: str | None = None, wait: bool = True) -> EditEntry:
        """Put a copy of an edit right above it, switched off, to try it in another way.

        The copy is an edit of its own, with the same deltas; the weights stay as they are.
        """
        at = self._index(which)
        entry = self._entries[at]
        taken = {e.edit.identity for e in self._entries}
        # Numbers rise, so that a copy of a copy is no edit that lies there already.
        copies = (copy_edit(entry.edit, number) for number in range(1, len(taken) + 2))
        copy = next(made for made in copies if made.identity not in taken)
        made = EditEntry(copy, entry.strength, False, self._free_name(name or entry.name))
        self._set((*self._entries[: at + 1], made, *self._entries[at + 1 :]), wait)
        return made

    def merge(
        self, which: Iterable[Which] | None = None, *, name: str | None = None, wait: bool = True
    ) -> EditEntry:
        """Put one edit in the place of several: the sum of strength * delta, at strength 1.

        The weights stay what they were, to rounding; taking the merged edit off gives the base
        again, bit for bit.

        Parameters
        ----------
        which : iterable of int, Edit or EditEntry, optional
            By default all that are switched on.
        name : str, optional
            By default the parts' names.
        wait : bool

        Raises
        ------
        InputError
            With fewer than two edits, or one that is switched off.
        """
        if which is None:
            places = [i for i, entry in enumerate(self._entries) if entry.active]
        else:
            places = sorted({self._index(one) for one in which})
        chosen = [self._entries[at] for at in places]
        for entry in chosen:
            if not entry.active:
                raise InputError(
                    f"The edit '{entry.name}' is switched off: switch it on, or leave it out of "
                    "the merge."
                )
        if len(chosen) < 2:
            raise InputError("Merging needs at least two edits that are switched on.")
        parts = [(entry.edit.with_name(entry.name), entry.strength) for entry in chosen]
        left = [entry for i, entry in enumerate(self._entries) if i not in places]
        merged = merge_edits(parts, name=name)
        made = EditEntry(merged, 1.0, True, _free_name(merged.name, left))
        left.insert(places[0], made)
        self._set(tuple(left), wait)
        return made

    def check(self, edit: Edit) -> None:
        """Raise `EditError` unless the edit was made for this model."""
        model = self._segmenter.name
        if edit.base_fingerprint != self._base_fingerprint:
            other = edit.provenance.get("model")
            raise EditError(
                f"The edit '{edit.name}' was made for another model"
                f"{f' ({other})' if other else ''} than the one loaded ({model}): "
                "load the model that it was made for, or make the edit anew."
            )
        for layer, delta in edit.deltas.items():
            if layer not in self._shapes:
                raise EditError(
                    f"The edit '{edit.name}' rewrites the layer {layer}, which the model {model} "
                    "does not have: load the model that it was made for."
                )
            if tuple(delta.shape) != self._shapes[layer]:
                raise EditError(
                    f"The edit '{edit.name}' has another shape at layer {layer} than the model "
                    f"{model}: load the model that it was made for."
                )

    def sync(self) -> None:
        """Bring the weights to what the entries say; waits for the segmenter's lock."""
        with self._segmenter.lock:
            for layer, done in self._written.items():
                recipe = self._recipe(layer)
                if recipe != done:
                    self._segmenter.set_weight(layer, self._mixed(layer, recipe))
                    self._written[layer] = recipe

    @contextmanager
    def trial(self, edit: Edit, strength: float = 0.0) -> Generator[Callable[[float], None]]:
        """Try an edit without changing the entries: gives a function that sets its strength.

        Other edits on the stack stay as they are. Afterwards, whatever happens, the weights are
        what the entries say.

        Examples
        --------
        >>> with EditStack.of(segmenter).trial(edit) as set_strength:
        ...     set_strength(0.2)
        ...     after = segmenter.predict(image)
        """
        self.check(edit)
        token = object()

        def set_strength(value: float) -> None:
            self._trials[token] = (edit, check_strength(value))
            self.sync()

        try:
            set_strength(strength)
            yield set_strength
        finally:
            self._trials.pop(token, None)
            self.sync()

    @contextmanager
    def kept(self) -> Generator[None]:
        """Whatever happens to the entries inside, they are back afterwards."""
        before = self._entries
        try:
            yield
        finally:
            if self._entries is not before:
                self._set(before, wait=True)
            self.sync()

    def _recipe(self, layer: str) -> _Recipe:
        """Which edits act on a layer, and how much: trials go over entries."""
        acting = [(e.edit, e.strength) for e in self._entries if e.active]
        for tried, strength in list(self._trials.values()):
            acting = [(e, s) for e, s in acting if e.identity != tried.identity]
            acting.append((tried, strength))
        return tuple((e, s) for e, s in acting if s > 0 and layer in e.deltas)

    def _mixed(self, layer: str, recipe: _Recipe) -> torch.Tensor:
        # Nobody but the stack writes: what is there at the first change is the base.
        if layer not in self._base:
            self._base[layer] = self._segmenter.weight(layer).detach().cpu().clone()
        base = self._base[layer]
        if not recipe:
            return base
        mixed = base.double()
        for edit, strength in recipe:
            mixed = mixed + strength * edit.deltas[layer].double()
        return mixed.to(base.dtype)

    def _set(self, entries: tuple[EditEntry, ...], wait: bool) -> None:
        before, self._entries = self._entries, entries
        try:
            if wait:
                self.sync()
            elif self._segmenter.lock.acquire(blocking=False):
                try:
                    self.sync()
                finally:
                    self._segmenter.lock.release()
        except BaseException:
            self._entries = before
            self.sync()
            raise
        self.changed.emit()

    def _replace(self, at: int, entry: EditEntry, wait: bool) -> EditEntry:
        self._set((*self._entries[:at], entry, *self._entries[at + 1 :]), wait)
        return entry

    def _find(self, edit: Edit) -> int | None:
        for at, entry in enumerate(self._entries):
            if entry.edit is edit or entry.edit.identity == edit.identity:
                return at
        return None

    def _index(self, which: Which) -> int:
        if isinstance(which, int):
            at: int | None = which if 0 <= which < len(self._entries) else None
        else:
            at = self._find(which.edit if isinstance(which, EditEntry) else which)
        if at is None:
            raise EditError("This edit is no longer applied to the model: choose one of the list.")
        return at

    def _free_name(self, name: str) -> str:
        return _free_name(name, self._entries)


def _free_name(name: str, entries: Iterable[EditEntry]) -> str:
    taken = {entry.name for entry in entries}
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free
