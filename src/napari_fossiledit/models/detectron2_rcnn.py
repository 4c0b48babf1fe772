"""A detectron2 model without detectron2: its weights in our network, its settings from its config.

What it predicts is what detectron2's DefaultPredictor predicts; ``tests/models`` compares both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_fossiledit.models import detectron2_weights
from napari_fossiledit.models.detectron2_config import Detectron2Config
from napari_fossiledit.models.detectron2_network import build
from napari_fossiledit.models.preprocess import Preprocess
from napari_fossiledit.models.rcnn import BIAS
from napari_fossiledit.models.segmenter import Limits
from napari_fossiledit.models.torchvision_rcnn import TorchvisionRCNN
from napari_fossiledit.models.weights_file import WeightsFile

__all__ = ["Detectron2RCNN", "class_names_of", "facts_of"]


class Detectron2RCNN(TorchvisionRCNN):
    """A Mask R-CNN trained with detectron2, carried by torchvision.

    Parameters
    ----------
    weights : WeightsFile
        Read, and not held on to.
    config : Detectron2Config
    name : str
    class_names : sequence of str, optional
    device : torch.device

    Raises
    ------
    ModelError
        If weights and config do not fit each other; the first tensors are named.
    """

    def __init__(
        self,
        weights: WeightsFile,
        config: Detectron2Config,
        *,
        name: str,
        class_names: Sequence[str] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        detectron2_weights.check(weights.tensors, config, weights.path.name)
        tensors = detectron2_weights.complete(weights.tensors, config)
        lines = {k: detectron2_weights.digest(k, t) for k, t in tensors.items()}
        with torch.device("meta"):
            model = build(config)
        # Nothing else holds these tensors: each is freed when its layer is laid out anew.
        model.load_state_dict(detectron2_weights.to_network(tensors, config), assign=True)
        del tensors
        parts = detectron2_weights.parts(config)
        super().__init__(
            model,
            preprocess=_preprocess(config),
            name=name,
            class_names=class_names_of(config, class_names),
            device=device,
            layer_names={part.ours: part.theirs for part in parts},
            limits=Limits(config.score_threshold, config.max_detections),
            facts=facts_of(config, "torchvision"),
            channels_last=True,
        )
        self.source = weights.path.resolve()
        self.config = config
        self._lines = lines

    def _least_score(self, asked: float) -> float:
        """detectron2 keeps what scores more than the limit, not what equals it."""
        limit = np.float32(self.limits.score_threshold)
        return max(asked, float(np.nextafter(limit, np.float32(2))))

    def tensors(self) -> dict[str, Tensor]:
        """What may differ from the file, under detectron2's names: float32, in main memory."""
        with self._lock, torch.no_grad():
            if self.trained:
                state = self.model.state_dict()
                found = detectron2_weights.from_network(state, self.config)
            else:
                found = {
                    name if name.endswith(BIAS) else f"{name}.weight": self._tensor(name)
                    for name in self.editable_tensors()
                }
            return {
                key: tensor.detach().to("cpu", torch.float32).contiguous().clone()
                for key, tensor in found.items()
            }

    def _head_tensors(self) -> dict[str, Tensor]:
        """None: the heads' tensors have another layout in detectron2's files."""
        return {}

    def _may_change(self, name: str) -> bool:
        """Not a bias that holds a folded norm: detectron2's files have none."""
        return name in self._lines

    def fingerprint(self) -> str:
        """Sha256 over detectron2's tensors as they are now: the same in either backend."""
        lines = dict(self._lines)
        for key, tensor in self.tensors().items():
            lines[key] = detectron2_weights.digest(key, tensor)
        return detectron2_weights.combine(lines)


def _preprocess(config: Detectron2Config) -> Preprocess:
    turn = -1 if config.channel_order == "BGR" else 1
    mean, std = config.pixel_mean[::turn], config.pixel_std[::turn]
    return Preprocess(
        (mean[0] / 255, mean[1] / 255, mean[2] / 255),
        (std[0] / 255, std[1] / 255, std[2] / 255),
        shortest=config.shortest or None,
        longest=config.longest,
        pillow=True,
    )


def class_names_of(config: Detectron2Config, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The user's names, or those known from the config, or ``class 0``, ``class 1``, ..."""
    if wanted is not None:
        return tuple(wanted)
    if config.class_names is not None:
        return config.class_names
    if config.classes == 1:
        return ("fossil",)
    return tuple(f"class {i}" for i in range(config.classes))


def facts_of(config: Detectron2Config, backend: str) -> dict[str, str]:
    """Short facts for people, by title."""
    own = config.path.suffix.lower() in {".yaml", ".yml"}
    kind = "R" if config.groups == 1 else "X"
    size = f"shortest edge {config.shortest}, longest at most {config.longest} pixels"
    facts: dict[str, Any] = {
        "Kind": f"detectron2 Mask R-CNN {kind}-{config.depth}-FPN",
        "Config": config.path.name if own else f"kept in {config.path.name}",
        "Backend": backend,
        "Input": f"{config.channel_order}, {size if config.shortest else 'at full resolution'}",
        "At most": f"{config.max_detections} instances a slice, scores from "
        f"{config.score_threshold:g}",
    }
    return facts
