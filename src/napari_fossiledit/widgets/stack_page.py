"""Page 1: which layers are the stack, the fossils' labels and the confusers."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_fossiledit.errors import FossilEditError
from napari_fossiledit.widgets.file_field import dropped_files
from napari_fossiledit.widgets.layers import is_stack, voxel_words
from napari_fossiledit.widgets.open_box import OpenBox, VoxelBox
from napari_fossiledit.widgets.page import LayerCombo, Page, note, say, set_ready, warn

__all__ = ["StackPage"]

_NEEDS = (
    "Open your stack of photographs and its labels (or drop them here), or press 'Open the sample "
    "reef' to try everything out."
)
_COUNT_VOXELS = 30_000_000


def _is_labels(layer: Any) -> bool:
    from napari.layers import Labels

    return isinstance(layer, Labels)


class StackPage(Page):
    """Choose the layers that all other pages work on."""

    title = "Stack and labels"

    def build(self) -> None:
        """Make the page's widgets."""
        session, bench = self.session, self.bench
        self.needs = note(_NEEDS)
        self.body.addWidget(self.needs)
        self.sample = self.button("Open the sample reef", self._open_sample)
        self.body.addWidget(self.sample)
        self.open = OpenBox(bench, self.button)
        self.body.addWidget(self.open)
        self.setAcceptDrops(True)
        self.stack = LayerCombo(
            bench, is_stack, lambda: session.stack, lambda n: session.choose(stack=n)
        )
        self.labels = LayerCombo(
            bench,
            _is_labels,
            lambda: session.labels,
            lambda n: session.choose(labels=n),
            optional=True,
        )
        self.confusers = LayerCombo(
            bench,
            _is_labels,
            lambda: session.confusers,
            lambda n: session.choose(confusers=n),
            optional=True,
        )
        self.stack.setToolTip("The photographs: an image layer (z, y, x), best in RGB colours.")
        self.labels.setToolTip("Labels of the fossils: 0 = background, one number an instance.")
        self.confusers.setToolTip(
            "Labels of what the model mistakes for the fossil, if you have any."
        )
        form = self.form()
        form.addRow("Stack", self.stack)
        form.addRow("Fossils", self.labels)
        form.addRow("Confusers", self.confusers)
        self.voxel = VoxelBox(bench, self.button)
        form.addRow("Voxel size", self.voxel)
        self.facts = note()
        self.problem = note()
        self.body.addWidget(self.facts)
        self.body.addWidget(self.problem)
        self._counted: tuple[Any, ...] = ()
        self._count = ""

    def refresh(self) -> None:
        """Show the layers and what is said about them."""
        for part in (self.stack, self.labels, self.confusers, self.open, self.voxel):
            part.refresh()
        layer = self.bench.stack_layer
        say(self.needs, "" if layer is not None else _NEEDS)
        self.sample.setVisible(layer is None)
        set_ready(
            self.sample, self.bench.why_not(stack=False), "A synthetic reef with its true labels."
        )
        problems: list[str] = []
        say(self.facts, "" if layer is None else self._facts(layer, problems))
        images = [x for x in self.bench.viewer.layers if getattr(x, "rgb", None) is not None]
        if layer is None and images and all(x.ndim > 3 for x in images):
            problems.append(
                f"The layer '{images[0].name}' has {images[0].ndim} axes: a stack has three "
                "(z, y, x) and colours. Open it as an RGB image."
            )
        warn(self.problem, " ".join(problems))

    def _facts(self, layer: Any, problems: list[str]) -> str:
        source = self.bench.stack()
        slices, rows, columns = source.shape
        what = f"{slices} slices" if slices > 1 else "1 slice"
        voxel = "Pixel" if source.flat else "Voxel"
        lines = [f"{what} of {rows} × {columns} pixels.", f"{voxel} size {voxel_words(layer)}."]
        if not layer.rgb:
            lines.append("The image is grey: it is turned into RGB for the model.")
        elif layer.data.shape[-1] == 4:
            lines.append("The image has an alpha channel: it is left out for the model.")
        if np.dtype(layer.dtype) != np.uint8:
            lines.append(f"Its values are {layer.dtype}: they are scaled to 8 bits for the model.")
        if "pixel" in voxel_words(layer):
            problems.append(
                "The voxel size is unknown (1 pixel): set it above, in mm, before you measure "
                "anything."
            )
        for what, name in (("fossils", self.session.labels), ("confusers", self.session.confusers)):
            try:
                labels = self.bench.labels(name)
            except FossilEditError as error:
                problems.append(str(error))
                continue
            if what == "fossils":
                lines.append(self._labelled(labels))
        return "\n".join(line for line in lines if line)

    def _labelled(self, labels: Any) -> str:
        """How many slices are labelled, where that is quickly counted."""
        if labels is None:
            return (
                "No labels chosen: segmenting works without, finding and mending weaknesses "
                "needs at least one labelled slice."
            )
        data = labels.data
        if not isinstance(data, np.ndarray) or data.size > _COUNT_VOXELS:
            return ""
        key = (labels.name, id(data), self.bench.runner.busy)
        if key != self._counted:
            used = int(data.reshape(-1, data.shape[-2] * data.shape[-1]).any(axis=1).sum())
            self._counted = key
            self._count = (
                f"{used} labelled slice{'' if used == 1 else 's'}."
                if used
                else "The labels are empty: paint the fossils of at least one slice."
            )
        return self._count

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Take files and folders; what is no stack is told when it is dropped."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Open the first of what was dropped."""
        event.acceptProposedAction()
        paths = dropped_files(event)
        if paths and not self.bench.runner.busy:
            self.open.open_path(paths[0])

    def _open_sample(self) -> None:
        from napari_fossiledit._sample_data import reef_with_labels

        for data, options, kind in reef_with_labels():
            getattr(self.bench.viewer, f"add_{kind}")(data, **options)
