"""Editing: rewrite chosen convolutions so that a slice yields the features of its perturbed self.

Names are imported when first asked for: neither this import nor that of the names without
tensors brings torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_fossiledit.editing import solvers
    from napari_fossiledit.editing.agreement import (
        agreed_labels,
        agreed_labels_task,
        teach_itself,
        teach_itself_task,
    )
    from napari_fossiledit.editing.correcting import correct, correct_task
    from napari_fossiledit.editing.edit import Edit
    from napari_fossiledit.editing.edit_file import load_edit, save_edit
    from napari_fossiledit.editing.edit_stack import EditEntry, EditStack
    from napari_fossiledit.editing.features import Captured, capture, layer_mask, pool_mask
    from napari_fossiledit.editing.layers import default_layers, output_layers
    from napari_fossiledit.editing.merging import merge_edits
    from napari_fossiledit.editing.rewriting import rewrite, rewrite_task
    from napari_fossiledit.editing.settings import (
        L1,
        Adam,
        Agreement,
        Distil,
        Labels,
        LowRank,
        Ridge,
        solver_from_dict,
    )
    from napari_fossiledit.editing.several import rewrite_several, rewrite_several_task
    from napari_fossiledit.editing.sources import Source
    from napari_fossiledit.editing.strength import (
        StrengthChoice,
        choose_strength,
        choose_strength_task,
    )

_HOMES = {
    "L1": "settings",
    "Adam": "settings",
    "Agreement": "settings",
    "Captured": "features",
    "Distil": "settings",
    "Edit": "edit",
    "EditEntry": "edit_stack",
    "EditStack": "edit_stack",
    "Labels": "settings",
    "LowRank": "settings",
    "Ridge": "settings",
    "Source": "sources",
    "StrengthChoice": "strength",
    "capture": "features",
    "choose_strength": "strength",
    "choose_strength_task": "strength",
    "agreed_labels": "agreement",
    "agreed_labels_task": "agreement",
    "correct": "correcting",
    "correct_task": "correcting",
    "default_layers": "layers",
    "output_layers": "layers",
    "layer_mask": "features",
    "load_edit": "edit_file",
    "merge_edits": "merging",
    "pool_mask": "features",
    "rewrite": "rewriting",
    "rewrite_several": "several",
    "rewrite_several_task": "several",
    "rewrite_task": "rewriting",
    "save_edit": "edit_file",
    "solver_from_dict": "settings",
    "teach_itself": "agreement",
    "teach_itself_task": "agreement",
}

__all__ = [
    "L1",
    "Adam",
    "Agreement",
    "Captured",
    "Distil",
    "Edit",
    "EditEntry",
    "EditStack",
    "Labels",
    "LowRank",
    "Ridge",
    "Source",
    "StrengthChoice",
    "agreed_labels",
    "agreed_labels_task",
    "capture",
    "choose_strength",
    "choose_strength_task",
    "correct",
    "correct_task",
    "default_layers",
    "layer_mask",
    "load_edit",
    "merge_edits",
    "output_layers",
    "pool_mask",
    "rewrite",
    "rewrite_several",
    "rewrite_several_task",
    "rewrite_task",
    "save_edit",
    "solver_from_dict",
    "solvers",
    "teach_itself",
    "teach_itself_task",
]


def __getattr__(name: str) -> Any:
    if name == "solvers":
        return import_module("napari_fossiledit.editing.solvers")
    if name in _HOMES:
        return getattr(import_module(f"napari_fossiledit.editing.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
