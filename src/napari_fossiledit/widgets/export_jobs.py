"""Writing the edited model for other programs: which forms suit it, the task, the words. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fossiledit.errors import InputError
from napari_fossiledit.progress import Progress, Task

if TYPE_CHECKING:
    from napari_fossiledit.models import Exported

__all__ = ["ExportForm", "export_forms", "export_task", "target", "written_words"]


@dataclass(frozen=True)
class ExportForm:
    """One way to write a model.

    Attributes
    ----------
    title : str
    suffix : str
    form : str
        As `models.export` calls it.
    """

    title: str
    suffix: str
    form: str

    @property
    def filter(self) -> str:
        """The line of a file dialog."""
        return f"{self.title} (*{self.suffix})"


_SAFETENSORS = ExportForm("safetensors", ".safetensors", "safetensors")
_DETECTRON2 = (
    ExportForm("detectron2 checkpoint", ".pth", "detectron2"),
    ExportForm("detectron2, as in its model zoo", ".pkl", "detectron2"),
    _SAFETENSORS,
    ExportForm("torchvision state dict", ".pth", "torchvision"),
)
_TORCHVISION = (ExportForm("torchvision state dict", ".pth", "torchvision"), _SAFETENSORS)


def export_forms(segmenter: Any) -> tuple[ExportForm, ...]:
    """The forms that suit a model, the usual one first."""
    from napari_fossiledit.models.formats import LITE

    if _is_detectron2(segmenter):
        return _DETECTRON2
    if getattr(segmenter, "metadata", {}).get("architecture") == LITE:
        return (_SAFETENSORS,)
    return _TORCHVISION


def _is_detectron2(segmenter: Any) -> bool:
    return hasattr(segmenter, "config") and hasattr(segmenter, "tensors")


def target(path: str, picked: str, forms: Sequence[ExportForm]) -> tuple[Path, str]:
    """What a file dialog's answer means: the file to write, and its form.

    Parameters
    ----------
    path : str
        As typed; a missing suffix is added.
    picked : str
        The `ExportForm.filter` that was chosen. A suffix that only another form has counts more.
    forms : sequence of ExportForm

    Raises
    ------
    InputError
        If the file with the added suffix exists: the dialog did not ask whether to replace it.
    """
    file = Path(path)
    form = next((f for f in forms if f.filter == picked), forms[0])
    suffix = file.suffix.lower()
    if not suffix:
        file = file.with_name(file.name + form.suffix)
        if file.exists():
            raise InputError(
                f"{file.name} exists already: choose that file in the dialog to replace it, or "
                "give another name."
            )
    elif suffix != form.suffix:
        others = {f.form for f in forms if f.suffix == suffix}
        return file, others.pop() if len(others) == 1 else form.form
    return file, form.form


def export_task(segmenter: Any, path: Path, form: str) -> Task[Exported]:
    """Write the model with the edits that are switched on.

    Raises
    ------
    FossilEditError
        See `models.export`.
    """
    from napari_fossiledit import models
    from napari_fossiledit.editing import EditStack

    yield Progress(0, 1, f"writing {path.name}")
    with segmenter.lock:
        EditStack.of(segmenter).sync()  # a strength just moved may still wait
        return models.export(segmenter, path, form=form)


def written_words(segmenter: Any, written: Exported, active: int) -> str:
    """What was written, in plain words; ``active`` is the number of edits in it."""
    edits = "no edit" if not active else "1 edit" if active == 1 else f"{active} edits"
    changed = len(written.changed)
    differ = (
        f"{changed or 'none'} of its {written.tensors} tensors "
        f"{'differ' if changed > 1 else 'differs'} from the original's"
    )
    said = f"The model, with {edits} switched on, was written to {written.path}: {differ}."
    if not _is_detectron2(segmenter):
        return said
    hint = {
        "detectron2": "Use it with the original's config.",
        "safetensors": "It holds its config itself.",
        "torchvision": (
            "torchvision's model needs the settings kept beside the weights (image_mean, "
            "image_std, config); this plugin does not read the file back."
        ),
    }
    return f"{said} {hint[written.form]}"
