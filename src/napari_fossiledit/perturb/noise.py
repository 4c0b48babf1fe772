"""Fill `Noise`: as mottled as mud, in the same colours, but without any fossil in it.

Source: random phase noise (Galerne, Gousseau and Morel 2011, IEEE Transactions on Image
Processing 20, 257-267), with the spectrum estimated from the mud's autocorrelation instead of one
rectangular sample, and by principal colours instead of by RGB channels.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_fossiledit.errors import InputError
from napari_fossiledit.perturb.windows import Window, checked_window, cut, in_words
from napari_fossiledit.progress import Progress, Task, checkpoint, run

__all__ = ["Noise", "Texture", "measure", "synthesise_task"]

LAGS = 96  # px: correlations over longer distances are taken as none
BLOCK = 384  # px: autocorrelation is measured on blocks of this size ...
BLOCKS = 4  # ... the ones with most mud
FAR = 3.5  # robust standard deviations
ENOUGH = 1_000_000  # pixels: mean and covariance of more are not measurably better
_NAME = "noise window"


@dataclass(frozen=True)
class Noise:
    """Paint noise with the mean, the colour covariance and the autocorrelation of mud.

    Parameters
    ----------
    window : (y0, x0, y1, x1), optional
        Rows y0 to y1 and columns x0 to x1 (ends not included) of a patch of mud to measure; by
        default all that lies outside the fossils is measured, but for pixels far off the usual
        (above 3.5 robust standard deviations in a channel: shells, veins, other fossils).

    Raises
    ------
    InputError
        When the window is not four whole numbers or has no area.
    """

    window: Window | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", checked_window(self.window, _NAME))

    def texture(self, image: NDArray[np.uint8], fossils: NDArray[np.bool_]) -> Texture:
        """Measure what is imitated.

        Raises
        ------
        InputError
            When the window reaches outside the image, or no pixel lies outside the fossils.
        """
        if self.window is not None:
            crop = cut(image, self.window, _NAME)
            return measure(crop, np.ones(crop.shape[:2], bool))
        return measure(image, _usual(image, ~fossils))

    def paint_task(
        self,
        out: NDArray[np.uint8],
        where: NDArray[np.bool_],
        image: NDArray[np.uint8],
        fossils: NDArray[np.bool_],
        *,
        seed: int = 0,
    ) -> Task[None]:
        """Overwrite ``out`` where ``where`` is True; the same seed gives the same bytes."""
        yield Progress(0, 5, "measuring the mud's texture")
        texture = self.texture(image, fossils)
        noise = yield from synthesise_task(texture, image.shape[:2], seed=seed)
        for channel in range(3):
            np.copyto(out[..., channel], noise[channel], where=where)
        yield Progress(5, 5, "painted")

    def paint(
        self,
        out: NDArray[np.uint8],
        where: NDArray[np.bool_],
        image: NDArray[np.uint8],
        fossils: NDArray[np.bool_],
    ) -> None:
        """Run `paint_task` to its end, with seed 0."""
        run(self.paint_task(out, where, image, fossils))

    def to_dict(self) -> dict[str, object]:
        """Return the fill as plain JSON values."""
        return {"kind": "noise", "window": None if self.window is None else list(self.window)}

    def describe(self) -> str:
        """Say the fill in plain words."""
        where = "all outside the fossils" if self.window is None else in_words(self.window)
        return f"noise, coloured and mottled like {where}"

    def __str__(self) -> str:
        return "noise" if self.window is None else "noise:" + ",".join(map(str, self.window))


@dataclass(frozen=True, eq=False)
class Texture:
    """Second-order statistics of a texture.

    Attributes
    ----------
    mean : (3,) float64
        Mean colour.
    covariance : (3, 3) float64
        Of the channels at one pixel.
    colours : (3, 3) float64
        Column k is the k-th principal colour, as long as its standard deviation:
        ``colours @ colours.T`` is the covariance.
    correlation : (3, 2 ly + 1, 2 lx + 1) float64
        Autocorrelation of each principal colour, the lag of zero in the middle.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    colours: NDArray[np.float64]
    correlation: NDArray[np.float64]


def measure(image: NDArray[np.uint8], mud: NDArray[np.bool_]) -> Texture:
    """Measure mean, covariance and autocorrelation of the pixels of a mask.

    Parameters
    ----------
    image : (y, x, 3) uint8
    mud : (y, x) bool
        The pixels to measure.

    Raises
    ------
    InputError
        When the mask is empty.
    """
    mean, covariance = _moments(image, mud)
    variances, axes = np.linalg.eigh(covariance)
    # A colour that hardly varies is rounding: it gets no noise.
    deviations = np.sqrt(np.where(variances > 1e-6, variances, 0))
    whiten = axes / np.where(deviations > 0, deviations, np.inf)
    checkpoint()
    correlation = _correlation(image, mud, mean, whiten)
    return Texture(mean, covariance, axes * deviations, correlation)


