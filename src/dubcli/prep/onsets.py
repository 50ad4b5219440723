"""The onset strengths of a track, or of a stretch of it, read piece by piece: those of a long film have 23 MB."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from dubcli.prep.trace import Float, SyncTrace

_FRAMES_AT_ONCE = 1 << 15  # eleven minutes
_SILENT = 1e-6  # standard deviation of a band in which nothing happens


class Onsets:
    """Half-wave rectified rises of the bands' energies, 50 frames a second.

    ``speed`` is undone: where it is over 1 the track takes longer, so its frames are read in larger steps. ``first``
    and ``frames``: the stretch; beyond the track's ends it is silent. By default all of it.
    """

    def __init__(self, trace: SyncTrace, speed: float = 1.0, first: int = 0, frames: int | None = None) -> None:
        self._trace, self._speed, self._first = trace, speed, first
        whole = trace.frames if speed == 1.0 else max(0, int(np.ceil((trace.frames - 1) / speed)))
        self._whole = whole
        self.frames = whole - first if frames is None else frames

    def part(self, first: int, stop: int) -> Onsets:
        """A stretch of it."""
        return Onsets(self._trace, self._speed, self._first + first, stop - first)

    def values(self, low: int = 0, high: int | None = None) -> Float:
        """(bands, ``high - low``): silent where there is nothing."""
        high = self.frames if high is None else high
        out = np.zeros((self._trace.BANDS, max(0, high - low)), np.float32)
        begin, end = max(0, low), min(self.frames, high)
        at, stop = max(0, self._first + begin), min(self._whole, self._first + end)
        if at < stop:
            out[:, at - self._first - low : stop - self._first - low] = self._read(at, stop)
        return out

    def _read(self, at: int, stop: int) -> Float:
        if self._speed == 1.0:
            return self._rises(at, stop)
        times = np.arange(at, stop) * self._speed
        low = times.astype(np.int64)
        share = (times - low).astype(np.float32)
        rises = self._rises(int(low[0]), int(low[-1]) + 2)
        low -= low[0]
        out = np.empty((len(rises), low.size), np.float32)
        for stretched, row in zip(out, rises, strict=True):  # a band at a time: all at once are four times as many
            stretched[:] = row[low] * (1 - share) + row[low + 1] * share
        return out

    def _rises(self, at: int, stop: int) -> Float:
        energies = self._trace.energies(max(0, at - 1), stop)
        rises = np.maximum(np.diff(energies, axis=1), 0)
        return rises if at else np.pad(rises, ((0, 0), (1, 0)))

    def pieces(self) -> Iterator[tuple[int, int]]:
        """(first, stop) of stretches of it that are read at once."""
        for first in range(0, self.frames, _FRAMES_AT_ONCE):
            yield first, min(self.frames, first + _FRAMES_AT_ONCE)

    @cached_property
    def mean_and_spread(self) -> tuple[Float, Float]:
        """(bands, 1) each; the spread is 0 of a band in which nothing happens."""
        sums, squares = (np.zeros((self._trace.BANDS, 1)) for _ in range(2))
        for first, stop in self.pieces():
            values = self.values(first, stop)
            sums += values.sum(axis=1, keepdims=True, dtype=np.float64)
            squares += np.einsum("bf,bf->b", values, values, dtype=np.float64)[:, None]
        mean = sums / max(1, self.frames)
        spread = np.sqrt(np.maximum(squares / max(1, self.frames) - mean**2, 0))
        return mean.astype(np.float32), np.where(spread < _SILENT, 0, spread).astype(np.float32)
