"""Which file of a folder is the model's weights. No torch."""

from __future__ import annotations

from pathlib import Path

from napari_fossiledit.errors import ModelError

__all__ = ["WEIGHTS", "weights_in"]

WEIGHTS = (".pth", ".pkl", ".pt", ".safetensors")
"""Suffixes of files of weights, the likeliest first."""

_TRAINED = "model_final"  # what detectron2 calls the weights at the end of a training


def weights_in(folder: Path) -> Path:
    """Find the weights in a folder: the end of a training, else the only ones there are.

    Parameters
    ----------
    folder : Path
        E.g. the output folder of a detectron2 training.

    Raises
    ------
    ModelError
        If there are none, it is unclear which are meant, or the folder cannot be read.
    """
    name = folder.name or str(folder)
    try:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in WEIGHTS and p.is_file())
    except OSError as error:
        raise ModelError(
            f"The folder {name} cannot be read ({error.strerror}): choose the file of the weights."
        ) from error
    files.sort(key=lambda p: WEIGHTS.index(p.suffix.lower()))
    final = [p for p in files if p.stem == _TRAINED]
    if final or len(files) == 1:
        return (final or files)[0]
    if not files:
        raise ModelError(
            f"The folder {name} holds no weights ({', '.join(WEIGHTS)}): choose the folder of a "
            "trained model."
        )
    some = ", ".join(p.name for p in files[:3]) + (", ..." if len(files) > 3 else "")
    raise ModelError(
        f"The folder {name} holds {len(files)} files of weights ({some}): choose the one you want."
    )
