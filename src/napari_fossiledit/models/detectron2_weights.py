"""detectron2's tensors at their place in the network of `detectron2_network`, and back.

There the background is the last class, here the first; channels may come as BGR there, as RGB
here; a frozen batch norm of the body is multiplied into the convolution before it, which saves a
pass over every map.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from napari_fossiledit.errors import ModelError
from napari_fossiledit.models.detectron2_config import Detectron2Config
from napari_fossiledit.models.detectron2_network import BLOCKS, FOLDED
from napari_fossiledit.models.plain_values import clean

__all__ = [
    "Part",
    "check",
    "combine",
    "complete",
    "digest",
    "fingerprint",
    "from_network",
    "parts",
    "relevant",
    "to_network",
    "to_torchvision",
]

_EPSILON = 1e-5
_SHOWN = 3
# Kept by older versions and made anew by detectron2 itself; no weights.
_IGNORED = ("pixel_mean", "pixel_std", "anchor_generator.cell_anchors", "num_batches_tracked")


class Kind(Enum):
    """What is done to a part on its way."""

    PLAIN = "plain"
    STEM = "stem"  # its input channels may be BGR
    CLASSES = "classes"  # one row a class and one for the background
    BOXES = "boxes"  # four rows a class, none for the background
    MASKS = "masks"  # one row a class, none for the background


@dataclass(frozen=True)
class Part:
    """One convolution or linear layer with its norm.

    Attributes
    ----------
    theirs, ours : str
        Name in detectron2's model and in ours.
    shape : tuple of int
        Shape of the weight there.
    bias : bool
        Whether it has one there.
    norm : str
        ``""``, ``FrozenBN``, ``BN``, ``SyncBN`` or ``GN``.
    our_norm : str
        Name of the norm in torchvision; in our network too, unless it is folded.
    kind : Kind
    """

    theirs: str
    ours: str
    shape: tuple[int, ...]
    bias: bool = True
    norm: str = ""
    our_norm: str = ""
    kind: Kind = Kind.PLAIN

    @property
    def folded(self) -> bool:
        """Whether the norm is multiplied into the weight."""
        return self.norm in FOLDED and self.theirs.startswith("backbone.bottom_up.")

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Names and shapes of its tensors in detectron2's model."""
        yield f"{self.theirs}.weight", self.shape
        # A transposed convolution (the mask head's) has its outputs in the second place.
        out = self.shape[1] if self.theirs.endswith("deconv") else self.shape[0]
        if self.bias:
            yield f"{self.theirs}.bias", (out,)
        for what in _norm_tensors(self.norm):
            yield f"{self.theirs}.norm.{what}", (out,)


def _norm_tensors(norm: str) -> tuple[str, ...]:
    if not norm:
        return ()
    return ("weight", "bias") if norm == "GN" else ("weight", "bias", "running_mean", "running_var")


def parts(config: Detectron2Config) -> list[Part]:
    """Every layer with weights of the network that a config describes."""
    return [*_body(config), *_pyramid(config), *_rpn(config), *_box(config), *_mask(config)]


