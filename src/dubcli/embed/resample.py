"""Streaming resampling: the result does not depend on how the sound was cut into blocks.

The filter is the windowed sinc of torchaudio's documentation with the parameters it gives for resampy's ``kaiser_best``
(64 zero crossings, Kaiser window): pass band to 0.9475 of the lower Nyquist frequency.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

_ZERO_CROSSINGS = 64
_ROLLOFF = 0.9475937167399596
_BETA = 14.769656459379492
_LARGEST_KERNEL = 1 << 22
"""Taps of the polyphase kernel that are still sensible: 44099 -> 48000 Hz would need 2e9."""


def can_resample(source_rate: int, target_rate: int) -> bool:
    """Whether the polyphase kernel of this pair of rates is of a sensible size; FFmpeg does the others."""
    step, phases, width = _sizes(source_rate, target_rate)
    return phases * (2 * width + step) <= _LARGEST_KERNEL


def resample_blocks(blocks: Iterable[Tensor], source_rate: int, target_rate: int) -> Iterator[Tensor]:
    """Resample a stream of (2, samples) float32 blocks; n samples become ceil(n * target / source)."""
    if source_rate == target_rate:
        yield from blocks
        return
    resampler = _SincResampler(*_sizes(source_rate, target_rate))
    for block in blocks:
        out = resampler.push(block)
        if out.shape[-1]:
            yield out
    out = resampler.finish()
    if out.shape[-1]:
        yield out


def _sizes(source_rate: int, target_rate: int) -> tuple[int, int, int]:
    """Input samples and output samples of one period, and the filter's reach in input samples."""
    common = math.gcd(source_rate, target_rate)
    step, phases = source_rate // common, target_rate // common
    return step, phases, math.ceil(_ZERO_CROSSINGS * step / (min(step, phases) * _ROLLOFF))


@lru_cache(maxsize=64)
def _kernel(step: int, phases: int) -> Any:
    from torchaudio.transforms import Resample

    return Resample(
        step,
        phases,
        resampling_method="sinc_interp_kaiser",
        lowpass_filter_width=_ZERO_CROSSINGS,
        rolloff=_ROLLOFF,
        beta=_BETA,
    )


class _SincResampler:
    """Resamples whole groups of ``step`` input samples, with the filter's reach of real neighbours on both sides."""

    def __init__(self, step: int, phases: int, width: int) -> None:
        self._step, self._phases = step, phases
        self._context = -(-width // step) * step  # a multiple of step keeps the filter's phase
        self._held: Tensor | None = None
        self._taken = 0
        self._given = 0

    def push(self, block: Tensor) -> Tensor:
        """Resample all groups whose neighbours are there."""
        self._taken += block.shape[-1]
        return self._resample(block)

    def finish(self) -> Tensor:
        """Resample the end, which has silence for neighbours."""
        total = -(-self._taken * self._phases // self._step)
        rest = total - self._given
        if self._held is None:
            return torch.zeros(2, 0)
        return self._resample(torch.zeros(self._held.shape[0], self._context + self._step))[..., :rest]

    def _resample(self, block: Tensor) -> Tensor:
        held = pad(block, (self._context, 0)) if self._held is None else torch.cat([self._held, block], dim=-1)
        groups = (held.shape[-1] - 2 * self._context) // self._step
        if groups <= 0:
            self._held = held
            return held[:, :0]
        used = 2 * self._context + groups * self._step
        first = self._context // self._step * self._phases
        # forward() and not a call: while another thread traces a backbone, torch.fx intercepts every Module.__call__
        out: Tensor = _kernel(self._step, self._phases).forward(held[:, :used])
        out = out[:, first : first + groups * self._phases]
        self._held = held[:, groups * self._step :]
        self._given += out.shape[-1]
        return out
