"""Sounds in memory: what shapes and rates there may be, and how the rows of their chunks become one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dubcli.core.samples import usable
from dubcli.errors import UserError, first_line

Waveforms = Tensor | np.ndarray | Sequence[Any]

RATES = (1000, 1_000_000)
"""Lowest and highest sample rate in Hz."""
_MOST_CHANNELS = 64  # a second axis of so few beside a longer first one is no sound's samples


def checked_rate(sample_rate: Any) -> int:
    """A sample rate in Hz. Raises UserError for what is none.

    >>> checked_rate(44100.0)
    44100
    """
    low, high = RATES
    known = isinstance(sample_rate, Real) and not isinstance(sample_rate, bool)
    rate = float(sample_rate) if known else math.nan
    if not low <= rate <= high or not rate.is_integer():  # also where it is no number
        raise UserError(f"the sample rate is {sample_rate!r}; give whole Hz from {low} to {high}")
    return int(rate)


def as_sounds(waveforms: Waveforms) -> Sequence[Tensor]:
    """One tensor of (samples,) or (channels, samples) per sound.

    An array whose last axis is one or two long beside a longer one is channels last, as soundfile reads. Raises
    UserError for other shapes, and for more channels in that place.
    """
    if not isinstance(waveforms, (Tensor, np.ndarray)):
        return [_channels_first(_tensor(waveform)) for waveform in waveforms]
    tensor = _tensor(waveforms)
    if tensor.ndim not in (1, 2, 3):
        raise UserError(f"waveforms are {tuple(tensor.shape)}; give (n, samples) or (n, channels, samples)")
    if tensor.ndim == 3:
        return [_channels_first(sound) for sound in tensor]
    if tensor.ndim == 2 and tensor.shape[0] > tensor.shape[1] > 0 and tensor.shape[1] <= _MOST_CHANNELS:
        return [_channels_first(tensor)]
    return list(tensor[None] if tensor.ndim == 1 else tensor)


def _tensor(waveform: Any) -> Tensor:
    try:
        return torch.as_tensor(waveform).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"a waveform is no array of numbers ({first_line(error)})") from None


def _channels_first(sound: Tensor) -> Tensor:
    """A sound of (samples,) or (channels, samples); (samples, 1 or 2) is turned."""
    if sound.ndim == 2 and sound.shape[1] <= 2 < sound.shape[0]:
        return sound.T
    return sound


def as_stereo(waveform: Tensor) -> Tensor:
    """(samples,) or (1 or 2, samples) of any floating type and device -> (2, samples) float32 in CPU memory.

    Raises UserError for other shapes and types, and for samples that cannot be used.
    """
    if waveform.ndim not in (1, 2) or (waveform.ndim == 2 and waveform.shape[0] not in (1, 2)):
        raise UserError(
            f"a waveform is {tuple(waveform.shape)}; give (samples,), (1, samples) or (2, samples), and more channels "
            "through dubcli.core.features.downmix"
        )
    if not waveform.dtype.is_floating_point:
        raise UserError(f"a waveform is {waveform.dtype}; give floating point samples in [-1, 1]")
    waveform = usable(waveform.cpu().float())
    return waveform.expand(2, -1) if waveform.ndim == 1 or waveform.shape[0] == 1 else waveform


class Pooled:
    """Rows of chunks, pooled by the sound that they are of: ``mean``, ``max``, or ``none``: all of them."""

    def __init__(self, pool: str, width: int) -> None:
        self._pool, self._width = pool, width
        self._rows: list[np.ndarray | None] = []
        self._counts: list[int] = []

    def begin(self) -> None:
        """Another sound; of ``none`` its rows come next."""
        if self._pool != "none":
            self._rows.append(None)
        self._counts.append(0)

    def has(self, number: int) -> bool:
        """Whether a sound has a row."""
        return self._counts[number] > 0

    def add(self, number: int, row: np.ndarray) -> None:
        """The next row of a sound."""
        self._counts[number] += 1
        if self._pool == "none":
            self._rows.append(row)
            return
        before = self._rows[number]
        wide = row.astype(np.float64)
        if before is None:
            self._rows[number] = wide
        else:
            self._rows[number] = np.maximum(before, wide) if self._pool == "max" else before + wide

    def result(self) -> np.ndarray:
        """float32 (sounds or rows, width)."""
        rows = [row for row in self._rows if row is not None]
        found = np.stack(rows) if rows else np.zeros((0, self._width))
        if self._pool == "mean" and rows:
            found = found / np.array(self._counts)[:, None]
        return found.astype(np.float32)