def synthesise_task(
    texture: Texture, shape: tuple[int, ...], *, seed: int = 0
) -> Task[list[NDArray[np.uint8]]]:
    """Make noise with a texture's statistics.

    Mean and, but for rounding and clipping to 0..255, each principal colour's variance and
    autocorrelation are those of the texture exactly; only the phases are random. The noise goes
    on without a break at opposite edges.

    Parameters
    ----------
    texture : Texture
    shape : (rows, columns)
    seed : int

    Returns
    -------
    list of three (y, x) uint8
        Red, green and blue.
    """
    from scipy.fft import irfft2

    rows, columns = shape
    rng = np.random.default_rng(seed)
    turn = 2 * np.pi / 2**12
    circle = np.exp(1j * turn * np.arange(2**12)).astype(np.complex64)
    fields: list[NDArray[np.float32]] = []
    for k in range(3):
        yield Progress(1 + k, 5, "making noise")
        waves = circle[rng.integers(0, 2**12, (rows, columns // 2 + 1), np.uint16)]
        _make_real(waves, columns)
        checkpoint()
        waves *= _amplitudes(texture.correlation[k], rows, columns)
        checkpoint()
        fields.append(irfft2(waves, s=(rows, columns), workers=os.cpu_count(), overwrite_x=True))
    yield Progress(4, 5, "colouring")
    return _coloured(fields, texture)


def _coloured(fields: list[NDArray[np.float32]], texture: Texture) -> list[NDArray[np.uint8]]:
    """Mix the principal colours' fields, a few rows at a time: four times as fast as at once."""
    planes = [np.empty(fields[0].shape, np.uint8) for _ in range(3)]
    weights = texture.colours.astype(np.float32)
    mean = texture.mean.astype(np.float32)
    sums = np.empty_like(fields[0][:32])
    product = np.empty_like(sums)
    for start in range(0, len(fields[0]), 32):
        rows = slice(start, start + 32)
        part, term = (buffer[: len(fields[0][rows])] for buffer in (sums, product))
        for channel, plane in enumerate(planes):
            np.multiply(fields[0][rows], weights[channel, 0], out=part)
            for k in (1, 2):
                part += np.multiply(fields[k][rows], weights[channel, k], out=term)
            part += mean[channel]
            plane[rows] = np.clip(np.rint(part, out=part), 0, 255, out=part)
    return planes


def _usual(image: NDArray[np.uint8], mud: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of a mask, the pixels whose colours are not far off its median in any channel."""
    step = max(1, mud.size // ENOUGH)
    some = mud[::step] if mud[::step].any() else mud
    usual = mud.copy()
    values = np.arange(256)
    for c in range(3 if some.any() else 0):
        rows = image[::step, :, c] if some is not mud else image[..., c]
        counts = np.bincount(rows[some], minlength=256)
        middle = _median(counts)
        away = _median(np.bincount(np.abs(values - middle), counts, minlength=256))
        # Half a level more: a channel of one single value has no spread at all.
        usual &= np.abs(values - middle)[image[..., c]] <= FAR * 1.4826 * (away + 0.5)
    return usual


def _median(counts: NDArray[Any]) -> int:
    below = np.cumsum(counts)
    return int(np.searchsorted(below, below[-1] / 2))


def _moments(
    image: NDArray[np.uint8], mud: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and covariance; the sums are whole numbers, so exact and the same on any machine."""
    count, total, products = 0, np.zeros(3), np.zeros((3, 3))
    step = max(1, mud.size // ENOUGH)
    if step > 1 and mud[::step].any():  # a large slice: every so many rows tell as much
        image, mud = image[::step], mud[::step]
    for start in range(0, image.shape[0], 256):
        rows = image[start : start + 256]
        inside = mud[start : start + 256]
        values = np.stack([rows[..., c][inside] for c in range(3)]).astype(np.float64)
        count += values.shape[1]
        total += values.sum(axis=1)
        products += values @ values.T
    if not count:
        raise InputError(
            "The fossils cover the whole slice, so no mud is left for noise to be like: give a "
            "window of mud, or choose a colour instead."
        )
    mean = total / count
    return mean, products / count - np.outer(mean, mean)


def _correlation(
    image: NDArray[np.uint8],
    mud: NDArray[np.bool_],
    mean: NDArray[np.float64],
    whiten: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Autocorrelation of each principal colour over pairs of pixels that both are mud."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    rows, columns = mud.shape
    ly, lx = min(LAGS, (rows - 1) // 2), min(LAGS, (columns - 1) // 2)
    size = [next_fast_len(min(BLOCK, n) + lag, real=True) for n, lag in ((rows, ly), (columns, lx))]
    pairs = np.zeros((4, size[0], size[1] // 2 + 1))
    for y, x in _blocks(mud):
        checkpoint()
        inside = mud[y : y + BLOCK, x : x + BLOCK]
        centred = image[y : y + BLOCK, x : x + BLOCK].astype(np.float32) - mean.astype(np.float32)
        planes = np.empty((4, *inside.shape), np.float32)
        planes[:3] = np.moveaxis(centred @ whiten.astype(np.float32), -1, 0)
        planes[3] = 1
        planes *= inside
        for k in range(4):
            waves = rfft2(planes[k], s=size, workers=os.cpu_count())
            pairs[k] += waves.real**2 + waves.imag**2
    sums = irfft2(pairs, s=size, axes=(1, 2))
    around = sums[:, np.arange(-ly, ly + 1)[:, None], np.arange(-lx, lx + 1)]
    products, counts = around[:3], around[3]
    # Lags that hardly any pair of pixels has would be noise of the estimate.
    enough = counts > max(0.5, 0.02 * counts[ly, lx])
    found = np.where(enough, products / np.maximum(counts, 0.5), 0)
    variance = found[:, ly, lx]
    return np.asarray(found / np.where(variance > 0, variance, np.inf)[:, None, None])


def _blocks(mud: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Corners of the few blocks with most mud."""
    corners = [(y, x) for y in range(0, mud.shape[0], BLOCK) for x in range(0, mud.shape[1], BLOCK)]
    amounts = [int(np.count_nonzero(mud[y : y + BLOCK, x : x + BLOCK])) for y, x in corners]
    order = np.argsort(-np.array(amounts), kind="stable")[:BLOCKS]
    return [corners[i] for i in order]


def _amplitudes(correlation: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float32]:
    """Square root of the spectrum that belongs to an autocorrelation, (rows, columns // 2 + 1)."""
    from scipy.fft import hfft, rfft

    ly, lx = (n // 2 for n in correlation.shape)
    # A slice smaller than the lags: as many as fit without meeting each other.
    ky, kx = min(ly, (rows - 1) // 2), min(lx, (columns - 1) // 2)
    inner = correlation[ly - ky : ly + ky + 1, lx - kx : lx + kx + 1]
    inner = inner * _taper(ky, kx)
    across = np.zeros((ky + 1, columns), np.float32)
    across[:, np.arange(-kx, kx + 1)] = inner[ky:]
    # Lags up are those down, mirrored: a Hermitian input, whose transform is real.
    spectrum = cast(
        "NDArray[np.float32]", hfft(rfft(across, axis=1), n=rows, axis=0, workers=os.cpu_count())
    )
    np.maximum(spectrum, 0, out=spectrum)
    spectrum[0, 0] = 0  # the mean is added exactly, not by chance
    # Every wave of the half spectrum but those of its first (and last) column stands for two.
    power = 2.0 * float(spectrum.sum(dtype=np.float64))
    power -= float(spectrum[:, 0].sum(dtype=np.float64))
    if columns % 2 == 0:
        power -= float(spectrum[:, -1].sum(dtype=np.float64))
    # The field's variance is the sum of squared amplitudes over (rows * columns)^2.
    scale = rows * columns / np.sqrt(power) if power > 0 else 0.0
    np.sqrt(spectrum, out=spectrum)
    spectrum *= np.float32(scale)
    return spectrum


def _taper(ky: int, kx: int) -> NDArray[np.float64]:
    """Let 1 fall to 0 over the longer half of the lags, so that short lags stay as measured.

    Round, as a square would leave streaks along rows and columns.
    """
    y, x = np.arange(-ky, ky + 1)[:, None] / (ky + 1), np.arange(-kx, kx + 1) / (kx + 1)
    distance = np.hypot(y, x).clip(0.5, 1)
    return np.asarray(0.5 + 0.5 * np.cos(2 * np.pi * (distance - 0.5)))


def _make_real(waves: NDArray[Any], columns: int) -> None:
    """Make the columns that are their own mirror images those of a real field, in place."""
    rows = waves.shape[0]
    for x in {0, columns // 2} if columns % 2 == 0 else {0}:
        column = waves[:, x]
        half = (rows - 1) // 2
        column[rows - half :] = np.conj(column[1 : half + 1][::-1])
        column[0] = 1
        if rows % 2 == 0:
            column[rows // 2] = 1
