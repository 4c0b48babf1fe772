"""Anchors and region pooling where they differ from torchvision's own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import roi_align

__all__ = ["AlignedPool", "ExactAnchors", "pool_regions"]

_STRIDES = (4, 8, 16, 32, 64)
_CANONICAL_SIZE, _CANONICAL_LEVEL = 224, 4
_SHARE = 16  # regions below which a thread costs more than it saves


class ExactAnchors(AnchorGenerator):  # type: ignore[misc, unused-ignore]
    """Anchors of the exact size and shape asked for, on a grid of fixed strides.

    torchvision rounds them to pixels and takes the strides from the size of the maps, which is
    off where a map's last column is half empty.
    """

    def __init__(
        self,
        sizes: Sequence[Sequence[float]],
        ratios: Sequence[Sequence[float]],
        offset: float,
    ) -> None:
        super().__init__(tuple(tuple(s) for s in sizes), tuple(tuple(r) for r in ratios))
        self._offset = offset

    def generate_anchors(
        self,
        scales: Any,
        aspect_ratios: Any,
        dtype: torch.dtype = torch.float32,
        device: torch.device = torch.device("cpu"),  # noqa: B008 (torchvision's signature)
    ) -> Tensor:
        """Boxes around 0, the ratios (height / width) of one size after another."""
        boxes = []
        for size in scales:
            for ratio in aspect_ratios:
                width = float(np.sqrt(size**2 / ratio))
                height = ratio * width
                boxes.append([-width / 2, -height / 2, width / 2, height / 2])
        return torch.tensor(boxes, dtype=dtype, device=device)

    def grid_anchors(self, grid_sizes: Any, strides: Any) -> list[Tensor]:
        """Anchors of every level, (h * w * n, 4)."""
        anchors = []
        assert self.cell_anchors is not None
        for (rows, columns), stride, base in zip(
            grid_sizes, _STRIDES, self.cell_anchors, strict=True
        ):
            shift = {"dtype": torch.float32, "device": base.device}
            y = (torch.arange(rows, **shift) + self._offset) * stride
            x = (torch.arange(columns, **shift) + self._offset) * stride
            y, x = torch.meshgrid(y, x, indexing="ij")
            corner = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
            anchors.append((corner + base).reshape(-1, 4))
        return anchors


class AlignedPool(nn.Module):
    """Regions pooled at the level that suits their size, as detectron2 does.

    Parameters
    ----------
    resolution : int
        Rows and columns of the pooled region.
    sampling_ratio : int
        Samples along a cell's edge; 0 for as many as it has pixels.
    aligned : bool
        Whether half a pixel is subtracted (He et al. 2017), as ``ROIAlignV2`` does.

    Notes
    -----
    The level is floor(4 + log2(sqrt(area) / 224 + 1e-8)), kept within P2 to P5 (Lin et al. 2017,
    equation 1).
    """

    def __init__(self, resolution: int, sampling_ratio: int, aligned: bool) -> None:
        super().__init__()
        self.featmap_names = ["0", "1", "2", "3"]
        self.output_size = (resolution, resolution)
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Pool the boxes of every image of the batch: (n, C, resolution, resolution)."""
        maps = [x[name] for name in self.featmap_names]
        regions = torch.cat(
            [torch.cat([b.new_full((len(b), 1), i), b], dim=1) for i, b in enumerate(boxes)]
        )
        side = torch.sqrt((regions[:, 3] - regions[:, 1]) * (regions[:, 4] - regions[:, 2]))
        level = torch.floor(_CANONICAL_LEVEL + torch.log2(side / _CANONICAL_SIZE + 1e-8))
        level = level.clamp(2, 5)
        pooled = maps[0].new_empty(len(regions), maps[0].shape[1], *self.output_size)
        for i, (feature, stride) in enumerate(zip(maps, _STRIDES, strict=False)):
            inside = torch.nonzero(level == 2 + i)[:, 0]
            if len(inside):
                pooled[inside] = pool_regions(
                    feature,
                    regions[inside],
                    self.output_size,
                    1.0 / stride,
                    self.sampling_ratio,
                    self.aligned,
                )
        return pooled


def pool_regions(
    feature: Tensor,
    regions: Tensor,
    size: tuple[int, int],
    scale: float,
    sampling_ratio: int,
    aligned: bool = False,
) -> Tensor:
    """RoIAlign of regions (n, 5) of one map, on all cores.

    torchvision's own runs on one core of a CPU; every region stands for itself, so shares of
    them give the same figures.
    """

    def pool(share: Tensor) -> Tensor:
        pooled: Tensor = roi_align(feature, share, size, scale, sampling_ratio, aligned)
        return pooled

    workers = min(torch.get_num_threads(), len(regions) // _SHARE)
    if workers < 2 or feature.device.type != "cpu" or feature.requires_grad:
        return pool(regions)
    # More shares than cores: regions of large objects take longer.
    with ThreadPoolExecutor(workers) as pool_of_threads:
        return torch.cat(list(pool_of_threads.map(pool, regions.chunk(2 * workers))))
