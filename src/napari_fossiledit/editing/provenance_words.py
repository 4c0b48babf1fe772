"""Where an edit comes from, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_fossiledit.editing.edit import Edit

__all__ = ["provenance_rows", "skipped_words"]

Row = tuple[str, str]
_SOLVERS = {
    "ridge": "ridge, one solve",
    "l1": "l1, robust to gross errors",
    "low_rank": "low rank",
    "adam": "adam, step by step",
    "distil": "distil, fitted to the heads' answers on the painted slice",
    "labels": "labels, fitted to corrected labels",
    "agreement": "agreement, fitted to what the model says of every orientation of a slice",
    "merged": "merged from other edits",
}
_UNPAINTED = {
    "labels": "nothing: the labels were used",
    "agreement": "nothing: what the model agrees on with itself was used",
}
_SETTINGS = {"lr": "rate", "keep_weight": "keep weight", "projection_every": "projection every"}
_SHOWN = 12  # characters of a fingerprint
_MOST_NAMES = 6


def provenance_rows(edit: Edit, strength: float | None = None, base: str = "") -> list[Row]:
    """Titles and texts that tell of an edit's making.

    Parameters
    ----------
    edit : Edit
    strength : float, optional
        The strength it is used at now.
    base : str
        Fingerprint of the model that is loaded, to say whether the edit is of that model.

    Returns
    -------
    list of (str, str)
        What is not known is left out: the record of a file may hold anything.
    """
    facts = edit.provenance
    makers: tuple[tuple[str, Callable[[], str]], ...] = (
        ("Base model", lambda: _model(edit, base)),
        ("Input zoom", lambda: f"{float(facts['input_zoom']):g}"),
        ("Slice", lambda: _slices(facts)),
        ("Painted", lambda: _painting(facts)),
        ("Parts", lambda: _parts(facts)),
        ("Layers", lambda: _layers(edit)),
        ("Solver", lambda: _solver(facts)),
        ("Loss", lambda: _loss(facts)),
        ("Took", lambda: _seconds(facts)),
        ("Strength", lambda: _strength(edit, strength)),
        ("Mask threshold", lambda: str(_mapping(facts, "strength_choice").get("beside") or "")),
        ("Made on top of", lambda: _below(facts)),
        ("Date", lambda: _date(facts)),
        ("Versions", lambda: ", ".join(f"{k} {v}" for k, v in _mapping(facts, "versions").items())),
    )
    rows = []
    for title, make in makers:
        try:
            text = make()
        except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError):
            continue  # a file may say anything
        if text:
            rows.append((title, text))
    return rows


def _mapping(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    known = facts.get(name)
    return known if isinstance(known, Mapping) else {}


def _items(facts: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    known = facts.get(name)
    found = known if isinstance(known, list | tuple) else ()
    return [item for item in found if isinstance(item, Mapping)]


def _model(edit: Edit, base: str) -> str:
    name, mark = edit.provenance.get("model") or "unknown", edit.base_fingerprint
    if not base:
        which = ""
    elif base == mark:
        which = ", the model that is loaded"
    else:
        which = ", NOT the model that is loaded"
    return f"{name} ({mark[:_SHOWN] or 'no fingerprint'}…{which})"


def _slices(facts: Mapping[str, Any]) -> str:
    name, shape = facts.get("slice"), facts.get("image_shape")
    size = f"{shape[0]} × {shape[1]} pixels" if isinstance(shape, list | tuple) else ""
    mark = str(facts.get("image_sha256") or "")[:_SHOWN]
    parts = [_mapping(part, "provenance").get("slice") for part in _items(facts, "merged")]
    if any(parts):
        return "; ".join(dict.fromkeys(str(part) for part in parts if part))
    known = ", ".join(str(part) for part in (name, size, f"image {mark}…" if mark else "") if part)
    more = len(_items(facts, "other_slices"))
    if not known:
        return f"{more} slice{'' if more == 1 else 's'}" if more else ""
    how = facts.get("slices_taken")
    return f"{known}; and {more} more, {how or 'together'}" if more else known


def _painting(facts: Mapping[str, Any]) -> str:
    recipes = [facts, *_items(facts, "other_slices")]
    words = [_recipe(r["perturbation"]) for r in recipes if r.get("perturbation")]
    if not words:
        solver = _mapping(facts, "solver").get("name")
        return _UNPAINTED.get(str(solver), "")
    return "; then ".join(dict.fromkeys(words))


def _recipe(recipe: Mapping[str, Any]) -> str:
    from napari_fossiledit.perturb import Perturbation

    return str(Perturbation.from_dict(recipe).describe())


def _parts(facts: Mapping[str, Any]) -> str:
    return "; ".join(f"{p['name']} × {p['strength']:g}" for p in _items(facts, "merged"))


def _layers(edit: Edit) -> str:
    known = [str(f.get("level") or f.get("name")) for f in _items(edit.provenance, "layers")]
    words = ", ".join(known or edit.layers)
    left_out = skipped_words(edit)
    return f"{words}. {left_out}" if left_out else words


def skipped_words(edit: Edit) -> str:
    """Which layers were skipped and why, as a sentence, or ''."""
    items = _items(edit.provenance, "skipped_layers")
    if not items:
        return ""
    names = ", ".join(str(f.get("level") or f.get("name")) for f in items)
    why = items[0].get("reason")
    verb = "was" if len(items) == 1 else "were"
    return f"{names} {verb} skipped{f': {why}' if why else ''}."


def _solver(facts: Mapping[str, Any]) -> str:
    settings = dict(_mapping(facts, "solver"))
    name = settings.pop("name", None)
    if name is None:
        return ""
    words = [
        f"{_SETTINGS.get(key, key.replace('_', ' '))} {_value(value)}"
        for key, value in settings.items()
        if value is not None
    ]
    return "; ".join([_SOLVERS.get(str(name), str(name)), ", ".join(words)]).strip("; ")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _loss(facts: Mapping[str, Any]) -> str:
    levels = {f.get("name"): f.get("level") for f in _items(facts, "layers")}
    words = []
    for layer, pair in _mapping(facts, "loss").items():
        before, after = float(pair["before"]), float(pair["after"])
        change = f" ({after / before - 1:+.0%})" if before > 0 else ""
        words.append(f"{levels.get(layer) or layer}: {before:.4g} → {after:.4g}{change}")
    return "; ".join(words)


def _seconds(facts: Mapping[str, Any]) -> str:
    known = _mapping(facts, "seconds")
    return ", ".join(f"{key} {float(value):.1f} s" for key, value in known.items() if value)


def _strength(edit: Edit, now: float | None) -> str:
    facts = edit.provenance
    chosen_on = facts.get("strength_chosen_on")
    count = len(chosen_on) if isinstance(chosen_on, list | tuple) else 0
    words = "" if now is None else f"{now:g} now. "
    if not count:
        return f"{words}None was chosen on labelled slices."
    names = facts.get("strength_chosen_on_names")
    listed = [str(name) for name in names] if isinstance(names, list | tuple) else []
    where = f"{count} labelled slice{'' if count == 1 else 's'}"
    if listed:
        dots = ", …" if len(listed) > _MOST_NAMES else ""
        where += f" ({', '.join(listed[:_MOST_NAMES])}{dots})"
    if facts.get("merged"):
        return f"{words}The parts' strengths were chosen on {where}."
    sentence = _mapping(facts, "strength_choice").get("sentence") or ""
    verdict = "" if edit.worth_it else " It was found not worth applying."
    said = f" {sentence}" if sentence else verdict
    return f"{words}{edit.strength:g} was chosen on {where}.{said}"


def _below(facts: Mapping[str, Any]) -> str:
    return "; ".join(f"{e['name']} at {e['strength']:g}" for e in _items(facts, "made_on_top_of"))


def _date(facts: Mapping[str, Any]) -> str:
    return str(facts.get("date") or "").replace("T", " ").replace("+00:00", " UTC")
