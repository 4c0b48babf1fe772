"""Positions of a feature level and the 3x3 patches of the key around them."""

from __future__ import annotations

from time import perf_counter

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from napari_fossiledit.errors import InputError

__all__ = ["Patches", "Stopwatch", "check_finite", "check_level", "level_mask"]


class Stopwatch:
    """Adds up the time between `start` and `stop`, so that pauses at a yield do not count."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = perf_counter()

    def stop(self) -> None:
        """Stop counting."""
        self.seconds += perf_counter() - self._since

    def start(self) -> None:
        """Count on."""
        self._since = perf_counter()


def check_finite(tensor: torch.Tensor, what: str) -> None:
    """Raise `InputError` if ``tensor`` holds NaN or infinity.

    The sum is looked at first: it takes no memory, and is finite only where all values are.
    """
    if not bool(torch.isfinite(tensor.sum())) and not bool(torch.isfinite(tensor).all()):
        raise InputError(
            f"{what} hold NaN or infinite values, so nothing can be solved: "
            "check the model's weights and the image."
        )


def check_level(
    key: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
) -> None:
    """Raise `InputError` unless key, target, weight and bias fit each other and are finite."""
    if key.ndim != 4 or target.ndim != 4 or weight.ndim != 4:
        raise InputError("Key, target and weight must have four axes each.")
    out, channels, rows, columns = weight.shape
    if rows % 2 == 0 or columns % 2 == 0:
        raise InputError(f"Only odd kernels can be rewritten, not {rows} x {columns}.")
    if key.shape[1] != channels:
        raise InputError(f"The key has {key.shape[1]} channels, but the weight takes {channels}.")
    if target.shape != (key.shape[0], out, *key.shape[2:]):
        expected = (key.shape[0], out, *key.shape[2:])
        raise InputError(f"The target's shape is {tuple(target.shape)}, it must be {expected}.")
    if bias is not None and bias.shape != (out,):
        raise InputError(f"The bias has shape {tuple(bias.shape)}, it must be {(out,)}.")
    check_finite(key, "The layer's keys")
    check_finite(target, "The layer's target values")


def level_mask(mask: torch.Tensor | None, key: torch.Tensor) -> torch.Tensor:
    """The weight of every position, (N, 1, h, w) of the key's dtype and device.

    Raises
    ------
    InputError
        If the mask is of another size, negative, NaN or empty.
    """
    count, _, rows, columns = key.shape
    if mask is None:
        return torch.ones((count, 1, rows, columns), dtype=key.dtype, device=key.device)
    if mask.ndim != 4 or mask.shape[1] != 1 or mask.shape[2:] != key.shape[2:]:
        raise InputError(
            f"The mask's shape is {tuple(mask.shape)}, it must be {(count, 1, rows, columns)}: "
            "pool it to the level with pool_mask first."
        )
    if mask.shape[0] not in (1, count):
        raise InputError(f"There are {mask.shape[0]} masks for {count} images.")
    weights = mask.to(device=key.device, dtype=key.dtype).expand(count, 1, rows, columns)
    if not bool((weights >= 0).all()) or not bool(torch.isfinite(weights).all()):
        raise InputError("The mask must hold weights of 0 or more, without NaN.")
    if not bool((weights > 0).any()):
        raise InputError(
            "No position of this layer lies in the area to be edited: choose a layer of finer "
            "resolution, or labels that leave more of the slice free."
        )
    return weights


class Patches:
    """Unfolded patches of a key at the positions whose weight is above 0.

    Only the patches asked for are ever made; a whole level unfolded can take gigabytes. The
    columns of a patch are in the order (ky, kx, channel): each row of it copies contiguous memory.

    Parameters
    ----------
    key : (N, C, h, w) tensor
    kernel : (int, int)
        Rows and columns of the kernel, odd; positions outside the level are 0.
    weights : (N, 1, h, w) tensor
    """

    def __init__(self, key: torch.Tensor, kernel: tuple[int, int], weights: torch.Tensor) -> None:
        kh, kw = kernel
        count, channels, rows, columns = key.shape
        self.kernel = kernel
        self.channels = channels
        self.width = kh * kw * channels
        flat = weights.reshape(-1)
        self.positions = torch.nonzero(flat).reshape(-1)
        self.weights = flat[self.positions]
        self.all_one = bool((self.weights == 1).all())
        pw = columns + kw - 1
        ph = rows + kh - 1
        padded = F.pad(key, (kw // 2, kw // 2, kh // 2, kh // 2))
        self._rows = padded.permute(0, 2, 3, 1).reshape(count * ph * pw, channels)
        image = torch.div(self.positions, rows * columns, rounding_mode="floor")
        place = self.positions - image * (rows * columns)
        y = torch.div(place, columns, rounding_mode="floor")
        self._first = image * (ph * pw) + y * pw + (place - y * columns)
        dy = torch.arange(kh, device=key.device).reshape(-1, 1)
        dx = torch.arange(kw, device=key.device).reshape(1, -1)
        self._offsets = (dy * pw + dx).reshape(1, -1)
        self._shifts = [y * pw + x for y in range(kh) for x in range(kw)]

    def __len__(self) -> int:
        return int(self.positions.numel())

    def gather(self, start: int, stop: int) -> torch.Tensor:
        """Patches ``start`` to ``stop``, (n, kh * kw * C)."""
        index = (self._first[start:stop, None] + self._offsets).reshape(-1)
        return self._rows.index_select(0, index).reshape(-1, self.width)

    def weight_grid(self, cell: int) -> torch.Tensor:
        """Weights on the padded key's rows, each where kernel cell ``cell`` reads; else 0."""
        grid = torch.zeros(len(self._rows), dtype=self.weights.dtype, device=self.weights.device)
        grid[self._first + self._shifts[cell]] = self.weights
        return grid

    def rows_at(self, places: torch.Tensor) -> torch.Tensor:
        """Rows of the padded key, (n, C)."""
        return self._rows.index_select(0, places)

    def rows_around(self, places: torch.Tensor, cell: int, cells: list[int]) -> torch.Tensor:
        """What ``cells`` read where ``cell`` reads ``places``, (n, len(cells) * C)."""
        shifts = self._offsets[0, cells] - self._shifts[cell]
        index = (places[:, None] + shifts[None]).reshape(-1)
        return self._rows.index_select(0, index).reshape(len(places), -1)

    def at_positions(self, values: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """The columns of (N, C, h, w) ``values`` at the positions, (n, C)."""
        count, channels, rows, columns = values.shape
        chosen = self.positions[start:stop]
        if count == 1:
            return values.reshape(channels, rows * columns).index_select(1, chosen).T
        flat = values.permute(0, 2, 3, 1).reshape(-1, channels)
        return flat.index_select(0, chosen)

    @classmethod
    def of_patches(cls, patches: torch.Tensor) -> Patches:
        """Ready patches (M, C, kh, kw), each as an image of its own with one position."""
        kh, kw = patches.shape[2:]
        weights = torch.zeros((len(patches), 1, kh, kw), dtype=patches.dtype, device=patches.device)
        weights[:, :, kh // 2, kw // 2] = 1
        return cls(patches, (kh, kw), weights)

    def as_weight(self, solution: torch.Tensor) -> torch.Tensor:
        """A (kh * kw * C, out) solution as a convolution's weight, (out, C, kh, kw)."""
        kh, kw = self.kernel
        shaped = solution.T.reshape(-1, kh, kw, self.channels)
        return shaped.permute(0, 3, 1, 2).contiguous()
