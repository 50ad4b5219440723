"""One sound track, from contiguous stereo to mels of 3-second clips on the film's own clock.

``media.sound`` gives the samples; all positions are integers of samples at 48 kHz.
"""

from __future__ import annotations

from array import array

import numpy as np

from dubcli.core.mels import SAMPLE_RATE
from dubcli.media.clip_mels import ClipMels, Float, Lag, Sink, clip_bounds
from dubcli.prep.trace import SyncTrace

# How much of a clip may lie outside a track and the clip still count as having sound: codecs pad and cut frames.
EDGE_SAMPLES = SAMPLE_RATE // 10


class TrackMels(ClipMels):
    """A track's mels at 48 kHz, and what is measured of its sound on the way: its level and the ``trace``."""

    def __init__(
        self,
        sink: Sink,
        *,
        trace: SyncTrace | None = None,
        gain: float = 1.0,
        lag: Lag | None = None,
    ) -> None:
        super().__init__(sink, SAMPLE_RATE, gain=gain, lag=lag)
        self.trace = trace
        self.level = Level()

    def add(self, block: Float) -> None:
        """Take the next samples, (2, samples)."""
        if self.trace is not None:
            self.trace.add(block)
        self.level.add(block)
        super().add(block)

    def finish(self, n_clips: int) -> None:
        """Fill with silence up to ``n_clips`` clips and give out what is left."""
        if self.trace is not None:
            self.trace.finish()
        super().finish(n_clips)


class Level:
    """Gated mean power, as ITU-R BS.1770 gates it (400 ms blocks, -70 dB, then 10 dB below their mean), unweighted."""

    BLOCK = SAMPLE_RATE * 2 // 5

    def __init__(self) -> None:
        self._rest = np.zeros((2, 0), np.float32)
        self._powers = array("f")  # of blocks

    def add(self, block: Float) -> None:
        """Take the next samples, (2, samples)."""
        joined = np.concatenate([self._rest, block], axis=1)
        whole = joined.shape[1] // self.BLOCK * self.BLOCK
        self._rest = joined[:, whole:]
        if whole:
            blocks = joined[:, :whole].reshape(2, -1, self.BLOCK)
            self._powers.extend((np.einsum("cbs,cbs->b", blocks, blocks) / self.BLOCK).tolist())

    @property
    def power(self) -> float:
        """Mean power of both channels together over the blocks that are loud enough; 0 for silence."""
        powers = np.array(self._powers, np.float32)
        powers = powers[powers > 1e-7]
        return float(powers[powers > powers.mean() / 10].mean()) if powers.size else 0.0


def valid_clips(first_sample: int | None, end_sample: int, n_clips: int, lag: Lag | None = None) -> tuple[int, int]:
    """(first, stop): clips of which at most 0.1 s lies outside the track's sound."""
    if first_sample is None:
        return 0, 0
    first = 0
    while first < n_clips and clip_bounds(first, SAMPLE_RATE, lag)[0] < first_sample - EDGE_SAMPLES:
        first += 1
    stop = n_clips
    while stop > first and clip_bounds(stop - 1, SAMPLE_RATE, lag)[1] > end_sample + EDGE_SAMPLES:
        stop -= 1
    return first, stop
