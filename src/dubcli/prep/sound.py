"""One sound track, from contiguous stereo to mels of 3-second clips on the film's own clock.

``media.sound`` gives the samples; all positions are integers of samples at 48 kHz.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from dubcli.core.features import SAMPLE_RATE, log_mel
from dubcli.media.resample import resampled
from dubcli.prep.sync import SyncTrace

Float = npt.NDArray[np.float32]
Lag = Callable[[float], float]  # seconds of the film -> by how many seconds a track is behind

CLIP_SAMPLES = 3 * SAMPLE_RATE
CLIPS_AT_ONCE = 8
# How much of a clip may lie outside a track and the clip still count as having sound: codecs pad and cut frames.
EDGE_SAMPLES = SAMPLE_RATE // 10


class ClipMels:
    """Cuts contiguous stereo into clips and turns them into mels, several at a time.

    ``lag`` gives, for a clip's start in seconds, where in this track the clip's sound starts (for a dub that is off):
    each clip is cut where it belongs, and stretched back to 3 s where the track runs at another speed.
    """

    def __init__(
        self,
        sink: Callable[[npt.NDArray[np.float16]], None],
        *,
        trace: SyncTrace | None = None,
        gain: float = 1.0,
        lag: Lag | None = None,
    ) -> None:
        self._sink, self.trace, self._gain, self._lag = sink, trace, gain, lag
        self.level = Level()
        self._blocks: list[Float] = []
        self._start = 0  # sample of the track at which the buffered blocks begin
        self._stop = 0
        self._clips: list[Float] = []
        self.n_clips = 0

    def add(self, block: Float) -> None:
        """Take the next samples, (2, samples)."""
        if self.trace is not None:
            self.trace.add(block)
        self.level.add(block)
        self._blocks.append(block)
        self._stop += block.shape[1]
        while self._bounds(self.n_clips)[1] <= self._stop:
            self._cut()

    def finish(self, n_clips: int) -> None:
        """Fill with silence up to ``n_clips`` clips and give out what is left."""
        if self.trace is not None:
            self.trace.finish()
        while self.n_clips < n_clips:
            missing = self._bounds(self.n_clips)[1] - self._stop
            if missing > 0:
                self._blocks.append(np.zeros((2, missing), np.float32))
                self._stop += missing
            self._cut()
        self._give()

    def _bounds(self, clip: int) -> tuple[int, int]:
        return clip_bounds(clip, self._lag)

    def _cut(self) -> None:
        first, stop = self._bounds(self.n_clips)
        joined = np.concatenate(self._blocks, axis=1) if len(self._blocks) != 1 else self._blocks[0]
        before = np.zeros((2, max(0, min(stop, self._start) - first)), np.float32)
        clip = np.concatenate([before, joined[:, max(0, first - self._start) : max(0, stop - self._start)]], axis=1)
        if clip.shape[1] != CLIP_SAMPLES:
            clip = _stretched(clip)
        self._clips.append(clip)
        self.n_clips += 1
        keep = max(self._start, min(self._bounds(self.n_clips)[0], self._stop))
        self._blocks = [joined[:, keep - self._start :]]
        self._start = keep
        if len(self._clips) == CLIPS_AT_ONCE:
            self._give()

    def _give(self) -> None:
        if self._clips:
            clips = torch.from_numpy(np.stack(self._clips))
            self._clips = []
            self._sink(log_mel(clips * self._gain if self._gain != 1.0 else clips, SAMPLE_RATE).half().numpy())


def _stretched(clip: Float) -> Float:
    """A clip of a track at another speed, brought to exactly 3 s."""
    return resampled(clip, max(1, clip.shape[1]), CLIP_SAMPLES)


class Level:
    """Gated mean power, as ITU-R BS.1770 gates it (400 ms blocks, -70 dB, then 10 dB below their mean), unweighted."""

    BLOCK = SAMPLE_RATE * 2 // 5

    def __init__(self) -> None:
        self._rest = np.zeros((2, 0), np.float32)
        self._powers: list[Float] = []

    def add(self, block: Float) -> None:
        """Take the next samples, (2, samples)."""
        joined = np.concatenate([self._rest, block], axis=1)
        whole = joined.shape[1] // self.BLOCK * self.BLOCK
        self._rest = joined[:, whole:]
        if whole:
            blocks = joined[:, :whole].reshape(2, -1, self.BLOCK)
            self._powers.append(np.einsum("cbs,cbs->b", blocks, blocks) / self.BLOCK)

    @property
    def power(self) -> float:
        """Mean power of both channels together over the blocks that are loud enough; 0 for silence."""
        powers = np.concatenate(self._powers) if self._powers else np.zeros(0, np.float32)
        powers = powers[powers > 1e-7]
        return float(powers[powers > powers.mean() / 10].mean()) if powers.size else 0.0


def clip_bounds(clip: int, lag: Lag | None = None) -> tuple[int, int]:
    """(first, stop) of a clip in samples of a track that is behind the film by ``lag``."""
    if lag is None:
        return clip * CLIP_SAMPLES, (clip + 1) * CLIP_SAMPLES
    first, stop = (round((edge + lag(edge)) * SAMPLE_RATE) for edge in (3.0 * clip, 3.0 * clip + 3.0))
    return first, stop


def valid_clips(first_sample: int | None, end_sample: int, n_clips: int, lag: Lag | None = None) -> tuple[int, int]:
    """(first, stop): clips of which at most 0.1 s lies outside the track's sound."""
    if first_sample is None:
        return 0, 0
    first = 0
    while first < n_clips and clip_bounds(first, lag)[0] < first_sample - EDGE_SAMPLES:
        first += 1
    stop = n_clips
    while stop > first and clip_bounds(stop - 1, lag)[1] > end_sample + EDGE_SAMPLES:
        stop -= 1
    return first, stop
