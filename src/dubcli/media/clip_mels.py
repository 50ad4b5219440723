"""From the samples of a sound track to the mels of its clips, as the cache keeps them: whole and separated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dubcli.core.mels import log_mel_array
from dubcli.core.tracks import CLIP_SECONDS
from dubcli.media.resample import resampled

Float = npt.NDArray[np.float32]
Sink = Callable[[npt.NDArray[np.float16]], None]
Lag = Callable[[float], float]  # seconds of the film -> by how many seconds a track is behind

CLIPS_AT_ONCE = 8


def clip_bounds(clip: int, sample_rate: int, lag: Lag | None = None) -> tuple[int, int]:
    """(first, stop) of a clip in samples of a track that is behind the film by ``lag``."""
    if lag is None:
        return clip * CLIP_SECONDS * sample_rate, (clip + 1) * CLIP_SECONDS * sample_rate
    edges = (float(CLIP_SECONDS * clip), float(CLIP_SECONDS * (clip + 1)))
    first, stop = (round((edge + lag(edge)) * sample_rate) for edge in edges)
    return first, stop


class ClipMels:
    """Cuts contiguous stereo into clips and turns them into mels, several at a time, which go to ``sink``.

    ``sink`` is given float16 (clips, 2, mels, frames). ``sample_rate`` is the sound's, in Hz, and the mels'.
    ``lag`` gives, for a clip's start in seconds, where in this track the clip's sound starts (for a dub that is off):
    each clip is cut where it belongs, and stretched back to 3 s where the track runs at another speed.
    """

    def __init__(
        self,
        sink: Sink,
        sample_rate: int,
        *,
        gain: float = 1.0,
        lag: Lag | None = None,
    ) -> None:
        self._sink, self._rate, self._gain, self._lag = sink, sample_rate, gain, lag
        self._clip_samples = CLIP_SECONDS * sample_rate
        self._blocks: list[Float] = []
        self._start = 0  # sample of the track at which the buffered blocks begin
        self._stop = 0
        self._clips: list[Float] = []
        self.n_clips = 0

    def add(self, block: Float) -> None:
        """Take the next samples, (2, samples)."""
        self._blocks.append(block)
        self._stop += block.shape[1]
        while self._bounds(self.n_clips)[1] <= self._stop:
            self._cut()

    def finish(self, n_clips: int) -> None:
        """Fill with silence up to ``n_clips`` clips and give out what is left."""
        while self.n_clips < n_clips:
            missing = self._bounds(self.n_clips)[1] - self._stop
            if missing > 0:
                self._blocks.append(np.zeros((2, missing), np.float32))
                self._stop += missing
            self._cut()
        self._give()

    def _bounds(self, clip: int) -> tuple[int, int]:
        return clip_bounds(clip, self._rate, self._lag)

    def _cut(self) -> None:
        first, stop = self._bounds(self.n_clips)
        joined = np.concatenate(self._blocks, axis=1) if len(self._blocks) != 1 else self._blocks[0]
        before = np.zeros((2, max(0, min(stop, self._start) - first)), np.float32)
        clip = np.concatenate([before, joined[:, max(0, first - self._start) : max(0, stop - self._start)]], axis=1)
        if clip.shape[1] != self._clip_samples:  # of a track at another speed: brought to exactly 3 s
            clip = resampled(clip, max(1, clip.shape[1]), self._clip_samples)
        self._clips.append(clip)
        self.n_clips += 1
        keep = max(self._start, min(self._bounds(self.n_clips)[0], self._stop))
        self._blocks = [joined[:, keep - self._start :]]
        self._start = keep
        if len(self._clips) == CLIPS_AT_ONCE:
            self._give()

    def _give(self) -> None:
        if self._clips:
            clips = np.stack(self._clips)
            self._clips = []
            clips = clips * np.float32(self._gain) if self._gain != 1.0 else clips
            self._sink(log_mel_array(clips, self._rate).astype(np.float16))
