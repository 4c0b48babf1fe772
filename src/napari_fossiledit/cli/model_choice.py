"""Which model a command uses: the options that all commands with ``--model`` share."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fossiledit.cli import options

if TYPE_CHECKING:
    from napari_fossiledit.models import Segmenter

__all__ = ["DEMO", "ModelChoice", "takes_model"]


@dataclass(frozen=True)
class ModelChoice:
    """A model as the command line names it.

    Attributes
    ----------
    source : str
        ``demo``, or the file of the weights; a folder becomes the weights in it.
    config : Path, optional
        The model's ``config.yaml``; None where it lies beside the weights, or none is needed.
    backend : str
        ``auto``, ``torchvision`` or ``detectron2``.
    class_names : tuple of str, optional
        One a class; None takes those that the model brings.
    fossil_classes : tuple of str, optional
        Names or numbers (from 0) of the classes that are the fossil; None takes all.
    device : str
    zoom : float
        How many times larger than usual the network sees a slice.
    """

    source: str = "demo"
    config: Path | None = None
    backend: str = "auto"
    class_names: tuple[str, ...] | None = None
    fossil_classes: tuple[str, ...] | None = None
    device: str = "auto"
    zoom: float = 1.0

    def named(self, source: str | None) -> ModelChoice:
        """The same, with the model that a command takes as an argument, if one was given.

        Raises
        ------
        InputError
            If ``--model`` names another one.
        """
        from napari_fossiledit.errors import InputError

        source = None if source is None else _weights(source)
        if source is None or source == self.source:
            return self
        if self.source != "demo":
            raise InputError(f"Two models are named, {source} and {self.source}: give one of them.")
        return replace(self, source=source)

    @property
    def files(self) -> list[Path | str]:
        """What is read, so that nothing is written over it; "demo" for the model of that name."""
        if self.source == "demo":
            return [self.source]
        from napari_fossiledit.models.detectron2_files import config_files, find_config

        weights = Path(self.source)
        config = self.config or (find_config(weights) if weights.is_file() else None)
        return [weights] if config is None else [weights, *config_files(config)]

    def words(self) -> list[str]:
        """The options that name this model again, for a command that is shown to the user."""
        words = [] if self.source == "demo" else ["--model", self.source]
        words += [] if self.config is None else ["--config", str(self.config)]
        words += [] if self.backend == "auto" else ["--backend", self.backend]
        words += [] if self.zoom == 1 else ["--zoom", f"{self.zoom:g}"]
        for name, chosen in (
            ("--class-names", self.class_names),
            ("--fossil-classes", self.fossil_classes),
        ):
            words += [] if chosen is None else [name, ",".join(chosen)]
        return words

    def load(self) -> Segmenter:
        """Load the model.

        Raises
        ------
        InputError
            If options for a detectron2 model come without one.
        ModelError
        """
        from napari_fossiledit import models

        self._check_demo()
        segmenter: Segmenter = models.load(
            self.source,
            config=self.config,
            device=self.device,
            backend=self.backend,
            class_names=self.class_names,
            fossil_classes=self.fossil_classes,
            input_zoom=self.zoom,
        )
        return segmenter

    def _check_demo(self) -> None:
        from napari_fossiledit.errors import InputError

        given = f"--config {self.config}" if self.config else "--backend detectron2"
        if self.source == "demo" and (self.config or self.backend == "detectron2"):
            raise InputError(
                f"{given} is for a detectron2 model, but no weights are named and the demo model "
                "is none: give the weights with --model, or leave the option out."
            )


DEMO = ModelChoice()


def takes_model(command: Callable[..., None]) -> Callable[..., None]:
    """Put the options of a model in the place of a command's parameter ``model: ModelChoice``."""
    whole = inspect.signature(command, eval_str=True)
    own = inspect.signature(_choice, eval_str=True).parameters
    parameters: list[inspect.Parameter] = []
    for parameter in whole.parameters.values():
        is_model = parameter.annotation is ModelChoice
        parameters += own.values() if is_model else [parameter]

    @functools.wraps(command)
    def with_options(**values: Any) -> None:
        chosen = {name: values.pop(name) for name in own}
        command(**values, model=_choice(**chosen))

    # typer reads both; the first names no parameter of this function, so it is typed as Any.
    shown: Any = with_options
    shown.__signature__ = whole.replace(parameters=parameters)
    shown.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return with_options


def _choice(
    model: options.Model = "demo",
    config: options.Config = None,
    backend: options.Backend = options.BackendName.auto,
    class_names: options.ClassNames = None,
    fossil_classes: options.FossilClasses = None,
    zoom: options.Zoom = 1.0,
    device: options.Device = options.DeviceName.auto,
) -> ModelChoice:
    return ModelChoice(
        _weights(model),
        None if config is None else Path(_home(str(config))),
        backend.value,
        _parts(class_names, "--class-names"),
        _parts(fossil_classes, "--fossil-classes"),
        device.value,
        zoom,
    )


def _weights(source: str) -> str:
    """The model's file, where its folder was named; ``~`` is the user's home."""
    source = _home(source)
    if source == "demo" or not Path(source).is_dir():
        return source
    from napari_fossiledit.models.model_folder import weights_in

    return str(weights_in(Path(source)))


def _home(path: str) -> str:
    from napari_fossiledit.errors import InputError

    try:
        return os.fspath(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        raise InputError(f"The home folder in {path} is unknown: write the whole path.") from error


def _parts(text: str | None, option: str) -> tuple[str, ...] | None:
    from napari_fossiledit.errors import InputError

    if text is None:
        return None
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise InputError(f"{option} has an empty name in '{text}': put one comma between two.")
    return parts
