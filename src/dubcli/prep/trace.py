"""What the sync check keeps of a track while it streams by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dubcli.prep.spill import Spill, Windows

Float = npt.NDArray[np.float32]

SAMPLE_RATE = 48000
DECIMATION = 6
RATE = SAMPLE_RATE // DECIMATION  # 8 kHz: phase weighting needs bandwidth, not treble
HOP = 160  # of the onset strength: 50 a second
ONSET_RATE = RATE / HOP
BANDS_HZ = (60, 150, 300, 500, 800, 1200, 1800, 2600, 3800)
WINDOW_SECONDS = 12
SHORTEST_WINDOW_SECONDS = 3
WINDOW_EVERY_SECONDS = 60  # twice as far apart whenever there are too many: a long film needs no more memory
MOST_WINDOWS = 40
DENSE_SECONDS = 120  # a short film gives window after window up to here
SILENCE = 1e-7  # energy of a band; its logarithm is the lowest that energies have
_FRAMES_AT_ONCE = 1 << 14  # of energies: five minutes
_FULL_SCALE = 77e3  # summed energy, mid and side, per mean square of a channel


class SyncTrace:
    """What is kept of one track while it streams by: band energies of all of it, and some windows of waveform.

    12 MB of energies and 15 MB of windows for a two-hour film, in files without a name on the disk of ``folder`` (None:
    the system's), so that a longer film needs no more memory.
    """

    BANDS = 2 * (len(BANDS_HZ) - 1)  # of mid, then of side

    def __init__(self, folder: Path | None = None) -> None:
        self._rest = np.zeros((2, 0), np.float32)  # at 48 kHz, less than a decimation step
        self._pending = np.zeros((2, 0), np.float32)  # at 8 kHz, not yet turned into energies
        self._energies = Spill(folder)  # (frames, BANDS)
        self._position = 0  # in 8 kHz samples: the end of what has come
        self._window: list[Float] = []
        self._every_seconds = WINDOW_EVERY_SECONDS
        self.windows = Windows(WINDOW_SECONDS * RATE, folder)  # by their starts in 8 kHz samples

    def add(self, stereo: npt.NDArray[Any]) -> None:
        """Take the next samples, (2, samples) at 48 kHz, from the film's zero on and without holes."""
        left_right = np.concatenate([self._rest, np.asarray(stereo, np.float32)], axis=1)
        whole = left_right.shape[1] // DECIMATION * DECIMATION
        self._rest = left_right[:, whole:]
        # Not media.resample: a plain mean of six samples takes a fifth of its time (2.4 of 11.5 s for two hours).
        # What it lets alias is the same in both tracks, which are only compared with each other.
        mean = sum(left_right[:, first:whole:DECIMATION] for first in range(DECIMATION)) / np.float32(DECIMATION)
        mid_side = np.stack([mean[0] + mean[1], mean[0] - mean[1]])
        self._collect_windows(mid_side)
        self._pending = np.concatenate([self._pending, mid_side], axis=1)
        if self._pending.shape[1] >= 64 * HOP:
            self._add_energies()

    @property
    def seconds(self) -> float:
        """How much has come."""
        return self._position / RATE

    def finish(self) -> None:
        """Call at the end of the track: keeps the last, shorter window (filled with silence) of a short film."""
        if self._window:
            last = np.concatenate(self._window, axis=1)
            if last.shape[1] >= SHORTEST_WINDOW_SECONDS * RATE:
                padding = ((0, 0), (0, WINDOW_SECONDS * RATE - last.shape[1]))
                start = self._position // (WINDOW_SECONDS * RATE) * WINDOW_SECONDS * RATE
                self.windows.add(start, np.pad(last, padding))
            self._window = []
        if self._pending.shape[1] >= 2 * HOP:
            self._add_energies()

    @property
    def frames(self) -> int:
        """Of the energies, 50 a second."""
        return self._energies.size // self.BANDS

    def energies(self, first: int, stop: int) -> Float:
        """(16, ``stop - first``): natural log of the energy in 8 bands of mid and of side, of those frames."""
        values = self._energies.read(first * self.BANDS, (stop - first) * self.BANDS)
        return np.ascontiguousarray(values.reshape(-1, self.BANDS).T, np.float32)

    def band(self, number: int) -> Float:
        """(frames,): the energies of one band."""
        return np.concatenate([np.zeros(0, np.float32), *(part[number] for part in self._parts())])

    def powers(self) -> Float:
        """(frames,): mean square of a channel, of full scale, between 60 and 3800 Hz."""
        parts = [np.exp(part).sum(axis=0) for part in self._parts()]
        return np.asarray(np.concatenate([np.zeros(0, np.float32), *parts]) / _FULL_SCALE, np.float32)

    def _parts(self) -> Iterator[Float]:
        for first in range(0, self.frames, _FRAMES_AT_ONCE):
            yield self.energies(first, min(self.frames, first + _FRAMES_AT_ONCE))

    def around(self, start: int, length: int) -> Float | None:
        """(2, ``length``) samples at 8 kHz from ``start`` on, made of the windows; None where they lack half of it."""
        out = np.zeros((2, length), np.float32)
        covered = 0
        for low, high, window_start in self._pieces(start, length):
            out[:, low - start : high - start] = self.windows[window_start][:, low - window_start : high - window_start]
            covered += high - low
        return out if covered >= length // 2 else None

    def covers(self, start: int, length: int) -> npt.NDArray[np.bool_]:
        """(``length``,): which of these samples a window has, and are no filling after the track's end."""
        out = np.zeros(length, bool)
        for low, high, _ in self._pieces(start, length):
            out[low - start : max(low, min(high, self._position)) - start] = True
        return out

    def _pieces(self, start: int, length: int) -> list[tuple[int, int, int]]:
        """(from, to, the window's start), in samples of the track, of what the windows have of a stretch."""
        window = WINDOW_SECONDS * RATE
        ends = ((max(start, at), min(start + length, at + window), at) for at in self.windows)
        return [piece for piece in ends if piece[0] < piece[1]]

    def _add_energies(self) -> None:
        frames = self._pending.shape[1] // HOP - 1
        blocks = np.lib.stride_tricks.sliding_window_view(self._pending, 2 * HOP, axis=1)[:, ::HOP]
        spectrum = np.fft.rfft(blocks * np.hanning(2 * HOP).astype(np.float32), axis=2)
        power = spectrum.real**2 + spectrum.imag**2
        edges = np.searchsorted(np.fft.rfftfreq(2 * HOP, 1 / RATE), BANDS_HZ)
        bands = np.add.reduceat(power, edges[:-1], axis=2)
        self._energies.append(np.log(bands + SILENCE).transpose(1, 0, 2).reshape(frames, -1))
        self._pending = self._pending[:, frames * HOP :]

    def _collect_windows(self, mid_side: Float) -> None:
        length = WINDOW_SECONDS * RATE
        while mid_side.shape[1]:
            room = length - self._position % length
            part, mid_side = mid_side[:, :room], mid_side[:, room:]
            start = self._position // length * length
            if self._wanted(start):
                self._window.append(part)
            self._position += part.shape[1]
            if self._position % length == 0 and self._window:
                self.windows.add(start, np.concatenate(self._window, axis=1))
                self._window = []
                if len(self.windows) > MOST_WINDOWS:
                    self._every_seconds *= 2
                    for one in [start for start in self.windows if not self._wanted(start)]:
                        self.windows.remove(one)

    def _wanted(self, start: int) -> bool:
        return start < DENSE_SECONDS * RATE or start % (self._every_seconds * RATE) == 0
