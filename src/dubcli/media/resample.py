"""The one band-limited resampler of all stages: libsoxr's best quality, streaming.

The result does not depend on how the sound was cut into blocks, bit for bit; it is in time with the source
(linear phase, its delay taken out). Quality "VHQ": flat to 0.913 of the lower Nyquist frequency, 28 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soxr

if TYPE_CHECKING:
    from torch import Tensor

Float = npt.NDArray[np.float32]

QUALITY = "VHQ"
RESAMPLER = f"soxr {QUALITY}"  # as it is recorded: sound that went through another one is other sound


class Resampler:
    """Takes (channels, samples) float32 blocks at one rate and gives them at another.

    n samples become ceil(n * target / source), in all.
    """

    def __init__(self, source_rate: float, target_rate: float, channels: int) -> None:
        self._source, self._target = source_rate, target_rate
        self._stream = soxr.ResampleStream(source_rate, target_rate, channels, dtype="float32", quality=QUALITY)
        self._channels = channels
        self._taken = 0
        self._given = 0

    def push(self, block: Float) -> Float:
        """What is known after these samples; some lie in the filter until more come."""
        self._taken += block.shape[1]
        return self._give(block, last=False)

    def finish(self) -> Float:
        """The rest, to the exact length."""
        rest = self._give(np.zeros((self._channels, 0), np.float32), last=True)
        missing = int(-(-self._taken * self._target // self._source)) - self._given
        if missing < 0:
            return rest[:, :missing]
        return np.pad(rest, ((0, 0), (0, missing))) if missing else rest

    def _give(self, block: Float, *, last: bool) -> Float:
        # soxr takes (samples,) of one channel and (samples, channels) of several
        rows = np.ascontiguousarray(block[0] if self._channels == 1 else block.T, np.float32)
        out = self._stream.resample_chunk(rows, last=last)
        self._given += len(out)
        return np.asarray(out[None] if self._channels == 1 else out.T, np.float32)


def resample_blocks(blocks: Iterable[Tensor], source_rate: int, target_rate: int) -> Iterator[Tensor]:
    """Resample a stream of (2, samples) float32 blocks; n samples become ceil(n * target / source)."""
    if source_rate == target_rate:
        yield from blocks
        return
    import torch

    resampler = Resampler(source_rate, target_rate, 2)
    for block in blocks:
        out = resampler.push(block.numpy())
        if out.shape[1]:
            yield torch.from_numpy(out)
    out = resampler.finish()
    if out.shape[1]:
        yield torch.from_numpy(out)


def resampled(sound: Float, source_rate: float, target_rate: float) -> Float:
    """A whole sound at another rate.

    Args:
        sound: float32 (channels, samples).
        source_rate, target_rate: in Hz.

    Returns:
        float32 (channels, ceil(samples * target_rate / source_rate)).

    >>> resampled(np.zeros((2, 44100), np.float32), 44100, 48000).shape
    (2, 48000)
    """
    if source_rate == target_rate or sound.shape[1] == 0:
        return sound
    resampler = Resampler(source_rate, target_rate, len(sound))
    return np.concatenate([resampler.push(sound), resampler.finish()], axis=1)