def _body(config: Detectron2Config) -> Iterator[Part]:
    def part(
        theirs: str, ours: str, our_norm: str, shape: tuple[int, ...], kind: Kind = Kind.PLAIN
    ) -> Part:
        names = f"backbone.bottom_up.{theirs}", f"backbone.body.{ours}"
        return Part(*names, shape, False, config.norm, f"backbone.body.{our_norm}", kind)

    width = config.stem_width
    yield part("stem.conv1", "conv1", "bn1", (width, 3, 7, 7), Kind.STEM)
    middle, out = config.groups * config.group_width, config.res2_width
    for stage, blocks in enumerate(BLOCKS[config.depth]):
        for i in range(blocks):
            theirs, ours = f"res{stage + 2}.{i}", f"layer{stage + 1}.{i}"
            if width != out:
                down = f"{ours}.downsample"
                yield part(f"{theirs}.shortcut", f"{down}.0", f"{down}.1", (out, width, 1, 1))
            for j, shape in enumerate(
                [
                    (middle, width, 1, 1),
                    (middle, middle // config.groups, 3, 3),
                    (out, middle, 1, 1),
                ],
                start=1,
            ):
                yield part(f"{theirs}.conv{j}", f"{ours}.conv{j}", f"{ours}.bn{j}", shape)
            width = out
        middle, out = 2 * middle, 2 * out


def _pyramid(config: Detectron2Config) -> Iterator[Part]:
    width, norm = config.fpn_width, config.fpn_norm
    for i in range(4):
        for theirs, ours, into, side in (
            ("lateral", "inner_blocks", config.res2_width * 2**i, 1),
            ("output", "layer_blocks", width, 3),
        ):
            block = f"backbone.fpn.{ours}.{i}"
            yield Part(
                f"backbone.fpn_{theirs}{i + 2}",
                f"{block}.0",
                (width, into, side, side),
                not norm,
                norm,
                f"{block}.1" if norm else "",
            )


def _rpn(config: Detectron2Config) -> Iterator[Part]:
    width, head = config.fpn_width, "proposal_generator.rpn_head"
    for i in range(config.rpn_convs):
        theirs = f"{head}.conv" if config.rpn_convs == 1 else f"{head}.conv.conv{i}"
        yield Part(theirs, f"rpn.head.conv.{i}.0", (width, width, 3, 3))
    anchors = len(config.anchor_sizes[0]) * len(config.anchor_ratios[0])
    yield Part(f"{head}.objectness_logits", "rpn.head.cls_logits", (anchors, width, 1, 1))
    yield Part(f"{head}.anchor_deltas", "rpn.head.bbox_pred", (4 * anchors, width, 1, 1))


def _box(config: Detectron2Config) -> Iterator[Part]:
    head, norm, width = "roi_heads.box_head", config.box_norm, config.fpn_width
    for i in range(config.box_convs):
        yield Part(
            f"{head}.conv{i + 1}",
            f"{head}.{i}.0",
            (config.box_conv_width, width, 3, 3),
            not norm,
            norm,
            f"{head}.{i}.1" if norm else "",
        )
        width = config.box_conv_width
    into = width * config.box_pool.resolution**2
    two = config.box_convs == 0 and config.box_fcs == 2
    for i in range(config.box_fcs):
        ours = f"fc{6 + i}" if two else str(config.box_convs + 1 + 2 * i)
        yield Part(f"{head}.fc{i + 1}", f"{head}.{ours}", (config.box_fc_width, into))
        into = config.box_fc_width
    predictor = "roi_heads.box_predictor"
    for name, rows, kind in (
        ("cls_score", config.classes + 1, Kind.CLASSES),
        ("bbox_pred", 4 * config.classes, Kind.BOXES),
    ):
        yield Part(f"{predictor}.{name}", f"{predictor}.{name}", (rows, into), kind=kind)


def _mask(config: Detectron2Config) -> Iterator[Part]:
    head, norm, width = "roi_heads.mask_head", config.mask_norm, config.fpn_width
    for i in range(config.mask_convs):
        yield Part(
            f"{head}.mask_fcn{i + 1}",
            f"{head}.{i}.0",
            (config.mask_width, width, 3, 3),
            not norm,
            norm,
            f"{head}.{i}.1" if norm else "",
        )
        width = config.mask_width
    predictor = "roi_heads.mask_predictor"
    out = config.mask_width
    yield Part(f"{head}.deconv", f"{predictor}.conv5_mask", (width, out, 2, 2))
    yield Part(
        f"{head}.predictor",
        f"{predictor}.mask_fcn_logits",
        (config.classes, out, 1, 1),
        kind=Kind.MASKS,
    )


def relevant(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights among a file's tensors: without what detectron2 makes anew itself."""
    return {k: t for k, t in tensors.items() if not any(part in k for part in _IGNORED)}


def check(tensors: Mapping[str, Tensor], config: Detectron2Config, weights: str) -> None:
    """Refuse weights that are not those of the config's network.

    Parameters
    ----------
    tensors : mapping of str to tensor
        Under detectron2's names.
    config : Detectron2Config
    weights : str
        Name of the weights' file, for the sentence.

    Raises
    ------
    ModelError
        Naming the first tensors that are missing, too many, of another shape, or not finite.
    """
    wanted = dict(shape for part in parts(config) for shape in part.shapes())
    here = relevant(tensors)
    statistics = ("norm.running_mean", "norm.running_var")
    # Early checkpoints have none of them; one alone is a damaged file.
    early = not any(n.endswith(statistics) for n in here)
    missing = [n for n in wanted if n not in here and not (early and n.endswith(statistics))]
    surplus = [n for n in here if n not in wanted]
    other = [n for n in wanted if n in here and tuple(here[n].shape) != wanted[n]]
    misfits = [
        f"{n} is {_size(here[n].shape)} where the config asks for {_size(wanted[n])}" for n in other
    ]
    misfits += [f"{n} is missing" for n in missing]
    misfits += [f"{clean(n)} is not in the config's network" for n in surplus]
    if misfits:
        raise ModelError(
            f"The weights in {weights} do not fit the config {config.path.name} "
            f"({_first(misfits)}): choose the config.yaml that was written beside them in the "
            "training's output folder."
        )
    whole = [n for n in wanted if n in here and not here[n].is_floating_point()]
    if whole:
        raise ModelError(
            f"The model {weights} has weights that are no real numbers but "
            f"{here[whole[0]].dtype} ({_first(whole)}): choose another checkpoint."
        )
    broken = [n for n in wanted if n in here and not bool(torch.isfinite(here[n]).all())]
    if broken:
        raise ModelError(
            f"The model {weights} has weights that are not finite numbers "
            f"({_first(broken)}): its training failed, or the file is damaged; "
            "choose another checkpoint."
        )


def _size(shape: tuple[int, ...] | torch.Size) -> str:
    return " x ".join(map(str, shape))


def _first(said: list[str]) -> str:
    more = len(said) - _SHOWN
    return ", ".join(said[:_SHOWN]) + (f", and {more} more" if more > 0 else "")


def to_network(tensors: Mapping[str, Tensor], config: Detectron2Config) -> dict[str, Tensor]:
    """detectron2's tensors (from `complete`) as a state dict of our network: float32, copies."""
    state: dict[str, Tensor] = {}
    for part in parts(config):
        weight = tensors[f"{part.theirs}.weight"].float()
        bias = tensors[f"{part.theirs}.bias"].float() if part.bias else None
        norm = {
            what: tensors[f"{part.theirs}.norm.{what}"].float() for what in _norm_tensors(part.norm)
        }
        if part.folded:
            factor = norm["weight"] * (norm["running_var"] + _EPSILON).rsqrt()
            weight = weight * factor.view(-1, *[1] * (weight.dim() - 1))
            bias = norm["bias"] - norm["running_mean"] * factor
        else:
            state.update({f"{part.our_norm}.{what}": t.clone() for what, t in norm.items()})
        state[f"{part.ours}.weight"] = _in(weight, part.kind, config).clone()
        if bias is not None:
            state[f"{part.ours}.bias"] = _in(bias, part.kind, config).clone()
    return state


def complete(tensors: Mapping[str, Tensor], config: Detectron2Config) -> dict[str, Tensor]:
    """The weights of the config's network and nothing else, in detectron2's order.

    Early checkpoints have no running mean and variance: 0 and 1 then, as detectron2 takes.
    """
    found = {}
    for name, shape in (shape for part in parts(config) for shape in part.shapes()):
        tensor = tensors.get(name)
        if tensor is None:
            fill = torch.ones if name.endswith("running_var") else torch.zeros
            tensor = fill(shape, device="cpu")
        found[name] = tensor
    return found


def to_torchvision(tensors: Mapping[str, Tensor], config: Detectron2Config) -> dict[str, Tensor]:
    """detectron2's tensors (from `complete`) under torchvision's names, norms kept apart.

    The background comes first, and the body takes RGB.
    """
    state: dict[str, Tensor] = {}
    for part in parts(config):
        for what in ("weight", "bias") if part.bias else ("weight",):
            tensor = _in(tensors[f"{part.theirs}.{what}"].float(), part.kind, config)
            state[f"{part.ours}.{what}"] = tensor.contiguous()
        for what in _norm_tensors(part.norm):
            state[f"{part.our_norm}.{what}"] = tensors[f"{part.theirs}.norm.{what}"].float()
    return state


def from_network(state: Mapping[str, Tensor], config: Detectron2Config) -> dict[str, Tensor]:
    """The inverse of `to_network`: our state dict under detectron2's names, shapes and order.

    A norm that was folded comes back as one that changes nothing, with the bias in it.
    """
    tensors: dict[str, Tensor] = {}
    for part in parts(config):
        weight = _out(state[f"{part.ours}.weight"], part.kind, config)
        tensors[f"{part.theirs}.weight"] = weight
        if part.bias:
            tensors[f"{part.theirs}.bias"] = _out(state[f"{part.ours}.bias"], part.kind, config)
        if part.folded:
            bias = state[f"{part.ours}.bias"]
            identity = {
                "weight": torch.ones_like(bias),
                "bias": bias,
                "running_mean": torch.zeros_like(bias),
                "running_var": torch.ones_like(bias) - _EPSILON,
            }
            tensors.update({f"{part.theirs}.norm.{k}": t for k, t in identity.items()})
        else:
            for what in _norm_tensors(part.norm):
                tensors[f"{part.theirs}.norm.{what}"] = state[f"{part.our_norm}.{what}"]
    return tensors


def _in(tensor: Tensor, kind: Kind, config: Detectron2Config) -> Tensor:
    if kind is Kind.STEM and tensor.dim() > 1 and config.channel_order == "BGR":
        return tensor.flip(1)
    if kind is Kind.CLASSES:
        return tensor.roll(1, 0)
    if kind in {Kind.BOXES, Kind.MASKS}:
        rows = 4 if kind is Kind.BOXES else 1
        return torch.cat([tensor.new_zeros(rows, *tensor.shape[1:]), tensor])
    return tensor


def _out(tensor: Tensor, kind: Kind, config: Detectron2Config) -> Tensor:
    if kind is Kind.STEM and tensor.dim() > 1 and config.channel_order == "BGR":
        return tensor.flip(1)
    if kind is Kind.CLASSES:
        return tensor.roll(-1, 0)
    if kind in {Kind.BOXES, Kind.MASKS}:
        return tensor[4 if kind is Kind.BOXES else 1 :]
    return tensor


def digest(name: str, tensor: Tensor) -> str:
    """One line for a fingerprint: name, shape, and sha256 of the values as float32."""
    values = tensor.detach().to("cpu", torch.float32).contiguous().reshape(-1)
    code = hashlib.sha256(values.view(torch.uint8).numpy().data).hexdigest()
    return f"{name} {tuple(tensor.shape)} {code}\n"


def combine(lines: Mapping[str, str]) -> str:
    """The fingerprint from the lines of `digest`, by name."""
    return hashlib.sha256("".join(lines[key] for key in sorted(lines)).encode()).hexdigest()


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Sha256 over tensors (from `complete`) as float32, whatever the order."""
    return combine({key: digest(key, tensor) for key, tensor in tensors.items()})
